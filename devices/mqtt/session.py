"""The connection to an MQTT broker that lights are reached through; the one place of the devices that knows the client.

A client that has timed out or lost its broker is of no further use: each connection has a new one.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

import aiomqtt

from coldframe.config.broker import BrokerPasswordError, BrokerSettings
from coldframe.devices.errors import DeviceLostError

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_DEADLINE_S = 15.0
REQUEST_DEADLINE_S = 5.0
"""For each answer of the broker itself."""

KEEP_ALIVE_S = 10
"""A broker that says nothing for so long is asked whether it lives, and given up if it does not answer."""

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 10.0
MOST_WAITING = 1000
"""Messages that wait to be heard; a flood beyond that is dropped."""

Hear = Callable[[str, bytes, bool], None]
"""Takes the topic and payload of a message, and whether it is an old one that the broker had kept."""


class MqttSession:
    """The connection to one broker, subscribed to some topics; reconnects for as long as it is open.

    Parameters
    ----------
    broker
        Where it is, and who we are to it.
    topics
        What is listened to.
    hear
        Is told of each message, within the event loop.
    """

    def __init__(self, broker: BrokerSettings, topics: tuple[str, ...], hear: Hear) -> None:
        self._broker = broker
        self._topics = topics
        self._hear = hear
        self.generation = 0
        """Counts connections: what was set up over an earlier one may be gone."""
        self._client: aiomqtt.Client | None = None
        self._trouble = ""
        self._watchers: list[Callable[[], None]] = []
        self._supervisor: asyncio.Task[None] | None = None
        self._life = asyncio.timeout(None)
        self._is_closing = False

    @property
    def server(self) -> str:
        """The broker's address, for messages."""
        return f"MQTT broker {self._broker.address}"

    @property
    def connected(self) -> bool:
        """True while the broker is there and all topics are subscribed to."""
        return self._client is not None

    async def __aenter__(self) -> Self:
        self._supervisor = asyncio.create_task(self._supervise(), name="MQTT session")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closing = True
        while self._supervisor is not None and not self._supervisor.done():
            # Once may not do: Python 3.11's wait_for, which the client uses, loses a cancellation now and then.
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor], timeout=1.0)

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
        client = self._client
        if client is None:
            raise DeviceLostError(self.server, "is not connected")
        # In a task of its own, as the client may swallow a cancellation that is meant for us.
        publishing = asyncio.create_task(
            client.publish(topic, payload, qos=1, retain=False, timeout=REQUEST_DEADLINE_S), name=f"order for {topic}"
        )
        try:
            await asyncio.wait([publishing])
            publishing.result()
        except asyncio.CancelledError:
            publishing.cancel()
            raise
        except aiomqtt.MqttError as error:
            if client is self._client:
                self._client = None
                self._life.reschedule(_now_s())
                self._wake()
            raise DeviceLostError(self.server, f"did not take an order for {topic} ({error})") from error

    async def wait(self, seen: Callable[[], T | None], deadline_s: float) -> T:
        """Wait until `seen()`, asked after every single event, returns something other than None, and return that.

        Raises
        ------
        TimeoutError
            `deadline_s` passed; and whatever `seen` raises.
        """
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def look() -> None:
            if found.done():
                return
            try:
                result = seen()
            except Exception as error:  # noqa: BLE001  # the waiter's to deal with, not the session's
                found.set_exception(error)
            else:
                if result is not None:
                    found.set_result(result)

        self._watchers.append(look)
        try:
            look()
            async with asyncio.timeout(deadline_s):
                return await found
        finally:
            self._watchers.remove(look)

    def _wake(self) -> None:
        for look in tuple(self._watchers):
            look()

    async def _supervise(self) -> None:
        """Connect, and connect again with a growing pause whenever the connection ends."""
        backoff_s = FIRST_BACKOFF_S
        while not self._is_closing:
            generation = self.generation
            try:
                await self._one_life()
            except (aiomqtt.MqttError, BrokerPasswordError, OSError, TimeoutError) as error:
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
        client = await self._new_client()
        async with asyncio.timeout(None) as self._life, _connected(client):
            for topic in self._topics:
                await self._subscribe(client, topic)
            self._client, self.generation = client, self.generation + 1
            self._wake()
            try:
                async for message in client.messages:
                    self._take(message)
            finally:
                self._client = None
                self._wake()

    async def _new_client(self) -> aiomqtt.Client:
        broker = self._broker
        password = await asyncio.to_thread(broker.password)
        return aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.user,
            password=password.get_secret_value() if password and broker.user else None,
            tls_context=await asyncio.to_thread(_tls, broker),
            timeout=REQUEST_DEADLINE_S,
            keepalive=KEEP_ALIVE_S,
            max_queued_incoming_messages=MOST_WAITING,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # small orders in a row, none to wait
        )

    @staticmethod
    async def _subscribe(client: aiomqtt.Client, topic: str) -> None:
        for granted in await client.subscribe(topic, qos=1):
            code = granted if isinstance(granted, int) else granted.value
            if code >= 128:  # noqa: PLR2004  MQTT's bit for "refused"
                raise aiomqtt.MqttError(f"it does not let this user listen to {topic}")

    def _take(self, message: aiomqtt.Message) -> None:
        try:
            self._hear(message.topic.value, message.payload, message.retain)
        except Exception:  # whatever a message does to us, the next one must still be heard
            log.exception("%s: a message on %s could not be taken", self.server, message.topic.value)
        self._wake()


@asynccontextmanager
async def _connected(client: aiomqtt.Client) -> AsyncIterator[None]:
    """Connect for the length of the block, and leave no socket open even where the broker never answered."""
    try:
        await client.__aenter__()
    except BaseException:
        client._client.disconnect()  # noqa: SLF001  # one that never got so far has no public way to be closed
        raise
    try:
        yield
    finally:
        await client.__aexit__(None, None, None)


def _tls(broker: BrokerSettings) -> ssl.SSLContext | None:
    if not broker.tls:
        return None
    return ssl.create_default_context(cafile=str(broker.ca_file) if broker.ca_file else None)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
