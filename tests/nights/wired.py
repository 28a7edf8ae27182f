"""coldframe's INDI devices, wired to the simulated INDI devices without sockets or processes, under virtual time.

The devices, the link and the mirror are coldframe's. Only the process with the INDI library, and the thread that reads
pixels, are replaced: `Library` turns XML into the same events (tests/devices/indi/test_redefinitions.py compares both).
"""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from unittest.mock import patch
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from coldframe.config.settings import Settings
from coldframe.devices.errors import DeviceTimeoutError
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Value
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.pixels.blob_channel import CONNECT_DEADLINE_S, BlobChannel, ServerAddress
from coldframe.devices.indi.pixels.blob_stream import BlobAttributes
from coldframe.devices.indi.turning.wheel import IndiFilterWheel
from coldframe.devices.rig import Rig
from coldframe.simulators.indi import rig as simulated
from coldframe.simulators.indi.device import BlobNotice, IndiDevice, Notice
from coldframe.simulators.indi.requests import GetProperties, NewVector
from coldframe.simulators.optics import Telescope

TAG = re.compile(r"(def|set)(Number|Switch|Text|Light|BLOB)Vector")
LONGEST_LABEL = 63
"""Length to which libindi cuts labels of elements."""

Event = dict[str, Any]


class Library:
    """The properties that libindi's client keeps, and the events that coldframe's process makes of its callbacks."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Event] = {}

    def take(self, message: Element) -> Iterator[Event]:
        """Yield the events of one message."""
        device, name = message.get("device", ""), message.get("name", "")
        tag = TAG.fullmatch(message.tag)
        if message.tag == "message" or message.get("message"):
            yield {"event": "message", "device": device, "text": message.get("message", "")}
        if message.tag == "delProperty":
            if self._known.pop((device, name), None) is not None:
                yield {"event": "removed", "device": device, "name": name}
        elif tag and tag[1] == "def":
            if (device, name) not in self._known and len(message):  # it ignores a second definition
                self._known[device, name] = event = _defined(message, tag[2].lower())
                yield _copy(event)
        elif tag:
            known = self._known.get((device, name))
            if known is not None and known["kind"] == tag[2].lower():
                _update(known, message)
                yield _copy(known)


def _copy(event: Event) -> Event:
    return {key: dict(value) if isinstance(value, dict) else value for key, value in event.items()}


def _defined(message: Element, kind: str) -> Event:
    event: Event = {
        "event": "property",
        "device": message.get("device", ""),
        "name": message.get("name", ""),
        "label": message.get("label", ""),
        "kind": kind,
        "readable": message.get("perm") != "wo",
        "writable": message.get("perm") != "ro" and kind != "light",
        "values": {},
        "labels": {},
        "limits": {},
    }
    for each in message:
        name = each.get("name", "")
        if kind in {"number", "switch", "text"}:
            event["values"][name] = None
            event["labels"][name] = each.get("label", "")[:LONGEST_LABEL]
        if kind == "number":
            event["limits"][name] = [float(each.get(key, "0")) for key in ("min", "max", "step")]
    _update(event, message)
    return event


def _update(event: Event, message: Element) -> None:
    event["state"] = message.get("state", "Idle").lower()
    for each in message:
        name, text = each.get("name", ""), (each.text or "").strip()
        if name in event["values"]:
            event["values"][name] = _value(event["kind"], text)


def _value(kind: str, text: str) -> float | bool | str:
    if kind == "number":
        return float(text or 0)
    return text == "On" if kind == "switch" else text


class WiredLink(IndiLink):
    """A link that receives events from a `WiredServer`."""

    def __init__(self, server: "WiredServer") -> None:
        super().__init__("127.0.0.1", 7624)
        self._wired = server

    def receive(self, event: Event) -> None:
        self._take(event)

    async def _one_life(self) -> bool:
        self._take({"event": "connected"})
        self._wired.connect(self)
        await asyncio.Event().wait()
        return True

    def _order(self, order: Mapping[str, Any]) -> None:
        if order["order"] == "send":
            asyncio.get_running_loop().call_soon(self._wired.obey, dict(order))


class WiredChannel(BlobChannel):
    """A pixel channel that receives frames from a `WiredServer`."""

    server: "WiredServer"
    is_wired = False

    async def open(self) -> Self:
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            try:
                while not self.server.defines(self.device, self.vector):
                    await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                pass
        if not self.server.defines(self.device, self.vector):
            raise DeviceTimeoutError(self.device, f"did not define its BLOB {self.vector}")
        self.is_wired, self.server.channel = True, self
        return self

    async def close(self) -> None:
        self.is_wired = False
        self.discard_arrivals()

    @property
    def is_open(self) -> bool:
        return self.is_wired

    def deliver(self, notice: BlobNotice) -> None:
        attributes = BlobAttributes(notice.device, notice.name, notice.element, notice.format, notice.file.size)
        self._decode(attributes, memoryview(bytes(notice.file.view())))


Rewrite = Callable[[Element], list[Element]]


@dataclass
class WiredServer:
    """The simulated devices of a telescope, whose messages a test may rewrite.

    Attributes
    ----------
    rewrite
        Returns what is sent in place of a message.
    intercept
        Returns whether a test, and not the device, answers an order.
    """

    telescope: Telescope
    rewrite: Rewrite = lambda message: [message]
    intercept: Callable[[NewVector], bool] = lambda _: False
    channel: WiredChannel | None = None
    devices: dict[str, IndiDevice] = field(default_factory=dict)
    _link: WiredLink | None = None
    _library: Library = field(default_factory=Library)
    _captured: list[Element] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        telescope = self.telescope
        built: list[IndiDevice] = [simulated.IndiCamera(telescope, tasks, self._publish)]
        built.append(simulated.IndiFlatPanel(telescope.panel, tasks, self._publish))
        if telescope.wheel:
            built.append(simulated.IndiFilterWheel(telescope.wheel, tasks, self._publish))
        self.devices = {device.name: device for device in built}

    def stop(self) -> None:
        for device in self.devices.values():
            device.stop()

    def connect(self, link: WiredLink) -> None:
        self._link, self._library = link, Library()
        for name in self.devices:
            self.devices[name].define(GetProperties(name, ""))

    def defines(self, device: str, name: str) -> bool:
        return bool(self.definition(device, name))

    def definition(self, device: str, name: str) -> list[Element]:
        """Return the device's own definition of a property; empty if it has no such property at present."""
        self._captured = []
        try:
            self.devices[device].define(GetProperties(device, name))
            return self._captured
        finally:
            self._captured = None

    def obey(self, order: dict[str, Any]) -> None:
        texts = {name: _written(value) for name, value in order["values"].items()}
        request = NewVector(order["device"], order["name"], texts)
        if not self.intercept(request) and request.device in self.devices:
            self.devices[request.device].change(request)

    def send(self, message: Element) -> None:
        """Send a message unchanged."""
        if self._link is not None:
            for event in self._library.take(message):
                self._link.receive(event)

    def _publish(self, notice: Notice | BlobNotice) -> None:
        if isinstance(notice, BlobNotice):
            if self.channel is not None and self.channel.is_wired:
                self.channel.deliver(notice)
            return
        message = ET.fromstring(notice.xml)  # the simulator's own
        if self._captured is not None:
            self._captured.append(message)
            return
        for each in self.rewrite(message):
            self.send(each)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "On" if value else "Off"
    return value if isinstance(value, str) else repr(value) if math.isfinite(value) else "nan"


@asynccontextmanager
async def wired_rig(settings: Settings, server: WiredServer, now: Callable[[], datetime]) -> AsyncIterator[Rig]:
    """Wire coldframe's devices to the simulated devices for the duration of the block."""
    assert settings.panel is not None
    channel = type("Channel", (WiredChannel,), {"server": server})
    async with asyncio.TaskGroup() as tasks:
        server.start(tasks)
        with patch("coldframe.devices.indi.camera.BlobChannel", channel):
            async with WiredLink(server) as link:
                camera = IndiCamera(
                    link,
                    settings.camera.device,
                    ServerAddress("127.0.0.1", 7624),
                    now,
                    readout_deadline_s=settings.camera.readout_deadline_s,
                )
                panel = IndiFlatPanel(link, settings.panel.device, settings.panel.cover_deadline_s)
                wheel = None
                if settings.wheel is not None:
                    wheel = IndiFilterWheel(
                        link, settings.wheel.device, settings.wheel.names or (), settings.wheel.turn_deadline_s
                    )
                try:
                    yield Rig(camera, panel, wheel)
                finally:
                    await camera.leave()
                    server.stop()
