"""One night: the steps of the plan, one after the other, and the safe state at its end, however it ends."""

import asyncio
import logging
from dataclasses import dataclass, field

from coldframe.calibration.durable import NotDurableError
from coldframe.calibration.statistics import measure
from coldframe.capture.clock import NightClock
from coldframe.capture.context import NightContext, StepFailedError
from coldframe.capture.events import (
    EventStream,
    NightEnded,
    NightOutcome,
    NightStarted,
    PlannedStep,
    Severity,
    StepEnded,
    StepOutcome,
    StepStarted,
)
from coldframe.capture.exposing import expose_once, patiently
from coldframe.capture.flat_tuning import FlatTuning
from coldframe.capture.learned_flats import LearnedFlats
from coldframe.capture.light_path import darken, tell_panel
from coldframe.capture.night_folder import NightFolder
from coldframe.capture.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.plan import CoolStep, ShootStep, Step, TuneStep, WarmStep, estimate_s, plan_night
from coldframe.capture.retries import Retries
from coldframe.capture.safe_state import SafeState
from coldframe.capture.set_shooting import Pedestal, Recipe, SetShooting
from coldframe.capture.thermal import cool, thermometer
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner import Tuned
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import Settings
from coldframe.devices.errors import DeviceError
from coldframe.devices.rig import Rig

log = logging.getLogger(__name__)


class StepSkippedError(StepFailedError):
    """A step was not tried, because one that it builds on is missing."""


@dataclass(slots=True)
class _Made:
    """What the night has so far that later steps build on."""

    bias_levels_adu: dict[tuple[ReadoutSettings, float | None], float] = field(default_factory=dict)
    biases: dict[tuple[ReadoutSettings, float | None], Pedestal] = field(default_factory=dict)
    tuned: dict[TuneStep, Tuned] = field(default_factory=dict)
    panel_curve: PanelCurve = PROPORTIONAL
    dark_flats: dict[TuneStep, Pedestal] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    reached_c: float | None = None


