"""An INDI server that serves a simulated rig to INDI clients, over TCP and a local socket.

Like indiserver, it has a local socket in Linux's abstract namespace. Over this socket, it passes BLOBs as descriptors
of memory files instead of text.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from xml.sax.saxutils import quoteattr

from coldframe.config.simulated_rig import SimulatedRig
from coldframe.errors import ColdframeError
from coldframe.simulators.indi.device import BlobNotice, IndiDevice, Notice, Publish
from coldframe.simulators.indi.requests import (
    BlobPolicy,
    EnableBlob,
    GarbledStreamError,
    GetProperties,
    NewVector,
    Ping,
    Request,
    RequestReader,
)
from coldframe.simulators.indi.rig import indi_devices

LONGEST_LAG = 512 << 20
"""Maximum number of unsent bytes; a client that lags further behind is disconnected."""
ACCEPT_PAUSE_S = 0.2

BuildDevices = Callable[[asyncio.TaskGroup, Publish], list[IndiDevice]]

_log = logging.getLogger(__name__)


class ServerStartError(ColdframeError, OSError):
    """The server cannot listen on the requested address."""


class Subscription:
    """The messages that a client receives, selected by indiserver's rules."""

    def __init__(self) -> None:
        self._everything = False
        self._wanted: set[tuple[str, str]] = set()
        self._policy = BlobPolicy.NEVER
        self._property_policies: dict[tuple[str, str], BlobPolicy] = {}

    def want(self, request: GetProperties | EnableBlob | NewVector) -> None:
        """Subscribe to the properties that a request names. Every request that names a device is a subscription."""
        if request.device:
            self._wanted.add((request.device, request.name))
        elif isinstance(request, GetProperties):
            self._everything = True

    def enable(self, request: EnableBlob) -> None:
        """Set the policy for BLOBs. It applies to all properties if the request does not name a property."""
        if request.name:
            self._property_policies[request.device, request.name] = request.policy
        else:
            self._policy = request.policy
            self._property_policies = dict.fromkeys(self._property_policies, request.policy)

    def covers(self, notice: Notice | BlobNotice) -> bool:
        """Return True if the client should receive a message."""
        key = notice.device, notice.name
        if not (self._everything or key in self._wanted or (notice.device, "") in self._wanted):
            return False
        if isinstance(notice, BlobNotice):
            return self._property_policies.get(key, self._policy) is not BlobPolicy.NEVER
        return self._policy is not BlobPolicy.ONLY


class DriverSubscription(Subscription):
    """A subscription for indiserver, which receives every message of a driver."""

    def covers(self, notice: Notice | BlobNotice) -> bool:  # noqa: ARG002  # the base class's signature
        """Return True."""
        return True


class Connection:
    """A connection to a client, or to the indiserver that started this driver.

    Parameters
    ----------
    stream
        A connected socket, which is closed when the connection ends.
    bus
        The devices and the other connections.
    subscription
        The rules that select the messages to send.
    """

    def __init__(self, stream: socket.socket, bus: "Bus", subscription: Subscription) -> None:
        self._stream = stream
        self._bus = bus
        self._subscription = subscription
        self._takes_descriptors = stream.family == socket.AF_UNIX
        self._queue: deque[bytes | BlobNotice] = deque()
        self._lag = 0
        self._filled = asyncio.Event()
        stream.setblocking(False)

    def offer(self, notice: Notice | BlobNotice) -> None:
        """Queue a message if this client should receive it, and return at once."""
        if self._subscription.covers(notice):
            if isinstance(notice, BlobNotice):
                self._put(notice, notice.file.size)
            else:
                self._put(notice.xml, len(notice.xml))

    async def run(self) -> None:
        """Serve until the client disconnects, sends invalid data, or lags too far behind."""
        writing = asyncio.create_task(self._write())
        with self._stream, self._bus.joined(self):
            try:
                await self._read()
            except (OSError, GarbledStreamError) as error:
                _log.info("closed a connection: %s", error)
            except Exception:  # noqa: BLE001  # an error in one connection must not stop the server
                _log.exception("closed a connection after an error")
            finally:
                writing.cancel()
                # Wait, because the socket must not be closed during a write that is being cancelled.
                await asyncio.wait((writing,))

    def _put(self, item: bytes | BlobNotice, size: int) -> None:
        if self._lag + size > LONGEST_LAG:
            self._drop()
            return
        self._queue.append(item)
        self._lag += size
        self._filled.set()

    def _drop(self) -> None:
        _log.warning("disconnected a client that lagged %d MiB behind", self._lag >> 20)
        self._subscription = Subscription()
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    async def _read(self) -> None:
        reader, loop = RequestReader(), asyncio.get_running_loop()
        while data := await loop.sock_recv(self._stream, 1 << 16):
            for request in reader.feed(data):
                self._serve(request)

    def _serve(self, request: Request) -> None:
        if not isinstance(request, Ping):
            self._subscription.want(request)
        match request:
            case GetProperties():
                # Only this client receives the definitions.
                self._bus.define(request, self)
            case EnableBlob():
                self._subscription.enable(request)
            case NewVector():
                self._bus.change(request)
            case Ping(uid):
                reply = f"<pingReply uid={quoteattr(uid)}/>\n".encode()
                self._put(reply, len(reply))

    async def _write(self) -> None:
        try:
            while True:
                await self._write_next()
        except OSError as error:
            # Reading continues to the end, so that the last request of a disconnected client is still executed.
            _log.debug("a client no longer receives messages: %s", error)
            self._subscription = Subscription()

    async def _write_next(self) -> None:
        loop = asyncio.get_running_loop()
        await self._filled.wait()
        item = self._queue.popleft()
        if isinstance(item, bytes):
            await loop.sock_sendall(self._stream, item)
            self._lag -= len(item)
        else:
            await self._write_blob(item)
            self._lag -= item.file.size
        if not self._queue:
            self._filled.clear()

    async def _write_blob(self, notice: BlobNotice) -> None:
        loop = asyncio.get_running_loop()
        if not self._takes_descriptors:
            await loop.sock_sendall(self._stream, await asyncio.to_thread(lambda: notice.inline))
            return
        message = notice.attached
        while True:
            try:
                sent = socket.send_fds(self._stream, [message], [notice.file.descriptor])
                break
            except BlockingIOError:
                await _writable(self._stream)
        await loop.sock_sendall(self._stream, message[sent:])


