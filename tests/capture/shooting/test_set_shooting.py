"""One set on a simulated rig, from its first exposure to its master, and the sets that end early."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.masters.flat_pedestal import DarkMaster, PedestalTest, PlannedFlat, Subtract
from coldframe.calibration.stacking.accumulator import WrongFrameError
from coldframe.capture.events.kinds import (
    ExposureStarted,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    PanelChanged,
    PedestalDecided,
)
from coldframe.capture.events.values import SkippedBy
from coldframe.capture.pipeline.accepted_frames import AcceptedFrames
from coldframe.capture.pipeline.judged_frame import JudgedFrame
from coldframe.capture.session.context import StepFailedError, StepSkippedError
from coldframe.capture.shooting.set_frames import LightLeakError
from coldframe.capture.shooting.set_inputs import BiasInputs, DarkFlatInputs, DarkInputs, FlatInputs, SetInputs
from coldframe.capture.shooting.set_master import FinishedSet, SetMaster
from coldframe.capture.shooting.set_shooting import LEAST_FRAMES, SetShooting
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage import saved_frames
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.tuner.tuner import Tuned
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceTimeoutError
from tests.capture.contexts import READOUT, frame_of
from tests.capture.scene import Scene, delivering, scene

pytestmark = pytest.mark.looptime

BIAS, BIAS_INPUTS = ShootStep(FrameKind.BIAS, 8, None, None, READOUT, None), BiasInputs(0.001)
DARK, DARK_INPUTS = ShootStep(FrameKind.DARK, 8, None, 1.0, READOUT, None), DarkInputs(1.0)
PEDESTAL_ADU = 520.0
"""Level of the small rig without light: 20 ADU, and 10 ADU for each of 50 steps of the offset."""


def shooting(seen: Scene, step: ShootStep = BIAS, inputs: SetInputs = BIAS_INPUTS) -> SetShooting:
    return SetShooting(seen.context, 1, step, inputs)


def repeating(number: int) -> Callable[[Frame, int], Frame]:
    """Return a fault of a driver: the frame with this number has the pixels of the frame before it."""
    earlier: list[Frame] = []

    def deliver(frame: Frame, shot: int) -> Frame:
        earlier.append(frame)
        return replace(frame, pixels=earlier[-2].pixels) if shot == number else frame

    return deliver


def failing_after(frames: int) -> Callable[[Frame, int], Frame]:
    """Return a fault of a camera: after some frames, no exposure ends."""

    def deliver(frame: Frame, shot: int) -> Frame:
        if shot > frames:
            raise DeviceTimeoutError(frame.camera, "the exposure did not end")
        return frame

    return deliver


def lit_from(number: int) -> Callable[[Frame, int], Frame]:
    """Return a light leak that begins with a frame."""

    def deliver(frame: Frame, shot: int) -> Frame:
        light_adu = 3000 + shot if shot >= number else 0
        return replace(frame, pixels=(frame.pixels + np.uint16(light_adu)).astype(np.uint16))

    return deliver


async def test_a_rejected_frame_is_replaced(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=delivering(repeating(3)))
    shot = await shooting(seen).run()
    assert (shot.frames, shot.shortfall, shot.taken_over) == (BIAS.count, None, 0)
    assert len(seen.of(ExposureStarted)) == BIAS.count + 1
    (rejected,) = seen.of(FrameRejected)
    assert "the camera repeated that frame" in rejected.reason
    (master,) = seen.of(MasterWritten)
    assert (master.frames, Path(master.path).name) == (BIAS.count, shot.master.name)
    assert shot.master.level == pytest.approx(PEDESTAL_ADU, abs=1.0)


async def test_only_the_frames_that_an_earlier_run_lacks_are_shot(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    await shooting(seen, replace(BIAS, count=6)).run()
    resumed = Scene(replace(seen.context, saved=SavedFrames(seen.context.folder, seen.accepted)), seen.events)
    seen.events.clear()
    shot = await shooting(resumed).run()
    assert (shot.frames, shot.taken_over) == (8, 6)
    assert len(seen.of(ExposureStarted)) == 2
    assert [event.is_taken_over for event in seen.of(FrameAccepted)] == 6 * [True] + 2 * [False]


async def test_a_skipped_set_gets_a_master_from_its_frames(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    seen.skip_at(FrameAccepted, LEAST_FRAMES)
    with seen.running(1):
        shot = await shooting(seen).run()
    assert LEAST_FRAMES <= shot.frames < BIAS.count
    assert shot.shortfall == f"by request; its master has {shot.frames} of 8 frames"
    assert [event.frames for event in seen.of(MasterWritten)] == [shot.frames]
    assert seen.context.steering.is_skipped(1)


async def test_a_set_skipped_with_too_few_frames_keeps_them(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    seen.skip_at(FrameAccepted, 2)
    with seen.running(1), pytest.raises(StepSkippedError) as caught:
        await shooting(seen).run()
    assert caught.value.skipped_by is SkippedBy.USER
    assert 2 <= len(seen.accepted) < LEAST_FRAMES
    assert all(path.exists() for path in seen.accepted)
    assert seen.of(MasterWritten) == []


async def test_a_set_that_fails_with_too_few_frames_keeps_them(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=delivering(failing_after(LEAST_FRAMES - 1)))
    with pytest.raises(StepFailedError, match="the exposure did not end"):
        await shooting(seen).run()
    assert len(seen.accepted) == LEAST_FRAMES - 1
    assert all(path.exists() for path in seen.accepted)
    assert seen.of(MasterWritten) == []


async def test_a_set_that_fails_with_enough_frames_gets_a_master(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=delivering(failing_after(LEAST_FRAMES)))
    shot = await shooting(seen).run()
    assert shot.frames == LEAST_FRAMES
    assert "the exposure did not end" in str(shot.shortfall)
    assert [event.frames for event in seen.of(MasterWritten)] == [LEAST_FRAMES]


async def test_light_on_the_second_dark_withdraws_all(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=delivering(lit_from(2)))
    with pytest.raises(LightLeakError):
        await shooting(seen, DARK, DARK_INPUTS).run()
    assert seen.frames_in("darks") == []
    assert len(seen.frames_in("quarantine")) == len(seen.of(FrameRejected)) >= 2
    assert seen.of(MasterWritten) == []


async def test_light_on_later_darks_keeps_the_earlier_ones(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=delivering(lit_from(LEAST_FRAMES + 1)))
    shot = await shooting(seen, DARK, DARK_INPUTS).run()
    assert shot.frames == len(seen.frames_in("darks")) == LEAST_FRAMES
    assert shot.leak is not None
    assert shot.shortfall == f"{shot.leak}; its master has 5 of 8 frames"
    assert not shot.has_drifted


async def test_dark_flats_that_the_bias_can_replace_end_after_the_comparison(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    bias = (await shooting(seen, replace(BIAS, count=20)).run()).master
    test = PedestalTest(
        DarkMaster(bias.mean, bias.uncertainty, bias.level_error_adu), PlannedFlat.of(26_000.0, 20, e_per_adu=0.78)
    )
    step = ShootStep(FrameKind.DARK_FLAT, 20, "L", None, READOUT, None)
    shot = await shooting(seen, step, DarkFlatInputs(0.01, test)).run()
    (decided,) = seen.of(PedestalDecided)
    assert shot.verdict == decided.verdict
    assert decided.verdict.subtract is Subtract.BIAS
    assert shot.frames == decided.count == 5
    assert shot.shortfall is None


async def test_the_panel_is_lit_for_flats_only_while_they_are_exposed(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    bias = (await shooting(seen).run()).master
    target = FlatTarget(bias.level, 65535.0)
    tuned = Tuned(0.3, 100, target.signal_adu, target, is_starved=False, tests=1, message="")
    step = ShootStep(FrameKind.FLAT, 6, "L", None, READOUT, None)
    seen.events.clear()
    shot = await shooting(seen, step, FlatInputs(tuned, bias)).run()
    assert (shot.frames, seen.of(FrameRejected)) == (6, [])
    order = [event for event in seen.events if isinstance(event, PanelChanged | ExposureStarted)]
    lamp = [event.lit if isinstance(event, PanelChanged) else "exposure" for event in order]
    assert lamp == [True, *6 * ["exposure"], False]
    assert not seen.panel.state().lit


async def test_a_set_whose_frame_cannot_be_saved_has_no_master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is stacked while it is saved, but it counts only if it is on the disk."""
    save_frame = NightFolder.save_frame

    def save(folder: NightFolder, frame: Frame, filter_name: str | None, index: int) -> Path:
        if index == BIAS.count:
            raise NotDurableError(tmp_path, errno.ENOSPC, "the disk is full")
        return save_frame(folder, frame, filter_name, index)

    monkeypatch.setattr(NightFolder, "save_frame", save)
    seen = await scene(tmp_path)
    with pytest.raises(NotDurableError, match="the disk is full"):
        await shooting(seen).run()
    assert len(seen.accepted) == BIAS.count - 1
    assert seen.of(MasterWritten) == []
    assert len(seen.frames_in("quarantine")) == 1


