"""Stars in the bins of a light, and the background around them."""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.local_levels import LocalLevels

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

BACKGROUND = 16
"""Side, in bins, of the blocks in which the background is measured."""

STAR_SIGMA = 4.0
"""Excess over the background, in standard deviations of the background, above which a bin contains a star."""

_STEP = 3
_HALOS = ((STAR_SIGMA, 1), (40.0, 3), (400.0, 6))
"""Excess of a star in standard deviations, and the reach, in bins, of the halos around stars with a larger excess."""


def local_levels(bins: F32) -> LocalLevels:
    """Return the level and the spread around each bin; NaN counts as the median level."""
    return LocalLevels(np.where(np.isfinite(bins), bins, np.float32(np.nanmedian(bins[::_STEP, ::_STEP]))), BACKGROUND)


def background_and_spread(bins: F32, levels: LocalLevels) -> tuple[F32, F32]:
    """Return the level and the spread around each bin; float32, same shape."""
    rows = slice(0, bins.shape[0])
    return levels.level(rows), levels.spread(rows)


def star_bins(bins: F32, levels: LocalLevels) -> Mask:
    """Return a mask of bins that contain stars or their halos, or no valid pixels; bool, same shape."""
    level, spread = background_and_spread(bins, levels)
    excess = bins - level
    found = ~np.isfinite(bins)
    for sigma, reach in _HALOS:
        with np.errstate(invalid="ignore"):
            found |= widened(excess > sigma * spread, reach)
    return found


def widened(mask: Mask, reach: int) -> Mask:
    """Return a mask widened by `reach` bins in each direction."""
    wide = mask.copy()
    for step in range(1, reach + 1):
        wide[step:] |= mask[:-step]
        wide[:-step] |= mask[step:]
    tall = wide.copy()
    for step in range(1, reach + 1):
        tall[:, step:] |= wide[:, :-step]
        tall[:, :-step] |= wide[:, step:]
    return tall
