"""What one look at a frame tells: level, noise, saturation, histogram."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrameStatistics:
    """Figures of one frame, in ADU.

    Attributes
    ----------
    level_adu
        Median of the central region.
    median_adu, mean_adu
        Of the whole frame.
    noise_adu
        Robust standard deviation (from the 16th and 84th percentile) of the central region.
    minimum_adu, maximum_adu
        Extremes of the whole frame.
    saturated_fraction
        Fraction of the central region's pixels at or above the saturation level.
    """

    level_adu: float
    median_adu: float
    mean_adu: float
    noise_adu: float
    minimum_adu: int
    maximum_adu: int
    saturated_fraction: float