class Bus:
    """The devices and the connections to their clients.

    Parameters
    ----------
    build
        Function that builds the devices.
    tasks
        Task group for the work of the devices.
    """

    def __init__(self, build: BuildDevices, tasks: asyncio.TaskGroup) -> None:
        self._connections: list[Connection] = []
        self._asking: Connection | None = None
        self._devices = build(tasks, self._publish)

    def joined(self, connection: Connection) -> ExitStack:
        """Connect a client to the devices for the duration of a `with` block."""
        self._connections.append(connection)
        stack = ExitStack()
        stack.callback(self._connections.remove, connection)
        return stack

    def define(self, request: GetProperties, asking: Connection) -> None:
        """Make the devices define their properties on one connection."""
        self._asking = asking
        try:
            for device in self._devices:
                device.define(request)
        finally:
            self._asking = None

    def change(self, request: NewVector) -> None:
        """Pass a change request to its device."""
        for device in self._devices:
            device.change(request)

    def stop(self) -> None:
        """Cancel all work of the devices."""
        for device in self._devices:
            device.stop()

    def _publish(self, notice: Notice | BlobNotice) -> None:
        for connection in [self._asking] if self._asking else self._connections:
            connection.offer(notice)


async def serve(
    rig: SimulatedRig,
    host: str = "127.0.0.1",
    port: int = 7624,
    unix_socket: str | None = None,
    *,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve a rig to INDI clients until cancelled.

    Parameters
    ----------
    rig
        The rig to serve.
    host, port
        Address to listen on for TCP connections. Use only a loopback address, because anyone who can connect has full
        control.
    unix_socket
        Name of a local socket in the abstract namespace, such as indiserver's "/tmp/indiserver"; None for no socket.
    started
        Function to call once clients can connect.

    Raises
    ------
    ServerStartError
        If the port or the local socket is in use, or the host is not an address of this machine.
    """
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listen_tcp(host, port))]
        if unix_socket:
            listeners.append(stack.enter_context(_listen_unix(unix_socket)))
        started()
        async with asyncio.TaskGroup() as tasks:
            bus = Bus(partial(indi_devices, rig), tasks)
            for listener in listeners:
                tasks.create_task(_accept(listener, bus, tasks))


def _listen_tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        advice = "Is another INDI server running? Stop it or choose another port"
        raise ServerStartError(f"cannot listen on {host}:{port}: {error.strerror or error}. {advice}") from error


def _listen_unix(name: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind("\0" + name)
        listener.listen()
    except OSError as error:
        listener.close()
        advice = "Is another INDI server running? Stop it or choose another name"
        raise ServerStartError(f"cannot listen on local socket {name}: {error.strerror or error}. {advice}") from error
    return listener


async def _accept(listener: socket.socket, bus: Bus, tasks: asyncio.TaskGroup) -> None:
    listener.setblocking(False)
    while True:
        try:
            stream, _ = await asyncio.get_running_loop().sock_accept(listener)
        except OSError as error:  # for example, too many open files
            _log.warning("cannot accept a connection: %s", error)
            await asyncio.sleep(ACCEPT_PAUSE_S)
            continue
        if stream.family != socket.AF_UNIX:
            # Send small messages at once instead of collecting them.
            with suppress(OSError):
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tasks.create_task(Connection(stream, bus, Subscription()).run())


async def _writable(stream: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(stream, ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_writer(stream)
