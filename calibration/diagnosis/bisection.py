"""The bisection of a calibration: find the master that introduces an artifact by comparing combinations of masters.

The same lights are calibrated with each combination. The remaining artifacts are measured in several ways, which are
called witnesses. The sky is the same for all combinations, so a nebula that mimics an artifact raises all scores
equally.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

CAP = 400.0
"""Largest contribution of a witness to a score. Contributions are capped, because a deviation of more than 20 standard
errors is certainly not random."""

TIE = 5.0
"""Combinations are regarded as equally good if their scores differ by less than this."""


class Witness(StrEnum):
    """Measurements of the artifacts that a combination of masters leaves in the lights."""

    RESPONSE = "pixel responses"
    NOISE = "photon noise"
    GRADIENT = "gradient of the pedestal"
    HOT = "hot pixels"
    GLOW = "amplifier glow"
    ROWS = "rows"
    COLUMNS = "columns"
    ODD_EVEN = "odd and even lines"
    DUST = "dust"
    MASTERS = "noise of the masters"


ARTIFACTS: Mapping[Witness, str] = {
    Witness.RESPONSE: "a pedestal (rings and corners that are too dark or too bright)",
    Witness.NOISE: "an offset",
    Witness.GRADIENT: "a gradient",
    Witness.HOT: "hot pixels",
    Witness.GLOW: "amplifier glow",
    Witness.ROWS: "row banding",
    Witness.COLUMNS: "column banding",
    Witness.ODD_EVEN: "a difference between odd and even lines",
    Witness.DUST: "dust donuts",
    Witness.MASTERS: "noise from too few frames",
}
"""The artifact that each witness shows."""

LEFT: Mapping[Witness, float] = {
    Witness.RESPONSE: 25.0,
    Witness.NOISE: 25.0,
    Witness.GRADIENT: 25.0,
    Witness.HOT: 36.0,
    Witness.GLOW: 25.0,
    Witness.ROWS: 49.0,
    Witness.COLUMNS: 49.0,
    Witness.ODD_EVEN: 49.0,
    Witness.DUST: 40.0,
    Witness.MASTERS: 12.0,
}
"""Squared significance above which a combination is considered to leave an artifact; the values are close to the limits
of the diagnosis."""

Terms = Mapping[Witness, float]
"""Squared significance for each witness; witnesses that could not be measured are missing."""


class Use(IntEnum):
    """How a master is used in a combination.

    Of equally good combinations, the one with the smallest sum of these values is preferred.
    """

    AS_MADE = 0
    CHANGED = 1
    """A scaled dark, or a flat from whose frames a different dark is subtracted."""
    LEFT_OUT = 2


@dataclass(frozen=True, slots=True)
class Part:
    """A way to subtract the dark, or to divide by the flat.

    Attributes
    ----------
    key
        Short text for tables, such as "D2 scaled by 0.8 with B1"; unique to each way.
    name
        Text for sentences, such as "the dark of 2026-11-14".
    use
        How the master is used. The dark counts as left out if only a bias is subtracted, and the flat if the lights are
        not divided.
    """

    key: str
    name: str
    use: Use = Use.AS_MADE


@dataclass(frozen=True, slots=True)
class Scored:
    """A combination of masters and the artifacts that it leaves in the lights.

    Attributes
    ----------
    dark, flat
        The way to subtract, and the way to divide.
    terms
        Squared significance for each witness.
    """

    dark: Part
    flat: Part
    terms: Terms

    @property
    def changes(self) -> int:
        """Sum of the `Use` values of both masters; 0 if both are used as they were made."""
        return self.dark.use + self.flat.use


class Component(StrEnum):
    """A component of a calibration; the masters available for each component are compared."""

    DARK = "dark"
    FLAT = "flat"

    def of(self, scored: Scored) -> Part:
        """Return this component of a combination."""
        return scored.dark if self is Component.DARK else scored.flat

    def other(self) -> "Component":
        """Return the other component."""
        return Component.FLAT if self is Component.DARK else Component.DARK


@dataclass(frozen=True, slots=True)
class Culprit:
    """A master that introduces an artifact.

    Attributes
    ----------
    component
        The component for which this master is one of several options.
    worse, better
        The combination with this master, and the best combination; they differ in this component alone.
    witnesses
        Witnesses that show the difference between these combinations, the clearest first.
    """

    component: Component
    worse: Scored
    better: Scored
    witnesses: tuple[Witness, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The scores of all combinations.

    Attributes
    ----------
    rows
        The combinations, the best first.
    witnesses
        Witnesses that were measured for all combinations; only these count.
    """

    rows: tuple[Scored, ...]
    witnesses: tuple[Witness, ...]

    @property
    def best(self) -> Scored:
        """The combination with the smallest score; among equally good ones, the one that changes the masters least."""
        return self.rows[0]

    def score(self, row: Scored) -> float:
        """Return the score of a combination: the sum of the contributions of all witnesses, each capped at `CAP`."""
        return sum(min(row.terms[each], CAP) for each in self.witnesses)

    def left_by(self, row: Scored) -> tuple[Witness, ...]:
        """Return the witnesses of the artifacts that a combination leaves, the clearest first."""
        clear = [each for each in self.witnesses if row.terms[each] > LEFT[each]]
        return tuple(sorted(clear, key=lambda each: row.terms[each], reverse=True))

    def is_as_good(self, row: Scored) -> bool:
        """Return whether a combination is as good as the best one."""
        return self.score(row) - self.score(self.best) < TIE

    def ties(self) -> tuple[Scored, ...]:
        """Return the other combinations that are as good as the best and change the masters no more than it does."""
        most = self.best.changes
        return tuple(row for row in self.rows[1:] if self.is_as_good(row) and row.changes <= most)

    def alternatives(self, component: Component) -> tuple[Scored, ...]:
        """Return the combinations that differ from the best one only in the given component."""
        same, best = component.other(), self.best
        return tuple(row for row in self.rows[1:] if same.of(row) == same.of(best) and row is not best)

    def culprits(self) -> Iterator[Culprit]:
        """Yield the masters that introduce an artifact.

        Masters used as made come first, then changed ones; in each group, the highest score comes first.
        """
        worse = [
            Culprit(component, row, self.best, self._shown_by(row))
            for component in Component
            for row in self.alternatives(component)
            if component.of(row).use is not Use.LEFT_OUT and not self.is_as_good(row)
        ]
        yield from sorted(worse, key=lambda each: (each.component.of(each.worse).use, -self.score(each.worse)))

    def _shown_by(self, row: Scored) -> tuple[Witness, ...]:
        """Return the witnesses that account for most of the difference between a combination and the best one."""
        best = self.best.terms
        more = {each: min(row.terms[each], CAP) - min(best[each], CAP) for each in self.witnesses}
        ordered = sorted(self.witnesses, key=lambda each: more[each], reverse=True)
        return tuple(each for each in ordered if more[each] > max(TIE, more[ordered[0]] / 4)) or (ordered[0],)


