"""The audience of a night: the screen of a command, or the program that called the Python API."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from coldframe.capture.events.stream import EventStream, Subscriber
from coldframe.capture.session.steering import Steering


class Audience(Protocol):
    """Receives the events and messages of a run, and states whether the telescope is covered."""

    def lines(self) -> Subscriber:
        """Return a subscriber for the events before the night."""

    def shown(self, events: EventStream, steering: Steering) -> AbstractAsyncContextManager[None]:
        """Show the events of the night for the duration of the block, and accept commands."""

    def line(self, text: str) -> None:
        """Report part of the result."""

    def notice(self, text: str) -> None:
        """Report something that may need attention."""

    async def is_covered(self) -> bool:
        """Return False if a user states that the telescope is not covered; called only if no device can cover it."""
