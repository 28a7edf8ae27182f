"""A value that a driver reports with each frame, and whether the driver's reports can be believed."""

from dataclasses import dataclass

UNTIL_HABIT = 2
"""Number of contradictions after which a driver that has never agreed is no longer believed (indi-3rdparty#1245)."""


@dataclass(slots=True)
class DriverReport:
    """A value that the driver reports, and that should confirm each exposure."""

    has_agreed: bool = False
    contradictions: int = 0

    def contradicts(self, *, differs: bool) -> bool:
        """Record whether a report differs from the command.

        Return True if it differs and the driver is still believed.
        """
        if not differs:
            self.has_agreed = True
            return False
        self.contradictions += 1
        return self.has_agreed or self.contradictions <= UNTIL_HABIT

    @property
    def is_habit(self) -> bool:
        """True if the driver has always reported the value wrongly, and is no longer believed."""
        return not self.has_agreed and self.contradictions > UNTIL_HABIT
