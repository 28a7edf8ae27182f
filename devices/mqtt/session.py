"""Keep a connection to the MQTT broker of a light open, and reconnect whenever the connection ends."""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from coldframe.config.tables.broker import BrokerSettings
from coldframe.devices.errors import DeviceLostError, SettingRefusedError
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import (
    ANSWER_S,
    Broker,
    BrokerLostError,
    BrokerSetupError,
    PublishRefusedError,
    connect,
    read_access,
)
from coldframe.devices.mqtt.message import Message
from coldframe.devices.watchers import Watchers

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_DEADLINE_S = 15.0
KEEP_ALIVE_S = 10
"""Time of silence after which the broker is pinged. A broker that does not answer counts as lost."""

BACKOFF = Backoff(first_s=0.2, longest_s=10.0)
MOST_WAITING = 1000
"""Maximum number of messages waiting to be read. Further messages are dropped."""

LARGEST_INCOMING = 32_768
"""Size of the largest accepted message in bytes. The states of all supported lights are much smaller."""


class MqttSession:
    """A session with one broker, including subscriptions to topics. While open, it reconnects whenever necessary.

    Parameters
    ----------
    settings
        Address and credentials of the broker.
    topics
        Topics to subscribe to.
    on_message
        Function to call with each message, on the event loop.
    answer_s
        Deadline for each answer from the broker.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        topics: tuple[str, ...],
        on_message: Callable[[Message], object],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._on_message = on_message
        self._answer_s = answer_s
        self.generation = 0
        """Number of connections so far. Settings made over an earlier connection may have been lost."""
        self._broker: Broker | None = None
        self._fault = ""
        self._watchers = Watchers()
        self._supervisor: asyncio.Task[None] | None = None
        self._connection_scope = asyncio.timeout(None)

    @property
    def server(self) -> str:
        """The broker's address, for messages."""
        return f"MQTT broker {self._settings.address}"

    @property
    def fault(self) -> str:
        """Reason why the last connection failed or ended; empty before the first failure."""
        return self._fault

    @property
    def is_connected(self) -> bool:
        """True while the broker is connected and all topics are subscribed to."""
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
        """Wait until the broker is connected.

        Raises
        ------
        DeviceLostError
            If the broker is not connected within the deadline.
        """
        try:
            await self.wait(lambda: self.is_connected or None, deadline_s)
        except TimeoutError:
            why = f" ({self._fault})" if self._fault else ""
            raise DeviceLostError(
                self.server,
                f"no connection within {deadline_s:g} s{why}",
                "Is the broker running there, and are host, port, user, password and TLS correct?",
            ) from None

    async def publish(self, topic: str, payload: str) -> None:
        """Publish a message and wait until the broker has acknowledged it.

        The message is never retained, because a broker would repeat a retained command on a later night.

        Raises
        ------
        DeviceLostError
            If the broker is not connected or does not acknowledge the message.
        SettingRefusedError
            If the broker refuses messages on this topic.
        """
        broker = self._broker
        if broker is None:
            raise DeviceLostError(self.server, "is not connected")
        try:
            await broker.publish(Message(topic, payload.encode()), confirmed=True)
        except PublishRefusedError as error:
            advice = "In the broker's access rules, allow coldframe's MQTT user to write to this topic."
            raise SettingRefusedError(self.server, f"refuses commands on {topic} ({error})", advice) from error
        except BrokerLostError as error:
            if broker is self._broker:
                self._broker = None
                self._connection_scope.reschedule(_now_s())
                self._watchers.wake()
            raise DeviceLostError(self.server, f"did not acknowledge a command on {topic} ({error})") from error

    async def wait(self, condition: Callable[[], T | None], deadline_s: float) -> T:
        """Call `condition` at once and after every event until it returns a value other than None; return that value.

        Raises
        ------
        TimeoutError
            If `deadline_s` passes first. Exceptions raised by `condition` also propagate.
        """
        return await self._watchers.until(condition, deadline_s)

    async def _supervise(self) -> None:
        """Connect, and reconnect with increasing delays whenever the connection ends."""
        pauses_s = BACKOFF.pauses_s()
        while True:
            generation = self.generation
            try:
                await self._run_connection()
            except (BrokerLostError, BrokerSetupError, OSError, TimeoutError) as error:
                self._fault = str(error) or "no answer"
            except Exception as error:  # without a session, the panel could never be switched off
                self._fault = repr(error)
                log.exception("%s: the session failed; restarting it", self.server)
            if self.generation > generation:
                log.info("%s: disconnected (%s)", self.server, self._fault)
                pauses_s = BACKOFF.pauses_s()
            await asyncio.sleep(next(pauses_s))

    async def _run_connection(self) -> None:
        # Read the files for each connection, because the user may have corrected a password or certificate.
        access = await asyncio.to_thread(read_access, self._settings)
        connection = connect(
            access,
            client_id=None,
            largest_incoming=LARGEST_INCOMING,
            most_waiting=MOST_WAITING,
            keep_alive_s=KEEP_ALIVE_S,
            answer_s=self._answer_s,
        )
        async with asyncio.timeout(None) as self._connection_scope, connection as broker:
            refused = await broker.subscribe(self._topics)
            if refused:
                raise BrokerLostError(f"the broker does not allow this user to subscribe to {refused[0]}")
            self._broker, self.generation = broker, self.generation + 1
            self._watchers.wake()
            try:
                async for message in broker.messages():
                    self._receive(message)
            finally:
                self._broker = None
                self._watchers.wake()

    def _receive(self, message: Message) -> None:
        try:
            self._on_message(message)
        except Exception:  # one message that cannot be handled must not end the connection
            log.exception("%s: cannot handle a message on %s", self.server, message.topic)
        self._watchers.wake()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
