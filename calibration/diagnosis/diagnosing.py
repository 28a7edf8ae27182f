"""Judge an examination: decide which estimates are findings, and name their causes and remedies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind, Origin, Sensitivity
from coldframe.calibration.diagnosis.judging import dark_current, dust, levels, noise, shapes

_TESTS: tuple[Callable[[Examination], Iterator[Finding]], ...] = (
    levels.pedestal_findings,
    dark_current.hot_pixel_findings,
    dark_current.glow_findings,
    dust.dust_findings,
    noise.line_findings,
    noise.budget_findings,
    shapes.colour_findings,
    shapes.gradient_findings,
)


def diagnose(examined: Examination) -> Diagnosis:
    """Return the findings for a set of lights, the most harmful first."""
    found = [finding for test in _TESTS for finding in test(examined)]
    left = without_explained(found)
    ordered = sorted(left, key=lambda each: (each.matters, each.harm), reverse=True)
    seen: dict[Kind, Sensitivity] = {}
    untested: dict[Kind, str] = {}
    for kind, limit in _limits(examined):
        if isinstance(limit, str):
            untested[kind] = limit
        else:
            seen[kind] = limit
    return _with_hidden(Diagnosis(examined.lights, tuple(ordered), seen, untested), found)


_EXPLAINS: Mapping[Origin, frozenset[Kind]] = {
    # A pedestal makes all shadows weaker or stronger as well.
    Origin.PEDESTAL_OF_LIGHTS: frozenset({Kind.DUST}),
    # A flat shot through a different filter has different pixel responses. The difference looks like a pedestal.
    Origin.OTHER_SHADOWS: frozenset({Kind.OVERCORRECTION}),
    # Saturated pixels weaken the structure of the flat, as a pedestal does.
    Origin.SATURATED_FLAT: frozenset({Kind.OVERCORRECTION}),
    # The removal of hot pixels from the dark also weakened the few that remain, which looks like a temperature change.
    Origin.HOT_PIXELS_REMOVED: frozenset({Kind.TEMPERATURE}),
}
"""For each origin, the kinds of findings that are explained by a finding of this origin."""


def without_explained(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings that are not explained by other findings."""
    explained = {kind for each in found if each.origin is not None for kind in _EXPLAINS.get(each.origin, ())}
    left = [each for each in found if each.kind not in explained or each.origin in _EXPLAINS]
    if {Kind.OFFSET, Kind.OVERCORRECTION} & {each.kind for each in found}:
        return [each for each in left if each.origin is not Origin.WEAK_SHADOWS]
    return left


def _limits(examined: Examination) -> Iterator[tuple[Kind, Sensitivity | str]]:
    yield Kind.OFFSET, levels.offset_limit(examined)
    yield Kind.OVERCORRECTION, levels.flat_limit(examined)
    yield Kind.TEMPERATURE, dark_current.temperature_limit(examined)
    yield Kind.AMP_GLOW, dark_current.glow_limit(examined)
    yield Kind.DUST, dust.dust_limit(examined)
    yield Kind.BANDING, noise.line_limit(examined)
    yield Kind.COLOUR, shapes.colour_limit(examined)
    yield Kind.GRADIENT, shapes.gradient_limit(examined)


def with_findings(diagnosis: Diagnosis, more: tuple[Finding, ...]) -> Diagnosis:
    """Return a diagnosis with further findings: those that matter first and, among these, those about masters last."""
    found = (*diagnosis.findings, *more)
    ordered = sorted(
        without_explained(found),
        key=lambda each: (each.matters, each.kind is not Kind.MASTERS, each.harm),
        reverse=True,
    )
    return _with_hidden(replace(diagnosis, findings=tuple(ordered)), found)


def _with_hidden(diagnosis: Diagnosis, found: Sequence[Finding]) -> Diagnosis:
    """Return a diagnosis in which explained kinds count as untested: the explanation might hide a real fault."""
    left = {each.kind for each in diagnosis.findings}
    hidden = {
        kind: f"cannot be distinguished from another finding: {each.cause}"
        for each in found
        if each.origin is not None
        for kind in _EXPLAINS.get(each.origin, ())
        if kind not in left and any(other.kind is kind for other in found)
    }
    seen = {kind: limit for kind, limit in diagnosis.seen_down_to.items() if kind not in hidden}
    return replace(diagnosis, seen_down_to=seen, untested={**diagnosis.untested, **hidden})
