"""The one place that knows the MQTT library: a connection that is there, or an error.

How long to try again, and what to do with what is refused, is for those who connect to decide.
A cancellation that comes while the library waits may get lost in it (Python 3.11's `wait_for`); none gets lost here.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from coldframe.config.tables.broker import BrokerPasswordError, BrokerSettings
from coldframe.devices.mqtt.message import Message
from coldframe.errors import ColdframeError

T = TypeVar("T")

library_log = logging.getLogger(f"{__name__}.library")
library_log.setLevel(logging.CRITICAL)  # what it would tell is raised, too

ANSWER_S = 5.0
"""How long the broker may take for anything."""

HANG_UP_S = 1.0
"""How long the farewell may take: only a broker that no longer reads holds it up."""

KEEP_ALIVE_S = 15
"""A broker that says nothing for twice as long counts as lost; after 1.5 times as long it announces our death."""

MOST_WAITING = 32
"""Messages that wait to be read; those beyond are dropped."""

LARGEST_INCOMING = 8192
"""Bytes; the broker is asked to keep larger messages to itself (MQTT 5), and if it does not, they are passed over."""

# Reasons of MQTT 5, into which the library turns those of older brokers.
_UNSUPPORTED_VERSION = 132
_REFUSED = {
    134: "user name or password is wrong",
    135: "it does not let this user in",
}
_FIRST_FAILURE = 128


class BrokerSetupError(ColdframeError):
    """The settings of a broker name what cannot be used; one line for people."""


class BrokerLostError(ColdframeError):
    """The broker is not there, does not answer, or does not want us; the text tells which."""


class _OldBrokerError(BrokerLostError):
    """The broker knows no MQTT 5, or looks like it."""


class _HungUpError(aiomqtt.MqttError):
    """Raised within the library where the broker hangs up instead of answering."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a broker is reached, with everything read that stands in files.

    Attributes
    ----------
    password
        Never printed.
    tls
        None: unencrypted.
    """

    host: str
    port: int
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None

    @property
    def address(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Access({self.address})"


def access(settings: BrokerSettings) -> Access:
    """Read the files that the settings name.

    Raises
    ------
    BrokerSetupError
        One of them cannot be read, or is not what it should be.
    """
    try:
        password = settings.password()
    except BrokerPasswordError as error:
        raise BrokerSetupError(str(error)) from error
    secret = password.get_secret_value() if password and settings.user else None
    return Access(settings.host, settings.port, settings.user, secret, _tls(settings) if settings.tls else None)


def _tls(settings: BrokerSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ValueError) as error:
        raise BrokerSetupError(f"{settings.ca_file}: no certificate in PEM that can be read: {error}") from error
    if settings.client_certificate is not None:
        try:
            # Without a terminal nobody can type the password of a key, so an empty one is given: it is refused.
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
        except (OSError, ValueError) as error:
            named = settings.client_key or settings.client_certificate
            raise BrokerSetupError(f"{named}: no certificate with its key in PEM, without password: {error}") from error
    return context


class Broker:
    """An open connection."""

    def __init__(self, client: aiomqtt.Client, largest_incoming: int) -> None:
        self._client = client
        self._largest_incoming = largest_incoming

    async def publish(self, message: Message, *, confirmed: bool = False) -> None:
        """Send a message: to the network, or until the broker has confirmed that it and all before it came.

        Raises
        ------
        BrokerLostError
            It was not sent in time.
        """
        with _trouble_told():
            await _done(
                self._client.publish(
                    message.topic, message.payload, qos=int(confirmed), retain=message.is_retained, timeout=ANSWER_S
                )
            )

    async def subscribe(self, topics: Sequence[str]) -> list[str]:
        """Ask for the messages of some topics, and return those that are not granted.

        Raises
        ------
        BrokerLostError
            The broker did not answer.
        """
        return [topic for topic in topics if not await self._is_granted(topic)]

    async def _is_granted(self, topic: str) -> bool:
        with _trouble_told():
            granted = await _done(self._client.subscribe(topic, qos=1, timeout=ANSWER_S))
        return all(_code(code) < _FIRST_FAILURE for code in granted)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what comes.

        Raises
        ------
        BrokerLostError
            The connection ended.
        """
        incoming = aiter(self._client.messages)
        while True:
            with _trouble_told():
                message = await anext(incoming)
            if len(message.payload) <= self._largest_incoming:
                yield Message(message.topic.value, message.payload, message.retain)


