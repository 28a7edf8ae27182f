"""How long the rest will take: the plan's estimates, corrected by what this night has shown."""

from dataclasses import dataclass, field
from datetime import datetime

from coldframe.capture.events.kinds import PlannedStep, SkippedBy, StepOutcome

PLAN_WEIGHT = 3
"""The planned pace counts as this many frames, so that the first measured ones move the outlook gently."""

PLAN_FADES = 10
"""Measured frames after which the planned pace of the running step no longer counts at all."""

GOOD_FAITH = 20
"""Accepted frames that each step is credited with before rejected ones are taken for a habit."""

LONGEST_STALL = 4.0
"""One interval counts as at most this many times the pace so far: a hiccup does not foretell others."""

LEAST_SHARE = 0.2
"""However fast this night is, a later step is not expected to take less than this share of its estimate."""


@dataclass(slots=True)
class StepProgress:
    """How far one step of the plan has come.

    Attributes
    ----------
    accepted, rejected
        Frames so far.
    outcome, reason, skipped_by
        How it ended; None, empty and None while it has not.
    """

    planned: PlannedStep
    accepted: int = 0
    rejected: int = 0
    began: datetime | None = None
    ended: datetime | None = None
    outcome: StepOutcome | None = None
    reason: str = ""
    skipped_by: SkippedBy | None = None

    @property
    def is_over(self) -> bool:
        """True once the step has ended, however it did."""
        return self.outcome is not None

    @property
    def is_running(self) -> bool:
        """True between the step's beginning and end."""
        return self.began is not None and self.outcome is None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is still to come.

    Attributes
    ----------
    remaining_s
        Expected time to the end, never negative.
    overdue
        True where something that was to be over by now is not: then the time is a lower bound.
    """

    remaining_s: float
    overdue: bool = False


@dataclass(slots=True)
class _Excess:
    """By how much a frame takes longer than planned, as a mean shrunk towards 0."""

    total_s: float = 0.0
    frames: int = 0

    @property
    def mean_s(self) -> float:
        return self.total_s / (self.frames + PLAN_WEIGHT)


@dataclass(slots=True)
class Pace:
    """Learns from the intervals between frames, accepted or not.

    The running step goes on at its own measured pace. For later steps only the *excess* per frame over the plan is
    carried over (readout and saving cost the same whatever the exposure), and steps with a planned exposure are kept
    apart from those whose exposure the tuner has yet to find, as the plan could only guess at these.
    """

    _interval_s: float = 0.0
    _intervals: int = 0
    _accepted: int = 0
    _rejected: int = 0
    _last_frame: datetime | None = None
    _excess: dict[bool, _Excess] = field(default_factory=lambda: {True: _Excess(), False: _Excess()})

    def step_began(self) -> None:
        """Forget the pace of the step before."""
        self._interval_s, self._intervals, self._accepted, self._rejected = 0.0, 0, 0, 0
        self._last_frame = None

    def resumed(self, at: datetime) -> None:
        """Let a pause that ends now count for nothing."""
        if self._last_frame is not None:
            self._last_frame = at

    def frame_accepted(self, step: PlannedStep, at: datetime) -> None:
        """Learn from a frame that counts."""
        self._accepted += 1
        self._frame_came(step, at)

    def frame_rejected(self, step: PlannedStep, at: datetime) -> None:
        """Learn from a frame that has to be shot again."""
        self._rejected += 1
        self._frame_came(step, at)

    def _frame_came(self, step: PlannedStep, at: datetime) -> None:
        # The first of a step only starts the clock, for moving and tuning come before it.
        if self._last_frame is not None:
            interval_s = (at - self._last_frame).total_seconds()
            self._learn(step, min(max(interval_s, 0.0), LONGEST_STALL * self._shot_s(step)))
        self._last_frame = at

    def _learn(self, step: PlannedStep, interval_s: float) -> None:
        self._interval_s += interval_s
        self._intervals += 1
        excess = self._excess[step.exposure_s is not None]
        excess.total_s += interval_s - _planned_frame_s(step)
        excess.frames += 1

    def _shot_s(self, step: PlannedStep) -> float:
        """Return the seconds from one frame of the running step to the next, whatever becomes of them."""
        weight = PLAN_WEIGHT * max(1 - self._intervals / PLAN_FADES, 0.0)
        return (weight * _planned_frame_s(step) + self._interval_s) / (weight + self._intervals)

    def frame_s(self, step: PlannedStep) -> float:
        """Return the seconds that one more accepted frame of the running step is expected to take."""
        return self._shot_s(step) * (1 + self._rejected / (self._accepted + GOOD_FAITH))

    def expected_s(self, step: PlannedStep) -> float:
        """Return the seconds that a step which has not begun is expected to take."""
        if step.kind is None or step.estimate_s == 0:  # 0: an earlier run has made it
            return step.estimate_s
        excess_s = step.count * self._excess[step.exposure_s is not None].mean_s
        return max(step.estimate_s + excess_s, LEAST_SHARE * step.estimate_s)

    def rest_of_step(self, progress: StepProgress, now: datetime) -> Outlook:
        """Return the outlook of one step, begun or not."""
        step = progress.planned
        if progress.is_over:
            return Outlook(0.0)
        if progress.began is None:
            return Outlook(self.expected_s(step))
        if step.kind is None or self._last_frame is None:
            return self._rest_before_frames(progress, now)
        return self._rest_of_frames(progress, self._last_frame, now)

    def _rest_before_frames(self, progress: StepProgress, now: datetime) -> Outlook:
        """While moving, cooling or tuning: the estimate less what has passed, and not less than the frames need.

        Frames that an earlier run has shot are there already.
        """
        assert progress.began is not None
        step, there = progress.planned, progress.accepted
        if there and there >= step.count:
            return Outlook(0.0)
        left_s = self.expected_s(step) - there * _planned_frame_s(step) - (now - progress.began).total_seconds()
        least_s = 0.0 if step.kind is None else max(step.count - there - 1, 0) * _planned_frame_s(step)
        return Outlook(max(left_s, least_s), overdue=left_s < 0)

    def _rest_of_frames(self, progress: StepProgress, last_frame: datetime, now: datetime) -> Outlook:
        """Whole frames at the measured pace, the one under way less what has passed of it."""
        left = progress.planned.count - progress.accepted
        if left <= 0:
            return Outlook(0.0)
        frame_s = self.frame_s(progress.planned)
        under_way_s = self._shot_s(progress.planned) - max((now - last_frame).total_seconds(), 0.0)
        return Outlook((left - 1) * frame_s + max(under_way_s, 0.0), overdue=under_way_s < -frame_s)


def _planned_frame_s(step: PlannedStep) -> float:
    return step.estimate_s / max(step.count, 1)
