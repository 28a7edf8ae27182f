"""Record the user's requests to a running night: pause, resume, skip a set, or abort.

The night carries out the requests later: `recovery.pausing` does so before an exposure, and `skipping` within a step.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    Event,
    NightEnded,
    NightPaused,
    NightResumed,
    NightStarted,
    SetResized,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import PlannedStep

NOTHING_RUNS = "no night is running"
ENDING = "the night is already ending, and the rig is being made safe"
BY_REQUEST = "by request"


class Steering:
    """The user's requests to one night, each answered at once with a sentence. Call only from the event loop's thread.

    Parameters
    ----------
    events
        The night's event stream, on which `Steering` observes the steps and publishes pauses.
    clock
        Clock that supplies the times of the events.
    """

    def __init__(self, events: EventStream, clock: NightClock) -> None:
        self._events = events
        self._clock = clock
        self._night: asyncio.Task[Any] | None = None
        self._steps: dict[int, PlannedStep] = {}
        self._begun = set[int]()
        self._under_way: int | None = None
        self._skipped = set[int]()
        self._skips: list[Callable[[], str | None]] = []
        self._is_paused = False
        self._is_ending = False
        self.is_aborted = False
        """True once the user has aborted the night with `abort`."""
        self._waited_s = 0.0
        self._timeouts: list[asyncio.Timeout] = []
        events.subscribe(self._observe)

    @property
    def is_paused(self) -> bool:
        """True while the night is paused. No exposure begins during a pause."""
        return self._is_paused

    def pause(self) -> str:
        """Pause the night: no new exposure begins, but an exposure that is already running continues to its end."""
        if refusal := self._refusal():
            return refusal
        if self._is_paused:
            return "already paused"
        self._is_paused = True
        self._events.publish(NightPaused(self._clock.now()))
        return "paused after the running exposure; the cooler stays on"

    def resume(self) -> str:
        """Resume the night, so that exposures begin again."""
        if refusal := self._refusal():
            return refusal
        if not self._is_paused:
            return "not paused"
        self._is_paused = False
        self._events.publish(NightResumed(self._clock.now()))
        return "the night continues"

    def skip(self, step: int | None = None) -> str:
        """Skip the running step (None), or a later set, given by its step number."""
        if refusal := self._refusal():
            return refusal
        if step is None or step == self._under_way:
            return self._skip_this()
        planned = self._steps.get(step)
        return f"there is no step {step}" if planned is None else self._skip_later(planned)

    def abort(self) -> str:
        """End the night and leave the rig in the safe state, as Ctrl-C does."""
        if refusal := self._refusal():
            return refusal
        assert self._night is not None
        self._is_ending = self.is_aborted = True
        self._night.cancel()
        return "the night is ending, and the rig is being made safe"

    def _refusal(self) -> str | None:
        if self._is_ending:
            return ENDING
        return NOTHING_RUNS if self._night is None else None

    def _skip_this(self) -> str:
        number = self._under_way
        if number is None:
            return "no step is running"
        title = self._title(number)
        if number in self._skipped:
            return f"{title} is already being skipped"
        for end in reversed(self._skips):
            if (answer := end()) is not None:
                return f"{title}: {answer}"
        return f"{title} cannot be skipped because other steps need it; the night can be aborted"

    def _skip_later(self, planned: PlannedStep) -> str:
        step = planned.number
        if step in self._skipped:
            return f"{planned.title} is already skipped"
        if step in self._begun:
            return f"{planned.title} is already over"
        if planned.kind is None:
            return f"{planned.title} is not a set of frames, and only sets can be skipped"
        self._skipped.add(step)
        self._events.publish(SetResized(self._clock.now(), step, 0, 0.0, BY_REQUEST))
        return f"{planned.title} is skipped"

    def _title(self, number: int) -> str:
        step = self._steps.get(number)
        return step.title if step else f"step {number}"

    def _observe(self, event: Event) -> None:
        match event:
            case NightStarted():
                self._steps = {step.number: step for step in event.steps}
            case StepStarted():
                self._under_way = event.step
                self._begun.add(event.step)
            case StepEnded():
                self._under_way = None
            case NightEnded():
                self._is_paused = False
            case _:
                pass

    @contextmanager
    def taking_requests(self) -> Iterator[None]:
        """Take requests while the block runs. The current task must be the task that runs the night."""
        self._night, self._is_ending = asyncio.current_task(), False
        try:
            yield
        finally:
            self._is_ending, self._is_paused = True, False

    @contextmanager
    def on_skip(self, end: Callable[[], str | None]) -> Iterator[None]:
        """Register a function that ends the running step when the user skips the step.

        The function that was registered last is called first. `end` must return immediately. It returns a sentence for
        the user, or None if it cannot end the step now. In that case, the previously registered function is called.
        """
        self._skips.append(end)
        try:
            yield
        finally:
            self._skips.remove(end)

    def mark_skipped(self) -> None:
        """Record that the running step is ending on request."""
        if self._under_way is not None:
            self._skipped.add(self._under_way)

    def is_skipped(self, step: int) -> bool:
        """Return whether a step was skipped by request, before it began or while it ran."""
        return step in self._skipped

    @property
    def waited_s(self) -> float:
        """Number of seconds for which the night has been paused."""
        return self._waited_s

    def count_pause(self, seconds: float) -> None:
        """Count a pause that begins now and lasts the given time. The pause extends the limits set by `timeout`."""
        self._waited_s += seconds
        for timeout in self._timeouts:
            if (when := timeout.when()) is not None and not timeout.expired():
                timeout.reschedule(when + seconds)

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time that the block may take, excluding pauses. Apart from that, work like `asyncio.timeout`.

        Raises
        ------
        TimeoutError
            If the block took longer.
        """
        async with asyncio.timeout(seconds) as timeout:
            self._timeouts.append(timeout)
            try:
                yield
            finally:
                self._timeouts.remove(timeout)
