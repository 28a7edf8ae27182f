"""Running stacks, compared with plain arithmetic on their frames."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.combining.combine import combine_frames
from coldframe.calibration.combining.frame_sets import without_overscan
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.overscan import PEDESTAL_ADU, Overscan, sections_of
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.measuring.statistics import measure
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.capture.judging.frame_gate import FrameGate
from coldframe.capture.pipeline.accepted_frames import AcceptedFrames
from coldframe.capture.pipeline.frame_stack import DarkStack, FlatStack, FrameStack
from coldframe.capture.pipeline.judged_frame import JudgedFrame, judge_frame
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from tests.calibration.combining.raw_files import opened, save
from tests.calibration.files.failing_disk import fail_reads
from tests.capture.contexts import START, frame_of

FRAMES = 6


def judged(frame: Frame) -> JudgedFrame:
    return judge_frame(frame, None, measure(frame.pixels), FrameGate(frame.kind))


def folded(stack: FrameStack, frames: list[Frame], folder: Path) -> AcceptedFrames:
    """Save and fold some frames."""
    night, accepted = NightFolder.create(folder, START), AcceptedFrames()
    for index, frame in enumerate(frames, start=1):
        path = night.save_frame(frame, None, index)
        stack.fold(frame.pixels, frame.exposure_s, pixel_digest(frame.pixels))
        accepted.add(judged(frame), path)
    return accepted


def test_darks_are_averaged_and_may_be_combined_before_the_end(tmp_path: Path) -> None:
    frames = [frame_of(seed) for seed in range(FRAMES)]
    stack = DarkStack(FRAMES, None)
    assert stack.noise_adu() is None
    accepted = folded(stack, frames, tmp_path)
    mean = np.mean([frame.pixels for frame in frames], axis=0)
    so_far, _ = stack.combined(accepted.frames)
    finished = stack.finish(accepted.frames)
    assert np.array_equal(so_far.mean, finished.stack.mean)
    assert np.mean(np.abs(finished.stack.mean - mean) < 0.01) > 0.8, "but for clipped values"
    assert finished.masked is None
    assert finished.method.sigma_floor_adu == 0.5


def test_darks_lose_the_drift_of_their_overscan(tmp_path: Path) -> None:
    header = {"BIASSEC": "[1:16,1:64]", "TRIMSEC": "[17:96,1:64]"}
    sections = sections_of(header, (64, 96))
    assert sections is not None
    frames = [frame_of(seed, level_adu=500.0 + 40 * seed) for seed in range(FRAMES)]
    stack = DarkStack(FRAMES, Overscan(sections, "row"))
    accepted = folded(stack, frames, tmp_path)
    finished = stack.finish(accepted.frames)
    assert finished.stack.mean.shape == (64, 80)
    assert abs(float(np.median(finished.stack.mean))) < 5
    assert finished.overscan is not None
    assert on_pedestal(finished.stack.mean, finished.overscan).mean() == pytest.approx(PEDESTAL_ADU, abs=5)


@pytest.mark.parametrize("strip", [None, "row"])
@pytest.mark.parametrize("noise_steps", [0.2, 0.6, 3.0])
def test_twelve_bits_in_sixteen_give_the_same_master_live_and_from_files(
    strip: Literal["row"] | None, noise_steps: float, tmp_path: Path
) -> None:
    cards = {"BIASSEC": "[1:16,1:64]", "TRIMSEC": "[17:96,1:64]"}
    sections = sections_of(cards, (64, 96))
    assert sections is not None
    rng = np.random.default_rng(4)
    level = rng.uniform(30, 31, (64, 96))
    stack, accepted, paths = DarkStack(12, None if strip is None else Overscan(sections, strip)), AcceptedFrames(), []
    for number in range(12):
        pixels = (16 * rng.normal(level, noise_steps).round()).astype(np.uint16)
        path = save(tmp_path / f"{number:02d}.fits", pixels, IMAGETYP="Bias Frame", **cards)
        paths.append(path)
        stack.fold(pixels, 0.0, pixel_digest(pixels))
        accepted.add(judged(replace(frame_of(number, FrameKind.BIAS), pixels=pixels)), path)
    finished = stack.finish(accepted.frames)
    frames, refused = without_overscan(opened(paths, tmp_path), strip or "none", tmp_path)
    assert not refused
    combined = combine_frames(frames, Clipping())
    assert finished.method == combined.method == Clipping(sigma_floor_adu=8)
    for plane in ("mean", "uncertainty", "counts"):
        np.testing.assert_array_equal(getattr(finished.stack, plane), getattr(combined.stack, plane), strict=True)
    assert finished.stack.rounding_adu2 == combined.stack.rounding_adu2
    assert (combined.stack.rounding_adu2 > 0) == (noise_steps < 0.5)
    assert (combined.stack.uncertainty > 0).all()


def flat(seed: int, exposure_s: float, dark: NDArray[np.float32]) -> Frame:
    """Return a flat whose light and dark are proportional to its exposure."""
    frame = frame_of(seed, FrameKind.FLAT, exposure_s=exposure_s, level_adu=0.0 + 10000.0 * exposure_s)
    return Frame(
        (frame.pixels + (exposure_s * dark).round()).astype(np.uint16),
        frame.kind,
        exposure_s,
        START,
        frame.settings,
        None,
        None,
        "Camera",
    )


def test_flats_of_different_exposures_lose_the_dark_of_their_own(tmp_path: Path) -> None:
    dark = np.zeros((64, 96), np.float32)
    dark[:, 48:] = 900.0
    nothing = np.zeros_like(dark)
    exposures_s = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    stack = FlatStack(FRAMES, lambda exposure_s: FlatRecipe(exposure_s * dark, nothing, None))
    accepted = folded(stack, [flat(seed, each, dark) for seed, each in enumerate(exposures_s)], tmp_path)
    finished = stack.finish(accepted.frames)
    assert finished.masked is not None
    assert not finished.masked.any()
    assert finished.stack.mean[:, 48:].mean() == pytest.approx(finished.stack.mean[:, :48].mean(), rel=1e-3)


@pytest.mark.parametrize("strip", [None, "row"])
def test_a_disk_that_fails_when_frames_are_read_again_is_an_error_of_the_set(
    strip: Literal["row"] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = sections_of({"BIASSEC": "[1:16,1:64]", "TRIMSEC": "[17:96,1:64]"}, (64, 96))
    assert sections is not None
    frames = [frame_of(seed) for seed in range(60)]
    for number, frame in enumerate(frames[:10]):
        frame.pixels[40, 50] = 500 + 100 * 2**number  # more outliers than the stack keeps
    stack = DarkStack(60, None if strip is None else Overscan(sections, strip))
    accepted = folded(stack, frames, tmp_path)
    stack.combined(accepted.frames)
    fail_reads(accepted.paths[7], monkeypatch)
    with pytest.raises(FrameFileError, match="Input/output error") as caught:
        stack.finish(accepted.frames)
    assert caught.value.path == accepted.paths[7]
