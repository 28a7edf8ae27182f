"""Delivers the events of a night to its subscribers."""

from collections.abc import Awaitable, Callable

from coldframe.capture.events.kinds import Event

Subscriber = Callable[[Event], None]


class EventStream:
    """Hands each event to every subscriber, in order, on the spot; subscribers return at once and never raise."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._keepers: list[Callable[[], Awaitable[None]]] = []
        self._hearers: list[Callable[[], None]] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber; it gets every later event."""
        self._subscribers.append(subscriber)

    def publish(self, event: Event) -> None:
        """Hand `event` to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(event)

    def add_keeper(self, kept: Callable[[], Awaitable[None]]) -> None:
        """Add one who writes events down; `kept` returns once those that were published before are on the disk."""
        self._keepers.append(kept)

    async def kept(self) -> None:
        """Wait until what was published is on the disk, as far as anybody keeps it."""
        for keeper in self._keepers:
            await keeper()

    def subscribe_beats(self, hearer: Callable[[], None]) -> None:
        """Add one who hears every later beat."""
        self._hearers.append(hearer)

    def beat(self) -> None:
        """Tell that a wait goes on as it should, of which people need not read."""
        for hearer in self._hearers:
            hearer()
