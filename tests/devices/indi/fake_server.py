"""A scripted INDI server with one camera and one wheel, which sends only what a test requests."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import numpy as np
import pybase64

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder
from tests.patience import PATIENCE_S

CAMERA = "Fake Camera"
SHAPE = (6, 8)
REQUEST = re.compile(
    rb"<new(?P<kind>\w+)Vector(?P<head>[^>]*)>(?P<body>.*?)</new\w+Vector>"
    rb"|<getProperties(?P<get>[^>]*)/>"
    rb"|<enableBLOB(?P<blob>[^>]*)>\w+</enableBLOB>"
    rb"|<pingRequest(?P<ping>[^>]*)/>"
    rb"|<pingReply(?P<pong>[^>]*)/>",
    re.DOTALL,
)
ELEMENT = re.compile(r"<one\w+\s+name=['\"]([^'\"]*)['\"]\s*>\s*(.*?)\s*</one\w+>", re.DOTALL)

NUMBERS: dict[str, dict[str, tuple[float, float, float]]] = {
    "CCD_EXPOSURE": {"CCD_EXPOSURE_VALUE": (0.0, 3600.0, 1.0)},
    "CCD_GAIN": {"GAIN": (0.0, 100.0, 10.0)},
    "CCD_INFO": {"CCD_MAX_X": (0, 9999, SHAPE[1]), "CCD_MAX_Y": (0, 9999, SHAPE[0]), "CCD_BITSPERPIXEL": (8, 16, 16)},
    "CCD_FRAME": {
        "X": (0, SHAPE[1], 0),
        "Y": (0, SHAPE[0], 0),
        "WIDTH": (1, SHAPE[1], SHAPE[1]),
        "HEIGHT": (1, SHAPE[0], SHAPE[0]),
    },
}
SWITCHES = {
    "CONNECTION": {"CONNECT": True, "DISCONNECT": False},
    "CCD_FRAME_TYPE": {"FRAME_LIGHT": False, "FRAME_BIAS": False, "FRAME_DARK": True, "FRAME_FLAT": False},
    "CCD_ABORT_EXPOSURE": {"ABORT": False},
}
BLOB_DEFINITION = (
    f'<defBLOBVector device="{CAMERA}" name="CCD1" state="Idle" perm="ro"><defBLOB name="CCD1"/></defBLOBVector>'
)


def attribute(text: bytes, name: str) -> str:
    found = re.search(rf"\b{name}=['\"]([^'\"]*)['\"]", text.decode())
    return found.group(1) if found else ""


def define_number(name: str, elements: Mapping[str, tuple[float, float, float]], state: str = "Idle") -> str:
    """Return a `defNumberVector`. Each element has its lowest, highest and current value."""
    parts = "".join(
        f'<defNumber name="{element}" format="%g" min="{low}" max="{high}" step="1">{value}</defNumber>'
        for element, (low, high, value) in elements.items()
    )
    return f'<defNumberVector device="{CAMERA}" name="{name}" state="{state}" perm="rw">{parts}</defNumberVector>'


def define_switch(name: str, **elements: bool) -> str:
    parts = "".join(
        f'<defSwitch name="{element}" label="{element.title()}">{"On" if on else "Off"}</defSwitch>'
        for element, on in elements.items()
    )
    return (
        f'<defSwitchVector device="{CAMERA}" name="{name}" state="Ok" perm="rw" rule="OneOfMany">{parts}'
        "</defSwitchVector>"
    )


def define_text(name: str, **elements: str) -> str:
    parts = "".join(f'<defText name="{element}">{text}</defText>' for element, text in elements.items())
    return f'<defTextVector device="{CAMERA}" name="{name}" state="Ok" perm="rw">{parts}</defTextVector>'


def number(name: str, state: str, message: str = "", **values: float) -> str:
    """Return a `setNumberVector`."""
    elements = "".join(f'<oneNumber name="{element}">{value}</oneNumber>' for element, value in values.items())
    attribute = f' message="{message}"' if message else ""
    return f'<setNumberVector device="{CAMERA}" name="{name}" state="{state}"{attribute}>{elements}</setNumberVector>'


def switch(name: str, state: str, **values: bool) -> str:
    """Return a `setSwitchVector`."""
    elements = "".join(f'<oneSwitch name="{key}">{"On" if on else "Off"}</oneSwitch>' for key, on in values.items())
    return f'<setSwitchVector device="{CAMERA}" name="{name}" state="{state}">{elements}</setSwitchVector>'


def exposure(state: str, message: str = "", left_s: float = 0.0) -> str:
    return number("CCD_EXPOSURE", state, message, CCD_EXPOSURE_VALUE=left_s)


def fits_bytes(level: int = 500, shape: tuple[int, int] = SHAPE, date_obs: str = "") -> bytes:
    cards = [Card("DATE-OBS", date_obs)] if date_obs else []
    header, data = FrameEncoder().encode(np.full(shape, level, np.uint16), cards)
    return header + bytes(data)


def blob(
    content: bytes, file_format: str = ".fits", size: int | None = None, device: str = CAMERA, vector: str = "CCD1"
) -> str:
    """Return a `setBLOBVector` with base64 content."""
    announced = len(content) if size is None else size
    return (
        f'<setBLOBVector device="{device}" name="{vector}" state="Ok">'
        f'<oneBLOB name="CCD1" size="{announced}" enclen="{4 * -(-len(content) // 3)}" format="{file_format}">'
        f"{pybase64.b64encode(content).decode()}</oneBLOB></setBLOBVector>"
    )


Answer = Callable[[dict[str, str]], Awaitable[None]]


class FakeServer:
    """A scripted server with one device.

    `numbers` and `switches` are the device's properties, and `more` contains definitions of other properties. `answers`
    contains a test's answers to commands, by property.
    """

    def __init__(self) -> None:
        self.port = 0
        self.numbers = dict(NUMBERS)
        self.switches = dict(SWITCHES)
        self.more = ""
        self.answers_pings = True
        self.pings = 0
        """Number of received pings."""
        self.orders: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Answer] = {}
        self._server: asyncio.Server | None = None
        self._local: asyncio.Server | None = None
        self._control: set[asyncio.StreamWriter] = set()
        self._pixels: set[asyncio.StreamWriter] = set()
        self._pixels_read = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def listen_locally(self) -> str:
        """Listen on a local socket as well, and return its name."""
        name = f"/tmp/coldframe-fake-{os.getpid()}-{self.port}"
        self._local = await asyncio.start_unix_server(self._serve, "\0" + name)
        return name

    async def hang_up(self) -> None:
        """Stop listening and close every connection."""
        self.drop_control()
        self.drop_pixels()
        for writer in self._control | self._pixels:
            with suppress(OSError):
                await writer.wait_closed()

    def drop_control(self) -> None:
        """Stop listening and close all connections except the pixel channels."""
        assert self._server is not None
        self._server.close()
        if self._local is not None:
            self._local.close()
        for writer in self._control:
            writer.close()

    def drop_pixels(self) -> None:
        """Close the pixel channels only, as indiserver does with clients that lag."""
        for writer in self._pixels:
            writer.close()

    def send(self, *messages: str) -> None:
        for writer in self._control:
            writer.write("".join(messages).encode())

    def send_pixels(self, *messages: str) -> None:
        for writer in self._pixels:
            writer.write("".join(messages).encode())

    async def deliver(self, *messages: str) -> None:
        """Send pixels and wait until the client has read them."""
        self._pixels_read.clear()
        self.send_pixels(*messages, "<pingRequest uid='pixels'/>")
        await asyncio.wait_for(self._pixels_read.wait(), PATIENCE_S)

    def ordered(self, name: str) -> list[dict[str, str]]:
        return [values for order, values in self.orders if order == name]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._control.add(writer)
        received = b""
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                received += chunk
                end = 0
                for request in REQUEST.finditer(received):
                    end = request.end()
                    await self._answer(request, writer)
                received = received[end:]
        self._control.discard(writer)
        self._pixels.discard(writer)
        writer.close()

    async def _answer(self, request: re.Match[bytes], writer: asyncio.StreamWriter) -> None:
        if request["get"] is not None:
            wanted = attribute(request["get"], "name")
            writer.write((BLOB_DEFINITION if wanted == "CCD1" else self.definitions()).encode())
        elif request["blob"] is not None:
            self._control.discard(writer)
            self._pixels.add(writer)
        elif request["ping"] is not None:
            self.pings += 1
            if self.answers_pings:
                writer.write(f'<pingReply uid="{attribute(request["ping"], "uid")}"/>'.encode())
        elif request["pong"] is not None:
            self._pixels_read.set()
        else:
            name, values = attribute(request["head"], "name"), dict(ELEMENT.findall(request["body"].decode()))
            self.orders.append((name, values))
            if name in self.answers:
                await self.answers[name](values)
            else:
                self._obey(request["kind"].decode(), name, values)

    def definitions(self) -> str:
        numbers = [define_number(name, elements) for name, elements in self.numbers.items()]
        switches = [define_switch(name, **elements) for name, elements in self.switches.items()]
        return "".join(numbers + switches) + self.more + BLOB_DEFINITION

    def _obey(self, kind: str, name: str, values: dict[str, str]) -> None:
        if name == "CCD_EXPOSURE":
            self.send_pixels(blob(fits_bytes()))
            self.send(exposure("Busy"), exposure("Ok"))
            return
        shown = dict.fromkeys(self.switches.get(name, {}), "Off") | values
        if name == "CCD_ABORT_EXPOSURE":
            self.send(exposure("Idle"))
            shown = {"ABORT": "Off"}
        elements = "".join(f'<one{kind} name="{key}">{value}</one{kind}>' for key, value in shown.items())
        self.send(f'<set{kind}Vector device="{CAMERA}" name="{name}" state="Ok">{elements}</set{kind}Vector>')
