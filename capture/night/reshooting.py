"""Reshoot the sets whose masters leave artifacts in the lights, with the change that the cause of an artifact requires.

Each remedy is tried only once for each set.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.calibration.frames.rules import Tolerances
from coldframe.capture.events.kinds import StepEnded, StepStarted
from coldframe.capture.events.values import Severity, StepOutcome
from coldframe.capture.events.verification import Artifact
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.flats.tuning import FlatTuning
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.night.products import is_flat_of
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.session.skipping import skippable
from coldframe.capture.shooting.set_inputs import (
    BiasInputs,
    DarkFlatInputs,
    DarkInputs,
    FlatInputs,
    SetInputs,
    ShotSet,
)
from coldframe.capture.shooting.set_shooting import SetShooting
from coldframe.capture.steps import ShootStep, TuneStep
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.capture.threads import LONG_WORK_S, in_thread_within
from coldframe.capture.tuner.tuner import Tuned
from coldframe.capture.verifying.verification import LightsVerification, Verdict, is_faulty
from coldframe.config.angles import is_same_angle
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings

MOST_WAIT = 0.02
"""Maximum wait for the diagnosis of the last lights, as a fraction of the duration of the night so far."""

MOST_FRAMES = 3
"""Largest size to which a set may grow, relative to its planned size."""

CARRIED_OUT = (Remedy.DARK_FLATS, Remedy.LONGER_FLATS, Remedy.MORE_FLATS, Remedy.MORE_DARKS)
"""The remedies that the night carries out. All others require a change to the optical train or the settings."""

log = logging.getLogger(__name__)


class _HinderedError(StepFailedError):
    """A set cannot be shot again; the message states the reason."""


@dataclass(slots=True)
class Reshooting:
    """Reshoots, at the end of a night, the sets that a diagnosis blames for an artifact.

    Attributes
    ----------
    context, learned, progress
        The night, its learned flats, and its plan with the products.
    verification
        The diagnoses.
    require_setpoint
        Function that checks that the sensor has the given setpoint, and raises `StepSkippedError` otherwise.
    reshot
        Filters and rotator angles of the flats that an earlier run of this night shot again with a longer exposure.
    """

    context: NightContext
    learned: LearnedFlats
    progress: PlanProgress
    verification: LightsVerification
    require_setpoint: Callable[[float | None], None]
    reshot: frozenset[tuple[str | None, float | None]] = frozenset()
    _done: set[tuple[int, Remedy]] = field(default_factory=set, init=False)

    async def conclude(self) -> None:
        """Wait for the diagnoses of the last lights, and shoot the blamed sets again. Failures become notices."""
        try:
            if not await self.verification.finish(self._most_wait_s()):
                return
            if await self._shoot_all():
                await self.verification.finish(self._most_wait_s())
        except Exception as error:  # all planned masters exist, and the night must end as planned
            log.exception("the verification at the end of the night failed")
            self._notice(f"no set is shot again: internal error {error!r}; see the log")

    def _most_wait_s(self) -> float:
        return MOST_WAIT * self.context.worked_s()

    async def _shoot_all(self) -> bool:
        """Shoot again each set that a diagnosis blames. Return True if any set was shot again."""
        has_shot = False
        for verdict in filter(is_faulty, self.verification.verdicts):
            artifact = next((each for each in verdict.event.artifacts if each.remedy in CARRIED_OUT), None)
            number = None if artifact is None else _blamed(verdict, artifact.remedy)
            if artifact is None or (number is not None and (number, artifact.remedy) in self._done):
                continue
            if number is None:
                self.verification.announce(verdict, hindrance="the master is from the library")
                continue
            try:
                has_shot = await self._shoot_again(number, verdict, artifact) or has_shot
            except (_HinderedError, StepSkippedError) as hindrance:
                self.verification.announce(verdict, hindrance=str(hindrance))
        return has_shot

    async def _shoot_again(self, number: int, verdict: Verdict, artifact: Artifact) -> bool:
        """Carry out the remedy, and return True if new masters were made. Otherwise, report the failure.

        Raises
        ------
        _HinderedError, StepSkippedError
            If the remedy cannot be carried out.
        """
        step = self.progress.steps[number - 1]
        if not isinstance(step, ShootStep):
            raise _HinderedError("twilight flats cannot be shot again")
        self._require_possible(step, artifact)
        self._done.add((number, artifact.remedy))
        self.verification.announce(verdict, reshoots=artifact.remedy)
        try:
            context = await self._with_frames_on_disk()
            async with skippable(context, number):
                await self._carry_out(context, number, step, artifact)
        except Exception as error:  # the first masters are complete and stay in use
            log.info("the set was not shot again", exc_info=error)
            self._notice(f"{step.title} was not shot again, and its first master stays in use: {error}")
            self.verification.announce(verdict, hindrance=f"this failed tonight: {error}")
            return False
        return True

    def _require_possible(self, step: ShootStep, artifact: Artifact) -> None:
        self.require_setpoint(step.setpoint_c)
        steps: list[ShootStep | TuneStep] = [step]
        match artifact.remedy:
            case Remedy.DARK_FLATS:
                if not self.progress.products.has_bias_subtracted(step):
                    raise _HinderedError("its flats were already combined with dark flats")
                steps = [self._dark_flats_of(step)[1]]
            case Remedy.LONGER_FLATS:
                panel = self.context.rig.panel
                if was_reshot(step, self.reshot):
                    raise _HinderedError("its flats were already exposed longer")
                if panel is None or panel.brightness_limits is None:
                    raise _HinderedError("the panel cannot be dimmed")
                steps = [step.tuning, step]
            case Remedy.MORE_DARKS if step.setpoint_c is None:
                raise _HinderedError("the sensor has no setpoint, and its temperature has changed")
            case _:
                steps = [replace(step, count=max(_grown(step, artifact) - step.count, 1))]
        if not self.progress.has_time_for(steps):
            raise _HinderedError("there is no time for it before the deadline")

    async def _carry_out(self, context: NightContext, number: int, step: ShootStep, artifact: Artifact) -> None:
        match artifact.remedy:
            case Remedy.DARK_FLATS:
                await self._flats(context, number, step, self.progress.products.tuned[step.tuning], by_dark_flats=True)
            case Remedy.LONGER_FLATS:
                await self._longer_flats(context, number, step)
            case Remedy.MORE_FLATS:
                larger = replace(step, count=_grown(step, artifact), noise_target=None)
                by_dark_flats = not self.progress.products.has_bias_subtracted(step)
                tuned = self.progress.products.tuned[step.tuning]
                await self._flats(context, number, larger, tuned, by_dark_flats=by_dark_flats)
            case _:
                larger = replace(step, count=_grown(step, artifact), noise_target=None)
                assert step.exposure_s is not None
                await self._shoot(context, number, larger, DarkInputs(step.exposure_s))

    async def _longer_flats(self, context: NightContext, number: int, step: ShootStep) -> None:
        products, tuning = self.progress.products, step.tuning
        bias_adu = products.bias_level_adu(tuning)
        if bias_adu is None:
            raise _HinderedError("there is no bias level for the tuner")
        settings = with_longer_flats(context.settings, step.filter, products.tuned[tuning].exposure_s)
        longer = replace(context, settings=settings)
        place = self.progress.steps.index(tuning) + 1
        context.publish(StepStarted(context.clock.now(), place))
        tuned, curve = await FlatTuning(longer, self.learned, tuning, place, bias_adu, products.panel_curve).run()
        self.progress.keep_tuning(tuning, tuned, curve)
        context.publish(StepEnded(context.clock.now(), place, StepOutcome.DONE))
        by_dark_flats = not products.has_bias_subtracted(step)
        await self._flats(longer, number, step, tuned, by_dark_flats=by_dark_flats)

    async def _flats(
        self, context: NightContext, number: int, step: ShootStep, tuned: Tuned, *, by_dark_flats: bool
    ) -> None:
        """Make the master to subtract, then the master flat, each from the frames on disk and new frames."""
        inputs: SetInputs
        if by_dark_flats:
            place, dark = self._dark_flats_of(step)
            inputs = DarkFlatInputs(tuned.exposure_s)
        else:
            place, dark = self._bias_of(step)
            inputs = BiasInputs(context.rig.camera.features.exposure_s.minimum)
        subtracted = await self._shoot(context, place, dark, inputs)
        await self._shoot(context, number, step, FlatInputs(tuned, subtracted.master))

    async def _shoot(self, context: NightContext, number: int, step: ShootStep, inputs: SetInputs) -> ShotSet:
        context.retries.begin_set({device.name for device in context.rig.devices})
        old = self.verification.masters.drop(number)
        context.publish(StepStarted(context.clock.now(), number))
        try:
            shot = await SetShooting(context, number, step, inputs).run()
            await in_thread_within(LONG_WORK_S, self.verification.masters.retire, old)
        except BaseException:
            for path in old:
                self.verification.masters.add(path, number)
            raise
        finally:
            # The set already has a master, so a failure is only a notice.
            context.publish(StepEnded(context.clock.now(), number, StepOutcome.DONE))
        if shot.shortfall is not None:
            raise StepFailedError(shot.shortfall)
        return shot

    def _dark_flats_of(self, flats: ShootStep) -> tuple[int, ShootStep]:
        for number, step in enumerate(self.progress.steps, start=1):
            if isinstance(step, ShootStep) and step.kind is FrameKind.DARK_FLAT and is_flat_of(flats, step):
                return number, self.progress.planned(number)
        raise _HinderedError("no dark flats are planned for it: set flats.pedestal and lights.dark_flat")

    def _bias_of(self, flats: ShootStep) -> tuple[int, ShootStep]:
        for number, step in enumerate(self.progress.steps, start=1):
            if not isinstance(step, ShootStep) or step.kind is not FrameKind.BIAS:
                continue
            if (step.readout, step.setpoint_c) == (flats.readout, flats.setpoint_c):
                return number, step
        raise _HinderedError("there is no bias to subtract")

    async def _with_frames_on_disk(self) -> NightContext:
        """Return a copy of the context in which all raw frames of the night count for the sets that are shot again."""
        folder = self.context.folder

        def saved() -> SavedFrames:
            return SavedFrames(folder, folder.raw_frames().values())

        return replace(self.context, saved=await in_thread_within(LONG_WORK_S, saved))

    def _notice(self, text: str) -> None:
        self.context.notice(Severity.WARNING, text)


def was_reshot(flat: ShootStep, reshot: Iterable[tuple[str | None, float | None]]) -> bool:
    """Return whether the flats were already shot again with a longer exposure.

    `reshot` lists the filters and rotator angles of the flats that were shot again. Each angle is the angle of the
    lights that showed the artifact; it is None if all lights have the same angle.
    """
    limit_deg = Tolerances().rotation_deg
    return any(
        name == flat.filter and (None in {deg, flat.rotator_deg} or is_same_angle(deg, flat.rotator_deg, limit_deg))
        for name, deg in reshot
    )


def with_longer_flats(settings: Settings, filter_name: str | None, exposure_s: float) -> Settings:
    """Return settings that make the tuner dim the panel, so that flats take two to four times the given exposure."""
    flats = settings.flats
    own = flats.for_filter(filter_name)
    longest_s = own.exposure_limits_s[1]
    wanted = (min(2 * exposure_s, longest_s / 2), min(4 * exposure_s, longest_s))
    changed = flats.model_copy(update={"preferred_exposure_s": wanted})
    if filter_name is not None and filter_name in flats.filters:
        by_filter = flats.filters[filter_name].model_copy(update={"preferred_exposure_s": wanted})
        changed = changed.model_copy(update={"filters": {**flats.filters, filter_name: by_filter}})
    return settings.model_copy(update={"flats": changed})


def _grown(step: ShootStep, artifact: Artifact) -> int:
    """Return the new number of frames of a set."""
    return min(max(artifact.frames or 0, step.count + 1), MOST_FRAMES * step.count)


def _blamed(verdict: Verdict, remedy: Remedy) -> int | None:
    return verdict.dark_step if remedy is Remedy.MORE_DARKS else verdict.flat_step
