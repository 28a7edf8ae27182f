"""The base class of all simulated INDI devices, with their connection, properties, requests and answers."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from xml.sax.saxutils import quoteattr

import pybase64

from coldframe.simulators.fits import MemoryFile
from coldframe.simulators.indi.properties import (
    Number,
    Permission,
    RefusedError,
    State,
    Switch,
    Text,
    Value,
    Vector,
    timestamp,
)
from coldframe.simulators.indi.requests import GetProperties, NewVector
from coldframe.version import __version__

MAIN_GROUP = "Main Control"
INFO_GROUP = "General Info"
OPTIONS_GROUP = "Options"


@dataclass(frozen=True, slots=True)
class Notice:
    """XML from a device. It concerns one property of the device if `name` is not empty."""

    device: str
    name: str
    xml: bytes


@dataclass(frozen=True)
class BlobNotice:
    """A BLOB in the two forms in which it can be sent."""

    device: str
    name: str
    header: str
    element: str
    format: str
    file: MemoryFile

    @property
    def attached(self) -> bytes:
        """XML to send together with the memory file's descriptor."""
        one = f'<oneBLOB {self._attributes} len="{self.file.size}" attached="true"/>'
        return f"{self.header}\n{one}\n</setBLOBVector>\n".encode()

    @cached_property
    def inline(self) -> bytes:
        """XML with the bytes in base64. Encoding takes time, but releases the interpreter lock."""
        encoded = pybase64.b64encode(self.file.view())
        # With "enclen", libindi would assume lines of 72 characters, and skip the closing tag (decision 0002).
        start = f"{self.header}\n<oneBLOB {self._attributes}>\n"
        return b"".join((start.encode(), encoded, b"\n</oneBLOB>\n</setBLOBVector>\n"))

    @property
    def _attributes(self) -> str:
        return f'name={quoteattr(self.element)} size="{self.file.size}" format="{self.format}"'


Publish = Callable[[Notice | BlobNotice], None]
Handler = Callable[[Mapping[str, Value]], None]


class IndiDevice:
    """A device on an INDI bus. Most of its properties exist only while it is connected.

    Parameters
    ----------
    name
        The device's name.
    interface
        Sum of INDI's interface bits.
    tasks
        Task group for work that takes time.
    publish
        Function to call with every message of the device.
    """

    def __init__(self, name: str, interface: int, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        self.name = name
        self._tasks = tasks
        self._publish = publish
        self._running: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Handler] = {}
        self._connected: list[Vector] = []
        states = Switch("CONNECT", label="Connect"), Switch("DISCONNECT", "On", "Disconnect")
        self._connection = Vector("CONNECTION", "Connection", MAIN_GROUP, *states, state=State.IDLE)
        period = Number("PERIOD_MS", 500, 10, 600000, 10, label="Period (ms)")
        self._polling = Vector("POLLING_PERIOD", "Polling", OPTIONS_GROUP, period, state=State.OK)
        driver_info = Vector(
            "DRIVER_INFO",
            "Driver Info",
            INFO_GROUP,
            Text("DRIVER_NAME", name, "Name"),
            Text("DRIVER_EXEC", "indi_coldframe_rig", "Exec"),
            Text("DRIVER_VERSION", __version__, "Version"),
            Text("DRIVER_INTERFACE", str(interface), "Interface"),
            permission=Permission.READ_ONLY,
            state=State.IDLE,
        )
        self._always = [self._connection, driver_info, self._polling]
        self._handlers["CONNECTION"] = self._connect

    def add(self, vector: Vector, handler: Handler | None = None) -> Vector:
        """Add a property that exists while the device is connected. The default handler stores new values."""
        self._connected.append(vector)
        if handler:
            self._handlers[vector.name] = handler
        return vector

    @property
    def connected(self) -> bool:
        """True if a client has connected the device."""
        return self._connection.selected == "CONNECT"

    @property
    def polling_s(self) -> float:
        """Period with which the device polls its hardware, in seconds."""
        return self._polling.number("PERIOD_MS") / 1000

    def define(self, request: GetProperties) -> None:
        """Define the requested properties."""
        if request.device in ("", self.name):
            for vector in self._present():
                if request.name in ("", vector.name):
                    self._send_xml(vector.name, vector.definition(self.name))

    def change(self, request: NewVector) -> None:
        """Change a property as requested, or answer with an alert and the reason."""
        if request.device != self.name:
            return
        vector = next((each for each in self._present() if each.name == request.name), None)
        if vector is None:
            self.send_message(
                f"has no property {request.name} " + ("" if self.connected else "while it is not connected")
            )
            return
        try:
            values = vector.accepted(request.values)
            self._handlers.get(vector.name, partial(self._store, vector))(values)
        except RefusedError as refusal:
            self.report(vector, State.ALERT, str(refusal))

    def report(self, vector: Vector, state: State, message: str = "") -> None:
        """Set the state of a property, and send its values."""
        vector.state = state
        self._send_xml(vector.name, vector.update(self.name, message))

    def send_message(self, message: str) -> None:
        """Send a message from the device."""
        head = f'<message device={quoteattr(self.name)} timestamp="{timestamp()}"'
        self._send_xml("", f"{head} message={quoteattr(message)}/>\n")

    def send(self, vector: Vector, element: str, file_format: str, file: MemoryFile) -> None:
        """Send a BLOB."""
        vector.state = State.OK
        self._publish(BlobNotice(self.name, vector.name, vector.header(self.name), element, file_format, file))

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run work that is cancelled when the device is disconnected."""
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def stop(self) -> None:
        """Cancel all work of the device."""
        for task in self._running:
            task.cancel()

    async def poll(self) -> None:
        """Poll the hardware repeatedly while the device is connected."""

    def _present(self) -> Iterator[Vector]:
        yield from self._always
        if self.connected:
            yield from self._connected

    def _connect(self, values: Mapping[str, Value]) -> None:
        wanted = values.get("CONNECT") == "On"
        if wanted and not self.connected:
            self._connection.select("CONNECT")
            self.report(self._connection, State.OK)
            for vector in self._connected:
                self._send_xml(vector.name, vector.definition(self.name))
            self.start(self.poll())
        elif self.connected and not wanted:
            self.stop()
            self._connection.select("DISCONNECT")
            self.report(self._connection, State.IDLE)
            for vector in self._connected:
                gone = f"<delProperty device={quoteattr(self.name)} name={quoteattr(vector.name)}"
                self._send_xml(vector.name, f'{gone} timestamp="{timestamp()}"/>\n')
        else:
            self.report(self._connection, State.OK if wanted else State.IDLE)

    def _store(self, vector: Vector, values: Mapping[str, Value]) -> None:
        if vector.kind == "Switch":
            vector.select(next((name for name, value in values.items() if value == "On"), None))
        else:
            vector.set(values)
        self.report(vector, State.OK)

    def _send_xml(self, name: str, xml: str) -> None:
        self._publish(Notice(self.name, name, xml.encode()))
