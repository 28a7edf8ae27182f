"""Connect to an MQTT broker. This is the only module that uses the MQTT library (aiomqtt).

Callers decide how often to reconnect and what to do about a refused subscription. aiomqtt may lose a cancellation that
arrives while it is waiting, as `asyncio.wait_for` does in Python 3.11. This module does not lose cancellations.
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
library_log.setLevel(logging.CRITICAL)  # the library also raises the errors that it logs

ANSWER_S = 5.0
"""Deadline for each answer from the broker."""

HANG_UP_S = 1.0
"""Deadline for disconnecting. Only a broker that no longer reads can cause a delay of this length."""

KEEP_ALIVE_S = 15
"""Keep-alive interval. A broker that is silent for twice this interval counts as lost.

The broker publishes the client's last will if the client is silent for 1.5 times this interval (MQTT 5, section
3.1.2.10).
"""

MOST_WAITING = 32
"""Maximum number of messages waiting to be read. Further messages are dropped."""

LARGEST_INCOMING = 262_144
"""Size of the largest accepted message in bytes. With MQTT 5, the client announces this limit. Larger
messages are ignored.

`MOST_WAITING` messages of this size take up 8 MB.
"""

# Reason codes of MQTT 5 (section 2.4); paho translates the return codes of MQTT 3.1.1 to these codes.
_UNSUPPORTED_VERSION = 132
_REFUSED = {
    134: "wrong user name or password",
    135: "this user is not authorized",
}
_FIRST_FAILURE = 128


class BrokerSetupError(ColdframeError):
    """A file named in the settings of a broker cannot be used. The message is one line for the user."""


class BrokerLostError(ColdframeError):
    """The broker cannot be reached, does not answer, or refuses this client. The message gives the reason."""


class PublishRefusedError(ColdframeError):
    """The broker refuses messages from this client on a topic. The message gives the reason."""


class _OldBrokerError(BrokerLostError):
    """The broker does not support MQTT 5, or closes the connection, as some old brokers do."""


class _HungUpError(aiomqtt.MqttError):
    """The broker closed the connection instead of answering. This error is raised inside aiomqtt."""


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials of a broker, with the contents of all files that its settings name.

    Attributes
    ----------
    password
        Password of the user; never printed.
    tls
        TLS settings; None for an unencrypted connection.
    """

    host: str
    port: int
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Access({self.address})"


