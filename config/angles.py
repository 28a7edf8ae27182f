"""Angles of rotators, in degrees."""

FULL_TURN_DEG = 360.0


def degrees_apart(one_deg: float, other_deg: float) -> float:
    """Return the smaller of the two turns from one angle to another, from 0 to 180."""
    half_turn_deg = FULL_TURN_DEG / 2
    return abs((one_deg - other_deg + half_turn_deg) % FULL_TURN_DEG - half_turn_deg)


def within_a_turn(angle_deg: float, digits: int = 2) -> float:
    """Return an angle from 0 to below 360, rounded, so that 359.999 and 0 are equal."""
    return round(angle_deg % FULL_TURN_DEG, digits) % FULL_TURN_DEG
