"""The one place that knows the MQTT library: a connection that is there, or an error."""

import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from coldframe.capture.telemetry.outbox import Message
from coldframe.config.broker import BrokerPasswordError
from coldframe.config.mqtt import MqttSettings

log = logging.getLogger(__name__)
library_log = logging.getLogger(f"{__name__}.library")
library_log.setLevel(logging.CRITICAL)  # what it would tell is raised, too

ANSWER_S = 5.0
"""How long the broker may take for anything."""

KEEPALIVE_S = 15
"""A broker that says nothing for twice as long counts as lost; after 1.5 times as long it announces our death."""

MOST_INCOMING = 32
"""Messages that wait to be read; those beyond are dropped."""

LARGEST_INCOMING = 8192
"""Bytes; the broker is asked to keep larger messages to itself (MQTT 5)."""

# Reasons of MQTT 5, into which the library turns those of older brokers.
_UNSUPPORTED_VERSION = 132
_REFUSED = {
    134: "user name or password is wrong",
    135: "it does not let this user in",
}


class BrokerSetupError(Exception):
    """The settings of a broker name what cannot be used; one line for people."""


class BrokerLostError(Exception):
    """The broker is not there, does not answer, or does not want us; the text tells which."""


class _OldBrokerError(BrokerLostError):
    """The broker knows no MQTT 5."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that came."""

    topic: str
    payload: bytes
    is_retained: bool


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


def access(settings: MqttSettings) -> Access:
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


def _tls(settings: MqttSettings) -> ssl.SSLContext:
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

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def publish(self, message: Message, *, confirmed: bool = False) -> None:
        """Send a message: to the network, or until the broker has confirmed that it and all before it came.

        Raises
        ------
        BrokerLostError
            It was not sent in time.
        """
        try:
            await self._client.publish(
                message.topic, message.payload, qos=int(confirmed), retain=message.is_retained, timeout=ANSWER_S
            )
        except (aiomqtt.MqttError, OSError, ValueError, RuntimeError) as error:
            raise BrokerLostError(str(error)) from error

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for the messages of some topics; one that is not granted is logged.

        Raises
        ------
        BrokerLostError
            The broker did not answer.
        """
        for topic in topics:
            try:
                granted = await self._client.subscribe(topic, qos=1, timeout=ANSWER_S)
            except (aiomqtt.MqttError, OSError, ValueError, RuntimeError) as error:
                raise BrokerLostError(str(error)) from error
            if any(_code(code) >= 0x80 for code in granted):  # noqa: PLR2004  # the protocol's first failure
                log.warning("the MQTT broker grants no messages of %s: see its access rules", topic)

    async def messages(self) -> AsyncIterator[Received]:
        """Yield what comes.

        Raises
        ------
        BrokerLostError
            The connection ended.
        """
        try:
            async for message in self._client.messages:
                yield Received(str(message.topic), message.payload, message.retain)
        except (aiomqtt.MqttError, OSError) as error:
            raise BrokerLostError(str(error)) from error


@asynccontextmanager
async def connected(
    access: Access,
    *,
    name: str | None,
    will: Message | None = None,
    largest_incoming: int = LARGEST_INCOMING,
) -> AsyncIterator[Broker]:
    """Connect for the length of the block.

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

    Raises
    ------
    BrokerLostError
        There is no connection.
    """
    try:
        client = await _connect(access, name, will, largest_incoming, aiomqtt.ProtocolVersion.V5)
    except _OldBrokerError:
        client = await _connect(access, name, will, largest_incoming, aiomqtt.ProtocolVersion.V311)
    try:
        yield Broker(client)
    finally:
        with suppress(aiomqtt.MqttError, OSError, ValueError, RuntimeError):
            await client.__aexit__(None, None, None)
        _hang_up(client)


async def _connect(
    access: Access, name: str | None, will: Message | None, largest_incoming: int, version: aiomqtt.ProtocolVersion
) -> aiomqtt.Client:
    properties = None
    if version is aiomqtt.ProtocolVersion.V5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = largest_incoming
    client = aiomqtt.Client(
        access.host,
        access.port,
        username=access.user,
        password=access.password,
        identifier=name,
        protocol=version,
        will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.is_retained) if will else None,
        tls_context=access.tls,
        properties=properties,
        keepalive=KEEPALIVE_S,
        timeout=ANSWER_S,
        max_queued_incoming_messages=MOST_INCOMING,
        logger=library_log,
    )
    try:
        return await client.__aenter__()
    except aiomqtt.MqttCodeError as error:
        code = _code(error.rc)
        if version is aiomqtt.ProtocolVersion.V5 and code == _UNSUPPORTED_VERSION:
            raise _OldBrokerError(str(error)) from error
        raise BrokerLostError(_REFUSED.get(code, str(error))) from error
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        raise BrokerLostError(str(error) or type(error).__name__) from error
    finally:
        if not client._connected.done() or client._connected.exception():  # noqa: SLF001
            _hang_up(client)


def _hang_up(client: aiomqtt.Client) -> None:
    """Close the socket, which the library leaves open where an attempt failed or the broker no longer reads."""
    with suppress(Exception):
        # Else the library would wait to write to a socket that is closed by then.
        client._client.on_socket_register_write = None  # noqa: SLF001
        client._client.disconnect()  # noqa: SLF001
    with suppress(Exception):
        client._client._sock_close()  # noqa: SLF001


def _code(code: object) -> int:
    """Return the number of a reason, which the library has in several types."""
    value = getattr(code, "value", code)
    return value if isinstance(value, int) else 0
