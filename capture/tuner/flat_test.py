"""One test frame, as the tuner reads it. Pure."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlatTest:
    """What a test frame showed.

    Attributes
    ----------
    exposure_s, brightness
        As shot; brightness None for a light without control.
    level_adu
        Median of the central region, bias included; behind a colour filter array that of the brightest channel.
    saturated_fraction
        Part of the central region's pixels at or above the saturation level.
    noise_adu
        Robust standard deviation of the central region; NaN is refused, infinity stands for unknown.
    faintest_adu
        Median of the faintest channel; None without a colour filter array.
    saturation_adu
        Level at which the frame's histogram is cut off; infinity where it is not.

    Raises
    ------
    ValueError
        Where a number is not finite or the exposure not positive.
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
            raise ValueError(f"a test frame gave figures that cannot be: {self}")

    @property
    def brightness_key(self) -> int:
        """The brightness as a key; 0 for a light without control."""
        return self.brightness or 0

    @property
    def setting(self) -> str:
        """Exposure and brightness, for people."""
        return f"{self.exposure_s:g} s" + ("" if self.brightness is None else f" at brightness {self.brightness}")
