"""Revise the steps of a night as the time until the deadline shrinks. This module performs no I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from coldframe.capture.planning.deadline import fit_before_deadline
from coldframe.capture.planning.estimates import AMBIENT_GUESS_C, Pace, estimate_s
from coldframe.capture.steps import ShootStep, Step, TuneStep, replace_setpoint
from coldframe.config.settings import Settings


@dataclass(frozen=True, slots=True)
class ResizedSet:
    """A set whose frame count changed.

    Attributes
    ----------
    number
        Number of the step, counted from 1.
    count
        New frame count; 0 if there is no time for the set.
    estimate_s
        Expected wall time of the step, seconds.
    """

    number: int
    count: int
    estimate_s: float


@dataclass(slots=True)
class Timetable:
    """The steps of a night. Before each step, the remaining steps are fitted into the time until the deadline.

    Attributes
    ----------
    planned
        Steps as planned before they are fitted into the time until the deadline.
    settings
        Settings of the rig.
    deadline
        Time by which the last frame must be complete; None if there is no deadline.
    frames_on_disk
        Function that returns the number of frames of a set that were shot by an earlier run of the same night.
    """

    planned: tuple[Step, ...]
    settings: Settings
    deadline: datetime | None = None
    frames_on_disk: Callable[[ShootStep], int] = lambda _: 0
    _left: list[Step | None] = field(init=False)
    _readout_s: float = field(init=False, default=Pace().readout_s)
    _flats_s: dict[TuneStep, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._left = list(self.planned)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps with their current frame counts; steps for which there is no time have their planned counts."""
        return tuple(step or planned for step, planned in zip(self._left, self.planned, strict=True))

    def has_no_time(self, number: int) -> bool:
        """Return whether there is no time for the step with the given number, counted from 1."""
        return self._left[number - 1] is None

    def move(self, number: int, from_c: float, to_c: float | None, *, moves_darks: bool = True) -> None:
        """Move the steps after step `number` from setpoint `from_c` to `to_c`.

        Steps that are also planned at `to_c` are not moved. `to_c` and `moves_darks` are as for `replace_setpoint`.
        """
        kept = set(self.planned)

        def changed(step: Step | None) -> Step | None:
            new = None if step is None else replace_setpoint(step, from_c, to_c, moves_darks=moves_darks)
            return step if new in kept else new

        self._left[number:] = [changed(step) for step in self._left[number:]]
        later = [changed(step) or step for step in self.planned[number:]]
        self.planned = (*self.planned[:number], *later)

    def learn_set(self, count: int, exposure_s: float, took_s: float) -> None:
        """Learn from a finished set how much time each frame takes in addition to its exposure."""
        self._readout_s = max(took_s / count - exposure_s, 0.0)

    def learn_flat(self, step: TuneStep, exposure_s: float) -> None:
        """Learn the flat exposure that a tuning has found, for the estimates of later sets."""
        self._flats_s[step] = exposure_s

    def revise(self, number: int, now: datetime, sensor_c: float | None) -> tuple[ResizedSet, ...]:
        """Fit the remaining steps into the remaining time, and return the sets whose frame counts changed.

        Parameters
        ----------
        number
            Number of the next step.
        now
            Current time, with a time zone.
        sensor_c
            Sensor temperature; None if unknown.
        """
        if self.deadline is None:
            return ()
        pace = self._pace(sensor_c)
        time_s = (self.deadline - now).total_seconds()
        before = self._left[number - 1 :]
        self._left[number - 1 :] = fit_before_deadline(
            self.planned[number - 1 :], time_s, self.settings, pace, self.frames_on_disk
        )
        return tuple(self._changes(number, before, pace))

    def has_time_for(self, steps: Sequence[Step], now: datetime, sensor_c: float | None) -> bool:
        """Return whether additional steps can be completed between `now` and the deadline; True without a deadline.

        Parameters
        ----------
        steps
            The steps.
        now, sensor_c
            As for `revise`.
        """
        if self.deadline is None:
            return True
        needed_s = sum(estimate_s(steps, self.settings, self._pace(sensor_c)))
        return needed_s <= (self.deadline - now).total_seconds()

    def _pace(self, sensor_c: float | None) -> Pace:
        return Pace(AMBIENT_GUESS_C if sensor_c is None else sensor_c, self._readout_s, self._flats_s)

    def _changes(self, number: int, before: list[Step | None], pace: Pace) -> Iterator[ResizedSet]:
        for place, old in enumerate(before, start=number - 1):
            planned, new = self.planned[place], self._left[place]
            if isinstance(planned, ShootStep) and old != new:
                count = new.count if isinstance(new, ShootStep) else 0
                (about_s,) = estimate_s([replace(planned, count=count)], self.settings, pace)
                yield ResizedSet(place + 1, count, about_s)
