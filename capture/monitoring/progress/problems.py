"""The warnings and errors of a night: their number, and the latest lines. This module performs no I/O."""

from collections import Counter
from collections.abc import Iterator

from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.progress.narrator import LogLine

MOST_LINES = 40


class Problems:
    """The number of warnings and errors, and the latest `MOST_LINES` lines, oldest first.

    Warnings are discarded before errors, so that many rejected frames cannot displace an error.
    """

    def __init__(self) -> None:
        self._lines: list[LogLine] = []
        self._counts = Counter[Severity]()

    def add(self, line: LogLine) -> None:
        """Add a warning or an error."""
        self._counts[line.severity] += 1
        self._lines.append(line)
        if len(self._lines) > MOST_LINES:
            self._lines.remove(
                next((each for each in self._lines if each.severity is Severity.WARNING), self._lines[0])
            )

    def __iter__(self) -> Iterator[LogLine]:
        """Iterate over the lines that were kept."""
        return iter(self._lines)

    def count(self, severity: Severity) -> int:
        """Return the number of all warnings or of all errors."""
        return self._counts[severity]

    @property
    def total(self) -> int:
        """Number of all warnings and errors."""
        return self._counts.total()
