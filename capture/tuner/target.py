"""Define the level that a flat should have, for one or several colour channels. This module performs no I/O."""

import math
from dataclasses import dataclass, replace

COLOUR_ROOM = 0.25
"""Smallest distance between the aim of the brightest channel and the top of the band, relative to the band's width."""

FAINTEST_FLOOR = 0.5
"""The faintest channel must reach this fraction of the band's lower limit."""

LEAST_ROOM = 0.125
"""Fraction of the band's width that must lie between the aim and the raised lower limit.

If less is left, the lower limit is not raised, and `FAINTEST_FLOOR` does not apply.
"""

CHANNEL_TOLERANCE = 0.95
"""Fraction of the expected signal that the faintest channel of a set's frames must reach.

The expected signal is the signal of this channel if the brightest channel is at the band's lower limit.
"""


@dataclass(frozen=True, slots=True)
class FlatTarget:
    """Signal that a flat should have; with a colour filter array, the signal of the brightest channel.

    Attributes
    ----------
    bias_adu
        Bias level, ADU.
    full_scale_adu
        Level at which pixels saturate, ADU; replaced if tests show a lower level.
    fraction
        Signal to aim for, as a fraction of the usable range from bias to full scale.
    band
        Lowest and highest allowed signal, as fractions of the usable range.
    faintest_part
        Signal of the faintest channel relative to the brightest channel; 1 without a colour filter array.

    Raises
    ------
    ValueError
        If full scale is not above bias, or the fraction is not inside the band.
    """

    bias_adu: float
    full_scale_adu: float
    fraction: float = 0.40
    band: tuple[float, float] = (0.30, 0.50)
    faintest_part: float = 1.0

    def __post_init__(self) -> None:
        if not -math.inf < self.bias_adu < self.full_scale_adu < math.inf:
            raise ValueError(
                f"full scale ({self.full_scale_adu} ADU) must be above the bias level ({self.bias_adu} ADU)"
            )
        if not 0 < self.band[0] < self.fraction < self.band[1] < 1:
            raise ValueError(
                f"the target {self.fraction} must be inside the band {self.band}, and the band between 0 and 1"
            )

    @property
    def range_adu(self) -> float:
        """Usable range, from bias to full scale."""
        return self.full_scale_adu - self.bias_adu

    @property
    def signal_adu(self) -> float:
        """Signal to aim for."""
        return self.fraction * self.range_adu

    @property
    def levels_adu(self) -> tuple[float, float]:
        """Limits of the band as levels including bias."""
        low, high = self.band
        return self.bias_adu + low * self.range_adu, self.bias_adu + high * self.range_adu

    @property
    def faintest_level_adu(self) -> float:
        """Lowest allowed level of the faintest channel in a set's frames, including bias."""
        part = self.band[0] * self.faintest_part * (CHANNEL_TOLERANCE if self.faintest_part < 1 else 1.0)
        return self.bias_adu + part * self.range_adu

    def holds(self, signal_adu: float, margin: float) -> bool:
        """Return whether a signal is in the band, at least `margin` times the band's width from its limits."""
        low, high = self.band
        kept = margin * (high - low)
        return low + kept <= signal_adu / self.range_adu <= high - kept

    def for_channels(self, faintest_part: float) -> "FlatTarget":
        """Return the target for the brightest channel that gives good levels in all channels.

        No channel may exceed the top of the band, and the faintest channel must reach half of the band's lower limit
        (15 % for a limit of 30 %). The lower limit for the brightest channel rises accordingly, so that a flat whose
        brightest channel is in the band is good in all channels. The aim puts the brightest and the faintest channel at
        equal distances from the target, which maximises the smaller margin. However, the aim stays at least a quarter
        of the band's width below the top. The default band suits channels that differ by a factor of up to 2.8. Beyond
        that factor, `starves` returns True, the lower limit is not raised, and the aim is at its highest value.
        """
        low, high = self.band
        lowest = low if self.starves(faintest_part) else max(low, FAINTEST_FLOOR * low / faintest_part)
        return replace(
            self, fraction=self._aim(faintest_part), band=(lowest, high), faintest_part=max(faintest_part, 0.0)
        )

    def starves(self, faintest_part: float) -> bool:
        """Return whether the channels differ too much for one exposure to suit all of them."""
        low, high = self.band
        room = LEAST_ROOM * (high - low)
        return FAINTEST_FLOOR * low > faintest_part * (self._aim(faintest_part) - room)

    def _aim(self, faintest_part: float) -> float:
        low, high = self.band
        highest = max(self.fraction, high - COLOUR_ROOM * (high - low))
        return min(2 * self.fraction / (1 + max(faintest_part, 0.0)), highest)
