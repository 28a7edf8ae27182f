"""Checks of header values; most checks apply to every program. See `traps.CHECKS`."""

import re
from collections.abc import Callable, Iterator

from coldframe.calibration.frames.names import comparable
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.interchange.judged import Judged, Trap, count, number, rule_of_matching, trap_of
from coldframe.calibration.interchange.reading import Seen
from coldframe.config.frames import FrameKind

_SECONDS_IN_NAME = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)(?:s|sec|secs)(?![a-zA-Z])")
_HIGHEST_FRACTION = 1.0
_DARKS = frozenset({FrameKind.DARK, FrameKind.DARK_FLAT})
_WITHOUT_LIGHT = _DARKS | {FrameKind.BIAS}


def filters(judged: Judged) -> Iterator[Trap]:
    """Report filter names that are spelled differently in lights and flats, and flats without FILTER."""
    lights = _names(judged, FrameKind.LIGHT)
    for flat, seen in _names(judged, FrameKind.FLAT).items():
        for light, seen_lights in lights.items():
            if flat != light and comparable(flat) == comparable(light):
                yield trap_of(
                    judged,
                    "filter-spelling",
                    f"the filter is {light!r} in lights, but {flat!r} in flats",
                    "write the same name in both",
                    [*seen, *seen_lights],
                    "filters" if judged.has_rule("filters") else None,
                )
    flats = [each for each in judged.seen if each.kind is FrameKind.FLAT]
    nameless = [each for each in flats if each.setup.filter_name is None]
    if nameless and (lights or len(nameless) < len(flats)):
        yield trap_of(
            judged,
            "no-filter",
            f"{count(nameless)} without FILTER, although other frames state a filter",
            "write FILTER in flats as well as in lights",
            nameless,
            "filters" if judged.has_rule("filters") else None,
        )


def _names(judged: Judged, kind: FrameKind) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for each in judged.seen:
        if each.kind is kind and each.setup.filter_name is not None:
            found.setdefault(str(each.file.header.get("FILTER", each.setup.filter_name)).strip(), []).append(each)
    return found


_Needed = tuple[str, frozenset[FrameKind], Callable[[FrameSetup], object | None], str]
_NEEDED: tuple[_Needed, ...] = (
    ("exposure", frozenset(FrameKind) - {FrameKind.BIAS}, lambda setup: setup.exposure_s, "EXPTIME"),
    ("gain", frozenset(FrameKind), lambda setup: setup.readout.gain, "GAIN or ISOSPEED"),
    ("temperature", _WITHOUT_LIGHT, lambda setup: setup.temperature_c, "SET-TEMP and CCD-TEMP"),
)


def missing(judged: Judged) -> Iterator[Trap]:
    """Report files that lack values which distinguish settings, and files with values that cannot be interpreted."""
    for name, kinds, value, keywords in _NEEDED:
        without = [each for each in judged.seen if each.setup.kind in kinds and value(each.setup) is None]
        if without:
            yield trap_of(
                judged,
                f"no-{name}",
                f"{count(without)} without {name}, so that different settings cannot be distinguished",
                f"write {keywords}",
                without,
            )
    unreadable = [each for each in judged.seen if each.setup.unreadable]
    if unreadable:
        card = unreadable[0].setup.unreadable[0]
        yield trap_of(
            judged,
            "unreadable",
            f"{count(unreadable)} with values that different programs interpret differently, such as {card}",
            "correct these cards in the headers",
            unreadable,
        )


def row_order(judged: Judged) -> Iterator[Trap]:
    """Report files without ROWORDER if they are colour images, or if other files have a ROWORDER."""
    without = [each for each in judged.seen if each.setup.row_order is None]
    colours = [each for each in without if each.setup.mosaic is not None]
    others = [each for each in judged.seen if each.setup.row_order is not None]
    if colours or (without and others):
        assumed = judged.program.reading.assumed_row_order
        reading = f"the program assumes {assumed}" if assumed else "programs disagree on the default"
        yield trap_of(
            judged,
            "no-row-order",
            f"{count(without)} without ROWORDER: {reading}, so colours or the order of rows may be wrong",
            "set ROWORDER to TOP-DOWN, the order in which INDI drivers store the rows",
            without,
            "row-order" if judged.has_rule("row-order") else None,
        )


