"""PixInsight's WeightedBatchPreprocessing (WBPP)."""

from dataclasses import replace

from coldframe.calibration.interchange.programs.model import (
    Choice,
    Compared,
    Grouping,
    Program,
    Reading,
    Rule,
    Source,
    Tolerance,
)
from coldframe.config.frames import FrameKind

_VERSION, _DATE = "3.0.1", "2026-05-10"

DEFAULT_TOLERANCE_S = 10.0
"""WBPP's default exposure tolerance for darks, in seconds."""


def _script(file: str, place: str) -> Source:
    return Source(f"PixInsight script WeightedBatchPreprocessing, {file}", place, _VERSION, _DATE)


_READING = Reading(
    kind_words={
        **dict.fromkeys(("bias", "biasframe", "masterbias"), FrameKind.BIAS),
        **dict.fromkeys(("dark", "darkframe", "masterdark", "flatdark", "darkflat"), FrameKind.DARK),
        **dict.fromkeys(("flat", "flatframe", "flatfield", "masterflat"), FrameKind.FLAT),
        **dict.fromkeys(("light", "lightframe", "scienceframe", "science", "masterlight"), FrameKind.LIGHT),
    },
    kind_folders={
        "bias": FrameKind.BIAS,
        **dict.fromkeys(("dark", "darks"), FrameKind.DARK),
        **dict.fromkeys(("flat", "flats"), FrameKind.FLAT),
        **dict.fromkeys(("light", "lights"), FrameKind.LIGHT),
    },
    unknown_kind=FrameKind.LIGHT,
    exposure=("EXPTIME", "EXPOSURE"),
    filter_name=("FILTER", "INSFLNAM"),
    binning=("XBINNING", "CCDBINX", "BINNING"),
    gain=(),
    mosaic=("BAYERPAT",),
    takes_last=True,
    missing_filter="NoFilter",
    path_keywords=True,
    master_in_path=True,
    master_suffixes=frozenset({".xisf"}),
)
_SAME = frozenset({Compared.SIZE, Compared.BINNING})
_WITH_FILTER = _SAME | {Compared.FILTER}
_DARK_FLAT_S = 0.5
_MASTERS = Tolerance(seconds=0.01)

WBPP = Program(
    name="wbpp",
    title="PixInsight WBPP",
    since=(2, 7),
    verified=(_VERSION,),
    reading=_READING,
    grouping={
        FrameKind.BIAS: Grouping(_SAME),
        FrameKind.DARK: Grouping(_SAME | {Compared.EXPOSURE}, Tolerance(seconds=DEFAULT_TOLERANCE_S), _MASTERS),
        FrameKind.FLAT: Grouping(_WITH_FILTER),
        FrameKind.LIGHT: Grouping(
            _WITH_FILTER | {Compared.MOSAIC, Compared.EXPOSURE},
            Tolerance(seconds=2),
        ),
    },
    choices=(
        Choice(FrameKind.LIGHT, FrameKind.DARK, _SAME, (Compared.EXPOSURE,)),
        Choice(FrameKind.LIGHT, FrameKind.FLAT, _WITH_FILTER | {Compared.MOSAIC}),
        Choice(FrameKind.FLAT, FrameKind.DARK, _SAME, (Compared.EXPOSURE,), within_s=_DARK_FLAT_S),
        Choice(FrameKind.FLAT, FrameKind.BIAS, _SAME),
    ),
    rules=(
        Rule(
            "kind",
            "The kind is read from IMAGETYP or, if IMAGETYP contains no known kind, from the last of the words bias, "
            "dark, flat and light in the path; without these words, the file is a light. A dark flat counts as a dark.",
            _script("BPP-Helper.js", "imageTypeFromKeyword, getImageTypeFromPath; BPP-StackEngine.js, addFile"),
        ),
        Rule(
            "masters",
            'A file is a master if IMAGETYP or any part of its path contains "master"; masters that are not XISF files '
            "are refused.",
            _script("BPP-StackEngine.js", "addFile; BPP-Helper.js, isMasterFromPath, isMasterFromKeyword"),
        ),
        Rule(
            "grouping",
            "Groups are distinguished by size, binning, exposure (darks, lights), filter (flats, lights) and BAYERPAT "
            "(lights). Other properties, such as gain, offset and temperature, count only as grouping keywords.",
            _script("BPP-FrameGroup.js", "sameParameters, keywordsMatchCount"),
        ),
        Rule(
            "exposures",
            "Raw darks whose exposures agree within the tolerance (10 s by default, at least 0.01 s) become one group, "
            "as do lights whose exposures agree within 2 s. The exposures of masters must agree within 0.01 s.",
            _script("BPP-Global.js", "Defaults, Constants; BPP-StackEngine.js, findGroup"),
        ),
        Rule(
            "keywords",
            "A grouping keyword is read from the path (GAIN_100), otherwise from the header. If a calibration group "
            "has a grouping keyword, its value must be the same as that of the lights.",
            _script("BPP-FileItem.js", "updateKeywords; BPP-CalibrationMatcher.js, getCompatibleCalibrationGroups"),
        ),
        Rule(
            "filters",
            "If a frame has no FILTER, the filter is read from FILTER_... in its path, and is otherwise NoFilter. "
            "Lights are calibrated only with flats of the same filter; both must have BAYERPAT, or neither.",
            _script("BPP-StackEngine.js", "addFile; BPP-CalibrationMatcher.js, getMasterFlatGroup"),
        ),
        Rule(
            "nearest-dark",
            "Lights are calibrated with the dark of the nearest exposure, even if the exposures differ greatly; the "
            "dark is scaled only if it is optimised.",
            _script("BPP-CalibrationMatcher.js", "getMasterDarkGroup"),
        ),
        Rule(
            "dark-flats",
            "If there is a bias, flats are calibrated with a dark only if its exposure is within 0.5 s of theirs, and "
            "otherwise with the bias. If there is no bias, the dark of the nearest exposure is used.",
            _script("BPP-CalibrationMatcher.js", "getCalibrationGroupsFor, getMasterDarkGroup"),
        ),
    ),
)


def with_tolerance(program: Program, seconds: float) -> Program:
    """Return the rules of WBPP with a different exposure tolerance for darks, as the user may have set it."""
    dark = replace(program.grouping[FrameKind.DARK], tolerance=Tolerance(seconds=max(seconds, _MASTERS.seconds)))
    return replace(program, grouping={**program.grouping, FrameKind.DARK: dark})
