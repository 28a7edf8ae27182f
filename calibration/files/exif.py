"""EXIF in camera raws: the few tags that describe an exposure.

LibRaw also reads them, but rawpy gives neither the name nor the serial number of the camera, and gives the exposure
time only after decoding the pixels. Readers such as exifread and Pillow support neither CR3 nor RAF. The tags are in
TIFF structures (EXIF 3.0, section 4.6.2). Most raws are TIFF structures themselves; CR3 and RAF files contain them.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from coldframe.calibration.files.regular import open_regular

MAKE, MODEL, ORIENTATION = 271, 272, 274
EXPOSURE_S, ISO, TAKEN_AT, SUBSECOND = 33434, 34855, 36867, 37521
ISO_OF_LARGE = (34866, 34865)
"""Recommended exposure index and standard output sensitivity, for ISO values that exceed the 16-bit range of `ISO`."""

OFFSET_FROM_UTC, FOCAL_MM, SERIAL, LENS = 36881, 37386, 42033, 42036
CFA_PATTERN = 33422
_MAKER_NOTE, _EXIF, _SUB_IMAGES = 37500, 34665, 330
_CANON_SHOT = 4
_MAKER_NOTE_ENTRIES = frozenset({_CANON_SHOT})
_TEXT = 2
_SENTINEL_ISO = 65535

_WANTED = frozenset(
    {MAKE, MODEL, ORIENTATION, EXPOSURE_S, ISO, TAKEN_AT, SUBSECOND, OFFSET_FROM_UTC, FOCAL_MM, SERIAL, LENS}
    | {CFA_PATTERN, _MAKER_NOTE, _EXIF, _SUB_IMAGES, *ISO_OF_LARGE}
)
_FORMS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 13: "I"}
_MOST_ENTRIES = 1000
_MOST_VALUES = 4096
_MOST_SUB_IMAGES = 8
_MOST_BOXES = 1000
_ENTRY_BYTES = 12
_CANON_CELSIUS_AT, _CANON_ZERO_C = 12, 128
_RAF_MAGIC, _RAF_PREVIEW_AT = b"FUJIFILMCCD-RAW ", 84
_CANON_BOXES = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
"""Identifier of the box with Canon's metadata in a CR3 file."""

Value = str | bytes | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Exif:
    """The EXIF tags of a file.

    Attributes
    ----------
    values
        Text, bytes or numbers of each tag; fractions are converted to decimal numbers.
    sensor_c
        Temperature of the camera from the maker notes, degrees Celsius; None if they contain no known temperature.
    """

    values: dict[int, Value]
    sensor_c: float | None = None

    def text(self, tag: int) -> str | None:
        """Return the text of a tag without padding; None if it is missing or empty."""
        value = self.values.get(tag)
        return (" ".join(value.split()) or None) if isinstance(value, str) else None

    def number(self, tag: int) -> float | None:
        """Return the first number of a tag; None if it is missing."""
        value = self.values.get(tag)
        return value[0] if isinstance(value, tuple) and value else None

    @property
    def camera(self) -> str | None:
        """Maker and model, such as "Canon EOS 6D"."""
        make, model = (self.text(MAKE) or "").split(), self.text(MODEL)
        if model is None:
            return None
        maker = [] if not make or model.casefold().startswith(make[0].casefold()) else make[:1]
        return " ".join([*maker, model])

    @property
    def iso(self) -> float | None:
        """ISO value; None if it is missing."""
        iso = self.number(ISO)
        if iso is None or iso >= _SENTINEL_ISO:
            return next((large for tag in ISO_OF_LARGE if (large := self.number(tag))), iso)
        return iso or None

    @property
    def taken_at(self) -> datetime | None:
        """Start of the exposure; if the offset from UTC is missing, the camera's time is taken to be local time."""
        text = self.text(TAKEN_AT)
        try:
            clock = datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - the zone follows
        except ValueError:
            return None
        digits = self.text(SUBSECOND) or ""
        if digits.isdecimal() and digits.isascii():
            clock += timedelta(seconds=float(f"0.{digits[:6]}"))
        try:
            return clock.replace(tzinfo=_zone(self.text(OFFSET_FROM_UTC))).astimezone(UTC)
        except (OverflowError, OSError, ValueError):  # a date outside the range of this machine's calendar
            return None


