"""The level that a flat shall have, behind one colour or several. Pure."""

import math
from dataclasses import dataclass, replace

COLOUR_ROOM = 0.25
"""Part of the band's width that the brightest channel's aim keeps below the band's top."""

FAINTEST_FLOOR = 0.5
"""The faintest channel's signal shall reach this part of the band's low end."""

LEAST_ROOM = 0.125
"""Part of the band's width that must remain between aim and low end for that floor to be asked for."""

CHANNEL_TOLERANCE = 0.95
"""A set's faintest channel may come this much below what its share in the tuning frames would make of the low end."""


@dataclass(frozen=True, slots=True)
class FlatTarget:
    """The signal that a flat shall have; behind a colour filter array that of its brightest channel.

    Attributes
    ----------
    bias_adu
        Level without light, ADU.
    full_scale_adu
        Level at which pixels saturate, ADU. A lower one that shows in the tests takes its place.
    fraction
        Signal aimed at, as part of the usable range from bias to full scale.
    band
        Lowest and highest allowed signal, as parts of the same range.
    faintest_part
        Signal of the faintest channel as part of the brightest one's; 1 without a colour filter array.

    Raises
    ------
    ValueError
        Where full scale does not lie above bias, or the fraction not inside the band.
    """

    bias_adu: float
    full_scale_adu: float
    fraction: float = 0.40
    band: tuple[float, float] = (0.30, 0.50)
    faintest_part: float = 1.0

    def __post_init__(self) -> None:
        if not -math.inf < self.bias_adu < self.full_scale_adu < math.inf:
            raise ValueError(
                f"full scale ({self.full_scale_adu} ADU) must lie above the bias level ({self.bias_adu} ADU)"
            )
        if not 0 < self.band[0] < self.fraction < self.band[1] < 1:
            raise ValueError(
                f"the target {self.fraction} must lie inside the band {self.band}, and that between 0 and 1"
            )

    @property
    def range_adu(self) -> float:
        """The usable range, from bias to full scale."""
        return self.full_scale_adu - self.bias_adu

    @property
    def signal_adu(self) -> float:
        """The signal aimed at."""
        return self.fraction * self.range_adu

    @property
    def levels_adu(self) -> tuple[float, float]:
        """The band's ends as levels, bias included."""
        low, high = self.band
        return self.bias_adu + low * self.range_adu, self.bias_adu + high * self.range_adu

    @property
    def faintest_level_adu(self) -> float:
        """Level below which the faintest channel has lost more light than the brightest one may."""
        part = self.band[0] * self.faintest_part * (CHANNEL_TOLERANCE if self.faintest_part < 1 else 1.0)
        return self.bias_adu + part * self.range_adu

    def holds(self, signal_adu: float, margin: float) -> bool:
        """Tell whether a signal lies in the band, `margin` (as part of the band's width) inside its ends."""
        low, high = self.band
        kept = margin * (high - low)
        return low + kept <= signal_adu / self.range_adu <= high - kept

    def for_channels(self, faintest_part: float) -> "FlatTarget":
        """Return the brightest channel's target that serves all channels.

        No channel may rise above the band's top, and none fall below half of its low end (15 % where the band starts
        at 30 %): with the low end raised so far that the faintest channel keeps that floor, a flat whose brightest
        channel is in the band is good in all of them. The aim puts brightest and faintest channel as far above the
        target as below it, which keeps the lesser of their margins greatest, but never nearer to the top than a
        quarter of the band's width. With the usual band there is room for channels up to a factor of 2.8 apart; the
        floor is not asked for beyond that (`starves` tells), and the brightest channel is aimed at that height.
        """
        low, high = self.band
        lowest = low if self.starves(faintest_part) else max(low, FAINTEST_FLOOR * low / faintest_part)
        return replace(
            self, fraction=self._aim(faintest_part), band=(lowest, high), faintest_part=max(faintest_part, 0.0)
        )

    def starves(self, faintest_part: float) -> bool:
        """Tell whether channels lie too far apart for all of them to be served by one exposure."""
        low, high = self.band
        room = LEAST_ROOM * (high - low)
        return FAINTEST_FLOOR * low > faintest_part * (self._aim(faintest_part) - room)

    def _aim(self, faintest_part: float) -> float:
        low, high = self.band
        highest = max(self.fraction, high - COLOUR_ROOM * (high - low))
        return min(2 * self.fraction / (1 + max(faintest_part, 0.0)), highest)
