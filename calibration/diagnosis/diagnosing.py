"""The judgement of an examination: which estimates are findings, what caused them, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind, Sensitivity
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
    found = _explained([finding for test in _TESTS for finding in test(examined)])
    ordered = sorted(found, key=lambda each: (each.matters, each.harm), reverse=True)
    seen: dict[Kind, Sensitivity] = {}
    untested: dict[Kind, str] = {}
    for kind, limit in _limits(examined):
        if isinstance(limit, str):
            untested[kind] = limit
        else:
            seen[kind] = limit
    return Diagnosis(examined.lights, tuple(ordered), seen, untested)


def _explained(found: list[Finding]) -> list[Finding]:
    """Return the findings without those that another one explains.

    A pedestal makes all shadows weaker or stronger as well. The flat of a different filter has different pixel
    responses, which look like a pedestal of the flat.
    """
    if any(levels.is_pedestal_of_lights(finding) for finding in found):
        return [finding for finding in found if finding.kind is not Kind.DUST]
    if any(dust.OTHER_SHADOWS in finding.cause for finding in found):
        return [finding for finding in found if finding.kind is not Kind.OVERCORRECTION]
    if {Kind.OFFSET, Kind.OVERCORRECTION} & {finding.kind for finding in found}:
        return [finding for finding in found if not dust.is_weakness(finding)]
    return found


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
    """Return a diagnosis with the findings of its masters, which come after those of the lights that matter."""
    ordered = sorted(
        (*diagnosis.findings, *more),
        key=lambda each: (each.matters, each.kind is not Kind.MASTERS, each.harm),
        reverse=True,
    )
    return replace(diagnosis, findings=tuple(ordered))
