"""The choice of a method for small sets, and the limits of each method."""

import math
from typing import assert_never

from coldframe.calibration.stacking.clipping import FEWEST_TO_TRIM, Clipping
from coldframe.calibration.stacking.methods import Mean, Median, MedianClipping, Method, Winsorizing

ENOUGH_FRAMES = 8
"""Smallest number of frames for which the limits of a method are not reported, unless the method needs more frames to
reject an outlier."""

_FEWEST_FOR_A_MEDIAN = 3


def method_for(frames: int) -> Method:
    """Return the default method for a number of frames: sigma clipping, or the median for fewer than five frames.

    Clipping rejects nothing from fewer than five values, whereas the median of three values tolerates one outlier.
    """
    return Clipping() if frames >= FEWEST_TO_TRIM else Median()


def fewest_to_reject(method: Method) -> float:
    """Return the smallest number of values with which a method removes one outlier of any size; infinity for the mean.

    As a single outlier among n values grows, its distance from the mean approaches (n - 1) / sqrt(n) standard
    deviations, and its distance from the median approaches sqrt(n) standard deviations.
    """
    match method:
        case Mean():
            return math.inf
        case Median():
            return _FEWEST_FOR_A_MEDIAN
        case Winsorizing():
            return FEWEST_TO_TRIM  # it always keeps four values
        case MedianClipping():
            return max(FEWEST_TO_TRIM, math.floor(method.kappa**2) + 1)
        case Clipping(start="trimmed"):
            return FEWEST_TO_TRIM
        case Clipping():
            return math.floor(((method.kappa + math.sqrt(method.kappa**2 + 4)) / 2) ** 2) + 1
        case _:
            assert_never(method)


def weakness(frames: int, method: Method, *, is_chosen: bool) -> str | None:
    """Return a message about outliers that a method cannot reject from a small set; None if there is nothing to report.

    Parameters
    ----------
    frames
        Number of frames.
    method
        The method.
    is_chosen
        True if the user chose the method; False if it comes from `method_for`.
    """
    needed = fewest_to_reject(method)
    if frames < _FEWEST_FOR_A_MEDIAN:
        return "nothing can be rejected from two frames: an outlier in one of them remains at half its size"
    if isinstance(method, Mean) or frames >= max(ENOUGH_FRAMES, needed) or (is_chosen and isinstance(method, Median)):
        return None
    if frames < needed:
        return (
            f"the method ({method}) rejects nothing from {frames} frames, so an outlier in one of them remains in the "
            "master; --method median suppresses it"
        )
    if isinstance(method, Median):
        return (
            f"the median is used, because sigma clipping rejects nothing from {frames} frames; the "
            "median tolerates one outlier per pixel, but its noise is 9 to 16 % larger than that of the mean; --method "
            "overrides this choice"
        )
    return f"from {frames} frames, only one outlier per pixel can be rejected with certainty; two may remain"
