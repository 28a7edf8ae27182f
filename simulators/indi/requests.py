"""What INDI clients send, read from their stream piece by piece."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from coldframe.errors import ColdframeError

LONGEST_REQUEST = 1 << 20
"""Bytes that a client may send without finishing a request: far more than any request needs."""

_DECLARATION = re.compile(rb"<\?[^>]*\?>")


class GarbledStreamError(ColdframeError, ValueError):
    """A client's stream is not INDI; it cannot be read any further."""


class BlobPolicy(StrEnum):
    """What a client wants of BLOBs."""

    NEVER = "Never"
    ALSO = "Also"
    ONLY = "Only"


@dataclass(frozen=True, slots=True)
class GetProperties:
    """Define your properties (all devices' where `device` is empty, all of the device's where `name` is)."""

    device: str
    name: str


@dataclass(frozen=True, slots=True)
class EnableBlob:
    """Send BLOBs, or do not (for all of the client's properties where `name` is empty)."""

    device: str
    name: str
    policy: BlobPolicy


@dataclass(frozen=True, slots=True)
class NewVector:
    """Change a property: texts by element name."""

    device: str
    name: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with this uid."""

    uid: str


Request = GetProperties | EnableBlob | NewVector | Ping


class RequestReader:
    """Makes requests of a byte stream."""

    def __init__(self) -> None:
        self._parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        # The stream is a sequence of elements without a root. Under one of ours nobody can declare a document type.
        self._parser.feed(b"<requests>")
        self._open: list[Element] = []
        self._tail = b""
        self._unfinished = 0

    def feed(self, data: bytes) -> Iterator[Request]:
        """Yield the requests that `data` completes; elements that are none are skipped.

        Raises
        ------
        GarbledStreamError
            If the stream is not XML, or a request grows beyond all bounds.
        """
        self._unfinished += len(data)
        try:
            self._parser.feed(self._without_declarations(data))
            # Only these two kinds of event were asked for, and both carry an element.
            for event, element in cast("Iterator[tuple[str, Element]]", self._parser.read_events()):
                yield from self._see(event, element)
        except ParseError as error:
            raise GarbledStreamError(f"not XML: {error}") from error
        if self._unfinished > LONGEST_REQUEST:
            raise GarbledStreamError(f"a request of more than {LONGEST_REQUEST} bytes")

    def _without_declarations(self, data: bytes) -> bytes:
        """Leave out `<?xml ...?>`, which some clients put before every message."""
        text = _DECLARATION.sub(b"", self._tail + data)
        start = text.rfind(b"<")
        # The end of a piece may cut a declaration in two.
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
