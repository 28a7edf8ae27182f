"""The thresholds for defective pixels."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds for defects.

    Attributes
    ----------
    sigma
        Deviation of dark current or bias from the neighbours, in units of their spread; the deviation must also exceed
        the noise of one frame.
    hot_e_per_s
        Excess of the dark current over that of the neighbours, in electrons per second; None to use `sigma` instead.
    cold_response, bright_response
        Response to illumination, as a fraction of the response of neighbours of the same colour.
    flicker
        Noise of individual frames as a multiple of the expected noise.
    rejected_fraction
        Fraction of the frames in which the pixel's value was clipped.
    false_alarm
        Probability that a pixel is classified as unstable because of noise alone.
    line_pixels
        Minimum number of defects in a bad column or row; on small sensors, a quarter of the line is enough.
    line_gap
        Maximum number of good pixels between two defects of a bad column or row.
    line_density
        Minimum density of defects in a bad column or row, relative to their density in the whole frame.
    """

    sigma: float = 8.0
    hot_e_per_s: float | None = None
    cold_response: float = 0.8
    bright_response: float = 1.2
    flicker: float = 2.0
    rejected_fraction: float = 0.1
    false_alarm: float = 1e-6
    line_pixels: int = 50
    line_gap: int = 30
    line_density: float = 4.0
