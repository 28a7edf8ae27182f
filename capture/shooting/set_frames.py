"""Judge the frames of one set, add good frames to the master, and move bad frames to quarantine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from coldframe.calibration.looks.frame_looks import Fault
from coldframe.capture.events.kinds import MasterGrew
from coldframe.capture.events.values import Severity
from coldframe.capture.judging.frame_gate import FlatBand, FrameGate
from coldframe.capture.judging.repeats import SetDigests
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.exposing_frame import Shot
from coldframe.capture.pipeline.judged_frame import (
    JudgedFrame,
    cfa_pattern_of_frames,
    judge_frame,
    measure_frame,
    publish_accepted,
    publish_shown,
)
from coldframe.capture.pipeline.taking_over import withdraw
from coldframe.capture.recovery.retrying import spend_retry
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.shooting.frame_count import FrameCount, SetSize
from coldframe.capture.shooting.set_inputs import BiasInputs, DarkFlatInputs, DarkInputs, FlatInputs, SetInputs
from coldframe.capture.shooting.set_master import SetMaster
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.saved_frames import SavedFrame
from coldframe.capture.threads import both, in_thread, to_its_end
from coldframe.devices.camera import Frame

LIT_FRAMES = 3
"""Number of consecutive frames with light after which a set that needs darkness ends.

