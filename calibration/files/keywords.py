"""The headers of frames that coldframe writes, with the keywords that other programs read."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import accumulate, count, takewhile

from coldframe.calibration.files.cards import (
    CARD_LENGTH,
    STRUCTURAL,
    Card,
    GarbledValue,
    HeaderValue,
    ascii_text,
    format_card,
)
from coldframe.config.frames import FrameKind, ReadoutSettings

RAW_TYPES = {
    FrameKind.BIAS: "Bias Frame",
    FrameKind.DARK: "Dark Frame",
    FrameKind.FLAT: "Flat Frame",
    FrameKind.DARK_FLAT: "Dark Frame",
    FrameKind.LIGHT: "Light Frame",
}
"""IMAGETYP as INDI writes it. A dark flat is called a dark, because programs that group frames have no word for dark
flats."""

ROLES = {
    FrameKind.BIAS: "BIAS",
    FrameKind.DARK: "DARK",
    FrameKind.FLAT: "FLAT",
    FrameKind.DARK_FLAT: "DARKFLAT",
    FrameKind.LIGHT: "LIGHT",
}
"""Values of CFROLE, coldframe's own keyword, which distinguishes dark flats from darks."""

DRIVERS_WORDS = {"INSTRUME": "CFCAMERA", "FILTER": "CFFILTER", "TELESCOP": "CFTELESC", "FOCALLEN": "CFFOCLEN"}
"""Keywords whose values may be replaced by those in the lights, and the keywords that then keep the rig's own values.
"""

ROTATOR_ANGLE = "ROTATANG"
"""Angle of the rotator, degrees, as INDI's cameras write it from ABS_ROTATOR_ANGLE."""

ANGLE_OF_SET = "CFROTANG"
"""Rotator angle of a flat's set, degrees. The angle of a single frame, in ROTATANG, may differ from this angle by up to
the tolerance."""

_COMMENTS = {kept: f"the rig's own {keyword}" for keyword, kept in DRIVERS_WORDS.items()} | {
    ROTATOR_ANGLE: "[deg] rotator angle",
    ANGLE_OF_SET: "[deg] rotator angle of the set",
}
_FRAME_OF_MASTER = "IMCOM"
_LONGEST_KEYWORD = 8

MOST_CARDS_OF_FRAMES = 30_000
"""Maximum number of cards with the names of a master's frames, so that the header stays within `LONGEST_HEADER`. Names
of up to 67 characters take one card, and the sets of a night have at most 10,000 frames."""

_KEPT_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")


def raw_cards(
    *,
    kind: FrameKind,
    exposure_s: float,
    settings: ReadoutSettings,
    sensor_c: float | None,
    setpoint_c: float | None,
    filter_name: str | None,
    camera: str,
    started_at: datetime,
    header: Mapping[str, HeaderValue],
) -> list[Card]:
    """Return the cards of a raw frame.

    Values that coldframe requested and read back take precedence over the driver's cards; if the driver's value
    differs, it is kept in the comment. All other cards of the driver follow unchanged.

    Parameters
    ----------
    kind, exposure_s, settings, sensor_c, setpoint_c, camera, started_at, header
        Values of the frame that the camera delivered.
    filter_name
        Filter in front of the sensor; None without a filter wheel.
    """
    exposed = timedelta(seconds=exposure_s)
    ours = [
        Card("IMAGETYP", RAW_TYPES[kind], "type of frame"),
        Card("CFROLE", ROLES[kind], "purpose of the frame"),
        *setting_cards(
            exposure_s=exposure_s,
            settings=settings,
            sensor_c=sensor_c,
            setpoint_c=setpoint_c,
            filter_name=filter_name,
            camera=camera,
        ),
        Card("DATE-OBS", utc_text(started_at), "start of the exposure, UTC"),
        Card("DATE-AVG", utc_text(started_at + exposed / 2), "middle of the exposure, UTC"),
        software_card(),
    ]
    return with_driver_cards(ours, header)


def setting_cards(
    *,
    exposure_s: float | None,
    settings: ReadoutSettings,
    sensor_c: float | None,
    setpoint_c: float | None,
    filter_name: str | None,
    camera: str | None,
) -> list[Card]:
    """Return the cards by which frames are matched, omitting cards whose value is None."""
    cards: list[tuple[str, HeaderValue | None, str]] = [
        ("INSTRUME", camera, "camera"),
        ("EXPTIME", exposure_s, "[s] requested exposure"),
        ("EXPOSURE", exposure_s, "[s] requested exposure"),
        ("GAIN", _whole(settings.gain), "gain, in the driver's units"),
        ("OFFSET", _whole(settings.offset), "offset, in the driver's units"),
        ("XBINNING", settings.binning, "binning across columns"),
        ("YBINNING", settings.binning, "binning across rows"),
        ("READOUTM", settings.readout_mode, "readout mode"),
        ("SET-TEMP", setpoint_c, "[degC] setpoint of the cooler"),
        ("CCD-TEMP", sensor_c, "[degC] sensor temperature"),
        ("FILTER", filter_name, "filter"),
    ]
    return [Card(keyword, value, comment) for keyword, value, comment in cards if value is not None]


