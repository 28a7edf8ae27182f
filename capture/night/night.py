"""One night: the steps of the plan, one after the other, and the safe state at its end, however it ends."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.measuring.statistics import measure
from coldframe.capture.clock import clock_text
from coldframe.capture.events.kinds import (
    AbortedBy,
    NightEnded,
    NightOutcome,
    NightStarted,
    PlannedStep,
    SetResized,
    Severity,
    SkippedBy,
    StepEnded,
    StepOutcome,
    StepStarted,
    StepType,
    TuningKept,
)
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.flats.tuning import FlatTuning
from coldframe.capture.host.memory import MemoryWatch
from coldframe.capture.night.products import NightProducts, is_for_flats
from coldframe.capture.night.resuming import EarlierRun
from coldframe.capture.planning.estimates import estimate_s
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.timetable import Timetable
from coldframe.capture.recovery.exposing import expose_with_retries
from coldframe.capture.recovery.pausing import until_resumed
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.rig.light_path import darken, tell_panel
from coldframe.capture.rig.safe_state import SafeState
from coldframe.capture.rig.temperature import OutOfReachError, cool, cool_less, thermometer
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.session.retry_budget import ContestedError
from coldframe.capture.session.skipping import skippable
from coldframe.capture.shooting.ambient_darks import in_parts, made_already
from coldframe.capture.shooting.camera_ladder import Characterisation, LadderLight
from coldframe.capture.shooting.gain_check import GainCheck
from coldframe.capture.shooting.light_leak_retry import LightLeakRetry
from coldframe.capture.shooting.set_inputs import BiasInputs, DarkInputs, FlatInputs, SetInputs
from coldframe.capture.steps import CoolStep, ShootStep, SkyMasterStep, SkyStep, Step, TuneStep, WarmStep
from coldframe.capture.storage.saved_frames import Wanted
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner.panel_curve import PROPORTIONAL
from coldframe.capture.tuner.tuner import Tuned
from coldframe.capture.twilight.session import SkySets
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.devices.errors import DeviceError
from coldframe.devices.rig import Rig

log = logging.getLogger(__name__)


class Night:
    """Runs the planned steps of a rig.

    Parameters
    ----------
    context
        What all parts of the night work with.
    learned
        Flat exposures of earlier nights; this night's are added.
    safe_state
        Makes the rig safe in the end.
    earlier
        What an unfinished run of this night left; None for a new night.
    """

    def __init__(
        self, context: NightContext, learned: LearnedFlats, safe_state: SafeState, earlier: EarlierRun | None = None
    ) -> None:
        settings = context.settings
        self._context = context
        self._earlier = earlier
        self._learned = learned
        self._safe_state = safe_state
        self._timetable = Timetable(plan_night(settings), settings, context.deadline, self._frames_on_disk)
        self._products = NightProducts(settings.flats, PROPORTIONAL if earlier is None else earlier.curve)
        self._missing: list[str] = []
        self._reached_c: float | None = None
        self._characterisation = Characterisation(context)
        self._light_leak_retry = LightLeakRetry(context)
        self._gain_check = GainCheck(context)
        self._sky = SkySets(context, learned)
        self._memory = MemoryWatch(context)

    async def run(self) -> NightOutcome:
        """Do all steps, then leave the rig safe.

        What goes wrong is told as events and never raised. A cancelled night is left safe, too, before the
        cancellation is raised; a second one cuts the warm-up short.
        """
        outcome, result, aborted_by = NightOutcome.ABORTED, "", None
        try:
            with self._context.steering.obeyed():
                outcome, result = await self._steps_done()
        except asyncio.CancelledError:
            outcome, result = NightOutcome.INTERRUPTED, "ended by request; the same command goes on with it tonight"
            self._context.notice(
                Severity.WARNING, "stopping; the rig is made safe, and another Ctrl-C leaves out the warm-up"
            )
        except NotDurableError as error:
            result, aborted_by = str(error), AbortedBy.DISK
        except ContestedError as error:
            result, aborted_by = str(error), AbortedBy.OTHER_PROGRAM
        except Exception as error:  # the boundary: whatever it is, the rig is made safe and the log has the trace
            log.exception("the night failed")
            result, aborted_by = f"internal error: {error!r}; the log has the details", AbortedBy.INTERNAL_ERROR
        outcome = await self._end(outcome, result, aborted_by)
        if outcome is NightOutcome.INTERRUPTED:
            raise asyncio.CancelledError
        return outcome

    @property
    def _steps(self) -> tuple[Step, ...]:
        """All steps, with the numbers of frames for which there is time."""
        return self._timetable.steps

    def _mind_the_deadline(self, number: int) -> None:
        """Cut what is left of the plan to the time that is left, before its next step."""
        context, now = self._context, self._context.clock.now()
        for change in self._timetable.revise(number, now, context.rig.camera.thermals().sensor_c):
            reason = f"as the last frame must be in by {clock_text(context.deadline or now)}"
            context.publish(SetResized(now, change.number, change.count, change.estimate_s, reason))

    def _require_time(self, number: int) -> None:
        if self._context.deadline is not None and self._timetable.has_no_time(number):
            raise StepSkippedError(f"no time for it before {clock_text(self._context.deadline)}", SkippedBy.TIME)

    async def _steps_done(self) -> tuple[NightOutcome, str]:
        """Do what the plan says, all but the warm-up; return how it went."""
        self._tell_start()
        await self._context.events.flush()
        if self._earlier is not None:
            await self._go_on_from(self._earlier)
        if self._learned.problem is not None:
            self._context.notice(Severity.WARNING, self._learned.problem)
        context = self._context
        async with thermometer(context.rig.camera, context.events, context.clock, context.readings):
            for number in range(1, len(self._steps) + 1):
                with suppress(StepFailedError):  # where the time is up meanwhile, the steps find out by themselves
                    await until_resumed(self._context)
                self._mind_the_deadline(number)
                step = self._steps[number - 1]
                if not isinstance(step, WarmStep):
                    await self._memory.look()
                    await self._do(number, step)
        return self._result()

    async def _go_on_from(self, earlier: EarlierRun) -> None:
        """Leave nothing as a run left it that could not end: a lamp may be lit, an exposure under way."""
        for note in earlier.notes:
            self._context.notice(Severity.INFO, note)
        await self._safe_state.reach_but_cooler()

    def _frames_on_disk(self, step: ShootStep) -> int:
        """Return how many frames of a set an earlier run has left."""
        return self._context.saved.count(Wanted.of(step, self._context.rig.camera.name, step.exposure_s))

    def _is_done(self, number: int) -> bool:
        """Tell whether an earlier run has done a step, so that nothing need be moved for it."""
        if self._earlier is None or number not in self._earlier.done:
            return False
        step = self._steps[number - 1]
        return (
            not isinstance(step, ShootStep) or self._frames_on_disk(step) > 0
        )  # the camera may be set otherwise than it was

    def _result(self) -> tuple[NightOutcome, str]:
        if self._missing:
            return NightOutcome.INCOMPLETE, "missing: " + "; ".join(self._missing)
        return NightOutcome.COMPLETE, "all planned masters were made"

    def _tell_start(self) -> None:
        context, rig = self._context, self._context.rig
        features = rig.camera.features
        context.publish(
            NightStarted(
                at=context.clock.now(),
                folder=str(context.folder.path),
                camera=rig.camera.name,
                panel=rig.panel.name if rig.panel else None,
                wheel=rig.wheel.name if rig.wheel else None,
                width=features.width,
                height=features.height,
                steps=self._told_steps(),
                is_resumed=self._earlier is not None,
            )
        )
        tell_panel(context)

    def _told_steps(self) -> tuple[PlannedStep, ...]:
        """Return the plan as it is told: sets that an earlier run has made take next to no time any more."""
        planned = planned_steps(self._steps, self._context.settings)
        return tuple(
            replace(step, estimate_s=0.0) if step.kind is not None and self._is_done(step.number) else step
            for step in planned
        )

    async def _do(self, number: int, step: Step) -> None:
        """Do one step; what fails is told and does not stop the steps that can do without it."""
        context = self._context
        context.publish(StepStarted(context.clock.now(), number))
        context.retries.begin_set(needed_devices(step, context.rig))
        outcome, reason, skipped_by = StepOutcome.DONE, "", None
        try:
            self._require_time(number)
            await self._work(number, step)
        except asyncio.CancelledError:
            context.publish(
                StepEnded(
                    context.clock.now(), number, StepOutcome.SKIPPED, "the night was ended", SkippedBy.NIGHT_ENDED
                )
            )
            raise
        except StepSkippedError as error:
            outcome, reason, skipped_by = StepOutcome.SKIPPED, str(error), error.skipped_by
        except (StepFailedError, DeviceError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # A device that failed while the night was being cancelled must not keep it going.
                raise asyncio.CancelledError from error
            outcome, reason = StepOutcome.FAILED, str(error)
        if outcome is not StepOutcome.DONE:
            self._missing.append(f"{step.title} ({reason})")
        context.publish(StepEnded(context.clock.now(), number, outcome, reason, skipped_by))
        # A run that goes on with this night after a power cut must not know less than the next step took for granted.
        await context.events.flush()

    async def _work(self, number: int, step: Step) -> None:
        """Do a step; one that the sensor is too warm for in the middle of it is done anew at a warmer setpoint."""
        try:
            await self._step(number, step)
        except OutOfReachError as error:
            setpoint_c = self._reached_c
            if setpoint_c is None:
                raise
            self._reached_c = None
            reached_c = await self._fall_back(number - 1, setpoint_c, error)
            moved = self._steps[number - 1]
            if moved != step:
                await self._step(number, moved)
            raise StepFailedError(f"{error}; what is left is shot at {reached_c:g} C") from error

    async def _fall_back(self, number: int, setpoint_c: float, error: OutOfReachError) -> float:
        """Move what is left after a step to a warmer setpoint that the sensor does reach, and return that."""
        reached_c = await cool_less(self._context, setpoint_c)
        if reached_c is None:
            raise error
        self._timetable.move(number, setpoint_c, reached_c)
        self._products.move(setpoint_c, reached_c)
        self._reached_c = reached_c
        return reached_c

    async def _step(self, number: int, step: Step) -> None:
        if isinstance(step, CoolStep):
            await self._cool(number, step.setpoint_c)
            return
        async with skippable(self._context, number):
            await self._shoot_or_combine(number, step)

    async def _shoot_or_combine(self, number: int, step: Step) -> None:
        match step:
            case TuneStep():
                await self._tune(number, step)
            case ShootStep():
                await self._shoot(number, step)
            case SkyStep():
                await self._shoot_sky(number, step)
            case SkyMasterStep():
                await self._sky.combine(number, step)

    async def _cool(self, number: int, setpoint_c: float) -> None:
        """Bring the sensor to its setpoint, or what is left of the plan to one that the sensor does reach."""
        self._reached_c = None
        if self._needs_no_cooling(number, setpoint_c):
            # Should a frame be missing after all, it waits for the setpoint before it is shot.
            self._reached_c = setpoint_c
            return
        try:
            await with_retries(self._context, lambda: cool(self._context, setpoint_c))
        except OutOfReachError as error:
            reached_c = await self._fall_back(number, setpoint_c, error)
            raise StepFailedError(f"{error}; its sets are shot at {reached_c:g} C") from error
        self._reached_c = setpoint_c

    def _needs_no_cooling(self, number: int, setpoint_c: float) -> bool:
        """Tell whether an earlier run has done all that is to be shot at a setpoint."""
        later = enumerate(self._steps[number:], start=number + 1)
        there = [
            place
            for place, step in later
            if isinstance(step, ShootStep | TuneStep | SkyStep) and step.setpoint_c == setpoint_c
        ]
        return bool(there) and all(map(self._is_done, there))

    def _require_temperature(self, setpoint_c: float | None) -> None:
        if setpoint_c is not None and self._reached_c != setpoint_c:
            raise StepSkippedError(f"the sensor did not reach {setpoint_c:g} C")

    async def _tune(self, number: int, step: TuneStep) -> None:
        self._require_temperature(step.setpoint_c)
        tuned = self._tuned_earlier(step)
        if tuned is None:
            await self._gain_check.confirm(number, step.readout)
            bias_adu = await self._bias_level_adu(number, step)
            tuning = FlatTuning(self._context, self._learned, step, number, bias_adu, self._products.panel_curve)
            tuned, self._products.panel_curve = await tuning.run()
        self._products.tuned[step] = tuned
        self._timetable.learn_flat(step, tuned.exposure_s)
        self._context.publish(TuningKept(self._context.clock.now(), step, tuned, self._products.panel_curve))

    def _tuned_earlier(self, step: TuneStep) -> Tuned | None:
        """Return what an earlier run has tuned, if it went on to shoot with it: all frames of a set are shot alike."""
        tuned = None if self._earlier is None else self._earlier.tuned.get(step)
        if tuned is None:
            return None
        wanted = (
            Wanted(self._context.rig.camera.name, kind, step.readout, step.setpoint_c, step.filter, tuned.exposure_s)
            for kind in (FrameKind.DARK_FLAT, FrameKind.FLAT)
        )
        return tuned if any(map(self._context.saved.count, wanted)) else None

    async def _shoot_sky(self, number: int, step: SkyStep) -> None:
        self._require_temperature(step.setpoint_c)
        await self._gain_check.confirm(number, step.readout)
        await self._sky.shoot(number, step, await self._bias_level_adu(number, step.flats[0].tuning))

    async def _bias_level_adu(self, number: int, step: TuneStep) -> float:
        """Return the level without light: of this night's master bias, else of a bias frame shot for it."""
        known_adu = self._products.bias_level_adu(step)
        if known_adu is not None:
            return known_adu
        camera = self._context.rig.camera
        await camera.apply(step.readout)
        await darken(self._context)
        shortest_s = camera.features.exposure_s.minimum
        frame = await expose_with_retries(self._context, number, FrameKind.BIAS, shortest_s)
        await in_thread(self._context.folder.save_test, frame, None)
        measurement = await in_thread(measure, frame.pixels)
        return measurement.statistics.level_adu

    async def _shoot(self, number: int, step: ShootStep) -> None:
        self._require_temperature(step.setpoint_c)
        if not self._is_done(number):
            await self._gain_check.confirm(number, step.readout)
        e_per_adu = await in_thread(self._characterisation.e_per_adu, step.readout)
        inputs, began_s = await self._inputs(step, e_per_adu), self._context.worked_s()
        if isinstance(inputs, DarkInputs) and step.setpoint_c is None:
            made = await in_thread(made_already, self._context.folder, step, self._context.rig.camera.name)
            self._context.saved.release(made)
            step, inputs = replace(step, count=step.count - len(made)), replace(inputs, shot_before=len(made))
            if step.count <= 0:
                return
        shot = await in_parts(step, inputs, partial(self._light_leak_retry.shoot, number))
        self._products.keep(step, shot, self._steps[number:])
        self._sky.keep(step, inputs.exposure_s, shot.master)
        if shot.studied is not None:
            self._characterisation.add(step.readout, shot.studied)
        if not shot.taken_over:
            self._timetable.learn_set(shot.frames, inputs.exposure_s, self._context.worked_s() - began_s)
        if shot.shortfall is not None:
            raise StepFailedError(shot.shortfall)
        if isinstance(inputs, FlatInputs) and shot.taken_over < shot.frames:
            await self._characterisation.climb(number, ladder_light(step, inputs.tuned))

    async def _inputs(self, step: ShootStep, e_per_adu: float | None) -> SetInputs:
        """Return what a set takes over from the steps before it.

        Raises
        ------
        StepSkippedError
            If something that it needs is missing.
        """
        match step.kind:
            case FrameKind.BIAS:
                return BiasInputs(self._context.rig.camera.features.exposure_s.minimum, e_per_adu)
            case FrameKind.DARK:
                bias_adu = self._products.bias_level_adu(step)
                ceiling_adu = await in_thread(self._characterisation.dark_ceiling_adu, step, bias_adu)
                return self._products.dark_inputs(step, e_per_adu, ceiling_adu)
        if self._context.settings.flats.source == "sky":
            return self._sky.dark_flat_inputs(step, e_per_adu)
        if step.tuning not in self._products.tuned:
            raise StepSkippedError("no exposure was found for its flats")
        if step.kind is FrameKind.DARK_FLAT:
            return self._products.dark_flat_inputs(step, self._steps, e_per_adu)
        inputs = self._products.flat_inputs(step)
        if inputs is None:
            raise StepSkippedError("there is neither a master dark flat nor a master bias to subtract")
        return inputs

    async def _end(self, outcome: NightOutcome, result: str, aborted_by: AbortedBy | None) -> NightOutcome:
        """Reach the safe state, whoever cancels meanwhile, say the last word, and return how the night ended."""
        context = self._context
        warming = next((n for n, step in enumerate(self._steps, start=1) if isinstance(step, WarmStep)), None)
        if warming is not None:
            context.publish(StepStarted(context.clock.now(), warming))
        reaching = asyncio.create_task(self._safe_state.reach(), name="safe state")
        while not reaching.done():
            try:
                await asyncio.shield(reaching)
            except asyncio.CancelledError:
                outcome = NightOutcome.INTERRUPTED
                self._safe_state.cut_warm_up_short()
        failures = reaching.result()
        if failures and outcome is NightOutcome.COMPLETE:
            outcome = NightOutcome.INCOMPLETE
        if warming is not None:
            ended = StepOutcome.FAILED if failures else StepOutcome.DONE
            context.publish(StepEnded(context.clock.now(), warming, ended, " ".join(failures)))
        try:
            await self._characterisation.keep()
        except asyncio.CancelledError:
            outcome = NightOutcome.INTERRUPTED
        context.publish(
            NightEnded(
                at=context.clock.now(),
                outcome=outcome,
                summary="; ".join((result, *(failures or ("the rig is safe",)))),
                rig_is_safe=not failures,
                result=result,
                not_safe=failures,
                aborted_by=aborted_by,
            )
        )
        return outcome


