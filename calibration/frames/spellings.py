"""The keywords and words with which different programs describe a frame."""

import re
from functools import lru_cache

from coldframe.config.frames import FrameKind

CAMERA = ("INSTRUME", "CAMERA", "DETECTOR")
GAIN = ("ISOSPEED", "ISO", "ISOSPEEDRATING", "GAIN")
"""The ISO value of a DSLR is its gain; a GAIN card in the same header is in electrons per ADU."""

OFFSET = ("OFFSET", "BLKLEVEL")
BINNING = ("XBINNING", "BINX", "BINNING", "CCDSUM")
BINNING_OF_ROWS = ("YBINNING", "BINY", "BINNING", "CCDSUM")
READOUT_MODE = ("READOUTM", "READMODE", "CCD_READ_MODE", "RDMODE")
EXPOSURE_S = ("EXPTIME", "EXPOSURE", "EXPOTIME", "EXP")
EXPOSURE_US = ("EXPOINUS",)
"""ASICAP writes the exposure in microseconds."""

SETPOINT_C = ("SET-TEMP", "SETTEMP", "CCDSTEMP")
MEASURED_TWICE = ("CCD-TEMP", "CCD_TEMP", "CCDTEMP", "CCDATEMP")
"""Keywords that always refer to the sensor; the other keywords in `SENSOR_C` can refer to the air or the housing."""

SENSOR_C = ("CCD-TEMP", "CCD_TEMP", "CCDTEMP", "CCDATEMP", "TEMPERAT", "CAMTCCD", "DET-TEMP")
"""At Las Cumbres Observatory, CCDSTEMP is the setpoint, and CCDATEMP is the actual temperature."""

FILTER = ("FILTER", "FILT-1", "INSFLNAM")
FILTERS_OF_WHEELS = ("FILTER1", "FILTER2", "FILTER3")
"""Keywords for the filters of several wheels in one light path."""

MOSAIC = ("BAYERPAT", "COLORTYP")
ROW_ORDER = ("ROWORDER",)
ORIGIN = (("XORGSUBF", "YORGSUBF"),)
DETECTOR_SECTION = "DETSEC"
TELESCOPE = ("TELESCOP",)
FOCAL_LENGTH = ("FOCALLEN",)
FOCUS = ("FOCUSPOS", "FOCPOS")
ROTATION = ("ROTATANG", "ROTATOR", "ROTANG")
DATES = ("DATE-OBS", "DATE-BEG", "DATE_OBS")
DATE_BESIDE_CLOCK = "DATE"
"""Some programs write the date of the exposure into DATE, and its time into one of `CLOCKS`. In other files, DATE is
the time at which the file was written."""

CLOCKS = ("TIME-OBS", "UT", "UTC", "UTSTART", "TM-START", "UT-TIME")
"""Cards with the time of day, for cards whose dates include no time."""

KIND = ("CFROLE", "IMAGETYP", "FRAME", "FRAMETYP", "IMAGTYP", "OBSTYPE", "FRAMETYPE")
COMBINED_COUNT = ("NCOMBINE", "STACKCNT", "SNAPSHOT", "NCOMB", "NSTACK")
"""Number of frames combined in a file, as written by IRAF, by Siril and coldframe, by MaxIm DL, and by others."""

_KINDS = {
    FrameKind.BIAS: "BIAS OFFSET ZERO",
    FrameKind.DARK: "DARK THERMAL",
    FrameKind.FLAT: (
        "FLAT SKYFLAT FLATSKY TWILIGHT TWIFLAT TWILIGHTFLAT DUSKFLAT DAWNFLAT DOMEFLAT FLATDOME LAMPFLAT FLATLAMP "
        "PANELFLAT SCREENFLAT AUTOFLAT INTERNALFLAT"
    ),
    FrameKind.DARK_FLAT: "DARKFLAT FLATDARK DARKFORFLAT DARKOFFLAT",
    FrameKind.LIGHT: "LIGHT OBJECT SCIENCE SCI EXPOSE STANDARD TARGET",
}
_KIND_OF_WORD = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_NOT_LETTERS = re.compile(r"[^A-Z]")
_MASTER_WORDS = ("MASTER", "STACK", "INTEGRATION", "SUPERBIAS", "SUPERDARK", "SUPERFLAT")


@lru_cache
def kind_of_word(word: str) -> FrameKind | None:
    """Return the kind denoted by a word such as "Flat-Field" or "Master Dark"; None if the word is unknown."""
    letters = _NOT_LETTERS.sub("", word.upper()).removeprefix("MASTER").removeprefix("SUPER")
    letters = letters.removesuffix("FRAME").removesuffix("FRAMES").removesuffix("FIELD").removesuffix("IMAGE")
    return _KIND_OF_WORD.get(letters) or _KIND_OF_WORD.get(letters.removesuffix("S"))


@lru_cache
def names_a_master(word: str) -> bool:
    """Return True if a word for the kind of a frame, such as "Master Dark", denotes a combined frame."""
    letters = _NOT_LETTERS.sub("", word.upper())
    return any(master in letters for master in _MASTER_WORDS)
