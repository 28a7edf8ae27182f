"""How often a night may try again, in one place."""

TRYING_AGAIN = "; trying again"
"""How a notice of a failure ends that gets another try; the morning report knows the time lost by it."""


class OutOfRetriesError(Exception):
    """A budget is used up; the text says which."""


class Retries:
    """Budgets of second tries: per exposure, per set and for the whole night.

    A night that needs more is failing for a reason that trying again does not cure.

    Parameters
    ----------
    per_exposure, per_set, per_night
        Largest numbers of tries after the first.
    """

    def __init__(self, per_exposure: int = 2, per_set: int = 3, per_night: int = 10) -> None:
        self.per_exposure = per_exposure
        self.per_set = per_set
        self.per_night = per_night
        self._set = 0
        self._night = 0

    def begin_set(self) -> None:
        """Start a new set with its full budget."""
        self._set = 0

    def spend(self) -> None:
        """Use up one try of the set and of the night.

        Raises
        ------
        OutOfRetriesError
            None is left.
        """
        if self._set >= self.per_set:
            raise OutOfRetriesError(f"{self.per_set} frames of this set had to be shot again already")
        if self._night >= self.per_night:
            raise OutOfRetriesError(f"{self.per_night} frames of this night had to be shot again already")
        self._set += 1
        self._night += 1
