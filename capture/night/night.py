"""Run the steps of a night in order, and then bring the rig to the safe state, even after failures.

This module runs the steps and handles failures; `step_runner` does the work of a step.
"""

import asyncio
import logging
from contextlib import suppress

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.events.kinds import (
    NightEnded,
    NightStarted,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.values import (
    UNKNOWN_ORIGIN,
    AbortedBy,
    NightOutcome,
    Origin,
    Severity,
    SkippedBy,
    StepOutcome,
    Topic,
)
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.host.memory import MemoryWatch
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.night.products import is_for_flats
from coldframe.capture.night.reshooting import Reshooting
from coldframe.capture.night.resuming import EarlierRun
from coldframe.capture.night.step_runner import StepRunner
from coldframe.capture.recovery.disk_hangs import DiskWatch
from coldframe.capture.recovery.pausing import until_resumed
from coldframe.capture.rig.light_path import publish_panel
from coldframe.capture.rig.safe_state import SafeState
from coldframe.capture.rig.temperature import repeatedly, thermometer
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.session.retry_budget import ContestedError
from coldframe.capture.steps import CoolStep, SkyStep, Step, WarmStep
from coldframe.capture.threads import DISK_DEADLINE_S, in_thread
from coldframe.capture.verifying.verification import LightsVerification
from coldframe.devices.errors import DeviceError
from coldframe.devices.rig import Rig

log = logging.getLogger(__name__)

STOP_DEADLINE_S = 30.0
"""Maximum wait for the steps to end after a cancellation. Then the rig is made safe even if the steps have not ended,
for example because the disk hangs."""


class Night:
    """A run of the planned steps on a rig. Use `assembled_night` to create a night.

    Parameters
    ----------
    context
        The context that all parts of the night share.
    learned
        Flat exposures from earlier nights. The night adds the exposures that it finds.
    safe_state
        Object that makes the rig safe at the end.
    earlier
        Results from an unfinished run of this night; None for a new night.
    origin
        The rig and the choice of sets, by which a later run recognises this night.
    verification
        Diagnosis of the night's lights; None if no lights are diagnosed.
    """

    def __init__(
        self,
        context: NightContext,
        learned: LearnedFlats,
        safe_state: SafeState,
        earlier: EarlierRun | None = None,
        origin: Origin = UNKNOWN_ORIGIN,
        *,
        verification: LightsVerification | None = None,
    ) -> None:
        self._context = context
        self._earlier = earlier
        self._origin = origin
        self._learned = learned
        self._safe_state = safe_state
        self._progress = PlanProgress(context, earlier)
        self._runner = StepRunner(context, learned, self._progress)
        self._memory = MemoryWatch(context)
        self._verification = verification
        self._missing: dict[str, list[str]] = {}
        self._not_cooled: list[str] = []
        self.is_safe = False
        """True after `run` if every step towards the safe state succeeded."""

    async def run(self) -> NightOutcome:
        """Run all steps, then make the rig safe.

        Failures are published as events and never raised. If the night is cancelled, the rig is made safe before the
        cancellation is raised again; a second cancellation cuts the warm-up short. If the night has ended for another
        reason, the first cancellation during its warm-up has no effect, but the next one cuts the warm-up short.
        """
        outcome, result, aborted_by = NightOutcome.ABORTED, "", None
        steps = asyncio.create_task(self._run_steps(), name="steps")
        try:
            with self._context.steering.taking_requests():
                await asyncio.wait([steps])
            steps.result()
            outcome, result = self._result()
        except asyncio.CancelledError:
            outcome, result = (
                NightOutcome.INTERRUPTED,
                "ended by request; run the same command tonight to resume the night",
            )
            self._announce_stop()
            await self._stop(steps)
        except NotDurableError as error:
            result, aborted_by = str(error), AbortedBy.DISK
        except ContestedError as error:
            result, aborted_by = str(error), AbortedBy.OTHER_PROGRAM
        except Exception as error:  # the rig must be made safe after any error
            log.exception("the night failed")
            result, aborted_by = f"internal error: {error!r}; see the log for details", AbortedBy.INTERNAL_ERROR
        outcome = await self._end(steps, outcome, result, aborted_by)
        if outcome is NightOutcome.INTERRUPTED:
            raise asyncio.CancelledError
        return outcome

    async def _stop(self, steps: asyncio.Task[None]) -> None:
        """Cancel the steps and wait until they end, but only for `STOP_DEADLINE_S`, because the lamp might be on."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + STOP_DEADLINE_S
        steps.cancel()
        while True:
            try:
                ended, _ = await asyncio.wait([steps], timeout=max(0.0, ends_s - loop.time()))
                break
            except asyncio.CancelledError:
                self._safe_state.cut_warm_up_short()
        if not ended:
            self._context.notice(
                Severity.WARNING, "a step of the night has not ended yet; making the rig safe without waiting for it"
            )

    async def _run_steps(self) -> None:
        """Run all steps except the warm-up, which belongs to the safe state."""
        context = self._context
        self._publish_start()
        await context.events.flush()
        if self._earlier is not None:
            await self._tidy_up_after(self._earlier)
        if self._learned.problem is not None:
            context.notice(Severity.WARNING, self._learned.problem)
        async with (
            thermometer(context.rig.camera, context.events, context.clock, context.readings),
            repeatedly(DiskWatch(context).look, "disk watch"),
        ):
            for number in range(1, len(self._progress.steps) + 1):
                with suppress(StepFailedError):  # if the deadline passes during a pause, the steps are skipped below
                    await until_resumed(context)
                self._progress.fit_before_deadline(number)
                step = self._progress.steps[number - 1]
                if not isinstance(step, WarmStep):
                    await self._memory.check()
                    await self._run_step(number, step)
            if self._verification is not None:
                await self._reshooting(self._verification).conclude()

    def _reshooting(self, verification: LightsVerification) -> Reshooting:
        reshot = frozenset[tuple[str | None, float | None]]() if self._earlier is None else self._earlier.reshot
        require = self._runner.require_setpoint
        return Reshooting(self._context, self._learned, self._progress, verification, require, reshot)

    async def _tidy_up_after(self, earlier: EarlierRun) -> None:
        """Publish the notes about the earlier run, and make the rig safe except for its cooler.

        A run that crashed may have left the lamp on or an exposure running.
        """
        for note in earlier.notes:
            self._context.notice(Severity.INFO, note)
        await self._safe_state.reach_but_cooler()

    def _result(self) -> tuple[NightOutcome, str]:
        if not self._missing and not self._not_cooled:
            return NightOutcome.COMPLETE, "all planned masters were made"
        missing = [f"{', '.join(titles)} ({reason})" for reason, titles in self._missing.items()]
        return NightOutcome.INCOMPLETE, "; ".join(
            self._not_cooled + ([f"missing: {'; '.join(missing)}"] if missing else [])
        )

    def _publish_start(self) -> None:
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
                steps=self._progress.announced_steps(),
                is_resumed=self._earlier is not None,
                origin=self._origin,
            )
        )
        publish_panel(context)

    async def _run_step(self, number: int, step: Step) -> None:
        """Run one step and publish any failure. Later steps that do not depend on the failed step still run."""
        context = self._context
        context.publish(StepStarted(context.clock.now(), number))
        context.retries.begin_set(needed_devices(step, context.rig))
        outcome, reason, skipped_by = StepOutcome.DONE, "", None
        try:
            self._progress.require_time(number)
            await self._runner.run(number, step)
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
                # If a device failed during the cancellation, its error has replaced the CancelledError.
                raise asyncio.CancelledError from error
            outcome, reason = StepOutcome.FAILED, str(error)
        if outcome is not StepOutcome.DONE and isinstance(step, CoolStep):
            self._not_cooled.append(reason)
        elif outcome is not StepOutcome.DONE:
            self._missing.setdefault(reason, []).append(step.title)
        context.publish(StepEnded(context.clock.now(), number, outcome, reason, skipped_by))
        # Write all events to disk before the next step relies on them, so that the night can resume after a power cut.
        await context.events.flush()
        await in_thread(context.folder.require_there)

    async def _end(
        self, running: asyncio.Task[None], outcome: NightOutcome, result: str, aborted_by: AbortedBy | None
    ) -> NightOutcome:
        """Reach the safe state, publish the end of the night, and return its outcome."""
        context, steps = self._context, self._progress.steps
        warming = next((number for number, step in enumerate(steps, start=1) if isinstance(step, WarmStep)), None)
        if warming is not None:
            context.publish(StepStarted(context.clock.now(), warming))
        outcome, failures = await self._reach_safe_state(outcome)
        self.is_safe = not failures
        if failures and outcome is NightOutcome.COMPLETE:
            outcome = NightOutcome.INCOMPLETE
        if warming is not None:
            ended = StepOutcome.FAILED if failures else StepOutcome.DONE
            context.publish(StepEnded(context.clock.now(), warming, ended, " ".join(failures)))
        try:
            # A step that did not end in time may still be saving frames.
            await asyncio.wait([running], timeout=DISK_DEADLINE_S)
            await self._runner.keep_measurements()
        except asyncio.CancelledError:
            log.warning("a signal arrived while the measurements of the camera were being saved")
        except Exception as error:
            log.exception("the measurements of the camera were not kept")
            context.notice(Severity.WARNING, f"the measurements of the camera were not saved: internal error {error!r}")
        with suppress(asyncio.CancelledError):
            if self._verification is not None:
                await self._verification.close()
        still_cold_c = self._safe_state.still_cold_c
        context.publish(
            NightEnded(
                at=context.clock.now(),
                outcome=outcome,
                summary="; ".join((result, *(failures or (_safe_text(still_cold_c),)))),
                rig_is_safe=not failures,
                still_cold_c=still_cold_c,
                result=result,
                not_safe=failures,
                aborted_by=aborted_by,
            )
        )
        return outcome

    async def _reach_safe_state(self, outcome: NightOutcome) -> tuple[NightOutcome, tuple[str, ...]]:
        """Reach the safe state, even if the task is cancelled. Return the outcome of the night, and any failures.

        The first signal never cuts the warm-up short, even if this signal arrives after the last frame.
        """
        is_signalled = outcome is NightOutcome.INTERRUPTED and not self._context.steering.is_aborted
        reaching = asyncio.create_task(self._safe_state.reach(), name="safe state")
        while not reaching.done():
            try:
                await asyncio.wait([reaching])
            except asyncio.CancelledError:
                if is_signalled:
                    outcome = NightOutcome.INTERRUPTED
                    self._safe_state.cut_warm_up_short()
                else:
                    is_signalled = True
                    self._announce_stop()
        try:
            return outcome, reaching.result()
        except Exception as error:
            log.exception("the safe state failed")
            failure = f"the safe state was not reached: internal error {error!r}. Check the rig by hand."
            self._context.notice(Severity.ERROR, failure, topic=Topic.INTERNAL_ERROR)
            return outcome, (failure,)

    def _announce_stop(self) -> None:
        text = "stopping: the rig is being made safe; another Ctrl-C skips the warm-up"
        self._context.notice(Severity.WARNING, text)


def needed_devices(step: Step, rig: Rig) -> set[str]:
    """Return the names of the devices that the step needs.

    Frames that are shot in the dark need neither panel nor wheel, and flats without an angle need no rotator.
    """
    lamps = {lamp.name for lamp in rig.auxiliaries}
    if is_for_flats(step) or isinstance(step, SkyStep):
        unused = set() if rig.rotator is None or step.rotator_deg is not None else {rig.rotator.name}
        return {device.name for device in rig.devices} - lamps - unused
    return {rig.camera.name} | lamps


def _safe_text(still_cold_c: float | None) -> str:
    """Return the message that the rig is safe, with the temperature of the sensor if it is still cold."""
    if still_cold_c is None:
        return "the rig is safe"
    sensor = f"sensor at {still_cold_c:.0f} C and warming up to the air temperature"
    return f"the rig is safe: cooler off, {sensor}"
