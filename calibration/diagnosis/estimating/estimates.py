"""Estimates with standard errors, and robust fits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

HUBER_SIGMA = 2.0
"""Residuals beyond this many standard deviations are weighted in inverse proportion to their size (Huber 1964)."""

_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error, in the same unit."""

    value: float
    error: float

    @property
    def significance(self) -> float:
        """Absolute value divided by the standard error; 0 if the error is 0."""
        return abs(self.value) / self.error if self.error > 0 else 0.0


def spread(values: F64) -> float:
    """Return a robust standard deviation, derived from the median absolute deviation; 0 for fewer than two values."""
    if values.size < 2:  # noqa: PLR2004
        return 0.0
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def robust_fit(design: F64, values: F64, weights: F64) -> tuple[F64, F64]:
    """Fit a linear model in which outliers have less weight.

    Parameters
    ----------
    design
        The design matrix: float64, shape (values, parameters).
    values
        The values to which the model is fitted: float64, shape (values,).
    weights
        Inverse variances up to a common factor: float64, shape (values,).

    Returns
    -------
    parameters, covariance
        The fitted parameters and their covariance, which is derived from the residuals: float64, shapes (parameters,)
        and (parameters, parameters).
    """
    root = np.sqrt(weights)
    kept = np.ones_like(root)
    for _ in range(_ROUNDS):
        scaled = design * (root * kept)[:, None]
        # With so few parameters, the normal equations suffice; they are much faster than decomposing the whole matrix.
        parameters = np.linalg.pinv(scaled.T @ scaled) @ (scaled.T @ (values * root * kept))
        residuals = (values - design @ parameters) * root
        sigma = spread(residuals)
        if sigma == 0.0:
            break
        kept = np.sqrt(np.minimum(1.0, HUBER_SIGMA * sigma / np.maximum(np.abs(residuals), 1e-300)))
    inner = np.abs(residuals) <= HUBER_SIGMA * sigma
    # Asymptotic covariance of Huber's estimator: E[psi^2] / E[psi']^2 (X'X)^-1.
    psi = np.clip(residuals, -HUBER_SIGMA * sigma, HUBER_SIGMA * sigma)
    freedom = max(values.size - design.shape[1], 1)
    variance = float((psi**2).sum()) / freedom / max(float(inner.mean()), 0.1) ** 2
    whole = design * root[:, None]
    return parameters, variance * np.linalg.pinv(whole.T @ whole)


def robust_ratio(numerators: F64, denominators: F64) -> Estimate:
    """Return the common ratio of pairs of values; its error is infinite if fewer than three pairs are known.

    The variance of each numerator is assumed to be proportional to its denominator.
    """
    known = denominators > 0
    if np.count_nonzero(known) < 3:  # noqa: PLR2004
        return Estimate(0.0, float("inf"))
    ratio, covariance = robust_fit(
        np.ones((int(known.sum()), 1)), numerators[known] / denominators[known], denominators[known]
    )
    return Estimate(float(ratio[0]), float(np.sqrt(covariance[0, 0])))
