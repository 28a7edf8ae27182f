"""The sums and extreme values of pixels, and the decision about which of their values are kept."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import clipping as kernels
from coldframe.calibration.stacking.clipping import Clipping, variance_correction
from coldframe.calibration.stacking.methods import Mean
from coldframe.calibration.stacking.rounding import rounding_variance
from coldframe.calibration.stacking.uncertainty import Trial, student_variance, trial_result, trial_samples


class PixelState(NamedTuple):
    """Sums and extreme values of a range of pixels, in the order of the flattened frame.

    Attributes
    ----------
    totals, squares
        uint32 and uint64, shape (pixels,): sum of the values and sum of their squares.
    high, low
        uint16, shape (k, pixels): the k largest values in descending order, and the k smallest in ascending order.
        Empty places contain 0 and 65,535, which any value displaces.
    """

    totals: NDArray[np.uint32]
    squares: NDArray[np.uint64]
    high: NDArray[np.uint16]
    low: NDArray[np.uint16]

    @classmethod
    def empty(cls, pixels: int, tails: int) -> "PixelState":
        """Return the state before the first frame, with all arrays in one block of memory."""
        sums, tail = 12 * pixels, 2 * tails * pixels
        memory = np.zeros(sums + 2 * tail, np.uint8)
        low = memory[sums + tail :].view(np.uint16).reshape(tails, pixels)
        low[:] = 65535
        return cls(
            memory[8 * pixels : sums].view(np.uint32),
            memory[: 8 * pixels].view(np.uint64),
            memory[sums : sums + tail].view(np.uint16).reshape(tails, pixels),
            low,
        )

    @classmethod
    def of_columns(cls, values: NDArray[np.uint16]) -> "PixelState":
        """Return the state whose tails contain all given values, which have the shape (frames, pixels)."""
        low = np.sort(values, axis=0)
        wide = values.astype(np.uint64)
        return cls(values.sum(axis=0, dtype=np.uint32), (wide * wide).sum(axis=0), np.ascontiguousarray(low[::-1]), low)


class Planes(NamedTuple):
    """Combined values of a range of pixels, as sections of the flattened planes of a `Stack`."""

    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    counts: NDArray[np.uint16]

    @classmethod
    def empty(cls, pixels: int) -> "Planes":
        """Return planes for the given number of pixels, with undefined values."""
        return cls(np.empty(pixels, np.float32), np.empty(pixels, np.float32), np.empty(pixels, np.uint16))

    def part(self, pixels: slice) -> "Planes":
        """Return views of the given range of pixels."""
        return Planes(self.mean[pixels], self.uncertainty[pixels], self.counts[pixels])


class PixelRule(NamedTuple):
    """The parameters of the kernel `combine_pixels` that depend on the method."""

    trim: int
    correction: float
    kappa_squared: float
    floor_squared: float
    iterations: int
    scatter_corrections: NDArray[np.float64]
    least_variance: float


def rule_of(frames: int, method: Clipping | Mean) -> PixelRule:
    """Return the rule by which a method decides on the `frames` values of a pixel."""
    corrections, least = scatter_corrections(frames, method), rounding_variance(method.step_adu)
    if isinstance(method, Mean):
        # With zero iterations of clipping, all values are kept.
        return PixelRule(0, 1.0, 0.0, 0.0, 0, corrections, least)
    return _clipping_rule(frames, method, corrections, least)


def _clipping_rule(
    frames: int, clipping: Clipping, corrections: NDArray[np.float64], least_variance: float
) -> PixelRule:
    trim = clipping.trimmed(frames)
    return PixelRule(
        trim,
        variance_correction(frames, trim),
        float(clipping.kappa) ** 2,
        float(clipping.sigma_floor_adu) ** 2,
        clipping.iterations,
        corrections,
        least_variance,
    )


def combine_pixels(frames: int, state: PixelState, rule: PixelRule, planes: Planes) -> None:
    """Write mean, standard error and number of kept values to `planes`; the number is 0 where a tail is too short."""
    arguments = (frames, *state, *rule, *planes)
    kernels.combine_pixels(*arguments)


def scatter_corrections(frames: int, method: Clipping | Mean) -> NDArray[np.float64]:
    """Return the squared uncertainty of a mean divided by its squared standard error, by number of kept values.

    If all values are kept, this is the variance of Student's distribution: 1.40 for 8 frames, 1.04 for 50. If clipping
    rejects one value, the scatter of the remaining values is too small, and the ratio at 3 sigma is 7 for 8 frames and
    1.5 for 50. If the noise is below `sigma_floor_adu`, fewer values are clipped than the ratio assumes, so the
    uncertainty is then slightly too large.

    Parameters
    ----------
    frames
        Number of frames. For up to three frames without rejection, the scatter is too uncertain, so the ratio is 1.
    method
        Method of combination.

    Returns
    -------
    NDArray[np.float64]
        Shape (frames + 1,).
    """
    if isinstance(method, Mean) or frames < 3:  # noqa: PLR2004 - all methods return the mean of two values
        return np.full(frames + 1, student_variance(frames))
    return clipping_trial(frames, method).corrections


@cache
def clipping_trial(frames: int, clipping: Clipping) -> Trial:
    """Clip normally distributed values of at least two frames with the kernel; compare the results with the truth."""
    samples = trial_samples(frames)
    state = PixelState.of_columns(samples)
    planes = Planes.empty(state.totals.size)
    combine_pixels(frames, state, _clipping_rule(frames, clipping, np.ones(frames + 1), 0.0), planes)
    return trial_result(samples, *planes)
