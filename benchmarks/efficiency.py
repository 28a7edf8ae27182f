"""Measure the wall time of a set of bias frames, divided by the time that the camera needs for them.

Run ``python -m benchmarks.efficiency [RIG]``. The rig is simulated in a separate process. INDI, judging, durable saving
and accumulating are real. A camera cannot be faster than exposure and readout, so coldframe causes any excess over 1.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.throughput import Measured, to_master, warm
from coldframe.config.simulated_rig import load_rig
from coldframe.devices.indi.rig import server_address
from coldframe.operations.nights.simulated_server import simulated_server

FRAMES = 100


async def measured(rig: str, exposure_s: float, folder: Path) -> Measured:
    async with simulated_server(rig) as server:
        return await to_master(server_address(server), FRAMES, folder, exposure_s)


def main(rig: str) -> None:
    """Print the ratio."""
    warm()
    timing = load_rig(rig).timing
    frame_s = timing.shortest_exposure_s + timing.readout_s
    with tempfile.TemporaryDirectory(prefix="coldframe-bench-") as folder:
        found = asyncio.run(measured(rig, timing.shortest_exposure_s, Path(folder)))
    wall_s = FRAMES / found.frames_per_s
    print(
        f"{FRAMES} bias frames of the rig {rig} over {found.transport}: {wall_s:.2f} s for {FRAMES * frame_s:.2f} s of "
        f"exposure and readout, ratio {wall_s / (FRAMES * frame_s):.3f} (goal 1.15)"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "small")
