"""The shadows of dust in a flat, as templates that can be shifted, turned and scaled."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import spread
from coldframe.calibration.diagnosis.estimating.sensor_pattern import high_pass
from coldframe.calibration.diagnosis.estimating.stars import widened

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHADOW_SIGMA = 5.0
LEAST_DEPTH = 0.002
"""A bin of the flat is part of a shadow if it is darker than its surroundings by both limits."""

SMALLEST_MOTE = 3
"""Smallest number of bins of a shadow."""

MOST_MOTES = 200

_RADII = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)


@dataclass(frozen=True, eq=False)
class Motes:
    """The shadows of a flat.

    Attributes
    ----------
    template
        Logarithm of the flat minus its surroundings, and 0 outside shadows: float32, shape (rows, columns) of bins.
    mask
        bool, same shape: shadows with a margin.
    centres
        Centres of the shadows in bins, down and across: float64, shape (motes, 2).
    radii
        Radii of the shadows in bins: float64, shape (motes,).
    """

    template: F32
    mask: Mask
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]

    @cached_property
    def owners(self) -> NDArray[np.int16]:
        """Number of the shadow to which each bin belongs: the nearest relative to its radius; -1 outside shadows."""
        owners = np.full(self.mask.shape, -1, np.int16)
        nearest = np.full(self.mask.shape, np.inf, np.float32)
        height, width = self.mask.shape
        y, x = np.ogrid[0:height, 0:width]
        for number, ((down, across), radius) in enumerate(zip(self.centres, self.radii, strict=True)):
            distance = (np.hypot(y - down, x - across) / (radius + 2)).astype(np.float32)
            closer = (distance < nearest) & (distance <= 1.2) & self.mask  # noqa: PLR2004
            owners[closer], nearest[closer] = number, distance[closer]
        return owners


def find_motes(flat_bins: F32) -> Motes:
    """Return the shadows in a binned flat; float32, shape (rows, columns), relative.

    Overlapping shadows are separated into discs: the most significant disc first, then the next in the remainder.
    """
    relief = np.nan_to_num(high_pass(np.log(np.maximum(flat_bins, 1e-3)).astype(np.float32)))
    sigma = spread(relief.ravel().astype(np.float64))
    limit = max(SHADOW_SIGMA * sigma, LEAST_DEPTH)
    dark = widened(relief < -limit, 1)
    shadows = np.where(dark, np.minimum(relief, 0), 0).astype(np.float32)
    centres, radii = [], []
    weights, sizes = _disc_weights(shadows)
    for _ in range(MOST_MOTES):
        down, across = (int(each) for each in np.unravel_index(int(np.argmax(weights)), weights.shape))
        if weights[down, across] < limit * SMALLEST_MOTE**0.5:
            break
        radius = int(sizes[down, across])
        centres.append((down, across))
        radii.append(radius)
        shadows[disc_mask(shadows.shape, down, across, radius + 1)] = 0
        _renew_weights(shadows, weights, sizes, (down, across), radius + 1 + _RADII[-1])
    mask = np.zeros_like(dark)
    for (down, across), radius in zip(centres, radii, strict=True):
        mask |= disc_mask(dark.shape, down, across, radius + 2)
    return Motes(
        np.where(mask, relief, 0).astype(np.float32),
        mask,
        np.array(centres, np.float64).reshape(-1, 2),
        np.array(radii, np.float64),
    )


def _disc_weights(shadows: F32) -> tuple[F64, NDArray[np.int64]]:
    """Return the largest weight of a disc around each bin, and its radius.

    The weight is the sum of the shadow divided by the square root of the area of the disc.
    """
    weights = np.array([-disc_sums(shadows, radius) / disc_area(radius) ** 0.5 for radius in _RADII])
    best = np.argmax(weights, axis=0)
    return np.take_along_axis(weights, best[None], 0)[0], np.array(_RADII)[best]


def _renew_weights(shadows: F32, weights: F64, sizes: NDArray[np.int64], centre: tuple[int, int], reach: int) -> None:
    """Compute the weights again within `reach` of a position at which shadows were removed."""
    margin = _RADII[-1]
    outer = tuple(slice(max(at - reach - margin, 0), at + reach + margin + 1) for at in centre)
    inner = tuple(slice(max(at - reach, 0), at + reach + 1) for at in centre)
    new_weights, new_sizes = _disc_weights(shadows[outer])
    cut = tuple(
        slice(wanted.start - had.start, wanted.start - had.start + weights[inner].shape[axis])
        for axis, (wanted, had) in enumerate(zip(inner, outer, strict=True))
    )
    weights[inner], sizes[inner] = new_weights[cut], new_sizes[cut]


def disc_mask(shape: tuple[int, ...], down: float, across: float, radius: float) -> Mask:
    """Return the bins within `radius` of a position; bool."""
    height, width = shape
    y, x = np.ogrid[0:height, 0:width]
    return np.asarray((y - down) ** 2 + (x - across) ** 2 <= radius**2 + 0.5)


def disc_area(radius: int) -> int:
    """Return the number of bins in a disc."""
    steps = np.arange(-radius, radius + 1)
    return int((steps[:, None] ** 2 + steps**2 <= radius**2 + 0.5).sum())


def disc_sums(plane: F32, radius: int) -> F64:
    """Return the sums over discs around each bin; bins beyond the edges count as 0."""
    from coldframe.calibration.kernels import diagnosis as kernels  # noqa: PLC0415 - importing Numba takes 0.7 s

    sums = np.empty(plane.shape)
    kernels.sum_discs(np.ascontiguousarray(plane, np.float32), radius, sums)
    return sums


def turned(plane: F32, degrees: float) -> F32:
    """Return a plane turned counter-clockwise, as displayed with the first row on top, about its centre."""
    height, width = plane.shape
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y -= (height - 1) / 2
    x -= (width - 1) / 2
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return interpolated(plane, cos * y + sin * x + (height - 1) / 2, cos * x - sin * y + (width - 1) / 2)


def scaled(motes: Motes, factor: float) -> F32:
    """Return the template with each shadow scaled about its own centre, as a change of focus does.

    The light that a mote holds back is the same at each focus, so larger shadows are fainter.
    """
    result = np.zeros_like(motes.template)
    height, width = result.shape
    for number, ((down, across), radius) in enumerate(zip(motes.centres, motes.radii, strict=True)):
        reach = int(np.ceil((radius + 3) * max(factor, 1.0))) + 1
        area = (
            slice(max(int(down) - reach, 0), min(int(down) + reach + 1, height)),
            slice(max(int(across) - reach, 0), min(int(across) + reach + 1, width)),
        )
        own = np.where(motes.owners == number, motes.template, 0)
        y, x = np.mgrid[area].astype(np.float32)
        stamp = interpolated(own, (y - down) / factor + down, (x - across) / factor + across)
        result[area] += stamp / np.float32(factor**2)
    return result


def interpolated(plane: F32, down: NDArray[np.floating], across: NDArray[np.floating]) -> F32:
    """Return a plane at fractional places; 0 outside."""
    height, width = plane.shape
    y, x = np.floor(down).astype(np.intp), np.floor(across).astype(np.intp)
    inside = (y >= 0) & (x >= 0) & (y < height - 1) & (x < width - 1)
    y, x = np.clip(y, 0, height - 2), np.clip(x, 0, width - 2)
    fy, fx = (down - y).astype(np.float32), (across - x).astype(np.float32)
    upper = plane[y, x] * (1 - fx) + plane[y, x + 1] * fx
    lower = plane[y + 1, x] * (1 - fx) + plane[y + 1, x + 1] * fx
    return np.where(inside, upper * (1 - fy) + lower * fy, 0).astype(np.float32)