class Night:
    """Runs the planned steps of a rig.

    Parameters
    ----------
    settings
        What is wanted.
    rig
        The hardware, not connected yet.
    folder
        Where the night's files go.
    learned
        Flat exposures of earlier nights; gets this night's.
    events, clock
        Where and when to tell.
    """

    def __init__(
        self,
        settings: Settings,
        rig: Rig,
        *,
        folder: NightFolder,
        learned: LearnedFlats,
        events: EventStream,
        clock: NightClock,
    ) -> None:
        self._context = NightContext(settings, rig, folder, events, clock, Retries())
        self._learned = learned
        self._steps = plan_night(settings)
        self._made = _Made()

    async def run(self) -> NightOutcome:
        """Do all steps, then leave the rig safe.

        What goes wrong is told as events and never raised. A cancelled night is left safe, too, before the
        cancellation is raised; a second one cuts the warm-up short.
        """
        outcome, summary = NightOutcome.ABORTED, ""
        try:
            outcome, summary = await self._steps_done()
        except asyncio.CancelledError:
            outcome, summary = NightOutcome.INTERRUPTED, "ended by request"
            self._context.notice(
                Severity.WARNING, "stopping; the rig is made safe, and another Ctrl-C leaves out the warm-up"
            )
        except NotDurableError as error:
            summary = str(error)
        except Exception as error:  # the boundary: whatever it is, the rig is made safe and the log has the trace
            log.exception("the night failed")
            summary = f"internal error: {error!r}; the log has the details"
        outcome = await self._end(outcome, summary)
        if outcome is NightOutcome.INTERRUPTED:
            raise asyncio.CancelledError
        return outcome

    async def _steps_done(self) -> tuple[NightOutcome, str]:
        """Do what the plan says, all but the warm-up; return how it went."""
        self._tell_start()
        if self._learned.problem is not None:
            self._context.notice(Severity.WARNING, self._learned.problem)
        async with thermometer(self._context.rig.camera, self._context.events, self._context.clock):
            for number, step in enumerate(self._steps, start=1):
                if not isinstance(step, WarmStep):
                    await self._do(number, step)
        return self._result()

    def _result(self) -> tuple[NightOutcome, str]:
        if self._made.missing:
            return NightOutcome.INCOMPLETE, "missing: " + "; ".join(self._made.missing)
        return NightOutcome.COMPLETE, "all planned masters were made"

    def _tell_start(self) -> None:
        context, rig = self._context, self._context.rig
        estimates = estimate_s(self._steps, context.settings)
        features = rig.camera.features
        context.tell(
            NightStarted(
                at=context.clock.now(),
                folder=str(context.folder.path),
                camera=rig.camera.name,
                panel=rig.panel.name if rig.panel else None,
                wheel=rig.wheel.name if rig.wheel else None,
                width=features.width,
                height=features.height,
                steps=tuple(
                    planned(number, step, estimate)
                    for number, (step, estimate) in enumerate(zip(self._steps, estimates, strict=True), start=1)
                ),
            )
        )
        tell_panel(context)

    async def _do(self, number: int, step: Step) -> None:
        """Do one step; what fails is told and does not stop the steps that can do without it."""
        context = self._context
        context.tell(StepStarted(context.clock.now(), number))
        context.retries.begin_set()
        outcome, reason = StepOutcome.DONE, ""
        try:
            match step:
                case CoolStep(setpoint_c):
                    await cool(context, setpoint_c)
                    self._made.reached_c = setpoint_c
                case TuneStep():
                    await self._tune(number, step)
                case ShootStep():
                    await self._shoot(number, step)
        except asyncio.CancelledError:
            context.tell(StepEnded(context.clock.now(), number, StepOutcome.SKIPPED, "the night was ended"))
            raise
        except StepSkippedError as error:
            outcome, reason = StepOutcome.SKIPPED, str(error)
        except (StepFailedError, DeviceError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # A device that failed while the night was being cancelled must not keep it going.
                raise asyncio.CancelledError from error
            outcome, reason = StepOutcome.FAILED, str(error)
        if outcome is not StepOutcome.DONE:
            self._made.missing.append(f"{step.title} ({reason})")
        context.tell(StepEnded(context.clock.now(), number, outcome, reason))

    def _require_temperature(self, setpoint_c: float | None) -> None:
        if setpoint_c is not None and self._made.reached_c != setpoint_c:
            raise StepSkippedError(f"the sensor did not reach {setpoint_c:g} C")

    async def _tune(self, number: int, step: TuneStep) -> None:
        self._require_temperature(step.setpoint_c)
        bias_adu = await self._bias_level_adu(number, step)
        tuning = FlatTuning(self._context, self._learned, step, number, bias_adu, self._made.panel_curve)
        self._made.tuned[step], self._made.panel_curve = await tuning.run()

    async def _bias_level_adu(self, number: int, step: TuneStep) -> float:
        """Return the level without light: of this night's master bias, else of a bias frame shot for it."""
        known_adu = self._made.bias_levels_adu.get((step.readout, step.setpoint_c))
        if known_adu is not None:
            return known_adu
        camera = self._context.rig.camera
        await camera.apply(step.readout)
        await darken(self._context)
        shortest_s = camera.features.exposure_s.minimum
        frame = await patiently(self._context, lambda: expose_once(self._context, number, FrameKind.BIAS, shortest_s))
        await in_thread(self._context.folder.save_test, frame, None)
        measurement = await in_thread(measure, frame.pixels)
        return measurement.statistics.level_adu

    async def _shoot(self, number: int, step: ShootStep) -> None:
        self._require_temperature(step.setpoint_c)
        shot = await SetShooting(self._context, number, step, self._recipe(step)).run()
        self._keep(step, shot.master)
        if shot.shortfall is not None:
            raise StepFailedError(shot.shortfall)

    def _keep(self, step: ShootStep, master: Pedestal) -> None:
        """Keep of a master what later sets need, and forget what none needs any more: masters are large."""
        conditions = (step.readout, step.setpoint_c)
        match step.kind:
            case FrameKind.BIAS:
                self._made.bias_levels_adu[conditions] = master.level
                self._made.biases[conditions] = master
            case FrameKind.DARK_FLAT:
                self._made.dark_flats[step.tuning] = master
            case FrameKind.FLAT:
                self._made.dark_flats.pop(step.tuning, None)
                flats = (later for later in self._steps[self._steps.index(step) + 1 :] if isinstance(later, TuneStep))
                if all((later.readout, later.setpoint_c) != conditions for later in flats):
                    self._made.biases.pop(conditions, None)

    def _recipe(self, step: ShootStep) -> Recipe:
        """Return what the step takes over from the steps before it."""
        match step.kind:
            case FrameKind.BIAS:
                return Recipe(self._context.rig.camera.features.exposure_s.minimum)
            case FrameKind.DARK:
                assert step.exposure_s is not None
                return Recipe(step.exposure_s)
        tuned = self._made.tuned.get(step.tuning)
        if tuned is None:
            raise StepSkippedError("no exposure was found for its flats")
        if step.kind is FrameKind.DARK_FLAT:
            return Recipe(tuned.exposure_s)
        pedestal = self._made.dark_flats.get(step.tuning) or self._made.biases.get((step.readout, step.setpoint_c))
        if pedestal is None:
            raise StepSkippedError("there is neither a master dark flat nor a master bias to subtract")
        return Recipe(tuned.exposure_s, tuned, pedestal)

    async def _end(self, outcome: NightOutcome, summary: str) -> NightOutcome:
        """Reach the safe state, whoever cancels meanwhile, say the last word, and return how the night ended."""
        context = self._context
        warming = next((n for n, step in enumerate(self._steps, start=1) if isinstance(step, WarmStep)), None)
        if warming is not None:
            context.tell(StepStarted(context.clock.now(), warming))
        safe = SafeState(context.settings, context.rig, context.events, context.clock)
        reaching = asyncio.create_task(safe.reach(), name="safe state")
        while not reaching.done():
            try:
                await asyncio.shield(reaching)
            except asyncio.CancelledError:
                outcome = NightOutcome.INTERRUPTED
                safe.cut_warm_up_short()
        failures = reaching.result()
        if failures and outcome is NightOutcome.COMPLETE:
            outcome = NightOutcome.INCOMPLETE
        if warming is not None:
            ended = StepOutcome.FAILED if failures else StepOutcome.DONE
            context.tell(StepEnded(context.clock.now(), warming, ended, " ".join(failures)))
        safety = failures or ("the rig is safe",)
        context.tell(NightEnded(context.clock.now(), outcome, "; ".join((summary, *safety))))
        return outcome


def planned(number: int, step: Step, estimate: float) -> PlannedStep:
    """Return a step as events tell it."""
    if isinstance(step, ShootStep):
        return PlannedStep(number, step.title, step.kind, step.filter, step.count, step.exposure_s, estimate)
    return PlannedStep(number, step.title, None, None, 0, None, estimate)
