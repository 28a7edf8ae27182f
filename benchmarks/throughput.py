"""Measure frames per second from a driver through a real indiserver to a NumPy array, or to the disk and the master.

Run ``python -m benchmarks.throughput [--size 6248x4176] [--frames 40] [--folder FOLDER]``. The driver sends prepared
frames, so that only the server and coldframe are measured. Exposures are requested one at a time, as in a night. The
time of a frame is measured from the request to the array. Meanwhile, a task wakes up every millisecond. Its longest
delay is the stall of the event loop.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.indi.servers import BLOB_DRIVER, HOST, indiserver
from benchmarks.machine import machine_line
from coldframe.calibration.files.frame_file import FrameEncoder, parse
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, FrameAccepted
from coldframe.capture.events.stream import EventStream
from coldframe.capture.night.assembly import NightFiles, night_context
from coldframe.capture.shooting.set_inputs import BiasInputs
from coldframe.capture.shooting.set_shooting import SetShooting
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import Settings
from coldframe.config.tables.rig import CameraSettings
from coldframe.config.tables.sets import FrameSet
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from coldframe.devices.rig import Rig

DEVICE = "Coldframe Camera"
SHORTEST_S = 0.0001
TICK_S = 0.001


@dataclass
class Stall:
    """The longest delay of a task in the event loop."""

    longest_s: float = field(default=0.0)


@asynccontextmanager
async def ticking() -> AsyncIterator[Stall]:
    stall = Stall()

    async def tick() -> None:
        while True:
            began_s = time.perf_counter()
            await asyncio.sleep(TICK_S)
            stall.longest_s = max(stall.longest_s, time.perf_counter() - began_s - TICK_S)

    ticker = asyncio.create_task(tick())
    try:
        yield stall
    finally:
        ticker.cancel()


@dataclass(frozen=True)
class Measured:
    """Frames per second, and the longest stall of the event loop (None if there is no loop)."""

    frames_per_s: float
    stall_s: float | None
    transport: str


async def timed(frames: int, shoot: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """Return the duration of `shoot(frames)` in seconds, and the longest stall during it."""
    async with ticking() as stall:
        begin = time.perf_counter()
        await shoot(frames)
        return time.perf_counter() - begin, stall.longest_s


async def to_array(server: ServerAddress, frames: int) -> Measured:
    """Expose repeatedly. Convert each frame to an array, and discard it."""
    async with IndiLink(HOST, server.port) as link:
        camera = IndiCamera(link, DEVICE, server)
        await camera.connect()

        async def shoot(count: int) -> None:
            for _ in range(count):
                await camera.expose(FrameKind.BIAS, SHORTEST_S)

        try:
            await shoot(3)
            seconds, stall_s = await timed(frames, shoot)
            return Measured(frames / seconds, stall_s, camera.transport)
        finally:
            await camera.close()


async def to_master(server: ServerAddress, frames: int, folder: Path, exposure_s: float = SHORTEST_S) -> Measured:
    """Judge, save and accumulate each frame of a set, and measure the time to the last frame."""
    settings = Settings(camera=CameraSettings(device=DEVICE), sets=(FrameSet(kind=FrameKind.BIAS, count=frames),))
    clock = NightClock()
    events, accepted_s = EventStream(), [0.0]

    def note(event: Event) -> None:
        if isinstance(event, FrameAccepted):
            accepted_s.append(time.perf_counter())

    events.subscribe(note)
    async with IndiLink(HOST, server.port) as link:
        camera = IndiCamera(link, DEVICE, server)
        await camera.connect()
        rig, night = Rig(camera, None, None), NightFolder.create(folder, clock.now())
        context = night_context(settings, rig, NightFiles(night), events, clock)

        async def shoot(count: int) -> None:
            step = ShootStep(FrameKind.BIAS, count, None, None, ReadoutSettings(), None)
            await SetShooting(context, 1, step, BiasInputs(exposure_s)).run()

        try:
            await shoot(3)
            begin = time.perf_counter()
            _, stall_s = await timed(frames, shoot)
            return Measured(frames / (accepted_s[-1] - begin), stall_s, camera.transport)
        finally:
            await camera.close()


def pyindi_alone(server: ServerAddress, frames: int) -> Measured:
    """Measure pyindi-client alone, in a separate process."""
    command = [sys.executable, "-m", "benchmarks.indi.pyindi_alone"]
    arguments = [str(server.port), DEVICE, str(frames), str(SHORTEST_S)]
    ended = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return Measured(1 / float(ended.stdout.split()[-1]), None, "TCP")


def warm() -> None:
    """Compile and load everything that only the first frame needs."""
    header, data = FrameEncoder().encode(np.ones((16, 16), np.uint16), [])
    parse(header + bytes(data))


def main(size: str, frames: int, folder: Path | None) -> None:
    """Print the table."""
    warm()
    print(machine_line())
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    table = Table(
        *("path", "frames/s", "over pyindi-client", "goal", "longest stall of the loop"),
        title=f"Frames of {size} pixels through indiserver, {frames} each",
    )
    with (
        tempfile.TemporaryDirectory(prefix="coldframe-bench-", dir=folder) as place,
        indiserver(BLOB_DRIVER, COLDFRAME_BENCH_SIZE=size) as server,
    ):
        tcp = replace(server, unix_socket=None)
        alone = pyindi_alone(server, max(3, frames // 5))
        rows = [
            ("pyindi-client alone, TCP", alone, ""),
            ("to an array, TCP", asyncio.run(to_array(tcp, frames)), "6"),
            ("to an array, unix socket", asyncio.run(to_array(server, frames)), "20"),
            ("to disk and accumulator, TCP", asyncio.run(to_master(tcp, frames, Path(place))), ""),
            ("to disk and accumulator, unix socket", asyncio.run(to_master(server, frames, Path(place))), "8"),
        ]
    for path, measured, goal in rows:
        stall = "" if measured.stall_s is None else f"{1000 * measured.stall_s:.1f} ms (goal 20)"
        ratio = measured.frames_per_s / alone.frames_per_s
        table.add_row(path, f"{measured.frames_per_s:.1f}", f"{ratio:.1f}", goal, stall)
    Console(width=110).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="6248x4176")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="folder for frames; default: the temporary folder")
    options = parser.parse_args()
    main(options.size, options.frames, options.folder)