def mosaic(judged: Judged) -> Iterator[Trap]:
    """Report flats without BAYERPAT if lights have it."""
    lights = [each for each in judged.seen if each.setup.kind is FrameKind.LIGHT and each.setup.mosaic is not None]
    flats = [each for each in judged.seen if each.setup.kind is FrameKind.FLAT and each.setup.mosaic is None]
    if lights and flats:
        yield trap_of(
            judged,
            "no-bayerpat",
            f"{count(flats)} without BAYERPAT, although the lights have it",
            "write BAYERPAT in both or in neither",
            flats,
            rule_of_matching(judged),
        )


def sizes(judged: Judged) -> Iterator[Trap]:
    """Report files with a size that no light has."""
    lights = [each for each in judged.seen if each.setup.kind is FrameKind.LIGHT]
    wanted = {(each.setup.width, each.setup.height) for each in lights}
    odd = [each for each in judged.seen if lights and (each.setup.width, each.setup.height) not in wanted]
    if odd:
        setup = odd[0].setup
        yield trap_of(
            judged,
            "size",
            f"{count(odd)} with a size that no light has, such as {setup.width} x {setup.height}",
            "leave them out, or use frames with the binning and region of the lights",
            odd,
        )


def floats(judged: Judged) -> Iterator[Trap]:
    """Report 32-bit floating-point images whose range the program misreads, or whose ranges differ."""
    reading = judged.program.reading
    images = [each for each in judged.seen if number(each.file.header.get("BITPIX")) < 0]
    fits = [each for each in images if each.file.path.suffix.lower() != ".xisf"]
    blind = [each for each in fits if not {"DATAMIN", "DATAMAX"} <= set(each.file.header)]
    if reading.needs_float_range and blind:
        yield trap_of(
            judged,
            "float-range",
            f"{count(blind)} of 32-bit floats without DATAMIN and DATAMAX; the program expects values from 0 to 1, so "
            "that values in ADU become white",
            "use 16-bit masters (`coldframe export --for dss`)",
            blind,
            "float-range",
        )
    known = [each for each in fits if each.file.highest is not None and each.setup.kind in _WITHOUT_LIGHT]
    fractions = [each for each in known if (each.file.highest or 0) <= _HIGHEST_FRACTION]
    if fractions and len(fractions) < len(known):
        yield trap_of(
            judged,
            "mixed-ranges",
            f"{count(fractions)} with values from 0 to 1, although the values of other masters are in ADU",
            "use masters from only one program",
            fractions,
        )
    above = reading.full_range_above
    between = [each for each in known if above is not None and _HIGHEST_FRACTION < (each.file.highest or 0) <= above]
    if between:
        yield trap_of(
            judged,
            "float-range",
            f"{count(between)} with no value above {above:g}, so that the program treats the values as fractions of "
            "the range",
            "use masters that contain the bias",
            between,
            "float-range",
        )


def depths(judged: Judged) -> Iterator[Trap]:
    """Report files whose bit depth differs from that of the lights, if the program rejects these files."""
    lights = {each.depth for each in judged.seen if each.kind is FrameKind.LIGHT} or {16}
    if not judged.has_rule("compatible"):
        return
    odd = [each for each in judged.seen if each.kind is not None and each.depth not in lights]
    if odd:
        yield trap_of(
            judged,
            "depth",
            f"{count(odd)} with {odd[0].depth} bits, which cannot be used with lights of {min(lights)} bits",
            "use 16-bit masters (`coldframe export --for dss`)",
            odd,
            "compatible",
        )


