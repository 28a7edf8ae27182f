"""Deliver the events of a night to subscribers."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from coldframe.capture.events.kinds import Event, Notice
from coldframe.capture.events.values import Severity, Topic

log = logging.getLogger(__name__)

Subscriber = Callable[[Event], None]


class EventStream:
    """The events of a night, each delivered to every subscriber, in order and synchronously.

    A subscriber must return immediately, because the night waits until it returns. An exception that a subscriber
    raises never reaches the night: the first exception of each subscriber is logged and published, and the subscriber
    still receives later events.

    Attributes
    ----------
    subscribers
        Functions that receive every event, in the order in which they receive it.
    """

    def __init__(self) -> None:
        self.subscribers: list[Subscriber] = []
        self._flushes: list[Callable[[], Awaitable[None]]] = []
        self._beat_subscribers: list[Callable[[], None]] = []
        self._failed: list[Callable[..., object]] = []
        self._failures: list[Exception] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber that receives every later event."""
        self.subscribers.append(subscriber)

    def publish(self, event: Event) -> None:
        """Deliver `event` to all subscribers."""
        for subscriber in self.subscribers:
            with self._guarding(subscriber):
                subscriber(event)
        while self._failures:
            text = f"internal error while showing or recording an event: {self._failures.pop()!r}; see the log"
            self.publish(Notice(event.at, Severity.ERROR, text, topic=Topic.INTERNAL_ERROR))

    def add_flush(self, flush: Callable[[], Awaitable[None]]) -> None:
        """Add a function that waits until the events published so far are durable, such as `Journal.flush`."""
        self._flushes.append(flush)

    async def flush(self) -> None:
        """Wait until the events published so far are durable."""
        for flush in self._flushes:
            with self._guarding(flush):
                await flush()

    def subscribe_beats(self, subscriber: Callable[[], None]) -> None:
        """Add a function that every later call of `beat` calls."""
        self._beat_subscribers.append(subscriber)

    def beat(self) -> None:
        """Signal progress during a wait that publishes no events, so that the watchdog does not end the run."""
        for subscriber in self._beat_subscribers:
            with self._guarding(subscriber):
                subscriber()

    @contextmanager
    def _guarding(self, subscriber: Callable[..., object]) -> Iterator[None]:
        """Catch a subscriber's exceptions, which must neither end a night nor keep a lamp lit. Log its first one."""
        try:
            yield
        except Exception as error:
            if subscriber not in self._failed:
                self._failed.append(subscriber)
                self._failures.append(error)
                log.exception("the subscriber %r failed", subscriber)
