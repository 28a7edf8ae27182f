"""Put the result of a bisection into sentences, and list the impossible comparisons and the frames to shoot next."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.diagnosis.bisecting import Bisected
from coldframe.calibration.diagnosis.bisection import CAP, Comparison, Scored, Witness, sentences
from coldframe.calibration.diagnosis.combinations import Candidate, Candidates
from coldframe.calibration.diagnosis.examination import frames_stated
from coldframe.calibration.diagnosis.witnesses import significance
from coldframe.calibration.frames.matching import settings_differences
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.frames import FrameKind
from coldframe.counted import counted

_OF_DARKS = frozenset(
    {Witness.HOT, Witness.GLOW, Witness.NOISE, Witness.GRADIENT, Witness.ROWS, Witness.COLUMNS, Witness.MASTERS}
)
_OF_FLATS = frozenset({Witness.RESPONSE, Witness.DUST, Witness.ODD_EVEN, Witness.MASTERS})


@dataclass(frozen=True, slots=True)
class BisectionResult:
    """The result for one set of lights.

    Attributes
    ----------
    name
        Settings of the lights, such as "Ha, 300 s, gain 100, -10.0 C".
    setup
        Setup of the lights.
    candidates
        The masters.
    bisected
        The scores.
    notes
        Limitations of the comparison.
    """

    name: str
    setup: FrameSetup
    candidates: Candidates
    bisected: Bisected
    notes: tuple[str, ...] = ()

    @property
    def comparison(self) -> Comparison:
        """The scores of all combinations."""
        return self.bisected.comparison

    @property
    def is_clean(self) -> bool:
        """True if the best combination leaves no artifact, and neither darks nor flats are missing."""
        comparison = self.comparison
        return not comparison.left_by(comparison.best) and not missing_kinds(self.candidates)

    @property
    def folder(self) -> Path:
        """Folder of the first light."""
        return self.bisected.read[0].path.parent


def verdict(result: BisectionResult) -> str:
    """Return the result in sentences."""
    return " ".join(sentences(result.comparison))


def missing_kinds(candidates: Candidates) -> tuple[FrameKind, ...]:
    """Return the kinds of masters that are missing for a complete calibration."""
    found = {FrameKind.DARK: candidates.darks, FrameKind.FLAT: candidates.flats}
    return tuple(kind for kind, masters in found.items() if not masters)


def shoot_command(result: BisectionResult) -> str | None:
    """Return the command that shoots the missing frames; None if the best combination is clean."""
    sets = sets_to_shoot(result)
    if not sets:
        return None
    only = " ".join(f"--only {each}" for each in sets)
    return f"coldframe run --lights {shlex.quote(str(result.folder))} {only} --redo"


def sets_to_shoot(result: BisectionResult) -> tuple[str, ...]:
    """Return the sets that need new masters, named as for `run --only`; empty if the best combination is clean."""
    comparison = result.comparison
    left = set(comparison.left_by(comparison.best))
    if left & {Witness.NOISE, Witness.GRADIENT}:
        # An offset, or light that leaked into the dark, adds a pedestal to the lights that new flats would not
        # remove.
        left.discard(Witness.RESPONSE)
    missing = missing_kinds(result.candidates)
    return tuple(
        name
        for name, kind, witnesses in (("darks", FrameKind.DARK, _OF_DARKS), ("flats", FrameKind.FLAT, _OF_FLATS))
        if kind in missing or left & witnesses
    )


def not_compared(result: BisectionResult) -> Mapping[str, list[Witness]]:
    """Return the witnesses (measurements of artifacts) that could not be compared, grouped by reason."""
    reasons: dict[str, list[Witness]] = {}
    for witness in Witness:
        if witness not in result.comparison.witnesses:
            reasons.setdefault(_reason(result, witness), []).append(witness)
    return reasons


def _reason(result: BisectionResult, witness: Witness) -> str:
    candidates = result.candidates
    if witness in {Witness.HOT, Witness.GLOW}:
        if not candidates.darks:
            return "there is no dark to take a pattern from"
        return "no dark has enough hot pixels" if witness is Witness.HOT else "no dark has glow"
    if witness in {Witness.RESPONSE, Witness.GRADIENT, Witness.DUST} and not candidates.flats:
        return "there is no flat to take a pattern from"
    if witness in {Witness.ROWS, Witness.COLUMNS}:
        return "in a single light, a fixed pattern cannot be distinguished from noise"
    return "a master does not contain the uncertainty of its pixels (UNCERT and COUNTS), or the gain is unknown"


def left_text(comparison: Comparison, row: Scored) -> str:
    """Return the artifacts that a combination leaves, each with its significance."""
    return (
        ", ".join(f"{each.value} ({_significance(row.terms[each])})" for each in comparison.left_by(row)) or "nothing"
    )


def _significance(term: float) -> str:
    limit = significance(CAP)
    return f"{limit:.0f}+" if term >= CAP else f"{significance(term):.0f}"


def master_text(result: BisectionResult, master: Candidate) -> str:
    """Return the date of a master, its number of frames, and the settings in which it differs from the lights."""
    assert master.setup.kind is not None
    frames = frames_stated(master.header)
    parts: Sequence[str | None] = (
        None if master.setup.taken_at is None else f"{master.setup.taken_at:%Y-%m-%d}",
        None if frames is None else counted(frames, "frame"),
        *(() if master.setup.kind is FrameKind.DARK_FLAT else _differences(result, master)),
    )
    return ", ".join(part for part in parts if part)


def _differences(result: BisectionResult, master: Candidate) -> tuple[str, ...]:
    assert master.setup.kind is not None
    return settings_differences(result.setup, master.setup, master.setup.kind)
