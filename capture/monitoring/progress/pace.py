"""Estimate the remaining time from the plan, and correct the estimate by the measured pace of this night's frames."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from coldframe.capture.events.kinds import FrameAccepted
from coldframe.capture.events.values import PlannedStep, SkippedBy, StepOutcome

PLAN_WEIGHT = 3
"""Weight of the planned pace, as a number of frames, so that the first frames change the estimate only slightly."""

PLAN_FADES = 10
"""Number of measured frames after which the planned pace of the running step is ignored."""

GOOD_FAITH = 20
"""Number of accepted frames credited to each step, so that a few rejected frames do not raise the estimate much."""

MOST_FRAMES = 200
"""Maximum number of frames kept for each step, so that memory use does not depend on the number of frames."""

LONGEST_STALL = 4.0
"""Upper limit of the interval between two frames, as a multiple of the expected interval.

Longer intervals are shortened to this limit, because one long delay does not predict further delays.
"""

LEAST_SHARE = 0.2
"""Lower limit of the expected duration of a later step, as a fraction of its estimate."""


@dataclass(slots=True)
class StepProgress:
    """Progress of one step of the plan.

    Attributes
    ----------
    accepted, rejected
        Numbers of accepted and of rejected frames so far.
    frames
        The last `MOST_FRAMES` accepted frames, in the order of their numbers.
    outcome, reason, skipped_by
        Fields of the `StepEnded` event of the step; None, empty and None until the step ends.
    """

    planned: PlannedStep
    accepted: int = 0
    rejected: int = 0
    frames: deque[FrameAccepted] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))
    began: datetime | None = None
    ended: datetime | None = None
    outcome: StepOutcome | None = None
    reason: str = ""
    skipped_by: SkippedBy | None = None

    def accept(self, frame: FrameAccepted) -> None:
        """Count an accepted frame. Frame numbers start again if the set was quarantined and is being shot again."""
        self.accepted = frame.index
        while self.frames and self.frames[-1].index >= frame.index:
            self.frames.pop()
        self.frames.append(frame)

    @property
    def is_over(self) -> bool:
        """True once the step has ended, whatever its outcome."""
        return self.outcome is not None

    @property
    def is_running(self) -> bool:
        """True between the start and the end of the step."""
        return self.began is not None and self.outcome is None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The expected remaining time.

    Attributes
    ----------
    remaining_s
        Expected time to the end, in seconds. It is never negative.
    overdue
        True if a step is taking longer than expected, so that `remaining_s` is a lower bound.
    """

    remaining_s: float
    overdue: bool = False


@dataclass(slots=True)
class _Excess:
    """Mean excess of the measured time per frame over the planned time, shrunk towards 0."""

    total_s: float = 0.0
    frames: int = 0

    @property
    def mean_s(self) -> float:
        return self.total_s / (self.frames + PLAN_WEIGHT)


@dataclass(slots=True)
class Pace:
    """The pace of the night, measured from the intervals between frames, whether accepted or rejected.

    The running step is expected to continue at its measured pace. For later steps, only the *excess* of the measured
    time per frame over the planned time is used, because readout and saving take the same time whatever the exposure.
    This excess is measured separately for steps with a planned exposure and for steps with a tuned exposure, because
    the plan can only estimate tuned exposures.
    """

    _interval_s: float = 0.0
    _intervals: int = 0
    _accepted: int = 0
    _rejected: int = 0
    _last_frame: datetime | None = None
    _excess: dict[bool, _Excess] = field(default_factory=lambda: {True: _Excess(), False: _Excess()})

    def step_began(self) -> None:
        """Discard the pace of the previous step."""
        self._interval_s, self._intervals, self._accepted, self._rejected = 0.0, 0, 0, 0
        self._last_frame = None

    def resumed(self, at: datetime) -> None:
        """Exclude from the pace a pause that ended at the given time."""
        if self._last_frame is not None:
            self._last_frame = at

    def frame_accepted(self, step: PlannedStep, at: datetime) -> None:
        """Update the pace with an accepted frame."""
        self._accepted += 1
        self._frame_came(step, at)

    def frame_rejected(self, step: PlannedStep, at: datetime) -> None:
        """Update the pace with a rejected frame, which must be shot again."""
        self._rejected += 1
        self._frame_came(step, at)

    def _frame_came(self, step: PlannedStep, at: datetime) -> None:
        # The first frame of a step only starts the measurement, because devices move and flats are tuned before it.
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
        """Return the expected time from one frame of the running step to the next, accepted or rejected, in seconds."""
        weight = PLAN_WEIGHT * max(1 - self._intervals / PLAN_FADES, 0.0)
        return (weight * _planned_frame_s(step) + self._interval_s) / (weight + self._intervals)

    def frame_s(self, step: PlannedStep) -> float:
        """Return the expected time for one more accepted frame of the running step, in seconds."""
        return self._shot_s(step) * (1 + self._rejected / (self._accepted + GOOD_FAITH))

    def expected_s(self, step: PlannedStep) -> float:
        """Return the expected duration of a step that has not begun, in seconds."""
        if step.kind is None or step.estimate_s == 0:  # 0 if an earlier run completed the step
            return step.estimate_s
        excess_s = step.count * self._excess[step.exposure_s is not None].mean_s
        return max(step.estimate_s + excess_s, LEAST_SHARE * step.estimate_s)

    def rest_of_step(self, progress: StepProgress, now: datetime) -> Outlook:
        """Return the remaining time of one step, whether or not the step has begun."""
        step = progress.planned
        if progress.is_over:
            return Outlook(0.0)
        if progress.began is None:
            return Outlook(self.expected_s(step))
        if step.kind is None or self._last_frame is None:
            return self._rest_before_frames(progress, now)
        return self._rest_of_frames(progress, self._last_frame, now)

    def _rest_before_frames(self, progress: StepProgress, now: datetime) -> Outlook:
        """Return the remaining time of a step that has produced no new frame yet, for example during cooling or tuning.

        The remaining time is the expected time for the remaining frames minus the elapsed time, but at least the
        planned time for all but one of these frames.
        """
        assert progress.began is not None
        step, there = progress.planned, progress.accepted
        if there and there >= step.count:
            return Outlook(0.0)
        left_s = self.expected_s(step) - there * _planned_frame_s(step) - (now - progress.began).total_seconds()
        least_s = 0.0 if step.kind is None else max(step.count - there - 1, 0) * _planned_frame_s(step)
        return Outlook(max(left_s, least_s), overdue=left_s < 0)

    def _rest_of_frames(self, progress: StepProgress, last_frame: datetime, now: datetime) -> Outlook:
        """Return the time for the remaining frames at the measured pace, minus the time since the last frame."""
        left = progress.planned.count - progress.accepted
        if left <= 0:
            return Outlook(0.0)
        frame_s = self.frame_s(progress.planned)
        under_way_s = self._shot_s(progress.planned) - max((now - last_frame).total_seconds(), 0.0)
        return Outlook((left - 1) * frame_s + max(under_way_s, 0.0), overdue=under_way_s < -frame_s)


def _planned_frame_s(step: PlannedStep) -> float:
    return step.estimate_s / max(step.count, 1)