def names_of_exposures(judged: Judged) -> Iterator[Trap]:
    """Report exposures truncated to whole seconds in file names, or in the names of masters that the program writes."""
    cut = [each for each in judged.seen if _is_cut(each)]
    if cut:
        yield trap_of(
            judged,
            "truncated-exposure",
            f"{count(cut)} with an exposure that the file name truncates to whole seconds",
            "rename them, because different exposures may get the same name",
            cut,
        )
    if not judged.has_rule("truncated-names"):
        return
    groups = [group for group in judged.groups if group.kind in _DARKS and len(group.frames) > 1]
    for place, group in enumerate(groups):
        for other in groups[place + 1 :]:
            one, second = group.first, other.first
            same = one.file.path.parent == second.file.path.parent and one.gain == second.gain
            if same and group.kind is other.kind and int(one.exposure_s) == int(second.exposure_s):
                yield trap_of(
                    judged,
                    "truncated-names",
                    f"the masters of {one.exposure_s:g} s and {second.exposure_s:g} s get the same name",
                    "use a separate folder for each exposure",
                    [*group.frames, *other.frames],
                    "truncated-names",
                )


def _is_cut(seen: Seen) -> bool:
    match = _SECONDS_IN_NAME.search(seen.file.path.stem)
    exposure_s = seen.setup.exposure_s
    if match is None or exposure_s is None:
        return False
    return float(match[1]) == int(exposure_s) != exposure_s


def bias_subtracted(judged: Judged) -> Iterator[Trap]:
    """Report darks whose bias was subtracted."""
    without = [each for each in judged.seen if each.setup.bias_subtracted]
    if without:
        yield trap_of(
            judged,
            "bias-subtracted",
            f"{count(without)} from which the bias was subtracted, so the bias of the lights would remain in them",
            "use darks that contain the bias, or also subtract a bias from the lights",
            without,
        )


def bias_twice(judged: Judged) -> Iterator[Trap]:
    """Report biases loaded together with a single dark that contains the bias, for programs that subtract both."""
    if not judged.has_rule("single-dark"):
        return
    biases = [each for group in judged.groups if group.kind is FrameKind.BIAS for each in group.frames]
    single = [group.first for group in judged.groups if group.kind is FrameKind.DARK and len(group.frames) == 1]
    darks = [each for each in single if not each.setup.bias_subtracted]
    if biases and darks:
        yield trap_of(
            judged,
            "bias-twice",
            f"the bias is subtracted twice: once with the biases ({count(biases)}), and once as part of the dark",
            "leave out the biases: a master dark contains the bias",
            [*biases, *darks],
            "single-dark",
        )


def whole_gain(judged: Judged) -> Iterator[Trap]:
    """Report fractional gains, for programs that read gains as whole numbers."""
    if not judged.program.reading.whole_gain:
        return
    odd = [each for each in judged.seen if number(each.file.header.get("GAIN")) % 1]
    if odd:
        yield trap_of(
            judged,
            "whole-gain",
            f"{count(odd)} with a fractional gain, which the program reads as a whole number",
            "write GAIN as a whole number",
            odd,
            "whole-gain" if judged.has_rule("whole-gain") else "grouping",
        )


def scripts_without_dark_flats(judged: Judged) -> Iterator[Trap]:
    """Report dark flats; Siril's scripts ignore them or mistake them for the lights' darks."""
    dark_flats = [each for each in judged.seen if each.setup.kind is FrameKind.DARK_FLAT]
    if dark_flats and judged.has_rule("bias-from-flats"):
        yield trap_of(
            judged,
            "dark-flats",
            f"{count(dark_flats)} with dark flats, although the scripts do not support them and subtract biases from "
            "flats",
            "put the dark flats into biases/ instead of the biases, or use a script that supports dark flats",
            dark_flats,
            "bias-from-flats",
        )
