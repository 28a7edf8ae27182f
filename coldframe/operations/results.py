"""The diagnoses of all sets of lights, and their combined result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from coldframe.calibration.diagnosis.files import DiagnosedSet
from coldframe.calibration.diagnosis.findings import Finding, Kind, Sensitivity
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.monitoring.progress.quantities import exposure_text

ESSENTIAL = frozenset({Kind.DUST, Kind.OVERCORRECTION, Kind.OFFSET, Kind.TEMPERATURE})
"""Kinds of artifacts for which any calibration with a dark and a flat can be tested."""

_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class SetResult:
    """The diagnosis of one set of lights.

    Attributes
    ----------
    name
        The settings of the lights, such as "Ha, 300 s, gain 100, -10.0 C".
    found
        The diagnosis.
    notes
        Remarks about the masters that were used and about the headers.
    """

    name: str
    found: DiagnosedSet
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True if no finding matters."""
        return self.found.diagnosis.is_clean


def set_name(setup: FrameSetup) -> str:
    """Return the settings of lights as text."""
    readout = setup.readout
    parts = (
        setup.filter_name,
        None if setup.exposure_s is None else exposure_text(setup.exposure_s),
        None if readout.gain is None else f"gain {readout.gain:g}",
        None if setup.temperature_c is None else f"{round(setup.temperature_c, 1) + 0.0:g} C",
        None if readout.binning == 1 else f"binning {readout.binning}",
    )
    return ", ".join(part for part in parts if part) or "unknown settings"


def verdict(results: Sequence[SetResult]) -> str:
    """Return the combined result of all sets as a sentence."""
    bad = [result for result in results if not result.is_clean]
    if not bad:
        seen = seen_down_to(results)
        if len(ESSENTIAL & set(seen)) >= _ENOUGH:
            return "Your lights calibrate cleanly."
        tested = ", ".join(kind.value for kind in seen) or "nothing"
        return f"No fault was found, but these files allow few tests ({tested})."
    (_, worst), *others = findings(bad)
    more = sum(finding.matters for _, finding in others)
    text = f"Your lights do not calibrate cleanly: {worst.cause}"
    if more:
        text += f" (and {more} more {'finding' if more == 1 else 'findings'})"
    if len(results) > 1:
        text += f"; {len(bad)} of {len(results)} sets are affected"
    return f"{text}."


def findings(results: Sequence[SetResult]) -> list[tuple[SetResult, Finding]]:
    """Return the findings of all sets, the most harmful first."""
    every = [(result, finding) for result in results for finding in result.found.diagnosis.findings]
    return sorted(every, key=lambda each: (each[1].matters, each[1].harm), reverse=True)


def seen_down_to(results: Sequence[SetResult]) -> dict[Kind, Sensitivity]:
    """Return the detection limit of the least sensitive set, by kind of artifact."""
    seen: dict[Kind, Sensitivity] = {}
    for result in results:
        for kind, limit in result.found.diagnosis.seen_down_to.items():
            if kind not in seen or limit.size > seen[kind].size:
                seen[kind] = limit
    return seen


def untested(results: Sequence[SetResult]) -> dict[Kind, str]:
    """Return why kinds of artifacts were not tested, by kind; name the sets if a reason does not apply to all sets."""
    reasons: dict[Kind, dict[str, list[str]]] = {}
    for result in results:
        for kind, reason in result.found.diagnosis.untested.items():
            reasons.setdefault(kind, {}).setdefault(reason, []).append(result.name)
    return {kind: "; ".join(_with_sets(by_reason, len(results))) for kind, by_reason in reasons.items()}


def _with_sets(by_reason: dict[str, list[str]], sets: int) -> Iterator[str]:
    for reason, names in by_reason.items():
        yield reason if len(names) == sets else f"{reason} ({'; '.join(names)})"


def size_text(finding: Finding) -> str:
    """Return the size of a finding with its error and unit, such as "9.1 +- 0.4 px"."""
    if not (isfinite(finding.error) and finding.error > 0):
        return f"{finding.size:.4g} {finding.unit}"
    decimals = decimals_of(finding.error)
    return f"{finding.size:,.{decimals}f} +- {finding.error:,.{decimals}f} {finding.unit}"


def decimals_of(error: float) -> int:
    """Return the number of decimals needed to show one or two digits of an error."""
    decimals = 0
    while decimals < 6 and error * 10**decimals < 1:  # noqa: PLR2004 - smaller errors are shown as zero
        decimals += 1
    return decimals
