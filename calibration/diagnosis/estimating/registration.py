"""Registration of lights by their stars: shifts due to dithering, and the half turn of a meridian flip."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.threads import parallel_map

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]
Spectrum = NDArray[np.complexfloating]

LEAST_PEAK = 7.0
"""Smallest peak of a correlation with the reference, in standard deviations, that counts as a match of the stars."""

LEAST_LEAD = 1.4
"""Smallest ratio of the highest peak to the second highest at which the stars match. If a single bright star or trail
matches by chance, its peak is far above the standard deviation, because most shifts match no star; but there are peaks
of similar height elsewhere."""

_BESIDE = 4
"""Distance from a peak, in bins, within which the correlation belongs to this peak."""

_STEP = 5
_BRIGHTEST = 30.0
"""Limit to which the excess of stars is clipped, in standard deviations, so that a bright star does not dominate."""


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a light relative to the reference.

    Attributes
    ----------
    down, across
        Shift of the (rotated) light in bins: bin (y, x) of the sky is bin (y + down, x + across) of the light.
    is_turned
        True if the light is rotated by 180 degrees.
    """

    down: int
    across: int
    is_turned: bool

    def on_sky(self, plane: F32) -> F32:
        """Return a plane of the light in sky coordinates; NaN where the light has no bins."""
        return _shifted(plane[::-1, ::-1] if self.is_turned else plane, -self.down, -self.across)

    def on_sensor(self, sky: F32) -> F32:
        """Return a plane of the sky in the coordinates of the light; NaN where the sky has no bins."""
        moved = _shifted(sky, self.down, self.across)
        return moved[::-1, ::-1] if self.is_turned else moved


def places_of(residuals: Sequence[F32]) -> list[Place | None]:
    """Return the positions of lights relative to the first; None for lights whose stars do not match.

    Parameters
    ----------
    residuals
        Excess of the bins of each light over their background, in units of the background's spread: float32, shape
        (rows, columns).
    """
    # For the FFT, opposite edges of a light adjoin. The margin keeps them apart for shifts of up to half the size of
    # the light.
    shape = tuple(fast_size(size + size // 2) for size in residuals[0].shape)
    reference = np.conj(np.fft.rfft2(_stars(residuals[0]), shape))
    others = parallel_map(lambda each: _match(reference, _stars(each), shape), residuals[1:])
    return [Place(0, 0, is_turned=False), *others]


def star_light(residuals: Sequence[F32]) -> float:
    """Return the total flux of the stars that `places_of` compares, in units of the background's spread."""
    return float(sum(_stars(each).sum(dtype=np.float64) for each in residuals))


def fast_size(least: int) -> int:
    """Return the smallest size, at least `least`, whose only prime factors are 2, 3 and 5, so that the FFT is fast."""
    size = least
    while not _is_fast(size):
        size += 1
    return size


def _is_fast(size: int) -> bool:
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    return size == 1


def _stars(residual: F32) -> F32:
    excess = np.clip(np.nan_to_num(residual), 0, _BRIGHTEST)
    return np.where(excess > 4.0, excess, 0).astype(np.float32)  # noqa: PLR2004


def _match(reference: Spectrum, stars: F32, shape: tuple[int, ...]) -> Place | None:
    """Return the position of a light, rotated or not, from the conjugate spectrum of the reference; None if unknown."""
    found: list[tuple[float, float, Place]] = []
    others = []
    spectrum = np.fft.rfft2(stars, shape)
    # The conjugate spectrum is the spectrum of the light rotated about its first bin; a rotation about the centre moves
    # this bin to the opposite corner.
    corner = stars.shape[0] - 1, stars.shape[1] - 1
    for seen, origin, is_turned in ((spectrum, (0, 0), False), (np.conj(spectrum), corner, True)):
        correlation = np.fft.irfft2(seen * reference, shape)
        peak = np.unravel_index(int(np.argmax(correlation)), shape)
        highest = float(correlation[peak])
        usual = float(np.median(correlation[::_STEP, ::_STEP]))
        height = (highest - usual) / max(float(correlation.std()), 1e-12)
        places = ((int(at) + first) % size for at, first, size in zip(peak, origin, shape, strict=True))
        down, across = (place - size if place > size // 2 else place for place, size in zip(places, shape, strict=True))
        found.append((height, highest, Place(down, across, is_turned)))
        steps = np.arange(-_BESIDE, _BESIDE + 1)
        correlation[np.ix_(*((int(at) + steps) % size for at, size in zip(peak, shape, strict=True)))] = -np.inf
        others.append(float(correlation.max()))
    found.sort(key=lambda each: each[0], reverse=True)
    (best, highest, place), (_, second, _) = found
    return place if best > LEAST_PEAK and highest > LEAST_LEAD * max(second, *others) else None


def _shifted(plane: F32, down: int, across: int) -> F32:
    """Return a plane shifted by whole bins; NaN in the bins that are left empty."""
    height, width = plane.shape
    result = np.full_like(plane, np.nan)
    top, left = max(down, 0), max(across, 0)
    bottom, right = min(height + down, height), min(width + across, width)
    if bottom > top and right > left:
        result[top:bottom, left:right] = plane[top - down : bottom - down, left - across : right - across]
    return result
