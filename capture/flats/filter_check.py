"""Whether the filter wheel turned: filters pass different amounts of light. Pure.

Two filters that pass the same light cannot be told apart by it; dust and vignetting are too much alike to help.
"""

from collections.abc import Mapping
from math import log

SAME_LIGHT = 0.03
"""Logarithm of the ratio of two rates of light that are taken as equal: a lamp drifts by a few percent in an hour."""

OTHER_LIGHT = 0.25
"""The same from which two filters were different on earlier nights."""


def stuck_at(name: str, tonight: Mapping[str, float], earlier: Mapping[str, float]) -> str | None:
    """Return the filter that seems to be in the beam in place of the named one; None where nothing says so.

    A filter that tonight gives the light of another one, from which it differed on earlier nights, is that other one.
    A lamp that has changed since then changes all filters alike, and does not matter.

    Parameters
    ----------
    name
        The filter that was selected.
    tonight, earlier
        Light through filters, on a common scale each.
    """
    return next(
        (
            other
            for other in twins(name, tonight)
            if {name, other} <= earlier.keys() and abs(log(earlier[name] / earlier[other])) >= OTHER_LIGHT
        ),
        None,
    )


def twins(name: str, tonight: Mapping[str, float]) -> list[str]:
    """Return the other filters that gave the same light tonight."""
    return [other for other in tonight if other != name and abs(log(tonight[name] / tonight[other])) <= SAME_LIGHT]
