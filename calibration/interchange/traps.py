"""Traps: actions of a program that the owner of the files does not expect.

`CHECKS` is the table of all checks. Each trap names the rule of the program that triggers it, or no rule if the
files are at fault regardless of the program.
"""

from collections.abc import Callable, Iterator, Sequence

from coldframe.calibration.frames.setup import REACHED_C
from coldframe.calibration.interchange import header_traps
from coldframe.calibration.interchange.groups import Group
from coldframe.calibration.interchange.judged import Judged, Trap, count, rule_of_matching, trap_of
from coldframe.calibration.interchange.programs.model import Compared, Program
from coldframe.calibration.interchange.properties import PROPERTIES
from coldframe.calibration.interchange.reading import Seen
from coldframe.config.frames import FrameKind
from coldframe.counted import counted

_MANY = 4
_WBPP_KEYWORDS = {
    "gain": "GAIN",
    "offset": "OFFSET",
    "temperature": "TEMP (in the path)",
    "rotator angle": "ROTATION (in the path)",
}
_DARKS = frozenset({FrameKind.DARK, FrameKind.DARK_FLAT})


def traps_of(judged: Judged) -> list[Trap]:
    """Return all traps in the files for one program."""
    return [trap for check in CHECKS for trap in check(judged)]


def _refused(judged: Judged) -> Iterator[Trap]:
    refused = [each for each in judged.seen if each.refused]
    if refused:
        yield trap_of(
            judged,
            "refused",
            f"{count(refused)} treated as a master and refused, because the program accepts masters only as XISF files",
            'export masters with `coldframe export --for wbpp`; keep "master" out of the paths of raw frames',
            refused,
            "masters",
        )


def _unknown_kind(judged: Judged) -> Iterator[Trap]:
    ignored = [each for each in judged.seen if each.kind is None]
    if ignored:
        yield trap_of(
            judged,
            "ignored",
            f"{count(ignored)} ignored: no folder states the kind",
            f"put them into one of the folders {', '.join(sorted(judged.program.reading.kind_folders))}",
            ignored,
            "kind",
        )


def _different_kind(judged: Judged) -> Iterator[Trap]:
    for taken in FrameKind:
        for meant in FrameKind:
            wrong = [each for each in judged.seen if each.kind is taken and each.setup.kind is meant]
            if taken is meant or not wrong or ({taken, meant} == _DARKS and not _knows_dark_flats(judged)):
                continue
            yield trap_of(
                judged,
                "kind",
                f"{count(wrong)} treated as {_plural(taken)}, but the header states {meant}",
                "use frames of the right kind; a bias cannot replace a dark flat if the sensor has dark current or "
                "glow",
                wrong,
                "kind",
            )
    unknown = [each for each in judged.seen if each.kind is not None and each.setup.kind is None]
    if unknown:
        yield trap_of(
            judged,
            "no-kind",
            f"{count(unknown)} of unknown kind, treated as {_plural(unknown[0].kind)}",
            "set IMAGETYP to Bias Frame, Dark Frame, Flat Frame or Light Frame",
            unknown,
            "kind",
        )


def _merged(judged: Judged) -> Iterator[Trap]:
    for group in judged.groups:
        compared = judged.program.grouping[group.kind].compared
        for each in PROPERTIES:
            if group.kind not in each.kinds:
                continue
            values = each.distinct(seen.setup for seen in group.frames)
            if len(values) > 1:
                by_exposure = each.name == "exposure" and Compared.EXPOSURE in compared
                yield trap_of(
                    judged,
                    "merged",
                    f"{_counted(group.frames, group.kind)} become one stack, although they differ in {each.name}: "
                    + _listed(values),
                    _apart(judged.program, each.name),
                    group.frames,
                    "exposures" if by_exposure and judged.has_rule("exposures") else "grouping",
                )
        masters = [seen for seen in group.frames if seen.setup.kind is not None and _is_stack(seen)]
        if masters and (len(masters) < len(group.frames) or len(masters) > 1):
            kinds = _plural(group.kind)
            what = f"{kinds} and raw {kinds}" if len(masters) < len(group.frames) else kinds
            number = "" if len(masters) < len(group.frames) else f"{len(masters)} "
            yield trap_of(
                judged,
                "masters-together",
                f"{number}master {what} are in one group",
                "load either one master or the raw frames",
                group.frames,
                "grouping",
            )


