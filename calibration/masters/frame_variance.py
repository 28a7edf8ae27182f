"""The variance of the frames of a master, derived from the uncertainty of their mean and from factors in the header."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.kernels import masters

F32 = NDArray[np.float32]

MOST_VARIANCE_FACTORS = 99
"""Maximum number of factors (CFVAR1 to CFVAR99, CFSCA1 to CFSCA99) that convert the uncertainty to a variance."""

FRAME_FACTORS = "CFVAR"
"""Beginning of the keywords of the factors that convert the uncertainty to the variance of a frame."""

_LARGEST_FACTOR = 2
"""Largest valid factor: clipping at 2 sigma or more reduces the variance by less than a factor of 2."""


def frame_variance(
    uncertainty: F32, counts: F32, header: Mapping[str, HeaderValue], keyword: str, most: np.float32 | None = None
) -> F32:
    """Return the variance of individual frames, or of the values, computed with the factors in the header.

    The factors are CFVAR1 or CFSCA1 where no value was rejected, CFVAR2 or CFSCA2 where one value was rejected, and so
    on. `most` is the largest count of the master; None to use the largest of the given counts.
    """
    rounding, factors = np.float32(rounding_adu2(header)), _variance_factors(header, keyword)
    relative = np.array(factors, np.float32) / np.float32(factors[0])
    if most is None:
        most = counts.max()
    if not np.isfinite(most):
        return np.full_like(uncertainty, np.nan)
    variance = np.empty(uncertainty.shape, np.float32)
    errors, numbers = (np.ascontiguousarray(plane).reshape(-1) for plane in (uncertainty, counts))
    masters.scale_squares(errors, numbers, float(most), float(rounding), factors[0], relative, variance.reshape(-1))
    return variance


def scatter_factors(header: Mapping[str, HeaderValue]) -> str:
    """Return the keyword of the factors that convert the uncertainty to the scatter; old masters lack separate ones."""
    return "CFSCA" if "CFSCA1" in header else FRAME_FACTORS


def _variance_factors(header: Mapping[str, HeaderValue], keyword: str) -> list[float]:
    """Return the factors determined by a `Trial` when the master was made; 1 if the header contains no valid factor."""
    factors = []
    for number in range(1, MOST_VARIANCE_FACTORS + 1):
        factor = header.get(f"{keyword}{number}")
        if not isinstance(factor, int | float) or not 0 < factor <= _LARGEST_FACTOR:
            break
        factors.append(float(factor))
    return factors or [1.0]


def rounding_adu2(header: Mapping[str, HeaderValue]) -> float:
    """Return the variance that rounding adds to each pixel's squared uncertainty; 0 if not stated in the header."""
    variance = header.get("CFROUND", 0)
    return float(variance) if isinstance(variance, int | float) and variance > 0 else 0.0
