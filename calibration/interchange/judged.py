"""The input of the checks for traps, and the traps that they find."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.interchange.groups import Group
from coldframe.calibration.interchange.programs.model import Program, Rule
from coldframe.calibration.interchange.reading import Seen
from coldframe.counted import counted


@dataclass(frozen=True, slots=True)
class Trap:
    """An unexpected action of a program, or a value that it needs but does not find.

    Attributes
    ----------
    name
        Name of the check.
    says
        The consequence, and why it matters.
    remedy
        The action that avoids the trap.
    files
        The files concerned.
    rule
        The rule of the program that triggers the trap; None if the files are at fault regardless of the program.
    """

    name: str
    says: str
    remedy: str
    files: tuple[Path, ...]
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """All files as a program sees them, and the groups into which it sorts them."""

    program: Program
    seen: Sequence[Seen]
    groups: Sequence[Group]

    def has_rule(self, name: str) -> bool:
        """Return whether the program has a rule with this name."""
        return any(rule.name == name for rule in self.program.rules)


def trap_of(  # noqa: PLR0917 - a row of the table
    judged: Judged, name: str, says: str, remedy: str, seen: Iterable[Seen], rule: str | None = None
) -> Trap:
    """Return a trap that concerns the given files; `rule` is the name of the program's rule."""
    files = tuple(each.file.path for each in seen)
    return Trap(name, says, remedy, files, None if rule is None else judged.program.rule(rule))


def rule_of_matching(judged: Judged) -> str:
    """Return the name of the rule that the program uses to find masters for lights."""
    return next(name for name in ("filters", "compatible", "grouping") if judged.has_rule(name))


def count(seen: Sequence[Seen]) -> str:
    """Return the number of files as text, such as "3 files"."""
    return counted(len(seen), "file")


def number(value: object) -> float:
    """Return the value as a float if it is a number; otherwise, return 0."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
