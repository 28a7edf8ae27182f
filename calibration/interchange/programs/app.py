"""Astro Pixel Processor 2.

The program is not open source, and no description of its rules was found, so all rules are assumptions.
"""

from coldframe.calibration.interchange.programs.model import Compared, Grouping, Program, Reading, Rule
from coldframe.config.frames import FrameKind

_SAME = frozenset({Compared.SIZE, Compared.FOLDER})

APP = Program(
    name="app",
    title="Astro Pixel Processor",
    since=(2,),
    verified=(),
    reading=Reading(
        kind_words={},
        kind_folders={
            **dict.fromkeys(("bias", "biases"), FrameKind.BIAS),
            **dict.fromkeys(("dark", "darks"), FrameKind.DARK),
            **dict.fromkeys(("flat", "flats"), FrameKind.FLAT),
            **dict.fromkeys(("darkflat", "darkflats", "dark-flats", "dark_flats"), FrameKind.DARK_FLAT),
            **dict.fromkeys(("light", "lights"), FrameKind.LIGHT),
        },
        unknown_kind=None,
        exposure=("EXPTIME", "EXPOSURE"),
        filter_name=("FILTER",),
        binning=(),
        gain=(),
        mosaic=("BAYERPAT",),
    ),
    grouping=dict.fromkeys(FrameKind, Grouping(_SAME)),
    choices=(),
    rules=(
        Rule(
            "kind",
            "The kind is determined by the button with which files are loaded; here, folders represent the buttons.",
            None,
        ),
        Rule("grouping", "Files that are loaded together, here those in one folder, are stacked together.", None),
    ),
)