def read_access(settings: BrokerSettings) -> Access:
    """Read the files that the settings name.

    Raises
    ------
    BrokerSetupError
        If one of the files cannot be read or has invalid contents.
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
        raise BrokerSetupError(f"{settings.ca_file}: cannot read a PEM certificate: {error}") from error
    if settings.client_certificate is not None:
        try:
            # For an encrypted key, OpenSSL would prompt on the terminal; an empty password makes it fail instead.
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
        except (OSError, ValueError) as error:
            named = settings.client_key or settings.client_certificate
            raise BrokerSetupError(
                f"{named}: cannot read a PEM certificate with its unencrypted key: {error}"
            ) from error
    return context


class Broker:
    """An open connection to a broker.

    Attributes
    ----------
    names_refusals
        True if the broker can report that it refuses a confirmed message (MQTT 5). With MQTT 3.1.1, brokers drop a
        refused message but still acknowledge it.
    """

    def __init__(self, client: aiomqtt.Client, *, names_refusals: bool, largest_incoming: int, answer_s: float) -> None:
        self.names_refusals = names_refusals
        self._client = client
        self._largest_incoming = largest_incoming
        self._answer_s = answer_s
        self._confirming = asyncio.Lock()
        self._refusal: str | None = None
        self._note_refusals()

    def _note_refusals(self) -> None:
        """Record the reason codes of the broker's acknowledgements, which aiomqtt ignores."""
        on_publish_of_library = self._client._client.on_publish  # noqa: SLF001

        def on_publish(*arguments: Any) -> None:  # noqa: ANN401  # the library's signature
            _, _, message_id, reason, _ = arguments
            # An acknowledgement may belong to an earlier message whose sender was cancelled.
            if message_id in self._client._pending_publishes and _code(reason) >= _FIRST_FAILURE:  # noqa: SLF001
                self._refusal = _REFUSED.get(_code(reason), str(reason))
            on_publish_of_library(*arguments)  # type: ignore[misc]

        self._client._client.on_publish = on_publish  # noqa: SLF001

    async def publish(self, message: Message, *, confirmed: bool = False) -> None:
        """Send a message. If `confirmed`, wait until the broker has acknowledged it and all earlier messages (QoS 1).

        Raises
        ------
        BrokerLostError
            If the message was not sent, or was not acknowledged in time.
        PublishRefusedError
            If the broker refuses the confirmed message and names the reason.
        """
        if not confirmed:
            await self._publish(message, qos=0)
            return
        async with self._confirming:
            self._refusal = None
            await self._publish(message, qos=1)
            if self._refusal is not None:
                raise PublishRefusedError(self._refusal)

    async def _publish(self, message: Message, qos: int) -> None:
        with _library_errors_translated():
            await _run_to_end(
                self._client.publish(
                    message.topic,
                    message.payload,
                    qos=qos,
                    retain=message.is_retained,
                    timeout=self._answer_s,
                )
            )

    async def subscribe(self, topics: Sequence[str]) -> list[str]:
        """Subscribe to the given topics, and return the topics that the broker refuses.

        Raises
        ------
        BrokerLostError
            If the broker does not answer.
        """
        return [topic for topic in topics if not await self._is_granted(topic)]

    async def _is_granted(self, topic: str) -> bool:
        with _library_errors_translated():
            granted = await _run_to_end(self._client.subscribe(topic, qos=1, timeout=self._answer_s))
        return all(_code(code) < _FIRST_FAILURE for code in granted)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages as they arrive.

        Raises
        ------
        BrokerLostError
            When the connection ends.
        """
        incoming = aiter(self._client.messages)
        while True:
            with _library_errors_translated():
                message = await anext(incoming)
            if len(message.payload) <= self._largest_incoming:
                yield Message(message.topic.value, message.payload, message.retain)


@asynccontextmanager
async def connect(
    access: Access,
    *,
    client_id: str | None,
    will: Message | None = None,
    largest_incoming: int = LARGEST_INCOMING,
    most_waiting: int = MOST_WAITING,
    keep_alive_s: int = KEEP_ALIVE_S,
    answer_s: float = ANSWER_S,
) -> AsyncIterator[Broker]:
    """Connect to the broker for the duration of the block. Use MQTT 5 if the broker supports it, otherwise MQTT 3.1.1.

    Parameters
    ----------
    access
        Address and credentials of the broker.
    client_id
        Identifier of this client. The broker disconnects other clients with the same identifier. If None, the broker
        chooses an identifier.
    will
        Message that the broker publishes if the connection breaks (the last will).
    largest_incoming
        Size in bytes of the largest message to receive.
    most_waiting
        Maximum number of messages waiting to be read. Further messages are dropped.
    keep_alive_s
        See `KEEP_ALIVE_S`.
    answer_s
        See `ANSWER_S`.

    Raises
    ------
    BrokerLostError
        If the connection cannot be established.
    """

    def client(version: aiomqtt.ProtocolVersion, properties: Properties | None) -> aiomqtt.Client:
        return aiomqtt.Client(
            access.host,
            access.port,
            username=access.user,
            password=access.password,
            identifier=client_id,
            protocol=version,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.is_retained) if will else None,
            tls_context=access.tls,
            properties=properties,
            keepalive=keep_alive_s,
            timeout=answer_s,
            max_queued_incoming_messages=most_waiting,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # avoid the delay of Nagle's algorithm
            logger=library_log,
        )

    # Each attempt needs a new client, because an aiomqtt client cannot be reused after a timeout.
    size_limit = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    size_limit.MaximumPacketSize = largest_incoming
    is_version_5 = True
    try:
        open_client = await _open(client(aiomqtt.ProtocolVersion.V5, size_limit))
    except _OldBrokerError:
        is_version_5 = False
        open_client = await _open(client(aiomqtt.ProtocolVersion.V311, None))
    try:
        yield Broker(open_client, names_refusals=is_version_5, largest_incoming=largest_incoming, answer_s=answer_s)
    finally:
        open_client.timeout = HANG_UP_S
        try:
            with suppress(BrokerLostError), _library_errors_translated():
                await _run_to_end(open_client.__aexit__(None, None, None))
        finally:
            _close_socket(open_client)


async def _open(client: aiomqtt.Client) -> aiomqtt.Client:
    """Connect the client. If connecting fails, close its socket."""
    _fail_on_hang_up(client)
    try:
        with _library_errors_translated():
            return await _run_to_end(client.__aenter__())
    except BaseException:
        _close_socket(client)
        raise


def _fail_on_hang_up(client: aiomqtt.Client) -> None:
    """Make connecting fail as soon as the broker hangs up, because aiomqtt would wait until its deadline."""
    on_disconnect_of_library = client._client.on_disconnect  # noqa: SLF001

    def on_disconnect(*arguments: Any) -> None:  # noqa: ANN401  # the library's signature
        answer = client._connected  # noqa: SLF001
        if not answer.done():
            answer.set_exception(_HungUpError("the broker hung up without an answer"))
        if not answer.cancelled():  # aiomqtt reads the exception of `answer`, which fails if `answer` is cancelled
            on_disconnect_of_library(*arguments)  # type: ignore[misc]

    client._client.on_disconnect = on_disconnect  # noqa: SLF001


def _close_socket(client: aiomqtt.Client) -> None:
    """Close the socket, which aiomqtt leaves open after a failed attempt or when the broker no longer reads."""
    with suppress(Exception):
        # Otherwise aiomqtt would register a writer for the socket after the socket is closed.
        client._client.on_socket_register_write = None  # noqa: SLF001
        client._client.disconnect()  # noqa: SLF001
    with suppress(Exception):
        client._client._sock_close()  # noqa: SLF001


@contextmanager
def _library_errors_translated() -> Iterator[None]:
    """Translate the exceptions of aiomqtt into `BrokerLostError`."""
    try:
        yield
    except _HungUpError as error:  # some old brokers hang up on MQTT 5
        raise _OldBrokerError(str(error)) from error
    except aiomqtt.MqttCodeError as error:
        code = _code(error.rc)
        if code == _UNSUPPORTED_VERSION:
            raise _OldBrokerError(str(error)) from error
        raise BrokerLostError(_REFUSED.get(code, str(error))) from error
    except (aiomqtt.MqttError, OSError, ValueError, RuntimeError) as error:
        raise BrokerLostError(str(error) or type(error).__name__) from error


async def _run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of aiomqtt in a separate task, because aiomqtt may swallow the caller's cancellation."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieve the exception, so that asyncio does not log it
        raise
    try:
        return task.result()
    finally:
        # The task's exception refers to this stack frame. Deleting `task` breaks this reference cycle, which would
        # keep sockets alive that aiomqtt left open.
        del task


def _code(code: object) -> int:
    """Return a reason code as a number. aiomqtt uses several types for reason codes."""
    value = getattr(code, "value", code)
    return value if isinstance(value, int) else 0
