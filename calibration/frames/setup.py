"""The setup of a frame, from its header: the values that decide which masters can calibrate it."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames import spellings
from coldframe.calibration.frames.card_values import CardReader, Header, UnreadableCard
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.config.frames import FrameKind, ReadoutSettings

if TYPE_CHECKING:  # most headers have no overscan, and its arithmetic needs NumPy
    from coldframe.calibration.frames.overscan import Overscan, Sections

BIAS_TAKEN_OUT = "B"
"""Value of CALSTAT in a dark from which the bias was subtracted."""

REACHED_C = 1.0
"""Maximum difference between the sensor temperature and the setpoint of a cooled frame; see `Tolerances.cooled_c`. The
difference is larger while the camera is still cooling down, or if a program writes a setpoint although the camera has
no cooler."""

SAME_EXPOSURE = 0.01
SAME_EXPOSURE_S = 0.05
"""Differences up to which exposures count as equal, relative and in seconds; some cameras record the measured
exposure."""

_WITHOUT_LIGHT = (FrameKind.BIAS, FrameKind.DARK, FrameKind.DARK_FLAT)
_NO_FILTER = frozenset({"", "none", "nofilter", "no filter", "clear (none)", "air", "open", "empty"})
_NO_MOSAIC = frozenset({"NONE", "MONO", "MONOCHROME", "0", "1", "FALSE", "TRUE", "F", "T"})
"""Values that do not name an array; a flag, such as TRUE, does not identify the array."""

_DETECTOR_SECTION = re.compile(r"\s*\[\s*(\d{1,6})\s*:\s*\d{1,6}\s*,\s*(\d{1,6})\s*:\s*\d{1,6}\s*\]\s*")


@dataclass(frozen=True, slots=True)
class OpticalTrain:
    """The optical train in front of the camera; None stands for a value that is missing from the header.

    Attributes
    ----------
    telescope
        Name of the telescope (TELESCOP).
    focal_length_mm
        Focal length (FOCALLEN); None for 0, which some programs write for an unknown focal length.
    focus_steps
        Focuser position (FOCUSPOS).
    rotation_deg
        Rotator angle (ROTATANG).
    """

    telescope: str | None = None
    focal_length_mm: float | None = None
    focus_steps: float | None = None
    rotation_deg: float | None = None


@dataclass(frozen=True, slots=True)
class FrameSetup:
    """The setup of a frame, or of each frame of a master; None stands for a value that is missing from the header.

    Attributes
    ----------
    kind
        Purpose of the frame.
    camera
        Name of the camera (INSTRUME).
    width, height
        Size of the image in the file, in pixels.
    readout
        Gain, offset, binning and readout mode.
    exposure_s
        Exposure, seconds.
    temperature_c
        Sensor temperature, degrees Celsius; the setpoint if only the setpoint is known.
    cooled
        True if the header has a setpoint and the sensor had reached this setpoint.
    filter_name
        Name of the filter; None if it is missing or there is no filter.
    mosaic
        Colour filter array; None for mono. The name of a Bayer array begins at the file's first pixel, such as "GRBG"
        for an RGGB array that begins one column earlier; other arrays are named with their offsets, such as
        "XTRANS+1+0".
    row_order
        "TOP-DOWN" or "BOTTOM-UP"; None if missing, because programs disagree on the default.
    train
        Telescope, focuser and rotator.
    taken_at
        Start of the exposure, UTC; for masters, the start of the first frame.
    sensor_c
        Measured sensor temperature, degrees Celsius.
    setpoint_c
        Setpoint of the cooler, degrees Celsius.
    sections
        Location of a raw frame's overscan; None without overscan, or if the sections in the header are inconsistent.
    overscan
        Overscan subtraction that was applied to the frames of a master; None if none was applied.
    bias_subtracted
        True for a master dark or dark flat from which the bias was subtracted.
    origin
        First column and row of the sensor that the image contains, counted from 0.
    kind_word
        The word in the header that names the kind.
    unreadable
        Cards that affect the setup, but whose values could not be interpreted.
    """

    kind: FrameKind | None
    camera: str | None
    width: int
    height: int
    readout: ReadoutSettings
    exposure_s: float | None
    temperature_c: float | None
    cooled: bool
    filter_name: str | None
    mosaic: str | None
    row_order: str | None
    train: OpticalTrain
    taken_at: datetime | None
    setpoint_c: float | None = None
    sections: "Sections | None" = None
    overscan: "Overscan | None" = None
    bias_subtracted: bool = False
    sensor_c: float | None = None
    origin: tuple[int, int] | None = None
    kind_word: str | None = None
    unreadable: tuple[UnreadableCard, ...] = ()

    @property
    def is_at_setpoint(self) -> bool:
        """True if the frame has a setpoint and, as far as the header shows, the sensor had reached it."""
        return _is_reached(self.setpoint_c, self.sensor_c)

    def without(self, overscan: "Overscan | None") -> "FrameSetup":
        """Return the setup of the frame after its overscan has been subtracted; None stands for no subtraction."""
        if overscan is None:
            return self
        kept = overscan.sections.kept
        height, width = kept.shape
        mosaic = None if self.mosaic is None else _shifted(self.mosaic, kept.left, kept.top)
        return replace(self, width=width, height=height, mosaic=mosaic, sections=None, overscan=overscan)


def setup_of(header: Header) -> FrameSetup:
    """Return the setup of a raw frame, or of the frames of a master, from the header.

    The function understands the keywords and words in `spellings`; `CardReader` decides which values are absent or
    unreadable.

    Parameters
    ----------
    header
        Header including the cards about the file's structure (see `read_header`).
    """
    cards, train_cards = CardReader(header), CardReader(header)
    kind_word = _kind_word(cards)
    kind = None if kind_word is None else spellings.kind_of_word(kind_word)
    setpoint_c = cards.celsius(*spellings.SETPOINT_C)
    sensor_c = cards.celsius(*spellings.SENSOR_C)
    cards.require_agreement(cards.celsius, spellings.MEASURED_TWICE, REACHED_C)
    cards.require_agreement(cards.celsius, spellings.SETPOINT_C, REACHED_C)
    cards.require_agreement(cards.number, spellings.OFFSET, 0)
    cards.require_agreement(lambda keyword: cards.binning((keyword,), ()), spellings.BINNING, 0)
    return FrameSetup(
        kind=kind,
        camera=cards.text(*spellings.CAMERA),
        width=int(cards.number("NAXIS1") or 0),
        height=int(cards.number("NAXIS2") or 0),
        readout=ReadoutSettings(
            gain=cards.number(*spellings.GAIN),
            offset=cards.number(*spellings.OFFSET),
            binning=cards.binning(spellings.BINNING, spellings.BINNING_OF_ROWS) or 1,
            readout_mode=cards.joined(*spellings.READOUT_MODE),
        ),
        exposure_s=_exposure_s(cards),
        temperature_c=setpoint_c if sensor_c is None else sensor_c,
        cooled=_is_reached(setpoint_c, sensor_c),
        filter_name=_filter_name(cards),
        mosaic=_mosaic(cards),
        row_order=cards.text(*spellings.ROW_ORDER),
        train=OpticalTrain(
            cards.text(*spellings.TELESCOPE),
            train_cards.millimetres(*spellings.FOCAL_LENGTH),
            train_cards.number(*spellings.FOCUS),
            train_cards.number(*spellings.ROTATION),
        ),
        taken_at=_taken_at(cards),
        setpoint_c=setpoint_c,
        sections=_sections(header, cards),
        overscan=_overscan(header),
        bias_subtracted=kind in (FrameKind.DARK, FrameKind.DARK_FLAT) and header.get("CALSTAT") == BIAS_TAKEN_OUT,
        sensor_c=sensor_c,
        origin=_origin(cards),
        kind_word=kind_word,
        unreadable=_unreadable(cards, train_cards, kind),  # last, after all cards have been read
    )


def _is_reached(setpoint_c: float | None, sensor_c: float | None) -> bool:
    return setpoint_c is not None and (sensor_c is None or abs(sensor_c - setpoint_c) <= REACHED_C)


def _unreadable(cards: CardReader, train_cards: CardReader, kind: FrameKind | None) -> tuple[UnreadableCard, ...]:
    """Return the unreadable cards; darks and bias frames do not depend on the optical train."""
    unreadable = cards.unreadable + ([] if kind in _WITHOUT_LIGHT else train_cards.unreadable)
    return tuple(dict.fromkeys(unreadable))


def fault_of_raw_frame(header: Header) -> str | None:
    """Return the reason why a file is not a raw frame, but a master or a calibrated frame; None if it is raw.

    Programs mark combined frames with the number of frames or with words such as "Master Dark", and calibrated frames
    with CALSTAT.
    """
    cards = CardReader(header)
    if _combines(cards):
        return "it is already a master, not a raw frame"
    if cards.unreadable:
        return f"it may be a master, because {cards.unreadable[0]} is not a number of frames"
    calibrated = cards.text("CALSTAT")
    return None if calibrated is None else f"it is already calibrated (CALSTAT {calibrated})"


def is_single_frame(header: Header) -> bool:
    """Return True if a header belongs to a single raw frame, not to a master of any program."""
    return setup_of(header).kind is not None and not is_combined(header)


def is_combined(header: Header) -> bool:
    """Return True if a header belongs to a combination of several frames, made by any program."""
    return _combines(CardReader(header))


def _combines(cards: CardReader) -> bool:
    counts = [cards.number(keyword) for keyword in spellings.COMBINED_COUNT]
    if any(count is not None and count > 1 for count in counts):
        return True
    words = [cards.text(keyword) for keyword in spellings.KIND]
    return any(word is not None and spellings.names_a_master(word) for word in words)


def require_readable(setup: FrameSetup, path: Path) -> None:
    """Raise an error if cards that affect the setup could not be interpreted.

    Raises
    ------
    FrameFileError
        If there are cards that could not be interpreted; the error states their keywords and values.
    """
    if not setup.unreadable:
        return
    cards = ", ".join(map(str, setup.unreadable))
    raise FrameFileError(path, f"its header cannot be interpreted: {cards}; correct the card, or leave the file out")


def _kind_word(cards: CardReader) -> str | None:
    """Return the first word that names a known kind, or the first unknown word.

    Words for different kinds are joined, so that the result denotes no kind. A known word in CFROLE takes precedence,
    because coldframe writes this card, and it is more precise than all others. The words for dark and dark flat do not
    contradict each other, because some programs label dark flats as darks.
    """
    words = {keyword: word for keyword in spellings.KIND if (word := cards.text(keyword)) is not None}
    known = {word: kind for word in words.values() if (kind := spellings.kind_of_word(word)) is not None}
    kinds = {FrameKind.DARK if kind is FrameKind.DARK_FLAT else kind for kind in known.values()}
    if len(kinds) > 1 and words.get("CFROLE") not in known:
        return " / ".join(known)
    return next(iter(known), next(iter(words.values()), None))


def _exposure_s(cards: CardReader) -> float | None:
    """Return the exposure in seconds; cards that contradict each other count as unreadable."""
    exposure_s = cards.seconds(*spellings.EXPOSURE_S)
    if exposure_s is None:
        return cards.microseconds(*spellings.EXPOSURE_US)
    cards.require_agreement(cards.seconds, spellings.EXPOSURE_S, max(SAME_EXPOSURE * exposure_s, SAME_EXPOSURE_S))
    return exposure_s


def _taken_at(cards: CardReader) -> datetime | None:
    taken_at = cards.moment(spellings.DATES, spellings.CLOCKS)
    if taken_at is None and cards.text(*spellings.CLOCKS) is not None:
        return cards.moment((spellings.DATE_BESIDE_CLOCK,), spellings.CLOCKS)
    return taken_at


def _filter_name(cards: CardReader) -> str | None:
    """Return the name of the filter; the filter names of several wheels are joined, such as "V + ND"."""
    names = [cards.name(*spellings.FILTER), *(cards.name(keyword) for keyword in spellings.FILTERS_OF_WHEELS)]
    real = [name for name in names if name is not None and name.lower() not in _NO_FILTER]
    return " + ".join(dict.fromkeys(real)) or None


def _origin(cards: CardReader) -> tuple[int, int] | None:
    """Return the position of the image on the sensor; cards that contradict each other count as unreadable."""
    text = cards.text(spellings.DETECTOR_SECTION)
    section = None if text is None else _DETECTOR_SECTION.fullmatch(text)
    if text is not None and section is None:
        cards.unreadable.append(UnreadableCard(spellings.DETECTOR_SECTION, text))
    by_section = None if section is None else (int(section[1]) - 1, int(section[2]) - 1)
    for right, down in spellings.ORIGIN:
        origin = cards.origin(right, down)
        if origin is None:
            continue
        # DETSEC counts unbinned pixels; whether the other cards also do so depends on the program.
        is_binned = (cards.binning(spellings.BINNING, spellings.BINNING_OF_ROWS) or 1) > 1
        if by_section is not None and by_section != origin and not is_binned:
            cards.unreadable.append(UnreadableCard(spellings.DETECTOR_SECTION, str(text), f"{right} = {origin[0]}"))
        return origin
    return by_section


def _mosaic(cards: CardReader) -> str | None:
    patterns = [cards.text(keyword) for keyword in spellings.MOSAIC]
    pattern = next((each.upper() for each in patterns if each is not None and each.upper() not in _NO_MOSAIC), None)
    if pattern is None:
        return None
    right, down = (int(cards.number(keyword) or 0) for keyword in ("XBAYROFF", "YBAYROFF"))
    return _shifted(pattern, right, down)


def _shifted(pattern: str, right: int, down: int) -> str:
    """Return the pattern of an image that begins `right` columns and `down` rows further into the array."""
    if pattern in BAYER_PATTERNS:
        rows = (pattern[:2], pattern[2:])
        return "".join(rows[(down + row) % 2][(right + column) % 2] for row in (0, 1) for column in (0, 1))
    return pattern + (f"+{right}+{down}" if right or down else "")


def _overscan(header: Header) -> "Overscan | None":
    if "OVERSCAN" not in header:
        return None
    from coldframe.calibration.frames.overscan import subtracted_of  # noqa: PLC0415 - needs NumPy

    return subtracted_of(header)


def _sections(header: Header, cards: CardReader) -> "Sections | None":
    if "BIASSEC" not in header:
        return None
    from coldframe.calibration.frames.overscan import OverscanError, sections_of  # noqa: PLC0415 - needs NumPy

    shape = int(cards.number("NAXIS2") or 0), int(cards.number("NAXIS1") or 0)
    try:
        return sections_of(header, shape)
    except OverscanError:
        return None
