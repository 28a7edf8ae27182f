"""Hold the results of one test frame. This module performs no I/O."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlatTest:
    """Measured values of a test frame.

    Attributes
    ----------
    exposure_s, brightness
        Settings of the test; brightness is None for a lamp without brightness control.
    level_adu
        Median of the central region, including bias; with a colour filter array, the median of the brightest channel.
    saturated_fraction
        Fraction of the central region's pixels at or above the saturation level.
    noise_adu
        Robust standard deviation of the central region; infinity if unknown.
    faintest_adu
        Median of the faintest channel; None without a colour filter array.
    saturation_adu
        Level at which the frame's histogram is cut off; infinity if it is not cut off.

    Raises
    ------
    ValueError
        If a value is NaN, a level or fraction is infinite, or the exposure is not positive.
    """

    exposure_s: float
    brightness: int | None
    level_adu: float
    saturated_fraction: float = 0.0
    noise_adu: float = math.inf
    faintest_adu: float | None = None
    saturation_adu: float = math.inf

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.level_adu, self.saturated_fraction, self.faintest_adu or 0.0)))
        known = not (math.isnan(self.noise_adu) or math.isnan(self.saturation_adu))
        if not (finite and known and 0 < self.exposure_s < math.inf):
            raise ValueError(f"a test frame has impossible values: {self}")

    @property
    def brightness_key(self) -> int:
        """Brightness as a dictionary key; 0 for a lamp without brightness control."""
        return self.brightness or 0

    @property
    def setting(self) -> str:
        """Exposure and brightness as text."""
        return f"{self.exposure_s:g} s" + ("" if self.brightness is None else f" at brightness {self.brightness}")
