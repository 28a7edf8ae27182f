"""How often the diagnosis finds simulated faults, names their causes, and raises false alarms; and its speed.

Run `python -m benchmarks.diagnosis --seeds 1 20 --clean 1 300 --results results.jsonl`. Each night is a line of the
file, and nights that are in the file are not simulated again. So, an interrupted run continues, and further ranges of
seeds add to the results. `--only NAME` restricts the faults, and `--summary` only prints the tables.

`python -m benchmarks.diagnosis --speed` instead measures the speed with large lights; see `diagnosis_speed`.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.diagnosis_speed import LARGE, measure_speed
from coldframe.calibration.diagnosis.diagnosing import diagnose, with_findings
from coldframe.calibration.diagnosis.files import findings_about_masters
from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind
from coldframe.calibration.diagnosis.master_files import WholeMasters
from coldframe.calibration.diagnosis.negative_pixels import negative_findings
from coldframe.calibration.diagnosis.untestable import knowledge_of, without_untestable
from tests.calibration.diagnosis import faults, nights
from tests.calibration.diagnosis.examined_nights import examined
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.nights import Night, Simulated

SIZE = (700, 1000)
LIGHTS = 12
MOSAIC = "RGGB"
MOST_FILLED = 0.3
"""Part of the field that nebulae fill at most in the nights in which the colours of a flat must be found."""

NONE = "none"
CLEAN = {"clean": None, "clean OSC": MOSAIC}

CAUSES: Mapping[str, tuple[str, ...]] = {
    "offset": ("offset",),
    "light-pedestal": ("contain their pedestal", "negative dark current"),
    "flat-pedestal": ("the flat contains a pedestal", "the wrong pedestal was subtracted from the flat"),
    "unsubtracted-flat": ("the flat contains a pedestal", "nothing was subtracted"),
    "dark-leak": ("light leaked", "the dark contains light", "fell on the sensor"),
    "dark-temperature": ("the dark has a different temperature",),
    "dark-exposure": ("exposure",),
    "dark-scaled": ("scaled", "glow"),
    "glow": ("glow",),
    "dust-shift": ("displaced",),
    "dust-rotation": ("turned",),
    "focus": ("focus",),
    "new-mote": ("new dust mote",),
    "gone-mote": ("missing from the lights", "gone"),
    "other-filter": ("a different filter",),
    "fixed-rows": ("pattern of rows",),
    "fixed-columns": ("pattern of columns",),
    "row-noise": ("noise of rows",),
    "odd-even": ("odd and even rows",),
    "few-darks": ("too few frames in the dark",),
    "few-flats": ("too few frames in the flat",),
    "gain": ("gain",),
    "uneven-flat": ("uneven",),
    "colour": ("between colours",),
    "channel-level": ("colours of the flat", "between colours"),
    "smoothed-flat": ("smooth",),
    "dark-without-hot": ("hot pixels",),
    "old-dark": ("old",),
    "dew": ("dew", "spot"),
    "saturated-flat": ("saturated", "clipped", "of the range"),
    "odd-frame": ("frame",),
}
"""Words of which the cause must contain one, by the name of the fault."""

ALSO_RIGHT: Mapping[str, Kind] = {
    "light-pedestal": Kind.MASTERS,
    "unsubtracted-flat": Kind.MASTERS,
    "channel-level": Kind.MASTERS,
    "dark-exposure": Kind.TEMPERATURE,
}
"""A second kind that is right, by the name of the fault: the master alone shows it, or headers hide the exposure."""

RELATIVE_UNITS = {
    "offset": "% of the sky",
    "fixed-rows": "% of the noise",
    "fixed-columns": "% of the noise",
    "row-noise": "% of the noise",
}
"""Units of the strengths that are relative to a night."""


@dataclass(frozen=True)
class Case:
    """A fault that is put into nights of several seeds.

    Attributes
    ----------
    name
        Fault and strength.
    must_be_found
        True for the faults, at the strengths, that the diagnosis must find.
    fault
        Returns the fault for a night.
    changes
        Properties of the nights that do not depend on the seed.
    filled
        Factor of the part of the field that nebulae fill.
    """

    name: str
    must_be_found: bool
    fault: Callable[[Night], Fault]
    changes: Mapping[str, Any]
    filled: float = 1.0

    def night(self, seed: int) -> Night:
        """Return the night of a seed."""
        night = nights.draw(seed, size=SIZE, lights=LIGHTS, **self.changes)
        return replace(night, nebula_fill=self.filled * night.nebula_fill)


class Result(NamedTuple):
    """The diagnosis of a night.

    Attributes
    ----------
    case
        Name of the case.
    seed
        Seed of the night.
    kind
        Kind of the fault; "" for a clean night.
    fault
        Name of the fault.
    found
        Kind and cause of the findings that matter, the most harmful first.
    """

    case: str
    seed: int
    kind: str
    fault: str
    found: list[list[str]]

    @property
    def first_kind(self) -> str:
        """Kind of the most harmful finding."""
        return self.found[0][0] if self.found else NONE

    @property
    def has_right_kind(self) -> bool:
        """Whether the most harmful finding has a right kind."""
        return bool(self.found) and self.first_kind in {self.kind, ALSO_RIGHT.get(self.fault)}

    @property
    def names_cause(self) -> bool:
        """Whether the most harmful finding has a right kind and the right cause."""
        return self.has_right_kind and any(word in self.found[0][1] for word in CAUSES[self.fault])


def cases() -> list[Case]:
    """Return all cases: first what must be found, then the other faults, then clean nights."""
    required = [
        Case(_label(fault), must_be_found=True, fault=_required(number), changes=_needed(fault))
        for number, fault in enumerate(faults.must_reach(100, 100, in_colour=True))
    ]
    *required, colour = required
    others = [Case(_label(each), must_be_found=False, fault=_same(each), changes=_needed(each)) for each in _others()]
    return [
        *required,
        replace(colour, name=f"{colour.name}, nebulae below {MOST_FILLED:.0%}", filled=MOST_FILLED),
        replace(colour, name=f"{colour.name}, any nebulae", must_be_found=False),
        *others,
        *(
            Case(name, must_be_found=False, fault=_same(faults.none()), changes={"mosaic": mosaic})
            for name, mosaic in CLEAN.items()
        ),
    ]


def _required(number: int) -> Callable[[Night], Fault]:
    return lambda night: faults.must_reach(night.sky_adu, night.noise_adu, in_colour=True)[number]


def _same(fault: Fault) -> Callable[[Night], Fault]:
    return lambda _night: fault


def _label(fault: Fault) -> str:
    unit = RELATIVE_UNITS.get(fault.name, fault.unit)
    return " ".join(part for part in (fault.name, f"{fault.strength:g} {unit}".strip(), fault.form) if part)


def _others() -> list[Fault]:
    """Return the faults that `must_reach` does not contain, at strengths that a photographer would notice."""
    return [
        faults.light_pedestal(),
        faults.unsubtracted_flat(),
        faults.lit_dark(60),
        faults.dark_exposure(0.8),
        faults.dark_exposure(1.25, told=False),
        faults.dark_scaled(3.0),
        faults.glow(0.5),
        faults.glow(1.5),
        faults.dust_shift_px(12, form="filter"),
        faults.dust_rotation_deg(180),
        faults.odd_even(0.02),
        faults.gain_mismatch(2.0),
        faults.uneven_flat(0.04),
        faults.channel_level(0.05),
        faults.smoothed_flat(1.5),
        faults.cold_dark(),
        faults.old_dark(0.3),
        faults.dew(0.05),
        faults.saturated_flat(0.05),
        faults.odd_frame(0.05),
    ]


def _needed(fault: Fault) -> dict[str, Any]:
    """Return the properties of a night without which a fault cannot be seen."""
    if fault.kind == Kind.COLOUR:
        return {"mosaic": MOSAIC}
    if fault.kind == Kind.AMP_GLOW:
        return {"glow_adu": 80.0}
    return {"flip": True, "stars": 900} if fault.name == "uneven-flat" else {}


def diagnosed(simulated: Simulated) -> Diagnosis:
    """Diagnose a simulated night in memory, as `coldframe diagnose` does with files."""
    seen = examined(simulated)
    seen = without_untestable(seen, knowledge_of(seen.masters, calibrated=False, hot_replaced=False))
    found = diagnose(seen)
    made = simulated.masters
    masters = WholeMasters(seen.masters.planes, made.dark, made.bias, made.flat)
    more = (*negative_findings(seen, found.findings), *findings_about_masters(seen, masters.findings()))
    return with_findings(found, more)


def simulated_result(case: Case, seed: int) -> Result:
    """Simulate and diagnose one night."""
    night = case.night(seed)
    fault = case.fault(night)
    found = [each for each in diagnosed(nights.simulate(night, fault)).findings if each.matters]
    return Result(case.name, seed, fault.kind, fault.name, [_text(each) for each in found])


def _text(finding: Finding) -> list[str]:
    return [finding.kind.value, finding.cause]


# ---- tables ----


def share(count: int, total: int) -> str:
    """Return a number of nights and its percentage."""
    return f"{count} ({count / total:.0%})" if total else "-"


def detection_table(results: Sequence[Result], order: Sequence[Case]) -> Iterator[str]:
    """Yield a Markdown table: how often each fault was found, with the right kind and cause."""
    yield "| fault | must be found | nights | found | kind right | cause right |"
    yield "|---|---|---:|---:|---:|---:|"
    for case in order:
        own = [each for each in results if each.case == case.name and each.kind]
        if own:
            found, kind, cause = (
                sum(bool(each.found) for each in own),
                sum(each.has_right_kind for each in own),
                sum(each.names_cause for each in own),
            )
            total = len(own)
            required = "yes" if case.must_be_found else ""
            yield (
                f"| {case.name} | {required} | {total} | {share(found, total)} | {share(kind, total)} | "
                f"{share(cause, total)} |"
            )


def confusion_matrix(results: Sequence[Result]) -> Iterator[str]:
    """Yield a Markdown table: the kind of the most harmful finding, by the kind of the fault."""
    kinds = [kind.value for kind in Kind]
    yield f"| fault (rows), finding (columns) | {' | '.join([NONE, *kinds])} |"
    yield f"|---|{'---:|' * (len(kinds) + 1)}"
    for kind in ("", *kinds):
        counts = Counter(each.first_kind for each in results if each.kind == kind)
        if counts:
            cells = [str(counts[column] or "") for column in (NONE, *kinds)]
            yield f"| {kind or 'clean night'} | {' | '.join(cells)} |"


def false_alarms(results: Sequence[Result]) -> Iterator[str]:
    """Yield the false alarms of clean nights, with their seeds."""
    for name in CLEAN:
        own = [each for each in results if each.case == name]
        alarms = [each for each in own if each.found]
        if own:
            yield f"{name}: {len(own)} nights, {len(alarms)} false alarms"
            for each in alarms:
                yield f"- seed {each.seed}: {'; '.join(': '.join(finding) for finding in each.found)}"


def report(results: Sequence[Result]) -> str:
    """Return all tables."""
    blocks = (detection_table(results, cases()), confusion_matrix(results), false_alarms(results))
    return "\n\n".join("\n".join(block) for block in blocks)


# ---- the nights ----


def saved(path: Path | None) -> list[Result]:
    """Return the results in a file; a last line that an interruption cut off is left out."""
    if path is None or not path.exists():
        return []
    found = []
    for line in path.read_text("utf-8").splitlines():
        try:
            found.append(Result(*json.loads(line)))
        except ValueError:
            continue
    return found


def run(wanted: Iterable[tuple[Case, int]], path: Path | None) -> list[Result]:
    """Simulate and diagnose the nights that are not in the file, and append them to it."""
    results = saved(path)
    done = {(each.case, each.seed) for each in results}
    missing = [(case, seed) for case, seed in wanted if (case.name, seed) not in done]
    begin = time.monotonic()
    for number, (case, seed) in enumerate(missing, start=1):
        result = simulated_result(case, seed)
        results.append(result)
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        left_s = (time.monotonic() - begin) / number * (len(missing) - number)
        print(
            f"{number}/{len(missing)} {case.name}, seed {seed}: {result.first_kind}; {left_s:.0f} s left",
            file=sys.stderr,
        )
    return results


def main() -> None:
    """Simulate nights and print the tables, or measure the speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, nights_of in (("--seeds", "the nights with each fault"), ("--clean", "the clean nights")):
        parser.add_argument(
            option, nargs=2, type=int, metavar=("FIRST", "LAST"), default=(1, 0), help=f"seeds of {nights_of}"
        )
    parser.add_argument("--only", action="append", metavar="NAME", help="only faults whose label contains this text")
    parser.add_argument("--required", action="store_true", help="only the faults that must be found")
    parser.add_argument("--results", type=Path, metavar="FILE", help="file to continue, one line for each night")
    parser.add_argument("--summary", action="store_true", help="only print the tables of the file")
    parser.add_argument("--speed", action="store_true", help="measure the speed with large lights instead")
    parser.add_argument("--size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), default=LARGE, help="for --speed")
    chosen = parser.parse_args()
    size = (chosen.size[0], chosen.size[1])
    if chosen.speed:
        measure_speed(size)
    else:
        print(report(saved(chosen.results) if chosen.summary else run(_wanted(chosen), chosen.results)))


def _wanted(chosen: argparse.Namespace) -> Iterator[tuple[Case, int]]:
    """Yield the nights to simulate, one seed after the other, so that all cases advance together."""
    clean = [case for case in cases() if case.name in CLEAN]
    faulty = [
        case
        for case in cases()
        if case.name not in CLEAN
        and (case.must_be_found or not chosen.required)
        and (not chosen.only or any(name in case.name for name in chosen.only))
    ]
    for seed in range(chosen.seeds[0], chosen.seeds[1] + 1):
        yield from ((case, seed) for case in faulty)
    for seed in range(chosen.clean[0], chosen.clean[1] + 1):
        yield from ((case, seed) for case in clean)


if __name__ == "__main__":
    main()
