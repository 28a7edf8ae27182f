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
            "The kind is chosen when the files are added, and is never read from IMAGETYP; here, folders represent the "
            "choice.",
            _code("FrameInfo.cpp", "InitFromFile"),
        ),
        Rule(
            "grouping",
            "Groups are distinguished by the group tab, the ISO value or gain, and the exposure, but not by "
            "filter, temperature, offset or binning.",
            _code("StackingTasks.cpp", "AddFileToTask"),
        ),
        Rule(
            "exposures",
            "Exposures of 1 s or more count as equal if they differ by at most 5 %. Shorter exposures count as equal "
            "if their reciprocals differ by less than 5 per second; for example, 0.2 s and 0.5 s count as equal.",
            _code("StackingTasks.cpp", "AreExposureEquals"),
        ),
        Rule(
            "truncated-names",
            "Master darks and dark flats are written next to the first frame under a name with whole seconds, so that "
            "0.2 s and 0.9 s both become 0s, and one master replaces the other.",
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
            "A single dark is used unchanged as the master dark; the offset is subtracted from darks only if there are "
            "several. The master offset is subtracted from the lights first, and then the master dark.",
            _code("StackingTasks.cpp", "DoDarkTask; MasterFrames.cpp, ApplyAllMasters"),
        ),
        Rule(
            "float-range",
            "The values of 32-bit floating-point images without DATAMIN and DATAMAX are assumed to be from 0 to 1.",
            _code("FITSUtil.cpp", "CFITSReader::Read"),
        ),
        Rule(
            "row-order",
            "Files without ROWORDER are read from top to bottom.",
            _code("FITSUtil.cpp", "CFITSReader::Open"),
        ),
        Rule(
            "nearest-dark",
            "Lights are calibrated with a dark of the same gain and exposure. If there is none, a dark of the same "
            "gain and the nearest exposure is used, or else a dark of any gain.",
            _code("StackingTasks.cpp", "FindBestMatchingTask"),
        ),
    ),
)
