"""Deliver the events of a night to subscribers."""

from collections.abc import Awaitable, Callable

from coldframe.capture.events.kinds import Event

Subscriber = Callable[[Event], None]


class EventStream:
    """Delivers each event to every subscriber, in order and synchronously.

    A subscriber must return immediately and must not raise, because the night waits until it returns.
    """

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._flushes: list[Callable[[], Awaitable[None]]] = []
        self._beat_subscribers: list[Callable[[], None]] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber that receives every later event."""
        self._subscribers.append(subscriber)

    def publish(self, event: Event) -> None:
        """Deliver `event` to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(event)

    def add_flush(self, flush: Callable[[], Awaitable[None]]) -> None:
        """Add a function that waits until the events published so far are durable, such as `Journal.flush`."""
        self._flushes.append(flush)

    async def flush(self) -> None:
        """Wait until the events published so far are durable."""
        for flush in self._flushes:
            await flush()

    def subscribe_beats(self, subscriber: Callable[[], None]) -> None:
        """Add a function that every later call of `beat` calls."""
        self._beat_subscribers.append(subscriber)

    def beat(self) -> None:
        """Signal progress during a wait that publishes no events, so that the watchdog does not end the run."""
        for subscriber in self._beat_subscribers:
            subscriber()
