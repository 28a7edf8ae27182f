"""How often a night may try again, in one place: budgets, a breaker for each device, and what is claimed back."""

from collections.abc import Iterable

from coldframe.errors import ColdframeError


class OutOfRetriesError(ColdframeError):
    """A budget is used up; the text says which."""


class ContestedError(ColdframeError):
    """Something else keeps changing the rig; the text says what, and the night ends in the safe state."""


class Breakers:
    """Devices that failed again and again: they get a single try, and no wait, until they work.

    Steps that do not need such a device go on without it.

    Parameters
    ----------
    failures
        In a row, each after all second tries, from which a breaker is open.
    """

    def __init__(self, failures: int = 2) -> None:
        self._most = failures
        self._failures: dict[str, int] = {}
        self._needed: frozenset[str] | None = None

    def begin_set(self, needed: Iterable[str] | None) -> None:
        """Take in what the next set needs, by the devices' names; None: everything."""
        self._needed = None if needed is None else frozenset(needed)

    def failed(self, device: str) -> bool:
        """Count a failure that no second try has cured; tell whether it opens the breaker."""
        self._failures[device] = self._failures.get(device, 0) + 1
        return self._failures[device] == self._most

    def stayed_away(self, device: str) -> None:
        """Open the breaker of a device that was looked for again and again."""
        self._failures[device] = self._most

    def worked(self, device: str) -> None:
        """Close the breaker."""
        self._failures.pop(device, None)

    def is_open(self, device: str) -> bool:
        """Tell whether a device gets no second try."""
        return self._failures.get(device, 0) >= self._most

    def is_needed(self, device: str) -> bool:
        """Tell whether the set cannot do without a device; what nobody has asked for is."""
        return self._needed is None or device in self._needed

    def is_left_out(self, device: str) -> bool:
        """Tell whether the set goes on without a device that is there no more."""
        return self.is_open(device) and not self.is_needed(device)


class HungCamera:
    """Whether a camera hangs so that only its power supply can bring it back.

    Parameters
    ----------
    uses
        How often in a night its power may be switched off and on.
    """

    UNTIL_RECONNECTED = 2
    """Timeouts in a row from which the driver is connected anew by itself."""

    AFTER_RECONNECTION = 3
    """Further ones from which that was no cure."""

    FREE = 10
    """Timeouts of a night that cost no retry: a camera that now and then comes back by itself must not use it up."""

    def __init__(self, uses: int = 2) -> None:
        self.uses_left = uses
        self._timeouts = 0
        self._waits = 0

    @property
    def is_hung(self) -> bool:
        """True after so many timeouts in a row that reconnecting the driver was no cure."""
        return self._timeouts >= self.UNTIL_RECONNECTED + self.AFTER_RECONNECTION

    @property
    def costs_a_retry(self) -> bool:
        """True once the free timeouts of the night are used up."""
        return self._waits > self.FREE

    def count_timeout(self) -> None:
        """Count an exposure that did not end."""
        self._timeouts += 1
        if not self.is_hung:
            self._waits += 1

    def use(self) -> None:
        """Spend a use; the driver is connected anew by it."""
        self.uses_left -= 1
        self._timeouts = self.UNTIL_RECONNECTED

    def worked(self) -> None:
        """Count anew."""
        self._timeouts = 0


class Claims:
    """How often the rig was claimed back from something else that had changed it.

    Parameters
    ----------
    most
        Times in a row; a set in which nothing is changed ends the row.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._claims = 0
        self._at_start = 0

    def begin_set(self) -> None:
        """Start a new set."""
        if self._claims == self._at_start:
            self._claims = 0
        self._at_start = self._claims

    def reclaim(self, changed: str) -> None:
        """Count a change that was not ours.

        Raises
        ------
        ContestedError
            It has happened too often.
        """
        self._claims += 1
        if self._claims > self._most:
            raise ContestedError(
                f"another program keeps changing the rig: {changed}; it was set back {self._most} times. "
                "End the other program, then start the night again"
            )


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
        self.breakers = Breakers()
        self.hung_camera = HungCamera()
        self.claims = Claims()
        self._set = 0
        self._night = 0

    def begin_set(self, needed: Iterable[str] | None = None) -> None:
        """Start a new set with its full budget; `needed` are the devices that it cannot do without (None: all)."""
        self._set = 0
        self.breakers.begin_set(needed)
        self.claims.begin_set()

    def tries_of(self, device: str) -> int:
        """Return how many second tries an order to a device may have."""
        return 0 if self.breakers.is_open(device) else self.per_exposure

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
