"""Angles of rotators, in degrees."""

from dataclasses import dataclass, field

FULL_TURN_DEG = 360.0


def degrees_apart(one_deg: float, other_deg: float) -> float:
    """Return the smaller of the two turns from one angle to another, from 0 to 180."""
    half_turn_deg = FULL_TURN_DEG / 2
    return abs((one_deg - other_deg + half_turn_deg) % FULL_TURN_DEG - half_turn_deg)


def is_same_angle(one_deg: float | None, other_deg: float | None, tolerance_deg: float) -> bool:
    """Return whether two angles agree to within a tolerance, or both are None."""
    if one_deg is None or other_deg is None:
        return one_deg is other_deg
    return degrees_apart(one_deg, other_deg) <= tolerance_deg


def within_a_turn(angle_deg: float, digits: int = 2) -> float:
    """Return the equivalent angle from 0 up to but not including 360, rounded so that 359.999 becomes 0."""
    return round(angle_deg % FULL_TURN_DEG, digits) % FULL_TURN_DEG


def within_limits(angle_deg: float, limits_deg: tuple[float, float] | None) -> float | None:
    """Return the equivalent angle within a rotator's limits, such as -160 for 200; None if all are outside the limits.

    Some drivers count angles from 0 to 360, others from -180 to 180. Without limits, the angle is returned unchanged.
    """
    if limits_deg is None:
        return angle_deg
    low_deg, high_deg = limits_deg
    turns = (0.0, -FULL_TURN_DEG, FULL_TURN_DEG)
    return next((angle_deg + turn for turn in turns if low_deg <= angle_deg + turn <= high_deg), None)


@dataclass(frozen=True, slots=True)
class AngleGroups:
    """Groups of angles. The first angle of a group represents all angles within `within_deg` of it."""

    within_deg: float
    _firsts_deg: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._firsts_deg)

    def of(self, angle_deg: float) -> float:
        """Return the angle that represents the group of an angle; start a new group if no group is near enough."""
        near = (first for first in self._firsts_deg if degrees_apart(first, angle_deg) <= self.within_deg)
        first_deg = next(near, None)
        if first_deg is None:
            first_deg = within_a_turn(angle_deg)
            self._firsts_deg.append(first_deg)
        return first_deg