Before the third frame, the panel is switched off again and the cover is closed again. This is too late for the second
frame, which is already being exposed while the first frame is being judged.
"""


class LightLeakError(StepFailedError):
    """Frames that should be dark contain light."""


class SetFrames:
    """Judges and keeps the frames of one set.

    Parameters
    ----------
    context
        The night.
    number
        Number of the step, for events.
    step
        The set.
    inputs
        Inputs from earlier steps.
    delivered
        Frames that are not yet on disk.
    give_up
        Function that ends exposing with the given error. Frames that were already exposed are still judged and kept.

    Attributes
    ----------
    master
        Master to which the good frames are added.
    count
        Count of the accepted frames and of the frames still needed.
    taken_over
        Number of good frames from an earlier run of the night, or from another set.
    shared
        Paths of the good frames that also count in another set.
    lit
        Number of consecutive frames with light, up to the last frame.
    """

    def __init__(
        self,
        context: NightContext,
        number: int,
        step: ShootStep,
        inputs: SetInputs,
        *,
        delivered: DeliveredFrames,
        give_up: Callable[[StepFailedError], object],
    ) -> None:
        self._context = context
        self._number = number
        self._step = step
        self._delivered = delivered
        self._give_up = give_up
        owner = step.without_count
        # A frame that two sets share is not a repeat.
        shared_by = (replace(owner, rotator_deg=None), inputs.exposure_s) if step.shares_frames else None
        self._digests = context.digests.of_set(shared_by or owner)
        self._gate = _gate(context, step, inputs, self._digests)
        self._cfa_pattern = cfa_pattern_of_frames(context, step.readout, step.kind)
        size = SetSize(step, may_grow=context.deadline is None)
        self.master = SetMaster(step, inputs, size, self._cfa_pattern)
        self.count = FrameCount(
            step,
            size,
            self.master.accepted,
            is_tested=isinstance(inputs, DarkFlatInputs) and inputs.test is not None,
            shot_before=inputs.shot_before if isinstance(inputs, DarkInputs) else 0,
        )
        self.taken_over = 0
        self.shared = set[Path]()
        self.lit = 0

    async def judge(self, shot: Shot) -> JudgedFrame:
        """Judge a frame from the camera."""
        return await in_thread(self._judged, shot.frame, shot.fault)

    async def keep(self, judged: JudgedFrame) -> None:
        """Save a good frame and add it to the master, or move a bad frame to quarantine.

        A frame is added while it is being saved. If it cannot be saved, it does not count, and the set ends without a
        master. If the caller is cancelled, it still waits until the frame counts, because the threads that save and add
        the frame cannot be stopped.

        Raises
        ------
        NotDurableError
            If the frame could not be written to disk.
        """
        fault = judged.fault
        if fault is None:
            await to_its_end(self._save_and_add(judged), "saving a frame")
            self.lit = 0
        else:
            await self._delivered.reject(judged.frame, fault.reason)
            self.lit = self.lit + 1 if fault.is_light else 0
            self._answer(fault)

    async def keep_saved(self, saved: SavedFrame) -> None:
        """Judge a frame from an earlier run or another set, then add it to the master or move it to quarantine.

        A frame that another set has counted is left where it is.

        Raises
        ------
        NotDurableError
            If the frame could not be moved to quarantine.
        """
        judged = await in_thread(self._judged, saved.frame, None)
        if judged.fault is None:
            self._begin_master(judged)
            noise_adu = await in_thread(self.master.fold, judged)
            self._accept(judged, saved.path, noise_adu, is_taken_over=True)
            self.taken_over += 1
            if saved.is_shared:
                self.shared.add(saved.path)
        elif not saved.is_shared and not self._digests.is_of_other_set(judged.digest):
            await withdraw(self._context, self._number, saved.path, judged.fault.reason)

    async def withdraw_all(self, reason: str) -> None:
        """Move the accepted frames to quarantine, because a second attempt at the set reuses their file names."""
        for path in set(self.master.accepted.paths) - self.shared:
            await withdraw(self._context, self._number, path, reason)

    def _judged(self, frame: Frame, shot_fault: str | None) -> JudgedFrame:
        measurement = measure_frame(self._context, frame, self._cfa_pattern)
        return judge_frame(frame, shot_fault, measurement, self._gate)

    async def _save_and_add(self, judged: JudgedFrame) -> None:
        """Save a good frame, add it to the master at the same time, and count it."""
        self._begin_master(judged)
        save = self._delivered.save(judged.frame, self.count.index + 1)
        try:
            path, noise_adu = await both(save, in_thread(self.master.fold, judged))
        except Exception as error:
            # If `keep` was cancelled, this error is only logged, and a master of the set might still be requested.
            self.master.refuse(error)
            raise
        self._accept(judged, path, noise_adu)

    def _begin_master(self, judged: JudgedFrame) -> None:
        """Prepare the master for its first frame."""
        context = self._context
        if self.count.accepted == 0 and (problem := self.master.begin(judged.frame, context.settings.camera.overscan)):
            context.notice(Severity.WARNING, problem)

    def _accept(self, judged: JudgedFrame, path: Path, noise_adu: float | None, *, is_taken_over: bool = False) -> None:
        """Count a frame that is on disk and in the master."""
        context, number, count = self._context, self._number, self.count
        self.master.accepted.add(judged, path)
        publish_shown(context, f"{self._step.title} {count.index}/{count.shown}", judged)
        publish_accepted(context, number, count.index, path, judged, is_taken_over=is_taken_over)
        context.publish(MasterGrew(context.clock.now(), number, count.index, noise_adu))

    def _answer(self, fault: Fault) -> None:
        """Spend a retry on a rejected frame. End the set if no retry is left or if light leaks in."""
        try:
            if self._is_leaking:
                raise LightLeakError(fault.reason)
            if not fault.is_light:
                spend_retry(self._context)
        except StepFailedError as error:
            self._give_up(error)

    @property
    def _is_leaking(self) -> bool:
        """True if `LIT_FRAMES` consecutive frames contain light, or if one does while only one frame is accepted."""
        return self.lit >= LIT_FRAMES or (self.lit > 0 and self.count.accepted == 1)


def _gate(context: NightContext, step: ShootStep, inputs: SetInputs, digests: SetDigests) -> FrameGate:
    match inputs:
        case FlatInputs(tuned, subtracted):
            flats = context.settings.flats.for_filter(step.filter)
            target = replace(tuned.target, bias_adu=subtracted.level)
            return FrameGate(step.kind, FlatBand.around(target, flats.maximum_saturated_fraction), digests=digests)
        case DarkInputs(ceiling_adu=ceiling_adu) | DarkFlatInputs(ceiling_adu=ceiling_adu):
            return FrameGate(step.kind, ceiling_adu=ceiling_adu, digests=digests)
        case BiasInputs():
            return FrameGate(step.kind, digests=digests)
