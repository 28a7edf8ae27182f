"""A second connection to the INDI server, for the BLOBs of one camera only.

A thread reads, decodes and parses the BLOBs, so that neither 50 MB of base64 nor a damaged BLOB can delay the event
loop. If the server runs on the same machine, a Unix socket passes memory files instead of text. indiserver disconnects
clients that lag too far behind (128 MB by default), so the thread does no other work.
"""

import asyncio
import logging
import mmap
import os
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.frame_file import parse
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.keywords import DRIVERS_WORDS
from coldframe.calibration.files.raw_file import SUFFIXES
from coldframe.calibration.files.raws.frames import read_delivered
from coldframe.devices.camera import RawFile, StrayFrame
from coldframe.devices.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    FrameDamagedError,
    NotSupportedError,
)
from coldframe.devices.indi.pixels.blob_stream import (
    AttachedBlob,
    BlobAttributes,
    BlobDefined,
    BlobStream,
    BlobStreamError,
    InlineBlob,
    Ping,
    StreamEvent,
    SwitchesSet,
)
from coldframe.devices.indi.pixels.local_sockets import local_sockets
from coldframe.errors import MissingPackageError

log = logging.getLogger(__name__)

CONNECT_DEADLINE_S = 5.0
CHUNK_BYTES = 1 << 20
WITNESS = "CCD_FRAME_TYPE"
"""Switch vector whose change shows that two connections lead to the same device. Every camera has it."""