def with_driver_cards(ours: list[Card], header: Mapping[str, HeaderValue]) -> list[Card]:
    """Return coldframe's cards, with the driver's differing values in the comments, and then the driver's other cards.

    If a keyword of `DRIVERS_WORDS` in the header keeps the rig's own name for the camera or the filter, coldframe's
    card gets the name used in the lights. Unless the driver's header contains ROWORDER, rows are assumed to run from
    top to bottom, as INDI's drivers write them.
    """
    own = [_in_lights_words(card, header) or _remembering(card, header) for card in ours]
    if "ROWORDER" not in header:
        own.append(Card("ROWORDER", "TOP-DOWN", "first row is the top of the picture"))
    return own + other_cards(own, header)


def other_cards(ours: list[Card], header: Mapping[str, HeaderValue]) -> list[Card]:
    """Return the cards of a header that can be written in addition to coldframe's own cards."""
    taken = {card.keyword for card in ours} | STRUCTURAL
    return [
        Card(keyword, value, _COMMENTS.get(keyword, ""))
        for keyword, value in header.items()
        if keyword not in taken and _KEPT_KEYWORD.fullmatch(keyword) and _writable(value)
    ]


def in_drivers_words(header: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    """Return a header with the rig's own values in place of the values taken over from the lights."""
    own = {keyword: header[kept] for keyword, kept in DRIVERS_WORDS.items() if kept in header}
    return {keyword: value for keyword, value in header.items() if keyword not in DRIVERS_WORDS.values()} | own


def angle_of_set_deg(header: Mapping[str, HeaderValue]) -> float | None:
    """Return the rotator angle, in degrees, for which a flat's set was shot; None if the set has no angle."""
    value = header.get(ANGLE_OF_SET)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _in_lights_words(card: Card, header: Mapping[str, HeaderValue]) -> Card | None:
    """Return a card with the value used in the lights; None if its value was not taken over from the lights."""
    kept = header.get(DRIVERS_WORDS.get(card.keyword, ""))
    if kept is None or _as_written(kept) != _as_written(card.value):
        return None
    return Card(card.keyword, header[card.keyword], f"{card.comment}, as in the lights")


def _as_written(value: HeaderValue) -> str:
    """Return a value as a header stores it; FITS ignores trailing blanks."""
    return ascii_text(str(value)).rstrip()


def _remembering(card: Card, header: Mapping[str, HeaderValue]) -> Card:
    said = header.get(card.keyword, card.value)
    return card if said == card.value else card._replace(comment=f"driver: {said}; {card.comment}")


def _writable(value: HeaderValue) -> bool:
    if isinstance(value, GarbledValue):
        return False
    return not isinstance(value, float) or math.isfinite(value)


def _whole(value: float | None) -> float | None:
    """Return a whole number as an integer, because some programs read GAIN and OFFSET only as integers."""
    return int(value) if value is not None and float(value).is_integer() else value


def utc_text(moment: datetime) -> str:
    """Return an aware time in UTC as FITS writes it: in ISO 8601 to the microsecond, without a time zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def software_card() -> Card:
    """Return the card that names coldframe and its version."""
    from coldframe.version import __version__  # noqa: PLC0415 - reading the metadata of the installation takes 10 ms

    return Card("SWCREATE", f"coldframe {__version__}", "software that wrote this file")


def frame_name_cards(names: Iterable[str]) -> list[Card]:
    """Return the cards that list the frames of a master, IMCOM001 to IMCOM999 and then IMCO1000, IMCO1001 and so on."""
    cards = [Card(_frame_keyword(number), name) for number, name in enumerate(names, start=1)]
    ends = accumulate(len(format_card(card)) // CARD_LENGTH for card in cards)
    return cards[: sum(1 for _ in takewhile(lambda end: end <= MOST_CARDS_OF_FRAMES, ends))]


def frame_names(header: Mapping[str, HeaderValue]) -> list[str]:
    """Return the names of the frames that the header of a master lists."""
    return [str(header[keyword]) for keyword in takewhile(header.__contains__, map(_frame_keyword, count(1)))]


def _frame_keyword(number: int) -> str:
    digits = f"{number:03d}"
    return _FRAME_OF_MASTER[: _LONGEST_KEYWORD - len(digits)] + digits