def compared(scored: Sequence[Scored]) -> Comparison:
    """Compare combinations by the witnesses that were measured for all of them.

    Raises
    ------
    ValueError
        If there are no combinations.
    """
    if not scored:
        raise ValueError("no combinations")
    shared = tuple(each for each in Witness if all(each in row.terms for row in scored))
    ordered = sorted(scored, key=Comparison(tuple(scored), shared).score)
    comparison = Comparison(tuple(ordered), shared)
    good = [row for row in ordered if comparison.is_as_good(row)]
    best = min(good, key=lambda row: (row.changes, comparison.score(row)))
    return Comparison((best, *(row for row in ordered if row is not best)), shared)


def bisect(
    darks: Sequence[Part], flats: Sequence[Part], others: Sequence[Part], measure: Callable[[Part, Part], Terms]
) -> Comparison:
    """Measure combinations of masters and compare them.

    Parameters
    ----------
    darks, flats
        Ways to subtract and to divide; all their combinations are measured.
    others
        Further ways to divide; they are measured only with the best dark. If one of them proves to be the best way to
        divide, it is measured with the other darks as well.
    measure
        Function that calibrates the lights with one combination and returns the measurements of the remaining
        artifacts.
    """
    scored = [Scored(dark, flat, measure(dark, flat)) for flat in flats for dark in darks]
    best = compared(scored).best.dark
    scored += [Scored(best, flat, measure(best, flat)) for flat in others]
    if others and compared(scored).best.flat in others:
        flat = compared(scored).best.flat
        scored += [Scored(dark, flat, measure(dark, flat)) for dark in darks if dark is not best]
    return compared(scored)


def sentences(comparison: Comparison) -> Iterator[str]:
    """Yield sentences about the culprits, equally good combinations, and artifacts that the best combination leaves."""
    best, score = comparison.best, comparison.score
    culprits = list(comparison.culprits())
    for component in Component:
        own = [each for each in culprits if each.component is component]
        if own:
            yield _accusation(comparison, own)
    ties = comparison.ties()
    if ties:
        names = "; ".join(f"{row.dark.key} and {row.flat.key} ({score(row):.0f})" for row in ties)
        chosen = f"{best.dark.key} and {best.flat.key} ({score(best):.0f})"
        yield f"It is a tie: with these lights, {chosen} cannot be distinguished from {names}."
    remaining = comparison.left_by(best)
    if remaining:
        yield (
            f"Even the best combination, {best.dark.key} and {best.flat.key}, leaves {artifacts(remaining)}: a "
            "different master is needed."
        )
    elif not culprits and not ties:
        names = f"{best.dark.key} and {best.flat.key}"
        yield f"No master introduces an artifact: {names} have a score of {score(best):.0f}."


def _accusation(comparison: Comparison, culprits: Sequence[Culprit]) -> str:
    """Return the sentence about the culprits of one component; the worst culprit is described in full."""
    worst, *others = culprits
    component, score = worst.component, comparison.score
    bad, good = component.of(worst.worse), component.of(worst.better)
    text = (
        f"The {component} introduces {artifacts(worst.witnesses)}: with {bad.name}, the score is "
        f"{score(worst.worse):.0f}; with {good.name}, it is {score(worst.better):.0f}"
    )
    if others:
        names = ", ".join(f"{component.of(each.worse).key} ({score(each.worse):.0f})" for each in others)
        text += f"; also worse than the best: {names}"
    return f"{text}."


def artifacts(witnesses: Sequence[Witness]) -> str:
    """Return, as text, the artifacts that witnesses show.

    If they show both an offset and a pedestal, only the offset is named.
    """
    is_offset = Witness.NOISE in witnesses
    names = [ARTIFACTS[each] for each in witnesses if not (is_offset and each is Witness.RESPONSE)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