MOST_DESCRIPTORS = 16
MOST_ARRIVALS = 2
LONGEST_FORMAT = 20
"""Maximum number of characters that a message quotes from a BLOB's format; a faulty server may send more."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The address of an INDI server.

    Attributes
    ----------
    unix_socket
        Path of a local socket in Linux's abstract namespace. This socket, and those in the command lines of running
        servers, are tried before TCP. None if no local socket is to be tried, as for a server on a different machine.
    """

    host: str
    port: int
    unix_socket: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded BLOB: uint16 pixels of shape (height, width), the header and, for a camera raw, the complete file."""

    pixels: NDArray[np.uint16]
    header: dict[str, HeaderValue]
    received_at_s: float
    raw: RawFile | None = None

    def named_header(self, device: str, sensor_c: float | None) -> dict[str, HeaderValue]:
        """Return the header, omitting CCD-TEMP if the sensor's temperature is unknown.

        In a camera raw, INSTRUME contains the name that the camera writes into lights, too. It is kept, and the
        driver's name for the camera is added in another card.
        """
        is_named = self.raw is not None and "INSTRUME" in self.header
        kept = {key: value for key, value in self.header.items() if key != "CCD-TEMP" or sensor_c is not None}
        return kept | ({DRIVERS_WORDS["INSTRUME"]: device} if is_named else {})

    @property
    def sensor_c(self) -> float | None:
        """Sensor temperature in the header, in degrees Celsius; None if missing."""
        value = self.header.get("CCD-TEMP")
        return None if isinstance(value, bool | str) or value is None else float(value)


class BlobChannel:
    """A receiver for the BLOBs of one device.

    Parameters
    ----------
    server
        Address to connect to.
    device, vector
        Names of the device and of its BLOB vector, such as "CCD1".
    largest_blob_bytes
        Size of the largest BLOB that the camera can send.
    set_aside
        Function to call with every delivery that cannot be decoded or was not requested.
    touch
        Function that makes the device send the switch vector `WITNESS`, by a command over the control connection. If
        the vector arrives here, a local socket leads to the same device, not to a device of the same name on a
        different server.
    on_arrival
        Function to call after `has_arrival` has become true.
    """

    def __init__(
        self,
        server: ServerAddress,
        device: str,
        vector: str,
        largest_blob_bytes: int,
        *,
        set_aside: Callable[[StrayFrame], None],
        touch: Callable[[], Awaitable[None]],
        on_arrival: Callable[[], None],
    ) -> None:
        self.device = device
        self.vector = vector
        self._server = server
        self._largest_blob_bytes = largest_blob_bytes
        self._set_aside = set_aside
        self._on_arrival = on_arrival
        self._arrivals: asyncio.Queue[Image | Exception] = asyncio.Queue(MOST_ARRIVALS)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._loop = asyncio.get_running_loop()
        self._touch = touch
        self._defined = asyncio.Event()
        self._witnessed = asyncio.Event()
        self._lost: DeviceLostError | None = None
        self.transport = ""
        """The transport of the pixels: "unix socket" or "TCP"."""

    async def open(self) -> Self:
        """Connect, request BLOBs, and wait until the device has defined its BLOB vector.

        Raises
        ------
        DeviceLostError
            If the server does not answer.
        DeviceTimeoutError
            If the device does not define its BLOB vector.
        """
        problem: Exception | None = None
        for path in (*await self._local_sockets(), None):
            self._lost = None
            self.transport = "TCP" if path is None else "unix socket"
            try:
                self._socket = await asyncio.to_thread(self._connect, path)
                await self._subscribe()
                if path is not None:
                    await self._require_same_device(path)
                self._request_blobs()
            except (OSError, DeviceError) as error:
                problem = error
                await self.close()
            else:
                return self
        if isinstance(problem, DeviceTimeoutError):
            raise problem
        raise DeviceLostError(self.device, f"no pixel channel to {self._server.host}:{self._server.port} ({problem})")

    async def _local_sockets(self) -> tuple[str, ...]:
        if not self._server.unix_socket:
            return ()
        found = await asyncio.to_thread(local_sockets, self._server.port)
        return tuple(dict.fromkeys((self._server.unix_socket, *found)))

    def _connect(self, path: str | None) -> socket.socket:
        return self._connect_tcp() if path is None else self._connect_unix(path)

    async def _require_same_device(self, path: str) -> None:
        """Check that a change commanded over the control connection arrives on this connection.

        Raises
        ------
        DeviceError
            If the change does not arrive, or the command fails.
        """
        self._witnessed.clear()
        try:
            await self._touch()
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await self._witnessed.wait()
        except TimeoutError:
            what = f"the local socket {path} belongs to a different server, which has a device of the same name"
            log.warning("%s: %s; frames arrive over another connection", self.device, what)
            raise DeviceLostError(self.device, what) from None

    def _connect_tcp(self) -> socket.socket:
        connection = socket.create_connection((self._server.host, self._server.port), CONNECT_DEADLINE_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    @staticmethod
    def _connect_unix(path: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_DEADLINE_S)
        try:
            connection.connect("\0" + path)
        except OSError:
            connection.close()
            raise
        return connection

    async def _subscribe(self) -> None:
        assert self._socket is not None
        device, vector = quoteattr(self.device), quoteattr(self.vector)
        self._socket.settimeout(None)
        self._defined.clear()
        for name in (quoteattr(WITNESS), vector):
            self._socket.sendall(f"<getProperties version='1.7' device={device} name={name}/>\n".encode())
        self._thread = threading.Thread(target=self._read, args=(self._socket,), name="INDI pixels", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await self._defined.wait()
        except TimeoutError:
            raise DeviceTimeoutError(
                self.device, f"did not define its BLOB {self.vector} within {CONNECT_DEADLINE_S:g} s"
            ) from None

    def _request_blobs(self) -> None:
        assert self._socket is not None
        device, vector = quoteattr(self.device), quoteattr(self.vector)
        # This request must be the last one: after it, the server sends only BLOBs and no definitions.
        self._socket.sendall(f"<enableBLOB device={device} name={vector}>Only</enableBLOB>\n".encode())

    async def close(self) -> None:
        """Disconnect, and wait until the thread has ended."""
        connection, self._socket = self._socket, None
        thread, self._thread = self._thread, None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            if thread is not None:
                await asyncio.to_thread(thread.join)
            connection.close()
            self.discard_arrivals()

    @property
    def is_open(self) -> bool:
        """True while pixels can arrive."""
        return self._socket is not None and self._lost is None

    @property
    def has_arrival(self) -> bool:
        """True if `next_image` has something to return or to raise."""
        return self._lost is not None or not self._arrivals.empty()

    def discard_arrivals(self) -> None:
        """Set aside all arrivals, because they are late or belong to another client."""
        while not self._arrivals.empty():
            self._discard_oldest()

    def _discard_oldest(self) -> None:
        arrival = self._arrivals.get_nowait()
        if isinstance(arrival, Image):
            reason = "arrived unexpectedly, either late or for a different program"
            self._set_aside(StrayFrame(self.device, reason, arrival.raw or arrival.pixels, arrival.header))
        else:
            log.debug("%s: ignored an unexpected arrival: %s", self.device, arrival)

    async def next_image(self) -> Image:
        """Wait for the next image.

        Raises
        ------
        FrameDamagedError
            If the BLOB that arrives is not an image.
        DeviceLostError
            If the connection breaks.
        """
        if self._lost is not None and self._arrivals.empty():
            raise self._lost
        arrival = await self._arrivals.get()
        if isinstance(arrival, Exception):
            raise arrival
        return arrival

    def _lose(self, error: DeviceLostError) -> None:
        self._lost = error
        self._keep(error)

    def _keep(self, arrival: Image | Exception) -> None:
        """Queue an arrival. If the queue is full, set aside the oldest, so that no client can fill the memory."""
        if self._arrivals.full():
            self._discard_oldest()
        self._arrivals.put_nowait(arrival)
        self._on_arrival()

    # ---- in the thread ----

    def _read(self, connection: socket.socket) -> None:
        stream = BlobStream(self._largest_blob_bytes)
        descriptors: deque[int] = deque()
        try:
            for chunk in self._chunks(connection, descriptors):
                for event in stream.feed(chunk):
                    self._handle(event, connection, descriptors)
            self._call_loop(
                self._lose,
                DeviceLostError(
                    self.device,
                    "the server closed the pixel channel",
                    "If indiserver is still running, it may have disconnected a slow client. Restart it with -m 1024.",
                ),
            )
        except (OSError, BlobStreamError) as error:
            self._call_loop(self._lose, DeviceLostError(self.device, f"the pixel channel broke: {error}"))
        except Exception as error:  # an uncaught error in the thread would leave the camera waiting
            log.exception("%s: the pixel channel failed", self.device)
            self._call_loop(self._lose, DeviceLostError(self.device, f"the pixel channel failed: {error!r}"))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    @staticmethod
    def _chunks(connection: socket.socket, descriptors: deque[int]) -> Iterator[bytes]:
        if connection.family != socket.AF_UNIX:
            while chunk := connection.recv(CHUNK_BYTES):
                yield chunk
            return
        while True:
            chunk, received, _, _ = socket.recv_fds(connection, CHUNK_BYTES, MOST_DESCRIPTORS)
            descriptors.extend(received)
            if not chunk:
                return
            yield chunk

    def _handle(self, event: StreamEvent, connection: socket.socket, descriptors: deque[int]) -> None:
        match event:
            case BlobDefined(device=self.device, vector=self.vector):
                self._call_loop(self._defined.set)
            case SwitchesSet(device=self.device, vector=str(vector)) if vector == WITNESS:
                self._call_loop(self._witnessed.set)
            case BlobDefined() | SwitchesSet():
                pass
            case Ping(uid):
                connection.sendall(f"<pingReply uid={quoteattr(uid)}/>\n".encode())
            case InlineBlob(attributes, data, fault):
                if not self._is_ours(attributes) or _is_announcement(attributes):
                    pass
                elif fault:
                    self._damaged(f"the frame's BLOB {fault}", data)
                else:
                    self._decode(attributes, data)
            case AttachedBlob(attributes):
                if not descriptors:
                    raise BlobStreamError("a BLOB's memory file is missing")
                self._decode_attached(attributes, descriptors.popleft())

    def _decode_attached(self, attributes: BlobAttributes, descriptor: int) -> None:
        try:
            if not self._is_ours(attributes) or _is_announcement(attributes):
                return
            held = os.fstat(descriptor).st_size
            if held < attributes.size or attributes.size == 0:
                there = os.pread(descriptor, min(held, attributes.size), 0)
                self._damaged(f"the frame has {held} of {attributes.size} bytes", memoryview(there))
                return
            flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
            with mmap.mmap(descriptor, attributes.size, flags=flags, prot=mmap.PROT_READ) as mapped:
                view = memoryview(mapped)
                try:
                    self._decode(attributes, view)
                finally:
                    view.release()
        finally:
            os.close(descriptor)

    def _is_ours(self, attributes: BlobAttributes) -> bool:
        return attributes.device == self.device and attributes.vector == self.vector

    def _decode(self, attributes: BlobAttributes, data: memoryview) -> None:
        if attributes.format.lower() in SUFFIXES:
            self._decode_raw(RawFile(attributes.format.lower(), bytes(data)))
            return
        if attributes.format != ".fits":
            shown = attributes.format[:LONGEST_FORMAT]
            self._damaged(f"sent a frame of format {shown!r} instead of uncompressed FITS or a camera raw", data)
            return
        try:
            pixels, header = parse(data)
        except FrameFileError as error:
            self._damaged(f"sent a frame that cannot be read: {error}", data)
        else:
            self._call_loop(self._keep, Image(pixels, header, self._loop.time()))

    def _decode_raw(self, raw: RawFile) -> None:
        try:
            pixels, header = read_delivered(raw.content, raw.suffix)
        except FrameFileError as error:
            self._damaged(f"sent a camera raw that cannot be read: {error.what}", raw)
        except MissingPackageError as error:
            self._call_loop(self._set_aside, StrayFrame(self.device, str(error), raw))
            self._call_loop(self._keep, NotSupportedError(self.device, f"sent a camera raw, and {error}"))
        else:
            self._call_loop(self._keep, Image(pixels, header, self._loop.time(), raw))

    def _damaged(self, what: str, data: memoryview | RawFile) -> None:
        """Set aside a damaged BLOB as it was received, and raise an error in the task that is waiting for it."""
        content = bytes(data) if isinstance(data, memoryview) else data
        self._call_loop(self._set_aside, StrayFrame(self.device, what, content))
        self._call_loop(self._keep, FrameDamagedError(self.device, what))

    def _call_loop(self, *call: object) -> None:
        # The loop may already be closed if the program ends while a frame is arriving.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(*call)  # type: ignore[arg-type]  # a callback and its arguments


def _is_announcement(attributes: BlobAttributes) -> bool:
    """Return True for an empty BLOB without a format, which some drivers send before a frame (indigo#357)."""
    return attributes.size == 0 and not attributes.format
