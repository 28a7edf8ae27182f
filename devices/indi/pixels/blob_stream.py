"""An incremental parser that finds BLOBs in the bytes of an INDI connection. It does no I/O.

It parses only BLOBs, their definitions, changes to switches, and pings, and skips everything else. Its memory use is
bounded for any input.
"""

import re
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

import numpy as np
import pybase64

from coldframe.errors import ColdframeError

# The quantifiers are possessive, so that a hostile tag cannot cause backtracking.
TAG = re.compile(rb"<(/?)([A-Za-z][\w:.-]*+)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>", re.DOTALL)
ATTRIBUTE = re.compile(rb"(?<![\w:.-])([\w:.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
SPACES = b"\n\r\t "
LONGEST_TAG_BYTES = 16 * 1024


class BlobStreamError(ColdframeError):
    """The rest of the stream cannot be parsed; a new connection is needed."""


@dataclass(frozen=True, slots=True)
class BlobAttributes:
    """The device, vector, element, format (such as ".fits") and decoded size in bytes of a BLOB."""

    device: str
    vector: str
    element: str
    format: str
    size: int


@dataclass(frozen=True, slots=True)
class BlobDefined:
    """The device has defined a BLOB vector."""

    device: str
    vector: str


@dataclass(frozen=True, slots=True)
class SwitchesSet:
    """The device has sent new values of a switch vector."""

    device: str
    vector: str


@dataclass(frozen=True, slots=True)
class InlineBlob:
    """A decoded BLOB that arrived as base64 in the stream.

    `fault` describes what is wrong with the BLOB; it is empty for a good BLOB. The next BLOB overwrites the buffer of
    `data`.
    """

    attributes: BlobAttributes
    data: memoryview
    fault: str


@dataclass(frozen=True, slots=True)
class AttachedBlob:
    """A BLOB whose bytes are in a memory file. The file's descriptor arrived as ancillary data on the socket."""

    attributes: BlobAttributes


@dataclass(frozen=True, slots=True)
class Ping:
    """A request from the server for a `pingReply` with this uid."""

    uid: str


StreamEvent = BlobDefined | SwitchesSet | InlineBlob | AttachedBlob | Ping


class _Base64Payload:
    """An incremental base64 decoder that never holds the interpreter lock for long."""

    def __init__(self, attributes: BlobAttributes, room: memoryview) -> None:
        self.attributes = attributes
        self._data = room
        self._filled = 0
        self._remainder = b""
        self._padded = False
        self._fault = ""

    def take(self, text: bytes) -> None:
        if self._fault:
            return
        if any(space in text for space in SPACES):  # checked first, because `translate` is slow
            text = text.translate(None, SPACES)
        text = self._remainder + text
        whole = len(text) - len(text) % 4
        self._remainder = text[whole:]
        if self._padded and text:
            self._fault = "continues after its padding"
            return
        self._padded = text.endswith(b"=", 0, whole)
        try:
            decoded = pybase64.b64decode(memoryview(text)[:whole], validate=True)
        except Base64Error as error:
            self._fault = f"is not base64 ({error})"
            return
        end = self._filled + len(decoded)
        if end > len(self._data):
            self._fault = f"is longer than the {len(self._data)} bytes that it announced"
            return
        self._data[self._filled : end] = decoded
        self._filled = end

    def finish(self) -> InlineBlob:
        if not self._fault and (self._filled < len(self._data) or self._remainder):
            self._fault = f"ends after {self._filled} of {len(self._data)} bytes"
        return InlineBlob(self.attributes, self._data[: self._filled], self._fault)


class BlobStream:
    """An incremental parser for one connection.

    Parameters
    ----------
    largest_blob_bytes
        Size of the largest decoded BLOB that is accepted.
    """

    def __init__(self, largest_blob_bytes: int) -> None:
        self.largest_blob_bytes = largest_blob_bytes
        self._tag = bytearray()
        self._payload: _Base64Payload | None = None
        self._room = memoryview(bytearray())
        self._device = self._vector = ""

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Parse a chunk of received bytes, and yield the events that it completes.

        Raises
        ------
        BlobStreamError
            If a tag or a BLOB is too long.
        """
        position = 0
        while position < len(chunk):
            if self._payload is not None:
                end = chunk.find(b"<", position)
                stop = len(chunk) if end < 0 else end
                self._payload.take(chunk[position:stop])
                if end >= 0:
                    yield self._payload.finish()
                    self._payload = None
                position = stop
            elif not self._tag:
                start = chunk.find(b"<", position)
                if start < 0:
                    return
                self._tag += b"<"
                position = start + 1
            else:
                end = chunk.find(b">", position)
                stop = len(chunk) if end < 0 else end + 1
                self._tag += chunk[position:stop]
                position = stop
                if len(self._tag) > LONGEST_TAG_BYTES:
                    raise BlobStreamError(f"a tag is longer than {LONGEST_TAG_BYTES} bytes")
                if end >= 0:
                    yield from self._close_tag()

    def _close_tag(self) -> Iterator[StreamEvent]:
        """Handle the collected tag, unless its `>` is inside quotes and the tag continues."""
        tag = bytes(self._tag)
        match = TAG.fullmatch(tag)
        if match is None and not tag.startswith((b"<!", b"<?")):
            return
        self._tag.clear()
        if match is None or match[1]:
            return
        attributes = {
            key.decode(errors="replace"): unescape((double or single).decode(errors="replace"))
            for key, double, single in ATTRIBUTE.findall(match[3])
        }
        match match[2]:
            case b"setBLOBVector":
                self._device, self._vector = attributes.get("device", ""), attributes.get("name", "")
            case b"oneBLOB":
                yield from self._open_blob(attributes)
            case b"defBLOBVector":
                yield BlobDefined(attributes.get("device", ""), attributes.get("name", ""))
            case b"setSwitchVector":
                yield SwitchesSet(attributes.get("device", ""), attributes.get("name", ""))
            case b"pingRequest":
                yield Ping(attributes.get("uid", ""))

    def _open_blob(self, attributes: dict[str, str]) -> Iterator[AttachedBlob]:
        size = attributes.get("size", "").strip()
        if not size.isdecimal() or int(size) > self.largest_blob_bytes:
            raise BlobStreamError(
                f"a BLOB announces {size or 'no'} bytes; this camera sends at most {self.largest_blob_bytes}"
            )
        blob = BlobAttributes(
            self._device, self._vector, attributes.get("name", ""), attributes.get("format", ""), int(size)
        )
        if attributes.get("attached") == "true":
            yield AttachedBlob(blob)
        else:
            if len(self._room) < blob.size:
                # Do not initialise the buffer, because zeroing 100 MB would hold the interpreter lock too long.
                self._room = np.empty(blob.size, np.uint8).data
            self._payload = _Base64Payload(blob, self._room[: blob.size])
