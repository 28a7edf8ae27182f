"""Determine how a program sees a file, according to the rules in its `programs.model.Reading`."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.interchange.programs.model import Program, Reading
from coldframe.config.frames import FrameKind

_NOT_WORDS = re.compile(r"[^a-z0-9]+")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_KEYWORD_VALUE = r"[-():. a-zA-Z0-9]+"
_MICROSECONDS = "EXPOINUS"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that the user would load into a program.

    Attributes
    ----------
    path
        The path that the program would see.
    header
        Values of the header's cards, including NAXIS1, NAXIS2 and BITPIX.
    highest
        Highest value in the middle rows of a floating-point image; None if unknown.
    """

    path: Path
    header: Mapping[str, HeaderValue]
    highest: float | None = None

    @property
    def setup(self) -> FrameSetup:
        """The setup of the frame, as coldframe reads it."""
        return setup_of(self.header)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as a program sees it; None stands for values that the program does not find.

    Attributes
    ----------
    file
        The file.
    setup
        The setup as coldframe reads it.
    kind
        The kind that the program assigns to the file; None if it ignores the file.
    is_master
        True if the program treats the file as a master.
    refused
        True if the program refuses the file.
    exposure_s, filter_name, binning, gain
        Values that the program reads. A missing exposure counts as 0, and a missing binning as 1.
    mosaic
        Colour filter array.
    folder
        The folder that represents a sequence or a group tab.
    depth
        Bits per pixel.
    keywords
        Grouping keywords of the file, with their values.
    """

    file: Candidate
    setup: FrameSetup
    kind: FrameKind | None
    is_master: bool
    refused: bool
    exposure_s: float
    filter_name: str | None
    binning: int
    gain: float | None
    mosaic: str | None
    folder: str
    depth: int
    keywords: tuple[tuple[str, str], ...]


def seen_by(program: Program, file: Candidate, keywords: tuple[str, ...] = ()) -> Seen:
    """Return a file as a program sees it.

    Parameters
    ----------
    program
        The rules.
    file
        The file.
    keywords
        Grouping keywords that the user has set in the program.
    """
    reading, header = program.reading, file.header
    text = str(file.path)
    word = str(header.get("IMAGETYP", "")).lower()
    is_master = bool(reading.kind_words) and "master" in word
    if reading.master_in_path and "master" in text.lower():
        is_master = True
    suffixes = reading.master_suffixes
    exposure_s = _exposure_s(reading, header)
    filter_name = _text(header, reading, reading.filter_name)
    if filter_name is None and reading.path_keywords:
        filter_name = _in_path("FILTER", file.path)
    binning = _number(_value(header, reading, reading.binning))
    if binning is None and reading.path_keywords:
        binning = _number(_in_path("BINNING", file.path))
    if exposure_s is None and reading.path_keywords:
        exposure_s = _number(_in_path("EXPTIME", file.path))
    found = {keyword: _grouping_value(keyword, file) for keyword in keywords} if reading.path_keywords else {}
    return Seen(
        file=file,
        setup=file.setup,
        kind=_kind(reading, word, file.path),
        is_master=is_master,
        refused=is_master and suffixes is not None and file.path.suffix.lower() not in suffixes,
        exposure_s=exposure_s or 0.0,
        filter_name=filter_name if filter_name is not None else reading.missing_filter,
        binning=int(binning or 1),
        gain=_number(_value(header, reading, reading.gain)),
        mosaic=_text(header, reading, reading.mosaic),
        folder=_folder(reading, file.path),
        depth=abs(int(_number(header.get("BITPIX")) or 0)),
        keywords=tuple((keyword, value) for keyword, value in found.items() if value is not None),
    )


def _kind(reading: Reading, word: str, path: Path) -> FrameKind | None:
    known = reading.kind_words.get(word.replace(" ", ""))
    if known is not None:
        return known
    if reading.path_keywords:  # any part of the path can name the kind, and the last name counts
        words = [each for each in _NOT_WORDS.split(str(path).lower()) if each in reading.kind_folders]
        return reading.kind_folders[words[-1]] if words else reading.unknown_kind
    named = reading.kind_names.get(path.name.split(".")[0])
    if named is not None:
        return named
    for name in reversed([part.lower() for part in path.parts[:-1]]):
        kind = reading.kind_folders.get(name, reading.kind_folders.get(name.split("_")[0]))
        if kind is not None:
            return kind
    return reading.unknown_kind


def _folder(reading: Reading, path: Path) -> str:
    """Return the folder of a file or, if the program has group tabs, of its tab; "" stands for the main group."""
    if not reading.tab_folders:
        return str(path.parent)
    return next((part for part in reversed(path.parts[:-1]) if part.lower().startswith(reading.tab_folders)), "")


def _value(header: Mapping[str, HeaderValue], reading: Reading, keywords: tuple[str, ...]) -> HeaderValue | None:
    """Return the value of the card that the program uses: the preferred card, or the last in the header."""
    order = [each for each in header if each in keywords] if reading.takes_last else [*reversed(keywords)]
    values = [header[keyword] for keyword in order if keyword in header and str(header[keyword]).strip()]
    return values[-1] if values else None


def _exposure_s(reading: Reading, header: Mapping[str, HeaderValue]) -> float | None:
    if _MICROSECONDS in reading.exposure and (microseconds := _number(header.get(_MICROSECONDS))) is not None:
        return microseconds / 1e6
    return _number(_value(header, reading, reading.exposure))


def _text(header: Mapping[str, HeaderValue], reading: Reading, keywords: tuple[str, ...]) -> str | None:
    value = _value(header, reading, keywords)
    return None if value is None else str(value).strip()


def _number(value: HeaderValue | None) -> float | None:
    """Return the number at the beginning of a value, as C and JavaScript read it; None if there is no finite number."""
    if isinstance(value, bool) or value is None:
        return None
    match = _NUMBER.match(str(value))
    found = math.inf if match is None else float(match[0].upper().replace("D", "E"))
    return found if math.isfinite(found) else None


def _in_path(keyword: str, path: Path) -> str | None:
    """Return the last value that a path states for a keyword, such as 100 in GAIN_100."""
    pattern = re.compile(rf"[^a-zA-Z0-9]{re.escape(keyword)}[_\- ]({_KEYWORD_VALUE})", re.IGNORECASE)
    found = pattern.findall(str(path.with_suffix("")))
    return found[-1] if found else None


def _grouping_value(keyword: str, file: Candidate) -> str | None:
    in_path = _in_path(keyword, file.path)
    if in_path is not None:
        return in_path
    value = file.header.get(keyword)
    return None if value is None else re.sub(r"[^-():. a-zA-Z0-9]", "-", str(value).strip())
