"""Siril 1.2 and 1.4, and the scripts that are shipped with them."""

from dataclasses import replace

from coldframe.calibration.interchange.programs.model import Compared, Grouping, Program, Reading, Rule, Source
from coldframe.config.frames import FrameKind


def _code(file: str, place: str, version: str) -> Source:
    dated = {"1.2.0": "2023-09-14", "1.4.0": "2025-12-03"}[version]
    return Source(f"Siril (gitlab.com/free-astro/siril), {file}", place, version, dated)


def _rules(version: str, full_range_above: float, gain_place: str) -> tuple[Rule, ...]:
    return (
        Rule(
            "kind",
            "The scripts derive the kind from the folders biases, darks, flats and lights, and write "
            "masters/bias_stacked, dark_stacked and pp_flat_stacked; other files are ignored.",
            _code("scripts/OSC_Preprocessing.ssf, Mono_Preprocessing.ssf", "cd, convert, stack", version),
        ),
        Rule(
            "grouping",
            "All files in a folder become one sequence, regardless of gain, exposure, temperature, filter and offset.",
            _code("scripts/OSC_Preprocessing.ssf", "convert", version),
        ),
        Rule(
            "bias-from-flats",
            "The scripts subtract the biases from the flats; they do not support dark flats.",
            _code("scripts/OSC_Preprocessing.ssf", "calibrate flat -bias", version),
        ),
        Rule(
            "float-range",
            f"Floating-point images whose highest value exceeds {full_range_above:g} are divided by 65,535; the values "
            "of all other floating-point images are treated as fractions.",
            _code("src/io/image_format_fits.c", "data_max", version),
        ),
        Rule(
            "row-order",
            "Files without ROWORDER are demosaiced from top to bottom, unless the user has changed this preference.",
            _code("src/algos/demosaicing.c; src/core/settings.c", "top_down, orientation", version),
        ),
        Rule(
            "whole-gain",
            "GAIN is read as an unsigned whole number.",
            _code(gain_place, "GAIN", version),
        ),
    )


_READING = Reading(
    kind_words={},
    kind_folders={
        "biases": FrameKind.BIAS,
        "darks": FrameKind.DARK,
        "flats": FrameKind.FLAT,
        "lights": FrameKind.LIGHT,
    },
    kind_names={
        "bias_stacked": FrameKind.BIAS,
        "dark_stacked": FrameKind.DARK,
        "pp_flat_stacked": FrameKind.FLAT,
    },
    unknown_kind=None,
    exposure=("EXPTIME", "EXPOSURE"),
    filter_name=(),
    binning=(),
    gain=(),
    mosaic=("BAYERPAT",),
    assumed_row_order="TOP-DOWN",
    full_range_above=2.0,
    whole_gain=True,
)

SIRIL_1_2 = Program(
    name="siril",
    title="Siril",
    since=(1, 2),
    verified=("1.2.0",),
    reading=_READING,
    grouping=dict.fromkeys(FrameKind, Grouping(frozenset({Compared.FOLDER}))),
    choices=(),
    rules=_rules("1.2.0", 2.0, "src/io/image_format_fits.c"),
)
SIRIL_1_4 = replace(
    SIRIL_1_2,
    since=(1, 4),
    verified=("1.4.0",),
    reading=replace(_READING, full_range_above=10.0),
    rules=_rules("1.4.0", 10.0, "src/io/image_format_fits.c, table of keywords"),
)
