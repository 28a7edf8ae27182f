"""Masters of twilight flats with darks of two exposures, and nights without enough darks."""

from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.masters.dark_ladder import DarkLadder, Rung
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.pipeline.accepted_frames import AcceptedFrame, AcceptedFrames
from coldframe.capture.pipeline.frame_stack import DarkStack
from coldframe.capture.pipeline.making_master import master_of, save_master
from coldframe.capture.session.context import StepSkippedError
from coldframe.capture.steps import ShootStep, SkyMasterStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.twilight.masters import sky_master
from coldframe.capture.twilight.session import SkySets
from coldframe.capture.twilight.sky_frames import SkySet
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from tests.capture.contexts import READOUT, START, context_in, frame_of

FLAT = ShootStep(FrameKind.FLAT, 6, "L", None, READOUT, -10.0)


def counted(night: NightFolder, frames: list[Frame], filter_name: str | None) -> AcceptedFrames:
    accepted = AcceptedFrames()
    for index, frame in enumerate(frames):
        path = night.save_frame(frame, filter_name, index)
        digest, level_adu = pixel_digest(frame.pixels), float(np.median(frame.pixels))
        accepted.frames.append(AcceptedFrame(path, frame.exposure_s, -10.0, START, level_adu, digest))
        accepted.first = accepted.first or frame
    return accepted


def rung(night: NightFolder, exposure_s: float) -> Rung:
    """Save a master of dark flats whose level grows with the exposure."""
    level_adu = 500 + 100 * exposure_s
    frames = [frame_of(seed, FrameKind.DARK_FLAT, exposure_s=exposure_s, level_adu=level_adu) for seed in range(6)]
    stack = DarkStack(len(frames), None)
    for frame in frames:
        stack.fold(frame.pixels, exposure_s, pixel_digest(frame.pixels))
    accepted = counted(night, frames, None)
    finished = stack.finish(accepted.frames)
    master = master_of(accepted, finished, kind=FrameKind.DARK_FLAT, filter_name=None, exposure_s=exposure_s)
    return Rung(exposure_s, save_master(night, master).path)


def test_each_flat_loses_the_dark_of_its_own_exposure(tmp_path: Path) -> None:
    night = NightFolder.create(tmp_path, START)
    ladder = DarkLadder([rung(night, 1.0), rung(night, 5.0)])
    exposures_s = [4.0, 2.0, 3.0, 5.0, 1.0, 2.5]
    flats = [
        frame_of(seed, FrameKind.FLAT, exposure_s=each, level_adu=20000 + 500 + 100 * each)
        for seed, each in enumerate(exposures_s)
    ]
    sky_set = SkySet(FLAT, 60000.0, counted(night, flats, "L"))
    master = sky_master(sky_set, ladder, None, None)
    assert master.exposure_s == pytest.approx(np.mean(exposures_s))
    assert master.stack.frames == 6
    assert float(np.abs(master.stack.mean - 1).max()) < 0.01
    cards = {card.keyword: card.value for card in master.remarks}
    assert (cards["CFEXPMIN"], cards["CFEXPMAX"], cards["CFSATUR"]) == (1.0, 5.0, 60000.0)
    assert [cards["CFDARK1"], cards["CFDARK2"]] == [each.path.name for each in ladder.rungs]
    assert master.inputs == tuple(path.name for path in sky_set.accepted.paths), "in the order in which they were shot"


async def test_without_flats_nothing_is_combined_and_no_dark_flats_are_shot(tmp_path: Path) -> None:
    context, _ = context_in(tmp_path)
    sky = SkySets(context, LearnedFlats(tmp_path / "learned-flats.json"))
    with pytest.raises(StepSkippedError, match="too few"):
        await sky.combine(1, SkyMasterStep(FLAT))
    with pytest.raises(StepSkippedError):
        sky.next_dark_flat_inputs(FLAT, None)
