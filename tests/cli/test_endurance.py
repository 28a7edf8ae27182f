"""10,000 frames in several sets, with a watcher attached: the memory of the run stays flat."""

import asyncio
import os
import shutil
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import FrameAccepted, NightEnded, StepEnded
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.config.examples import example_night
from tests.patience import PATIENCE_S

FRAMES = int(os.environ.get("COLDFRAME_ENDURANCE_FRAMES", "10000"))
SETS = 10
WARM_SETS = 2
"""The first sets load the compiled loops, and fill the heap up to its working size."""

MOST_GROWTH = 1.15
MOST_S = 3600.0

pytestmark = [pytest.mark.deep, pytest.mark.timeout(2 * MOST_S)]

RIG = """
title = "Rig without delays"
[sensor]
model = "0.6 MP"
width = 960
height = 640
pixel_um = 3.76
bit_depth = 16
e_per_adu = 0.78
full_well_e = 52000
read_noise_e = 1.2
converter_noise_adu = 3.8
pedestal_adu = 500
dark_e_per_s = 0.04
dark_reference_c = -10.0
dark_doubling_c = 6.0
[panel]
full_e_per_s = 60000
switch_s = 0.0
[timing]
readout_s = 0.0
polling_s = 0.2
"""


def configuration(folder: Path) -> Path:
    """Write a night of `SETS` sets of short darks, without a cooler; return the path of the configuration."""
    tables = example_night("small").read_text().split("[[sets]]", 1)[0]
    tables = "\n".join(line for line in tables.splitlines() if not line.startswith(("setpoint_c", "gain", "offset")))
    tables = tables.split("[wheel]", 1)[0]
    sets = [
        f'[[sets]]\nkind = "dark"\ncount = {FRAMES // SETS}\nexposure_s = {0.001 * number:g}\n'
        for number in range(1, SETS + 1)
    ]
    path = folder / "night.toml"
    path.write_text(f'{tables}\n[storage]\nfolder = "{folder / "nights"}"\n' + "\n".join(sets))
    return path


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_memory_stays_flat_over_10000_frames_in_several_sets_with_a_watcher(tmp_path: Path) -> None:
    config, rig = configuration(tmp_path), tmp_path / "rig.toml"
    rig.write_text(RIG)
    (tmp_path / "nights").mkdir()
    arguments = ("-m", "coldframe", "run", "--simulate", str(rig), "--config", str(config), "--json")
    run = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)
    resident, frames, outcome = list[int](), 0, None
    try:
        async with (
            asyncio.timeout(MOST_S + PATIENCE_S),
            aclosing(LocalSource(tmp_path / "nights").updates()) as updates,
        ):
            async for update in updates:
                frames += isinstance(update, FrameAccepted)
                if isinstance(update, StepEnded):
                    resident.append(resident_bytes(run.pid))
                    print(f"{frames} frames: {resident[-1] / 1e6:.0f} MB")
                if isinstance(update, NightEnded):
                    outcome = update.outcome
                    break
        assert await run.wait() == 0
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
        shutil.rmtree(tmp_path / "nights")  # 12 GB
    assert outcome is NightOutcome.COMPLETE
    assert frames == FRAMES // SETS * SETS
    assert max(resident[WARM_SETS:]) <= MOST_GROWTH * resident[WARM_SETS - 1]
