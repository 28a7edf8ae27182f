"""Darks of a sensor without temperature control, the ends of their parts, and the numbers of later parts."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coldframe.calibration.combining.verify import recombined
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.pipeline.accepted_frames import AcceptedFrame, AcceptedFrames
from coldframe.capture.pipeline.frame_stack import DarkStack
from coldframe.capture.pipeline.making_master import master_of
from coldframe.capture.shooting.ambient_darks import LEAST_PART, has_left_bin, in_parts, made_already
from coldframe.capture.shooting.set_inputs import DarkInputs, SetInputs, ShotSet
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind
from tests.capture.contexts import READOUT, START, frame_of

DARKS = ShootStep(FrameKind.DARK, 40, None, 60.0, READOUT, None)


@pytest.mark.parametrize(
    ("sensors_c", "missing", "expected"),
    [
        ([5.0, 5.5, 6.0, 6.5, 7.0], 5, True),
        ([7.0, 5.0, 6.0, 6.0, 6.0], 5, True),
        ([5.0, 5.5, 6.0, 6.5, 6.9], 5, False),
        ([5.0, 6.0, 7.0, 8.0], 5, False),
        ([5.0, 5.5, 6.0, 6.5, 7.0], 4, False),
        ([], 40, False),
    ],
)
def test_a_part_ends_after_two_degrees_if_both_sides_have_enough_frames(
    sensors_c: list[float],
    missing: int,
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert LEAST_PART == 5
    assert has_left_bin(sensors_c, missing) is expected


async def test_the_rest_is_shot_in_parts_whose_frames_are_numbered_on() -> None:
    parts = iter([(12, True), (20, True), (8, False)])
    orders: list[tuple[int, int]] = []

    async def shoot(step: ShootStep, inputs: SetInputs) -> ShotSet:
        assert isinstance(inputs, DarkInputs)
        orders.append((step.count, inputs.shot_before))
        frames, has_drifted = next(parts)
        master: Any = SimpleNamespace()
        return ShotSet(master, frames, 0, None, None, None, None, has_drifted)

    shot = await in_parts(DARKS, DarkInputs(60.0, shot_before=3), shoot)
    assert orders == [(40, 3), (28, 15), (8, 35)]
    assert (shot.frames, shot.has_drifted) == (40, False)


def test_frames_of_earlier_masters_are_known_by_their_names(tmp_path: Path) -> None:
    night = NightFolder.create(tmp_path, START)
    stack, accepted = DarkStack(6, None), AcceptedFrames()
    for index in range(6):
        frame = replace(frame_of(index, FrameKind.DARK, exposure_s=60.0), setpoint_c=None)
        digest = pixel_digest(frame.pixels)
        path = night.save_frame(frame, None, index)
        stack.fold(frame.pixels, 60.0, digest)
        accepted.frames.append(AcceptedFrame(path, 60.0, -10.0, START, 500.0, digest))
        accepted.first = frame
    finished = stack.finish(accepted.frames)
    night.save_master(master_of(accepted, finished, kind=FrameKind.DARK, filter_name=None, exposure_s=60.0))
    assert made_already(night, DARKS, "Camera") == {path.name for path in accepted.paths}
    assert made_already(night, replace(DARKS, exposure_s=61.0), "Camera") == frozenset()
    assert made_already(night, DARKS, "another camera") == frozenset()


def test_a_master_lists_more_than_999_frames(tmp_path: Path) -> None:
    night, frames = NightFolder.create(tmp_path, START), 1003
    stack, accepted = DarkStack(frames, None), AcceptedFrames()
    for index in range(1, frames + 1):
        frame = replace(frame_of(index, FrameKind.DARK, exposure_s=60.0, shape=(4, 6)), setpoint_c=None)
        digest = pixel_digest(frame.pixels)
        path = night.save_frame(frame, None, index)
        stack.fold(frame.pixels, 60.0, digest)
        accepted.frames.append(AcceptedFrame(path, 60.0, -10.0, START, 500.0, digest))
        accepted.first = accepted.first or frame
    master = master_of(accepted, stack.finish(accepted.frames), kind=FrameKind.DARK, filter_name=None, exposure_s=60.0)
    path = night.save_master(master)
    assert made_already(night, DARKS, "Camera") == {each.name for each in accepted.paths}
    assert night.save_master(master) == path, "a resumed run writes no copy"
    result = recombined(path, night.raw_frames())
    assert result.equal, str(result)
    assert result.frames == frames