async def test_frames_on_the_disk_that_do_not_match_the_stack_fail_only_their_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_master: SetMaster, _folder: NightFolder) -> FinishedSet:
        raise WrongFrameError("5 frames were read again")

    monkeypatch.setattr(SetMaster, "write", write)
    seen = await scene(tmp_path)
    with pytest.raises(StepFailedError, match="5 frames were read again"):
        await shooting(seen).run()
    assert len(seen.accepted) == BIAS.count


async def test_a_stack_with_a_frame_that_does_not_count_gets_no_master(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = AcceptedFrames.add
    calls = list[Path]()

    def forget_one(accepted: AcceptedFrames, judged: JudgedFrame, path: Path) -> None:
        calls.append(path)
        if len(calls) != 3:
            add(accepted, judged, path)

    monkeypatch.setattr(AcceptedFrames, "add", forget_one)
    seen = await scene(tmp_path)
    with pytest.raises(StepFailedError, match="9 frames were stacked, but 8 were accepted"):
        await shooting(seen).run()
    assert seen.of(MasterWritten) == []


async def test_dark_flats_are_shot_if_those_of_other_angles_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: NightFolder, _kind: FrameKind) -> list[Path]:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(NightFolder, "frames_of", refuse)
    seen = await scene(tmp_path)
    step = ShootStep(FrameKind.DARK_FLAT, 6, "L", None, READOUT, -10.0, rotator_deg=100.0)
    assert step.shares_frames
    shot = await shooting(seen, step, DarkFlatInputs(0.01)).run()
    assert (shot.frames, shot.taken_over, shot.shortfall) == (6, 0, None)
    (notice,) = [text for text in seen.notices if "cannot be listed" in text]
    assert notice.startswith("dark flat L at 100 deg: the dark flats of other rotator angles")
    assert notice.endswith("(Stale file handle); shooting all frames instead")


async def test_a_dark_flat_of_another_angle_that_cannot_be_read_is_reported_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> dict[str, object]:
        raise FrameFileError(path, "Input/output error")

    seen = await scene(tmp_path)
    path = seen.context.folder.save_frame(frame_of(1, FrameKind.DARK_FLAT), "L", 1)
    monkeypatch.setattr(saved_frames, "read_night_header", refuse)
    step = ShootStep(FrameKind.DARK_FLAT, 6, "L", None, READOUT, -10.0, rotator_deg=100.0)
    shot = await shooting(seen, step, DarkFlatInputs(0.01)).run()
    assert (shot.frames, shot.taken_over) == (6, 0)
    assert path.exists()
    assert any(f"{path.name} cannot be reused" in text for text in seen.notices)
