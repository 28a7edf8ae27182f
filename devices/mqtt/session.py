"""The connection to an MQTT broker that lights are reached through, made again whenever it ends."""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from coldframe.config.tables.broker import BrokerSettings
from coldframe.devices.errors import DeviceLostError
from coldframe.devices.mqtt.client import Broker, BrokerLostError, BrokerSetupError, access, connected
from coldframe.devices.mqtt.message import Message
from coldframe.devices.watchers import Watchers

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_DEADLINE_S = 15.0
KEEP_ALIVE_S = 10
"""A broker that says nothing for so long is asked whether it lives, and given up if it does not answer."""

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 10.0
MOST_WAITING = 1000
"""Messages that wait to be heard; a flood beyond that is dropped."""

LARGEST_INCOMING = 32_768
"""Bytes; no light has so much to say."""

Hear = Callable[[Message], None]
"""Takes a message."""


class MqttSession:
    """The connection to one broker, subscribed to some topics; reconnects for as long as it is open.

    Parameters
    ----------
    settings
        Where the broker is, and who we are to it.
    topics
        What is listened to.
    hear
        Is told of each message, within the event loop.
    """

    def __init__(self, settings: BrokerSettings, topics: tuple[str, ...], hear: Hear) -> None:
        self._settings = settings
        self._topics = topics
        self._hear = hear
        self.generation = 0
        """Counts connections: what was set up over an earlier one may be gone."""
        self._broker: Broker | None = None
        self._trouble = ""
        self._watchers = Watchers()
        self._supervisor: asyncio.Task[None] | None = None
        self._life = asyncio.timeout(None)

    @property
    def server(self) -> str:
        """The broker's address, for messages."""
        return f"MQTT broker {self._settings.address}"

    @property
    def connected(self) -> bool:
        """True while the broker is there and all topics are subscribed to."""
        return self._broker is not None

    async def __aenter__(self) -> Self:
        self._supervisor = asyncio.create_task(self._supervise(), name="MQTT session")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])

    async def wait_connected(self, deadline_s: float = CONNECT_DEADLINE_S) -> None:
        """Wait until the broker is there.

        Raises
        ------
        DeviceLostError
            It was not, in time.
        """
        try:
            await self.wait(lambda: self.connected or None, deadline_s)
        except TimeoutError:
            why = f" ({self._trouble})" if self._trouble else ""
            raise DeviceLostError(
                self.server,
                f"no connection within {deadline_s:g} s{why}",
                "Is the broker running there, and are host, port, user, password and TLS right?",
            ) from None

    async def publish(self, topic: str, payload: str) -> None:
        """Hand a message to the broker, which must not keep it: a kept order would switch the light some other night.

        Raises
        ------
        DeviceLostError
            The broker is not there, or did not take it.
        """
        broker = self._broker
        if broker is None:
            raise DeviceLostError(self.server, "is not connected")
        try:
            await broker.publish(Message(topic, payload.encode()), confirmed=True)
        except BrokerLostError as error:
            if broker is self._broker:
                self._broker = None
                self._life.reschedule(_now_s())
                self._watchers.wake()
            raise DeviceLostError(self.server, f"did not take an order for {topic} ({error})") from error

    async def wait(self, seen: Callable[[], T | None], deadline_s: float) -> T:
        """Wait until `seen()`, asked after every single event, returns something other than None, and return that.

        Raises
        ------
        TimeoutError
            `deadline_s` passed; and whatever `seen` raises.
        """
        return await self._watchers.until(seen, deadline_s)

    async def _supervise(self) -> None:
        """Connect, and connect again with a growing pause whenever the connection ends."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            generation = self.generation
            try:
                await self._one_life()
            except (BrokerLostError, BrokerSetupError, OSError, TimeoutError) as error:
                self._trouble = str(error) or "no answer"
            except Exception as error:  # a panel without a session could never be put out
                self._trouble = repr(error)
                log.exception("%s: the session failed, starting it again", self.server)
            if self.generation > generation:
                log.info("%s: disconnected (%s)", self.server, self._trouble)
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)

    async def _one_life(self) -> None:
        # Read anew each time: what is wrong in a file may have been mended.
        reached = await asyncio.to_thread(access, self._settings)
        connection = connected(
            reached,
            name=None,
            largest_incoming=LARGEST_INCOMING,
            most_waiting=MOST_WAITING,
            keep_alive_s=KEEP_ALIVE_S,
        )
        async with asyncio.timeout(None) as self._life, connection as broker:
            refused = await broker.subscribe(self._topics)
            if refused:
                raise BrokerLostError(f"it does not let this user listen to {refused[0]}")
            self._broker, self.generation = broker, self.generation + 1
            self._watchers.wake()
            try:
                async for message in broker.messages():
                    self._take(message)
            finally:
                self._broker = None
                self._watchers.wake()

    def _take(self, message: Message) -> None:
        try:
            self._hear(message)
        except Exception:  # whatever a message does to us, the next one must still be heard
            log.exception("%s: a message on %s could not be taken", self.server, message.topic)
        self._watchers.wake()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