def read_exif(path: Path) -> Exif:
    """Read the tags of a camera raw, if it has any. Damaged parts of the structure are skipped.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    values: dict[int, Value] = {}
    sensor_c: float | None = None
    with open_regular(path) as file:
        for tiff in _structures(file):
            found = tiff.tags(tiff.first)
            note = tiff.values(found, _MAKER_NOTE_ENTRIES) if tiff.is_note else {}
            if not tiff.is_note:
                values = tiff.described(found) | values
                note = tiff.canon_note(found, values)
            sensor_c = sensor_c if sensor_c is not None else _canon_celsius(note.get(_CANON_SHOT))
    return Exif(values, sensor_c)


class _Entry(NamedTuple):
    """An entry of a directory: the form of its values, their number, and their position in the file."""

    form: int
    length: int
    place: int


class _Tiff:
    """A TIFF structure in a file.

    Parameters
    ----------
    file
        The file.
    start
        Position of the structure in the file; offsets are relative to it.
    is_note
        True if its first directory is that of Canon's maker notes.
    """

    def __init__(self, file: BufferedReader, start: int, *, is_note: bool = False) -> None:
        self._file, self._start, self.is_note = file, start, is_note
        beginning = self._read(start, 8)
        self._order = ">" if beginning[:2] == b"MM" else "<"
        self.first = self._unpacked("I", beginning[4:])[0] if len(beginning) == 8 else 0  # noqa: PLR2004 - two words

    def described(self, found: Mapping[int, _Entry]) -> dict[int, Value]:
        """Return the wanted values of a directory, and of its subdirectories for the exposure and further images."""
        values = self.values(found, _WANTED)
        below = [values.get(_EXIF), values.get(_SUB_IMAGES)]
        for place in [each for places in below if isinstance(places, tuple) for each in places][:_MOST_SUB_IMAGES]:
            values = self.values(self.tags(int(place)), _WANTED) | values
        return values

    def canon_note(self, found: Mapping[int, _Entry], values: Mapping[int, Value]) -> dict[int, Value]:
        """Return the wanted values of Canon's maker notes; empty for other cameras."""
        exposure = values.get(_EXIF)
        if not str(values.get(MAKE, "")).startswith("Canon") or not isinstance(exposure, tuple):
            return {}
        note = self.tags(int(exposure[0])).get(_MAKER_NOTE) or found.get(_MAKER_NOTE)
        return {} if note is None else self.values(self.tags(note.place - self._start), _MAKER_NOTE_ENTRIES)

    def tags(self, offset: int) -> dict[int, _Entry]:
        """Return the entries of the directory at an offset; empty if there is no directory."""
        place = self._start + offset
        head = self._read(place, 2)
        if len(head) < 2 or not offset:  # noqa: PLR2004 - a word
            return {}
        count = min(self._unpacked("H", head)[0], _MOST_ENTRIES)
        text = self._read(place + 2, count * _ENTRY_BYTES)
        entries: dict[int, _Entry] = {}
        for at in range(0, len(text) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            tag, form, length = self._unpacked("HHI", text[at : at + 8])
            size = length * struct.calcsize(f"={_FORMS.get(form, 'B')}")
            inside = place + 2 + at + 8
            outside = self._start + int(self._unpacked("I", text[at + 8 : at + 12])[0])
            entries.setdefault(tag, _Entry(form, length, inside if size <= 4 else outside))  # noqa: PLR2004 - bytes in an entry
        return entries

    def values(self, found: Mapping[int, _Entry], wanted: frozenset[int]) -> dict[int, Value]:
        """Return the values of the wanted entries; entries that are damaged or too long are left out."""
        values = {tag: self._value(entry) for tag, entry in found.items() if tag in wanted}
        return {tag: value for tag, value in values.items() if value is not None}

    def _value(self, entry: _Entry) -> Value | None:
        form = _FORMS.get(entry.form)
        if form is None or not 0 < entry.length <= _MOST_VALUES:
            return None
        size = struct.calcsize(f"={form}")
        text = self._read(entry.place, entry.length * size)
        if len(text) < entry.length * size:
            return None
        if form == "s":
            return text.partition(b"\0")[0].decode("utf-8", "replace") if entry.form == _TEXT else text
        numbers = self._unpacked(form * entry.length, text)
        if len(form) == 1:
            return tuple(map(float, numbers))
        return tuple(above / below if below else 0.0 for above, below in zip(numbers[::2], numbers[1::2], strict=True))

    def _unpacked(self, form: str, text: bytes) -> tuple[int, ...]:
        return struct.unpack(self._order + form, text)

    def _read(self, place: int, length: int) -> bytes:
        self._file.seek(place)
        return self._file.read(length)


def _structures(file: BufferedReader) -> Iterator[_Tiff]:
    """Yield those TIFF structures of a file that may contain tags."""
    start = file.read(_RAF_PREVIEW_AT + 4)
    if start[:2] in {b"II", b"MM"}:
        yield _Tiff(file, 0)
    elif start.startswith(_RAF_MAGIC):
        preview = int.from_bytes(start[_RAF_PREVIEW_AT:], "big")
        file.seek(preview)
        beginning = file.read(12)
        if beginning[:4] == b"\xff\xd8\xff\xe1" and beginning[6:] == b"Exif\0\0":
            yield _Tiff(file, preview + 12)
    elif start[4:12] == b"ftypcrx ":
        yield from _canon_structures(file, file.seek(0, 2))


def _canon_structures(file: BufferedReader, size: int) -> Iterator[_Tiff]:
    """Yield the TIFF structures of a CR3 file; each is in a box of its own inside the metadata box."""
    movies = [(begin, end) for name, begin, end in _boxes(file, 0, size) if name == b"moov"]
    for begin, end in [inner[1:] for movie in movies for inner in _boxes(file, *movie) if inner[0] == b"uuid"]:
        file.seek(begin)
        if file.read(len(_CANON_BOXES)) == _CANON_BOXES:
            for name, tiff, _ in _boxes(file, begin + len(_CANON_BOXES), end):
                if name in {b"CMT1", b"CMT2", b"CMT3"}:
                    yield _Tiff(file, tiff, is_note=name == b"CMT3")


def _boxes(file: BufferedReader, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box in a part of an ISO media file, with the beginning and the end of its content."""
    for _ in range(_MOST_BOXES):
        file.seek(begin)
        head = file.read(16)
        size, content = int.from_bytes(head[:4], "big"), begin + 8
        if size == 1:  # the size needs 64 bits
            size, content = int.from_bytes(head[8:], "big"), begin + 16
        finish = end if size == 0 else begin + size
        if len(head) < 8 or finish > end or finish < content:  # noqa: PLR2004 - size and name
            return
        yield head[4:8], content, finish
        begin = finish


def _canon_celsius(shot: Value | None) -> float | None:
    """Return the temperature of the camera from Canon's information about a shot; None if it is missing."""
    if not isinstance(shot, tuple) or len(shot) <= _CANON_CELSIUS_AT or not shot[_CANON_CELSIUS_AT]:
        return None
    return shot[_CANON_CELSIUS_AT] - _CANON_ZERO_C


def _zone(text: str | None) -> timezone | None:
    """Return the time zone for a text such as "+01:00"; None for any other text."""
    match = re.fullmatch(r"([+-])(\d{2}):(\d{2})", text or "")
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)
