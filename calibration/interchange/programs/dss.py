"""DeepSkyStacker 5 and 6."""

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

_VERSIONS = "5.1.9 and 6.2.2"


def _code(file: str, place: str) -> Source:
    return Source(
        f"github.com/deepskystacker/DSS, DeepSkyStackerKernel/{file}", place, _VERSIONS, "2025-03-31, 2026-07-18"
    )


_EQUAL = Tolerance(relative=0.05, reciprocal=5)
_SHARED = frozenset({Compared.FOLDER, Compared.GAIN, Compared.EXPOSURE})
_COMPATIBLE = frozenset({Compared.SIZE, Compared.DEPTH, Compared.MOSAIC})

DSS = Program(
    name="dss",
    title="DeepSkyStacker",
    since=(5,),
    verified=("5.1.9", "6.2.2"),
    reading=Reading(
        kind_words={},
        kind_folders={
            **dict.fromkeys(("bias", "biases", "offset", "offsets"), FrameKind.BIAS),
            **dict.fromkeys(("dark", "darks"), FrameKind.DARK),
            **dict.fromkeys(("flat", "flats"), FrameKind.FLAT),
            **dict.fromkeys(("darkflat", "darkflats", "dark-flats", "dark_flats", "flatdarks"), FrameKind.DARK_FLAT),
            **dict.fromkeys(("light", "lights"), FrameKind.LIGHT),
        },
        unknown_kind=None,
        exposure=("EXPOINUS", "EXPTIME", "EXPOSURE"),
        filter_name=(),
        binning=(),
        gain=("ISOSPEED", "GAIN"),
        mosaic=("BAYERPAT", "COLORTYP"),
        assumed_row_order="TOP-DOWN",
        needs_float_range=True,
        whole_gain=True,
        tab_folders="group",
    ),
    grouping=dict.fromkeys(FrameKind, Grouping(_SHARED, _EQUAL)),
    choices=(
        Choice(FrameKind.LIGHT, FrameKind.DARK, _COMPATIBLE, (Compared.GAIN, Compared.EXPOSURE)),
        Choice(FrameKind.LIGHT, FrameKind.FLAT, _COMPATIBLE, (Compared.GAIN,)),
        Choice(FrameKind.FLAT, FrameKind.DARK_FLAT, _COMPATIBLE, (Compared.GAIN, Compared.EXPOSURE)),
    ),
    rules=(
        Rule(
            "kind",
            "The kind is chosen when the files are added, and never read from IMAGETYP; here, folders represent it.",
            _code("FrameInfo.cpp", "InitFromFile"),
        ),
        Rule(
            "grouping",
            "Groups are distinguished by the group tab, the ISO value or gain, and the exposure; not by filter, "
            "temperature, offset or binning.",
            _code("StackingTasks.cpp", "AddFileToTask"),
        ),
        Rule(
            "exposures",
            "Exposures of 1 s or more count as equal within 5 %, and shorter exposures if their reciprocals differ by "
            "less than 5; for example, 0.2 s and 0.5 s count as equal.",
            _code("StackingTasks.cpp", "AreExposureEquals"),
        ),
        Rule(
            "truncated-names",
            "Master darks and dark flats are written next to the first frame under a name with whole seconds, so that "
            "0.2 s and 0.9 s both become 0s, and one replaces the other.",
            _code("StackingTasks.cpp", "BuildMasterFileNames"),
        ),
        Rule(
            "compatible",
            "Frames must have the size, the colour depth and the colour filter array of the lights; masters are "
            "exempt, but FITS files never count as masters.",
            _code("FrameInfo.cpp", "IsCompatible; FITSUtil.h, IsMaster"),
        ),
        Rule(
            "single-dark",
            "A single dark is used unchanged as the master dark; the offset is subtracted only from several darks. "
            "First the master offset and then the master dark are subtracted from lights.",
            _code("StackingTasks.cpp", "DoDarkTask; MasterFrames.cpp, ApplyAllMasters"),
        ),
        Rule(
            "float-range",
            "Images of 32-bit floats without DATAMIN and DATAMAX are read as 0 to 1.",
            _code("FITSUtil.cpp", "CFITSReader::Read"),
        ),
        Rule(
            "row-order",
            "Files without ROWORDER are read from top to bottom.",
            _code("FITSUtil.cpp", "CFITSReader::Open"),
        ),
        Rule(
            "nearest-dark",
            "Lights take a dark with their gain and exposure; otherwise, one with their gain and the nearest exposure; "
            "otherwise, one with any gain.",
            _code("StackingTasks.cpp", "FindBestMatchingTask"),
        ),
    ),
)