@asynccontextmanager
async def connected(
    access: Access,
    *,
    name: str | None,
    will: Message | None = None,
    largest_incoming: int = LARGEST_INCOMING,
    most_waiting: int = MOST_WAITING,
    keep_alive_s: int = KEEP_ALIVE_S,
) -> AsyncIterator[Broker]:
    """Connect for the length of the block: over MQTT 5, or 3.1.1 where the broker knows no other.

    Parameters
    ----------
    access
        Where to.
    name
        Of this client: the broker ends another connection of the same name. None lets the broker choose.
    will
        What the broker publishes should the connection break.
    largest_incoming
        Bytes of the largest message that is wanted.
    most_waiting
        Messages that wait to be read; those beyond are dropped.
    keep_alive_s
        See `KEEP_ALIVE_S`.

    Raises
    ------
    BrokerLostError
        There is no connection.
    """

    def client(version: aiomqtt.ProtocolVersion, properties: Properties | None) -> aiomqtt.Client:
        return aiomqtt.Client(
            access.host,
            access.port,
            username=access.user,
            password=access.password,
            identifier=name,
            protocol=version,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.is_retained) if will else None,
            tls_context=access.tls,
            properties=properties,
            keepalive=keep_alive_s,
            timeout=ANSWER_S,
            max_queued_incoming_messages=most_waiting,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # small messages in a row, none to wait
            logger=library_log,
        )

    wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    wishes.MaximumPacketSize = largest_incoming
    try:
        open_client = await _opened(client(aiomqtt.ProtocolVersion.V5, wishes))
    except _OldBrokerError:
        open_client = await _opened(client(aiomqtt.ProtocolVersion.V311, None))
    try:
        yield Broker(open_client, largest_incoming)
    finally:
        open_client.timeout = HANG_UP_S
        try:
            with suppress(BrokerLostError), _trouble_told():
                await _done(open_client.__aexit__(None, None, None))
        finally:
            _hang_up(open_client)


async def _opened(client: aiomqtt.Client) -> aiomqtt.Client:
    """Connect, and leave no socket open where that fails."""
    _notice_hanging_up(client)
    try:
        with _trouble_told():
            return await _done(client.__aenter__())
    except BaseException:
        _hang_up(client)
        raise


def _notice_hanging_up(client: aiomqtt.Client) -> None:
    """Notice at once where the broker hangs up instead of answering; the library would go on waiting."""
    of_library = client._client.on_disconnect  # noqa: SLF001

    def on_disconnect(*told: Any) -> None:  # noqa: ANN401  # the library's
        answer = client._connected  # noqa: SLF001
        if not answer.done():
            answer.set_exception(_HungUpError("it hung up without an answer"))
        if not answer.cancelled():  # on which the library would stumble
            of_library(*told)  # type: ignore[misc]

    client._client.on_disconnect = on_disconnect  # noqa: SLF001


def _hang_up(client: aiomqtt.Client) -> None:
    """Close the socket, which the library leaves open where an attempt failed or the broker no longer reads."""
    with suppress(Exception):
        # Else the library would wait to write to a socket that is closed by then.
        client._client.on_socket_register_write = None  # noqa: SLF001
        client._client.disconnect()  # noqa: SLF001
    with suppress(Exception):
        client._client._sock_close()  # noqa: SLF001


@contextmanager
def _trouble_told() -> Iterator[None]:
    """Turn what the library raises into errors of ours."""
    try:
        yield
    except _HungUpError as error:  # as some old brokers do where they are spoken to in MQTT 5
        raise _OldBrokerError(str(error)) from error
    except aiomqtt.MqttCodeError as error:
        code = _code(error.rc)
        if code == _UNSUPPORTED_VERSION:
            raise _OldBrokerError(str(error)) from error
        raise BrokerLostError(_REFUSED.get(code, str(error))) from error
    except (aiomqtt.MqttError, OSError, ValueError, RuntimeError) as error:
        raise BrokerLostError(str(error) or type(error).__name__) from error


async def _done(work: Coroutine[Any, Any, T]) -> T:
    """Do what the library does, in a task of its own: it may swallow a cancellation that is meant for us."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen, so that nobody complains of it
        raise
    try:
        return task.result()
    finally:
        del task  # its error knows this frame: a socket that the library has left there would stay open


def _code(code: object) -> int:
    """Return the number of a reason, which the library has in several types."""
    value = getattr(code, "value", code)
    return value if isinstance(value, int) else 0
