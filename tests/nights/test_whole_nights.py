"""The example nights, from the first setpoint to the warm-up, in seconds of real time."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.frame_file import read_frame, read_header
from coldframe.calibration.masters.flat_pedestal import PROBES
from coldframe.capture.events.kinds import (
    FlatTuned,
    FrameAccepted,
    MasterWritten,
    NightStarted,
    PedestalDecided,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.config.examples import example_night, example_nights
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from tests.nights.nights import NightRun, run_night, tiny

pytestmark = pytest.mark.looptime


async def example(name: str, folder: Path) -> tuple[Settings, NightRun]:
    settings = load_settings(example_night(name))
    return settings, await run_night(settings, tiny(load_rig(name)), folder)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.fits")
    }


# ISO values and shutter speeds exist only in a DSLR's INDI driver; tests/indi/test_shipped_dslr.py plays that night.
@pytest.mark.parametrize("name", [name for name in example_nights() if load_rig(name).dslr is None])
async def test_every_example_night_makes_all_its_masters(name: str, tmp_path: Path) -> None:
    settings, night = await example(name, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert all(ended.outcome is StepOutcome.DONE for ended in night.of(StepEnded))
    assert len(night.of(MasterWritten)) == len(settings.sets)
    (started,) = night.of(NightStarted)
    spared = sum(started.steps[event.step - 1].count - event.count for event in night.of(PedestalDecided))
    assert len(night.of(FrameAccepted)) == sum(each.planned_frames for each in settings.sets) - spared


async def test_two_nights_alike_end_alike_to_the_bit(tmp_path: Path) -> None:
    for run in ("one", "two"):
        await example("small", tmp_path / run)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


async def test_flats_lie_in_their_band_and_dark_flats_match_them_to_the_bit(tmp_path: Path) -> None:
    settings, night = await example("small", tmp_path)
    low, high = settings.flats.band
    for tuned in night.of(FlatTuned):
        flats = list((night.folder / "flats").glob(f"*_{tuned.filter}/*.fits"))
        dark_flats = list((night.folder / "dark-flats").glob(f"*_{tuned.filter}/*.fits"))
        assert len(flats) == 20
        assert len(dark_flats) == PROBES, "the bias does as well"
        for path in flats:
            level = float(np.median(read_frame(path)[0]))
            assert low * 65535 < level < high * 65535
        exposures = {read_header(path)["EXPTIME"] for path in flats + dark_flats}
        assert exposures == {tuned.exposure_s}


async def test_the_next_night_starts_from_what_was_learned(tmp_path: Path) -> None:
    _, first = await example("small", tmp_path)
    _, second = await example("small", tmp_path)
    assert [tuned.tests for tuned in first.of(FlatTuned)] == [3, 2], "the first shows where the camera saturates"
    assert all(tuned.tests == 1 for tuned in second.of(FlatTuned))
    assert first.folder != second.folder


async def test_frames_tell_what_they_are(tmp_path: Path) -> None:
    _, night = await example("small", tmp_path)
    path = next((night.folder / "dark-flats").glob("*_Ha/*.fits"))
    header = read_header(path)
    assert (header["IMAGETYP"], header["CFROLE"], header["FILTER"]) == ("Dark Frame", "DARKFLAT", "Ha")
    assert (header["GAIN"], header["OFFSET"], header["SET-TEMP"]) == (150, 50, -10.0)
    kinds = {header["IMAGETYP"] for header in map(read_header, (night.folder / "masters").glob("*.fits"))}
    assert kinds == {"Master Bias", "Master Dark", "Master Flat"}
    assert FrameKind.BIAS.needs_darkness
