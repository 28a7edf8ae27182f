"""Track the plan of a night: finished steps, remaining steps, and the products so far.

The timetable and the products are kept together, because a change of setpoint affects both.
"""

from collections.abc import Sequence
from dataclasses import replace

from coldframe.capture.clock import clock_text
from coldframe.capture.events.kinds import SetResized, TuningKept
from coldframe.capture.events.values import PlannedStep, SkippedBy
from coldframe.capture.night.planned_steps import planned_steps
from coldframe.capture.night.products import NightProducts
from coldframe.capture.night.resuming import EarlierRun
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.timetable import Timetable
from coldframe.capture.session.context import NightContext, StepSkippedError
from coldframe.capture.shooting.set_inputs import ShotSet
from coldframe.capture.steps import ShootStep, SkyStep, Step, TuneStep
from coldframe.capture.storage.saved_frames import Wanted
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner.tuner import Tuned
from coldframe.config.angles import is_same_angle
from coldframe.config.frames import FrameKind


class PlanProgress:
    """The steps of a night, numbered from 1, with their progress.

    Parameters
    ----------
    context
        The night.
    earlier
        Results from an unfinished run of this night; None for a new night.

    Attributes
    ----------
    products
        Masters, levels and tunings so far. Change them only with the methods of this class.
    """

    def __init__(self, context: NightContext, earlier: EarlierRun | None) -> None:
        settings = context.settings
        self._context = context
        self._earlier = earlier
        self._timetable = Timetable(plan_night(settings), settings, context.deadline, self._frames_on_disk)
        self.products = NightProducts(settings.flats, PROPORTIONAL if earlier is None else earlier.curve)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps with their current frame counts, including steps for which there is no time."""
        return self._timetable.steps

    def announced_steps(self) -> tuple[PlannedStep, ...]:
        """Return the plan in the form in which events announce it.

        The estimate for sets that an earlier run finished is 0 s.
        """
        planned = planned_steps(self.steps, self._context.settings)
        return tuple(
            replace(step, estimate_s=0.0) if step.kind is not None and self.is_done(step.number) else step
            for step in planned
        )

    def is_done(self, number: int) -> bool:
        """Return True if an earlier run completed the given step, so that no hardware needs to move for it."""
        if self._earlier is None or number not in self._earlier.done:
            return False
        step = self.steps[number - 1]
        # If the camera settings differ from those of the earlier run, no frame on disk belongs to the set.
        return not isinstance(step, ShootStep) or self._frames_on_disk(step) > 0

    def needs_no_cooling(self, number: int, setpoint_c: float) -> bool:
        """Return True if an earlier run completed all sets that follow the given step and need the given setpoint."""
        later = enumerate(self.steps[number:], start=number + 1)
        there = [
            place
            for place, step in later
            if isinstance(step, ShootStep | TuneStep | SkyStep) and step.setpoint_c == setpoint_c
        ]
        return bool(there) and all(map(self.is_done, there))

    def earlier_tuning(self, step: TuneStep) -> Tuned | None:
        """Return the tuning from an earlier run if frames were shot with it, otherwise None.

        The tuning must be used again, because the frames of one set must not come from two tunings.
        """
        tolerance_deg = self._context.settings.rotator_tolerance_deg
        earlier = {} if self._earlier is None else self._earlier.tuned
        # Lights shot since the earlier run may have changed the planned angle slightly.
        found = (each for key, each in reversed(earlier.items()) if _is_same_tuning(key, step, tolerance_deg))
        tuned = next(found, None)
        if tuned is None:
            return None
        wanted = (
            Wanted(
                self._context.rig.camera.name,
                kind,
                step.readout,
                step.setpoint_c,
                step.filter,
                tuned.exposure_s,
                step.rotator_deg,
                tolerance_deg,
            )
            for kind in (FrameKind.DARK_FLAT, FrameKind.FLAT)
        )
        return tuned if any(map(self._context.saved.count, wanted)) else None

    def fit_before_deadline(self, number: int) -> None:
        """Fit the given step and all later steps into the remaining time, and publish which sets changed."""
        context, now = self._context, self._context.clock.now()
        for change in self._timetable.revise(number, now, context.rig.camera.thermals().sensor_c):
            reason = f"so that the last frame is complete by {clock_text(context.deadline or now)}"
            context.publish(SetResized(now, change.number, change.count, change.estimate_s, reason))

    def require_time(self, number: int) -> None:
        """Check that there is time for the given step.

        Raises
        ------
        StepSkippedError
            If there is no time for the step.
        """
        if self._context.deadline is not None and self._timetable.has_no_time(number):
            raise StepSkippedError(f"no time for it before {clock_text(self._context.deadline)}", SkippedBy.TIME)

    def has_time_for(self, steps: Sequence[Step]) -> bool:
        """Return whether additional steps can be completed before the deadline."""
        context = self._context
        return self._timetable.has_time_for(steps, context.clock.now(), context.rig.camera.thermals().sensor_c)

    def planned(self, number: int) -> ShootStep:
        """Return a set as it was planned before it was fitted into the time until the deadline."""
        step = self._timetable.planned[number - 1]
        assert isinstance(step, ShootStep)
        return step

    def move(self, number: int, from_c: float, to_c: float | None, *, moves_darks: bool = True) -> None:
        """Move later steps from one setpoint to another. Tunings stay valid, because the lamp does not change.

        `to_c` and `moves_darks` are as for `replace_setpoint`.
        """
        self._timetable.move(number, from_c, to_c, moves_darks=moves_darks)
        self.products.move(from_c, to_c)

    def keep_tuning(self, step: TuneStep, tuned: Tuned, curve: PanelCurve) -> None:
        """Keep the tuning for the sets of its filter, and journal it for a run that resumes this night."""
        self.products.tuned[step] = tuned
        self.products.panel_curve = curve
        self._timetable.learn_flat(step, tuned.exposure_s)
        self._context.publish(TuningKept(self._context.clock.now(), step, tuned, curve))

    def keep_set(self, number: int, step: ShootStep, shot: ShotSet) -> None:
        """Keep the results of the given set that later sets need."""
        self.products.keep(step, shot, self.steps[number:])

    def learn_pace(self, shot: ShotSet, exposure_s: float, took_s: float) -> None:
        """Learn the time per frame from the given set, unless an earlier run shot some of its frames."""
        if not shot.taken_over:
            self._timetable.learn_set(shot.frames, exposure_s, took_s)

    def _frames_on_disk(self, step: ShootStep) -> int:
        """Return how many frames of the given set are on disk from an earlier run."""
        context = self._context
        wanted = Wanted.of(step, context.rig.camera.name, step.exposure_s, context.settings.rotator_tolerance_deg)
        return context.saved.count(wanted)


def _is_same_tuning(one: TuneStep, other: TuneStep, tolerance_deg: float) -> bool:
    is_same = is_same_angle(one.rotator_deg, other.rotator_deg, tolerance_deg)
    return is_same and replace(one, rotator_deg=other.rotator_deg) == other
