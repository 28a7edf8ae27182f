"""The requests of INDI clients, and an incremental reader of their stream."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from coldframe.errors import ColdframeError

LONGEST_REQUEST = 1 << 20
"""Maximum number of bytes that a client may send without completing a request. Requests need far fewer."""

_DECLARATION = re.compile(rb"<\?[^>]*\?>")


class GarbledStreamError(ColdframeError, ValueError):
    """A client's stream is not INDI, and the rest of it cannot be read."""


class BlobPolicy(StrEnum):
    """The client's policy for BLOBs."""

    NEVER = "Never"
    ALSO = "Also"
    ONLY = "Only"


@dataclass(frozen=True, slots=True)
class GetProperties:
    """A request to define properties. An empty `device` means all devices, and an empty `name` means all properties."""

    device: str
    name: str


@dataclass(frozen=True, slots=True)
class EnableBlob:
    """A request that sets the policy for BLOBs. It applies to all properties if `name` is empty."""

    device: str
    name: str
    policy: BlobPolicy


@dataclass(frozen=True, slots=True)
class NewVector:
    """A request to change a property to new values, given as text by element name."""

    device: str
    name: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ping:
    """A request to answer the ping with the given uid."""

    uid: str


Request = GetProperties | EnableBlob | NewVector | Ping


class RequestReader:
    """An incremental reader of requests from a byte stream."""

    def __init__(self) -> None:
        self._parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        # The stream is a sequence of elements without a root. The artificial root also prevents document types.
        self._parser.feed(b"<requests>")
        self._open: list[Element] = []
        self._tail = b""
        self._unfinished = 0

    def feed(self, data: bytes) -> Iterator[Request]:
        """Yield the requests that `data` completes, and skip all other elements.

        Raises
        ------
        GarbledStreamError
            If the stream is not XML, or if a request is longer than `LONGEST_REQUEST`.
        """
        self._unfinished += len(data)
        try:
            self._parser.feed(self._without_declarations(data))
            # The parser yields only these two kinds of events, and both have an element.
            for event, element in cast("Iterator[tuple[str, Element]]", self._parser.read_events()):
                yield from self._see(event, element)
        except ParseError as error:
            raise GarbledStreamError(f"the client's messages are not XML: {error}") from error
        if self._unfinished > LONGEST_REQUEST:
            raise GarbledStreamError(f"a request is longer than {LONGEST_REQUEST} bytes")

    def _without_declarations(self, data: bytes) -> bytes:
        """Remove `<?xml ...?>`, which some clients send before every message."""
        text = _DECLARATION.sub(b"", self._tail + data)
        start = text.rfind(b"<")
        # A declaration may be cut off at the end of a chunk.
        cut = start if start >= 0 and text[start : start + 2] in (b"<", b"<?") else len(text)
        self._tail = text[cut:]
        return text[:cut]

    def _see(self, event: str, element: Element) -> Iterator[Request]:
        if event == "start":
            self._open.append(element)
            return
        self._open.pop()
        if len(self._open) == 1:
            self._open[0].clear()
            self._unfinished = 0
            if (request := _request(element)) is not None:
                yield request


def _request(element: Element) -> Request | None:
    device, name = element.get("device", ""), element.get("name", "")
    match element.tag:
        case "getProperties":
            return GetProperties(device, name)
        case "enableBLOB":
            policy = (element.text or "").strip()
            return EnableBlob(device, name, BlobPolicy(policy)) if policy in set(BlobPolicy) else None
        case "newNumberVector" | "newSwitchVector" | "newTextVector" | "newBLOBVector":
            return NewVector(device, name, {each.get("name", ""): (each.text or "").strip() for each in element})
        case "pingRequest":
            return Ping(element.get("uid", ""))
        case _:
            return None
