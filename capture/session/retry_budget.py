"""Limit a night's retries: budgets, a breaker for each device, and a limit on restoring the camera's settings.

This module performs no I/O.
"""

from collections.abc import Iterable

from coldframe.errors import ColdframeError


class OutOfRetriesError(ColdframeError):
    """A retry budget is used up."""


class ContestedError(ColdframeError):
    """Another program keeps changing the rig. The night is aborted, and the rig is put in the safe state."""


class Breakers:
    """The devices that failed repeatedly.

    Until they work again, commands to them are not retried, and no step waits for them. Steps that do not need a failed
    device continue without it.

    Parameters
    ----------
    failures
        Number of consecutive failures after which a breaker opens. A command counts as failed only if all its retries
        failed as well.
    """

    def __init__(self, failures: int = 2) -> None:
        self._most = failures
        self._failures: dict[str, int] = {}
        self._needed: frozenset[str] | None = None

    def begin_set(self, needed: Iterable[str] | None) -> None:
        """Remember the names of the devices that the next set needs; None for all devices."""
        self._needed = None if needed is None else frozenset(needed)

    def failed(self, device: str) -> bool:
        """Count a command that failed despite all retries. Return True if this failure opens the breaker."""
        self._failures[device] = self._failures.get(device, 0) + 1
        return self._failures[device] == self._most

    def stayed_away(self, device: str) -> None:
        """Open the breaker of a device that was still lost after the wait for it."""
        self._failures[device] = self._most

    def worked(self, device: str) -> None:
        """Close the breaker of a device that works."""
        self._failures.pop(device, None)

    def is_open(self, device: str) -> bool:
        """Return whether the breaker of a device is open. If it is, commands to the device are not retried."""
        return self._failures.get(device, 0) >= self._most

    def is_needed(self, device: str) -> bool:
        """Return whether the current set needs a device."""
        return self._needed is None or device in self._needed

    def is_left_out(self, device: str) -> bool:
        """Return whether the current set continues without a device because the breaker of the device is open."""
        return self.is_open(device) and not self.is_needed(device)


class HungCamera:
    """A count of a camera's timeouts, for detecting a hang that only a power cycle can end.

    Parameters
    ----------
    uses
        Number of power cycles allowed in a night.
    """

    UNTIL_RECONNECTED = 2
    """Number of consecutive timeouts after which the camera object reconnects the driver (`TIMEOUTS_UNTIL_STUCK`)."""

    AFTER_RECONNECTION = 3
    """Number of further timeouts after which reconnecting is considered not to have helped (indi-allsky#2697)."""

    FREE = 10
    """Number of timeouts per night that cost no retry.

    A camera that hangs occasionally must not use up the budget.
    """

    def __init__(self, uses: int = 2) -> None:
        self.uses_left = uses
        self._timeouts = 0
        self._waits = 0

    @property
    def is_hung(self) -> bool:
        """True once consecutive timeouts show that reconnecting the driver did not help."""
        return self._timeouts >= self.UNTIL_RECONNECTED + self.AFTER_RECONNECTION

    @property
    def costs_a_retry(self) -> bool:
        """True once the free timeouts of the night are used up."""
        return self._waits > self.FREE

    def count_timeout(self) -> None:
        """Count an exposure that timed out."""
        self._timeouts += 1
        if not self.is_hung:
            self._waits += 1

    def use(self) -> None:
        """Spend a power cycle, which also reconnects the driver."""
        self.uses_left -= 1
        self._timeouts = self.UNTIL_RECONNECTED

    def worked(self) -> None:
        """Reset the count of consecutive timeouts after a completed exposure."""
        self._timeouts = 0


class Claims:
    """A count of how often the camera's settings were restored after another program changed them.

    Parameters
    ----------
    most
        Maximum number of consecutive restorations. A set during which no other program changes the settings resets the
        count.
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
        """Count a change to the settings by another program.

        Parameters
        ----------
        changed
            Description of the change, for the error message.

        Raises
        ------
        ContestedError
            If the settings have been changed too often.
        """
        self._claims += 1
        if self._claims > self._most:
            raise ContestedError(
                f"another program keeps changing the rig: {changed}; the settings were restored {self._most} times. "
                "End the other program, then start the night again"
            )


class Retries:
    """The retry budgets: per command to a device, per set, and for the whole night.

    If these do not suffice, there is a fault that retries cannot correct.

    Parameters
    ----------
    per_exposure, per_set, per_night
        Maximum number of retries of one command, in one set, and in the whole night.
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
        """Start a new set with its full budget. `needed` names the devices that the set needs (None for all)."""
        self._set = 0
        self.breakers.begin_set(needed)
        self.claims.begin_set()

    def tries_of(self, device: str) -> int:
        """Return the maximum number of retries of a command to the given device."""
        return 0 if self.breakers.is_open(device) else self.per_exposure

    def spend(self) -> None:
        """Spend one retry of the set and of the night.

        Raises
        ------
        OutOfRetriesError
            If no retry is left.
        """
        if self._set >= self.per_set:
            raise OutOfRetriesError(f"this set has already used its {self.per_set} retries")
        if self._night >= self.per_night:
            raise OutOfRetriesError(f"this night has already used its {self.per_night} retries")
        self._set += 1
        self._night += 1
