"""A night's steps as they change with the time that is left. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from coldframe.capture.planning.deadline import fit_before_deadline
from coldframe.capture.planning.estimates import AMBIENT_GUESS_C, Pace, estimate_s
from coldframe.capture.steps import ShootStep, Step, TuneStep, replace_setpoint
from coldframe.config.settings import Settings


@dataclass(frozen=True, slots=True)
class ResizedSet:
    """A set whose number of frames has changed.

    Attributes
    ----------
    number
        Of the step, from 1.
    count
        Frames from now on; 0 where there is no time for the set.
    estimate_s
        Expected wall time of the step.
    """

    number: int
    count: int
    estimate_s: float


@dataclass(slots=True)
class Timetable:
    """The steps of a night, cut anew before each of them so that the last frame is in by the deadline.

    Attributes
    ----------
    planned
        The steps without a thought of time.
    settings
        Of the rig.
    deadline
        None: all the time in the world.
    frames_on_disk
        Tells how many frames of a set an earlier run of the night has shot.
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
        """All steps, with the numbers of frames that hold now; those for which there is no time are among them."""
        return tuple(step or planned for step, planned in zip(self._left, self.planned, strict=True))

    def has_no_time(self, number: int) -> bool:
        """Tell whether there is no time for a step, by its number from 1."""
        return self._left[number - 1] is None

    def move(self, number: int, from_c: float, to_c: float) -> None:
        """Put what is left after a step to another sensor temperature, but for sets that are shot there anyway."""
        kept = set(self.planned)

        def changed(step: Step | None) -> Step | None:
            new = None if step is None else replace_setpoint(step, from_c, to_c)
            return step if new in kept else new

        self._left[number:] = [changed(step) for step in self._left[number:]]
        later = [changed(step) or step for step in self.planned[number:]]
        self.planned = (*self.planned[:number], *later)

    def learn_set(self, count: int, exposure_s: float, took_s: float) -> None:
        """Learn from a set how long a frame takes beyond its exposure."""
        self._readout_s = max(took_s / count - exposure_s, 0.0)

    def learn_flat(self, step: TuneStep, exposure_s: float) -> None:
        """Learn the exposure of a filter's flats."""
        self._flats_s[step] = exposure_s

    def revise(self, number: int, now: datetime, sensor_c: float | None) -> tuple[ResizedSet, ...]:
        """Cut what is left from a step on to the time that is left, and return which sets change by it.

        Parameters
        ----------
        number
            Of the step that is next.
        now
            With a time zone.
        sensor_c
            Temperature of the sensor, None where unknown.
        """
        if self.deadline is None:
            return ()
        pace = Pace(AMBIENT_GUESS_C if sensor_c is None else sensor_c, self._readout_s, self._flats_s)
        time_s = (self.deadline - now).total_seconds()
        before = self._left[number - 1 :]
        self._left[number - 1 :] = fit_before_deadline(
            self.planned[number - 1 :], time_s, self.settings, pace, self.frames_on_disk
        )
        return tuple(self._changes(number, before, pace))

    def _changes(self, number: int, before: list[Step | None], pace: Pace) -> Iterator[ResizedSet]:
        for place, old in enumerate(before, start=number - 1):
            planned, new = self.planned[place], self._left[place]
            if isinstance(planned, ShootStep) and old != new:
                count = new.count if isinstance(new, ShootStep) else 0
                (about_s,) = estimate_s([replace(planned, count=count)], self.settings, pace)
                yield ResizedSet(place + 1, count, about_s)
