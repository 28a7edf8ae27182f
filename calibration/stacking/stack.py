"""The result of combining frames."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The planes that result from combining frames.

    Attributes
    ----------
    frames
        Number of frames.
    mean
        float32, shape (height, width): mean of the kept values, ADU.
    uncertainty
        float32, same shape: standard uncertainty of the mean, from the scatter of the kept values; see
        `coldframe.calibration.stacking.uncertainty`. Where all kept values are equal, it is the uncertainty due to
        their rounding, which is 0 only for floating-point frames. NaN where only one value is kept.
    counts
        uint16, same shape: number of kept values.
    recomputed
        Number of pixels for which the saved frames had to be read again.
    flat_level_adu
        Level of flat frames above their dark before they were scaled, ADU: the mean over the frames, in the brightest
        colour of a filter array. None for frames that were not scaled.
    rounding_adu2
        ADU^2: the part of the squared uncertainty that does not decrease with the number of frames, because all frames
        are rounded in the same way; see `coldframe.calibration.stacking.rounding`.
    """

    frames: int
    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    counts: NDArray[np.uint16]
    recomputed: int
    flat_level_adu: float | None = field(default=None, kw_only=True)
    rounding_adu2: float = field(default=0.0, kw_only=True)

    @property
    def rejected_fraction(self) -> float:
        """Fraction of all values that were rejected."""
        return 1 - float(self.counts.sum(dtype=np.int64)) / (self.frames * self.counts.size)