def needed_devices(step: Step, rig: Rig) -> set[str]:
    """Return the names of the devices that a step cannot do without: frames without light need no panel or wheel."""
    lamps = {lamp.name for lamp in rig.auxiliaries}
    if is_for_flats(step) or isinstance(step, SkyStep):
        return {device.name for device in rig.devices} - lamps
    return {rig.camera.name} | lamps


def ladder_light(step: ShootStep, tuned: Tuned) -> LadderLight:
    """Return the light of a flat set."""
    return LadderLight(step.readout, step.filter, tuned.brightness, tuned.rate_adu_per_s, tuned.target.range_adu)


def planned_steps(steps: Sequence[Step], settings: Settings) -> tuple[PlannedStep, ...]:
    """Return the steps of a night as events tell them."""
    estimates = estimate_s(steps, settings)
    return tuple(planned(number, *each) for number, each in enumerate(zip(steps, estimates, strict=True), start=1))


def planned(number: int, step: Step, estimate: float) -> PlannedStep:
    """Return a step as events tell it."""
    match step:
        case ShootStep():
            return PlannedStep(
                number,
                step.title,
                step.kind,
                step.filter,
                step.count,
                step.exposure_s,
                estimate,
                StepType.SHOOT,
            )
        case SkyStep():
            return PlannedStep(number, step.title, FrameKind.FLAT, None, step.count, None, estimate, StepType.SKY_FLATS)
        case TuneStep():
            return PlannedStep(number, step.title, None, step.filter, 0, None, estimate, StepType.TUNE)
        case SkyMasterStep():
            return PlannedStep(number, step.title, None, step.flat.filter, 0, None, estimate, StepType.SKY_MASTER)
        case CoolStep():
            return PlannedStep(number, step.title, None, None, 0, None, estimate, StepType.COOL, step.setpoint_c)
        case WarmStep():
            return PlannedStep(number, step.title, None, None, 0, None, estimate, StepType.WARM)