def _apart(program: Program, name: str) -> str:
    """Return advice on how to separate frames that differ in a property."""
    match program.name:
        case "wbpp":
            if name == "exposure":
                return "set the exposure tolerance to 0"
            keyword = _WBPP_KEYWORDS.get(name, "for this property")
            return f"set the grouping keyword {keyword} (pre), or add the frames for one value at a time"
        case "dss":
            return "use a separate group tab for each value, or add the frames for one value at a time"
    return "use a separate folder for each value"


def _nearest_dark(judged: Judged) -> Iterator[Trap]:
    for group in judged.groups:
        for kind in (FrameKind.DARK, FrameKind.DARK_FLAT):
            dark = group.takes.get(kind)
            if dark is None:
                continue
            differences = [*_differences(group, dark)]
            if differences:
                name = "dark-flats" if group.kind is FrameKind.FLAT else "nearest-dark"
                yield trap_of(
                    judged,
                    "wrong-dark",
                    f"{_counted(group.frames, group.kind)} would be calibrated with darks that differ in "
                    f"{', '.join(differences)}",
                    "add darks that match, or leave out the darks that differ",
                    dark.frames,
                    name if judged.has_rule(name) else "nearest-dark",
                )


def _differences(group: Group, dark: Group) -> Iterator[str]:
    for each in PROPERTIES:
        if each.name in {"exposure", "gain", "offset", "readout mode", "camera"}:
            ours = each.distinct(seen.setup for seen in group.frames)
            theirs = each.distinct(seen.setup for seen in dark.frames)
            both = each.distinct([group.first.setup, dark.first.setup])
            if ours and theirs and len(both) > 1:
                yield f"{each.name} ({ours[0]}, darks {theirs[0]})"
    one, other = group.first.setup.temperature_c, dark.first.setup.temperature_c
    if group.kind is FrameKind.LIGHT and one is not None and other is not None and abs(one - other) > REACHED_C:
        yield f"temperature ({one:g} C, darks {other:g} C)"


def _without(judged: Judged) -> Iterator[Trap]:
    """Report lights for which the program finds no dark or flat, although darks or flats exist."""
    for group in judged.groups:
        for choice in judged.program.choices:
            kind = choice.with_kind
            if choice.calibrated is not group.kind or group.kind is not FrameKind.LIGHT or group.takes.get(kind):
                continue
            others = [seen for each in judged.groups if each.kind is kind for seen in each.frames]
            if others:
                yield trap_of(
                    judged,
                    "unmatched",
                    f"no {kind} matches {_counted(group.frames, group.kind)} ({_described(group.first)}), although the "
                    f"files include {_counted(others, kind)} ({_described(others[0])})",
                    f"make {', '.join(sorted(choice.must_share))} and the grouping keywords the same in both",
                    [*group.frames, *others],
                    rule_of_matching(judged),
                )


CHECKS: tuple[Callable[[Judged], Iterator[Trap]], ...] = (
    _refused,
    _unknown_kind,
    _different_kind,
    _merged,
    _nearest_dark,
    _without,
    header_traps.filters,
    header_traps.mosaic,
    header_traps.sizes,
    header_traps.depths,
    header_traps.floats,
    header_traps.missing,
    header_traps.row_order,
    header_traps.names_of_exposures,
    header_traps.bias_subtracted,
    header_traps.bias_twice,
    header_traps.whole_gain,
    header_traps.scripts_without_dark_flats,
)


def _knows_dark_flats(judged: Judged) -> bool:
    return FrameKind.DARK_FLAT in judged.program.reading.kind_folders.values()


def _is_stack(seen: Seen) -> bool:
    return seen.is_master or "master" in str(seen.file.header.get("IMAGETYP", "")).lower()


def _described(seen: Seen) -> str:
    parts = [
        seen.filter_name,
        f"{seen.setup.width} x {seen.setup.height}",
        f"binning {seen.binning}",
        seen.mosaic,
        *(f"{keyword} {value}" for keyword, value in seen.keywords),
    ]
    return ", ".join(part for part in parts if part)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values[:_MANY]) + (f" and {len(values) - _MANY} more" if len(values) > _MANY else "")


def _counted(seen: Sequence[Seen], kind: FrameKind) -> str:
    return counted(len(seen), kind.replace("-", " "), _plural(kind))


def _plural(kind: FrameKind | None) -> str:
    return {None: "nothing", FrameKind.BIAS: "biases", FrameKind.DARK_FLAT: "dark flats"}.get(kind, f"{kind}s")
