"""The frames of one set, which are accepted and folded, or rejected at a cost."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from coldframe.capture.events.kinds import Event, FrameAccepted, FrameRejected, MasterGrew
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.exposing_frame import Shot
from coldframe.capture.session.context import StepFailedError
from coldframe.capture.shooting.set_frames import LIT_FRAMES, LightLeakError, SetFrames
from coldframe.capture.shooting.set_inputs import BiasInputs, DarkInputs
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.saved_frames import SavedFrame
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from tests.capture.contexts import READOUT, context_in, frame_of


class Rig:
    """The frames of a set, without camera and pipeline."""

    def __init__(self, folder: Path, kind: FrameKind = FrameKind.BIAS) -> None:
        self.context, self.seen = context_in(folder)
        self.given_up = list[StepFailedError]()
        inputs = BiasInputs(1.0) if kind is FrameKind.BIAS else DarkInputs(1.0, shot_before=100)
        step = ShootStep(kind, 9, None, None if kind is FrameKind.BIAS else 1.0, READOUT, -10.0)
        self._delivered = DeliveredFrames(self.context, 1)
        self.frames = SetFrames(self.context, 1, step, inputs, delivered=self._delivered, give_up=self.given_up.append)

    async def deliver(self, frame: Frame, fault: str | None = None) -> None:
        self._delivered.add(frame, None)
        await self.frames.keep(await self.frames.judge(Shot(frame, 0.0, fault)))

    def of(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.seen if isinstance(event, kinds)]


def bright(seed: int) -> Frame:
    frame = frame_of(seed, FrameKind.DARK)
    return replace(frame, pixels=(frame.pixels + np.uint16(3000 + seed)).astype(np.uint16))


async def test_good_frames_are_shown_accepted_and_folded_in_this_order(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FrameKind.DARK)
    for seed in range(3):
        await rig.deliver(frame_of(seed, FrameKind.DARK))
    assert [type(event) for event in rig.of(Event)] == 3 * [FrameShown, FrameAccepted, MasterGrew]
    assert rig.frames.count.accepted == 3
    accepted = [event for event in rig.seen if isinstance(event, FrameAccepted)]
    assert [event.index for event in accepted] == [101, 102, 103], "after those of earlier masters"
    assert all(event.path.endswith(f"_0{event.index}.fits") for event in accepted)


async def test_a_rejected_frame_costs_a_retry_until_none_is_left(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.context.retries.begin_set(set())
    for seed in range(50):
        await rig.deliver(frame_of(seed), "sensor temperature -7.0 to -6.0 C")
        if rig.given_up:
            break
    rejected = rig.of(FrameRejected)
    assert 1 < len(rejected) < 50
    assert not isinstance(rig.given_up[0], LightLeakError)


async def test_light_on_some_frames_in_a_row_gives_the_set_up(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FrameKind.DARK)
    for seed in range(2):
        await rig.deliver(frame_of(seed, FrameKind.DARK))
    for seed in range(LIT_FRAMES - 1):
        await rig.deliver(bright(seed))
    assert not rig.given_up
    await rig.deliver(frame_of(7, FrameKind.DARK))
    assert rig.frames.lit == 0
    for seed in range(10, 10 + LIT_FRAMES):
        await rig.deliver(bright(seed))
    assert isinstance(rig.given_up[0], LightLeakError)


async def test_light_on_one_of_the_first_two_frames_gives_the_set_up(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FrameKind.DARK)
    await rig.deliver(frame_of(1, FrameKind.DARK))
    await rig.deliver(bright(2))
    assert isinstance(rig.given_up[0], LightLeakError), "either of the two may be the lit one"
    await rig.frames.withdraw_all("light")
    assert len(rig.of(FrameRejected)) == 2


async def test_frames_of_an_earlier_run_are_judged_and_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    paths = [rig.context.folder.save_frame(frame_of(seed), None, seed) for seed in (1, 2)]
    await rig.frames.keep_saved(SavedFrame(paths[0], frame_of(1)))
    await rig.frames.keep_saved(SavedFrame(paths[1], frame_of(1)))
    assert (rig.frames.taken_over, rig.frames.count.accepted) == (1, 1)
    (accepted,) = [event for event in rig.seen if isinstance(event, FrameAccepted)]
    assert accepted.is_taken_over
    (rejected,) = [event for event in rig.seen if isinstance(event, FrameRejected)]
    assert "quarantine" in rejected.path
