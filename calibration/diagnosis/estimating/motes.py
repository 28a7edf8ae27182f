"""The dust shadows in a flat, as templates that can be shifted, rotated and scaled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import spread
from coldframe.calibration.diagnosis.estimating.sensor_pattern import high_pass
from coldframe.calibration.diagnosis.estimating.smoothing import smoothed
from coldframe.calibration.diagnosis.estimating.stars import widened
from coldframe.calibration.kernels import diagnosis as kernels
from coldframe.calibration.threads import parallel_map

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHADOW_SIGMA = 5.0
LEAST_DEPTH = 0.002
"""A bin of the flat is part of a shadow if it is darker than its surroundings by more than `SHADOW_SIGMA` standard
deviations and by more than the fraction `LEAST_DEPTH`."""

SMALLEST_MOTE = 3
"""Smallest number of bins in a shadow."""

MOST_MOTES = 200

LOCAL = 12.0
"""Standard deviation, in bins, of the smoothing with which the scatter around each bin is measured."""

_MOST_SQUARE = 36.0
"""Limit to which squared significances are clipped when the scatter is measured."""

_REACH = 1.2
"""Largest distance of a bin from the centre of its shadow, in units of the shadow's radius including the margin."""

_RADII = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12)


@dataclass(frozen=True, eq=False)
class Motes:
    """The shadows of a flat.

    Attributes
    ----------
    template
        Logarithm of the flat minus the logarithm of the surroundings; 0 outside shadows: float32, shape (rows, columns)
        of bins.
    mask
        Mask of the shadows, each with a margin: bool, same shape.
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
        """Number of the shadow to which each bin belongs: the nearest one in units of its radius; -1 outside shadows.

        The array is int16, with the shape of `mask`.
        """
        owners = np.full(self.mask.shape, -1, np.int16)
        nearest = np.full(self.mask.shape, np.float32(_REACH), np.float32)
        for number, ((down, across), radius) in enumerate(zip(self.centres, self.radii, strict=True)):
            area = _square_around((down, across), _REACH * (radius + 2), self.mask.shape)
            y, x = np.ogrid[area]
            distance = (np.hypot(y - down, x - across) / (radius + 2)).astype(np.float32)
            closer = (distance < nearest[area]) & self.mask[area]
            owners[area][closer], nearest[area][closer] = number, distance[closer]
        return owners

    def chosen(self, which: Mask) -> Self:
        """Return only the shadows selected by `which`: bool, shape (motes,)."""
        mask = self.mask & np.append(which, False)[self.owners]
        return replace(
            self,
            template=np.where(mask, self.template, 0).astype(np.float32),
            mask=mask,
            centres=self.centres[which],
            radii=self.radii[which],
        )


def find_motes(flat_bins: F32) -> Motes:
    """Return the shadows in a flat.

    Overlapping shadows are separated into discs: first the most significant disc, then the next one in what remains.

    Parameters
    ----------
    flat_bins
        The binned flat, relative: float32, shape (rows, columns).
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
        margin = _margin(down, across, radius, shadows.shape)
        _fill_disc(shadows, down, across, radius + margin, 0)
        _renew_weights(shadows, weights, sizes, (down, across), radius + margin + _RADII[-1])
    mask = np.zeros_like(dark)
    for (down, across), radius in zip(centres, radii, strict=True):
        _fill_disc(mask, down, across, radius + 2, 1)
    return Motes(
        np.where(mask, relief, 0).astype(np.float32),
        mask,
        np.array(centres, np.float64).reshape(-1, 2),
        np.array(radii, np.float64),
    )


def _margin(down: int, across: int, radius: int, shape: tuple[int, ...]) -> int:
    """Return the margin of a shadow in bins; it is larger at an edge, where the centre of a shadow is uncertain."""
    is_cut = min(down, across, shape[0] - 1 - down, shape[1] - 1 - across) < radius
    return 2 if is_cut else 1


def _disc_weights(shadows: F32) -> tuple[F64, NDArray[np.int64]]:
    """Return the largest weight of any disc around each bin, and the radius of this disc.

    The weight is the sum of the shadow's depth over the disc, divided by the square root of the disc's area within the
    plane. Therefore, a shadow that an edge cuts off is still found as one disc.
    """
    within = np.ones_like(shadows)
    weights = np.array([-disc_sums(shadows, radius) / np.sqrt(disc_sums(within, radius)) for radius in _RADII])
    best = np.argmax(weights, axis=0)
    return np.take_along_axis(weights, best[None], 0)[0], np.array(_RADII)[best]


def _renew_weights(shadows: F32, weights: F64, sizes: NDArray[np.int64], centre: tuple[int, int], reach: int) -> None:
    """Recompute the weights within `reach` of a position from which a shadow was removed."""
    margin = _RADII[-1]
    outer = tuple(slice(max(at - reach - margin, 0), at + reach + margin + 1) for at in centre)
    inner = tuple(slice(max(at - reach, 0), at + reach + 1) for at in centre)
    new_weights, new_sizes = _disc_weights(shadows[outer])
    cut = tuple(
        slice(wanted.start - had.start, wanted.start - had.start + weights[inner].shape[axis])
        for axis, (wanted, had) in enumerate(zip(inner, outer, strict=True))
    )
    weights[inner], sizes[inner] = new_weights[cut], new_sizes[cut]


def _square_around(centre: tuple[float, float], reach: float, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return slices of the bins that are within `reach` of a position along each axis."""
    return tuple(
        slice(max(int(at - reach), 0), min(int(at + reach) + 2, size)) for at, size in zip(centre, shape, strict=True)
    )


def _fill_disc(plane: NDArray[Any], down: int, across: int, radius: int, value: int) -> None:
    """Set the bins within `radius` of a position to a value."""
    area = _square_around((down, across), radius, plane.shape)
    y, x = np.ogrid[area]
    plane[area][(y - down) ** 2 + (x - across) ** 2 <= radius**2 + 0.5] = value


def disc_area(radius: int) -> int:
    """Return the number of bins in a disc."""
    steps = np.arange(-radius, radius + 1)
    return int((steps[:, None] ** 2 + steps**2 <= radius**2 + 0.5).sum())


def disc_sums(plane: F32, radius: int) -> F64:
    """Return the sums over discs around each bin; bins beyond the edges count as 0."""
    sums = np.empty(plane.shape)
    kernels.sum_discs(np.ascontiguousarray(plane, np.float32), radius, sums)
    return sums


class Discs(NamedTuple):
    """Discs around each bin, compared with the rings around them; arrays of float32, shape (radii, rows, columns)."""

    depth: F32
    significance: F32


def compared_discs(residual: F32, weight: F32, radii: Sequence[int], edge: int) -> Discs:
    """Return the depth of discs relative to the rings around them, and its significance.

    The separation of sensor and sky leaves slow variations, which affect disc and ring alike.

    Parameters
    ----------
    residual, weight
        Relative remainder and its inverse variance, 0 where unknown: float32, shape (rows, columns).
    radii
        Radii of the discs in bins.
    edge
        Distance from the edge, in bins; discs with closer centres have a significance of 0.
    """
    products = (weight * residual).astype(np.float32)
    covered = (weight > 0).astype(np.float32)
    depths, significances = [], []
    for radius in radii:
        reaches = (radius, radius + 1, 2 * radius + 1)
        sums = parallel_map(disc_sums, (covered, *[weight] * 3, *[products] * 3), (radius, *reaches, *reaches))
        values, inside, hidden, around, total, hidden_total, total_around = sums
        known = values > disc_area(radius) / 2
        known[:edge], known[-edge:], known[:, :edge], known[:, -edge:] = False, False, False, False
        inside, around = np.maximum(inside, 1e-20), np.maximum(around - hidden, 1e-20)
        depth = (total_around - hidden_total) / around - total / inside
        z = np.where(known, depth / np.sqrt(1 / inside + 1 / around), 0).astype(np.float32)
        depths.append(depth.astype(np.float32))
        significances.append(z / _local_spread(z, known))
    return Discs(np.stack(depths), np.stack(significances))


def _local_spread(z: F32, known: Mask) -> F32:
    """Return the spread of z around each bin, at least 1; the spread exceeds 1 where nebulae leave residuals.

    Only bright structures are measured: nebulae leave as many bright structures as dark ones, but shadows leave only
    dark ones.
    """
    square = smoothed(2 * np.minimum(np.square(np.minimum(z, 0)), _MOST_SQUARE), known, LOCAL)
    return np.sqrt(np.maximum(square, 1)).astype(np.float32)


def turned(plane: F32, degrees: float) -> F32:
    """Return a plane rotated about its centre, counter-clockwise if the first row is displayed at the top."""
    y, x = np.mgrid[0 : plane.shape[0], 0 : plane.shape[1]].astype(np.float32)
    return interpolated(plane, *_before_turn(y, x, plane.shape, degrees))


def moved(plane: F32, down: float, across: float) -> F32:
    """Return a plane shifted by a fractional number of bins; what leaves at one edge reappears at the opposite one."""
    whole_down, whole_across = int(np.floor(down)), int(np.floor(across))
    part_down, part_across = np.float32(down - whole_down), np.float32(across - whole_across)
    moved = np.roll(plane, (whole_down, whole_across), (0, 1))
    if part_across:
        moved = moved * (1 - part_across) + np.roll(moved, 1, 1) * part_across
    if part_down:
        moved = moved * (1 - part_down) + np.roll(moved, 1, 0) * part_down
    return np.asarray(moved, np.float32)


def moved_owners(owners: NDArray[np.int16], degrees: float, down: float, across: float) -> NDArray[np.int16]:
    """Return the owners of bins after the shadows have been rotated and then shifted; -1 outside shadows."""
    height, width = owners.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = _before_turn(y - np.float32(down), x - np.float32(across), owners.shape, degrees)
    y, x = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    inside = (y >= 0) & (x >= 0) & (y < height) & (x < width)
    return np.where(inside, owners[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], np.int16(-1))


def _before_turn(y: F32, x: F32, shape: tuple[int, ...], degrees: float) -> tuple[F32, F32]:
    """Return the positions that a rotation about the centre moves to (y, x)."""
    middle_y, middle_x = ((size - 1) / 2 for size in shape)
    angle = np.deg2rad(degrees)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y, x = y - np.float32(middle_y), x - np.float32(middle_x)
    return cos * y + sin * x + np.float32(middle_y), cos * x - sin * y + np.float32(middle_x)


def scaled(motes: Motes, factor: float) -> F32:
    """Return the template with each shadow scaled about its own centre, as a change in focus would scale it.

    The amount of light that a mote blocks does not depend on focus, so larger shadows are fainter.
    """
    result = np.zeros_like(motes.template)
    for number, ((down, across), radius) in enumerate(zip(motes.centres, motes.radii, strict=True)):
        area = _square_around((down, across), np.ceil((radius + 3) * max(factor, 1.0)) + 1, result.shape)
        own = np.where(motes.owners[area] == number, motes.template[area], 0)
        y, x = np.ogrid[area]
        first_y, first_x = (each.start for each in area)
        rows, columns = (y - down) / factor + down - first_y, (x - across) / factor + across - first_x
        stamp = interpolated(own, *np.broadcast_arrays(rows, columns))
        result[area] += stamp / np.float32(factor**2)
    return result


def interpolated(plane: F32, down: NDArray[np.floating], across: NDArray[np.floating]) -> F32:
    """Return the values of a plane at fractional positions; 0 outside the plane."""
    height, width = plane.shape
    y, x = np.floor(down).astype(np.intp), np.floor(across).astype(np.intp)
    inside = (y >= 0) & (x >= 0) & (y < height - 1) & (x < width - 1)
    y, x = np.clip(y, 0, height - 2), np.clip(x, 0, width - 2)
    fy, fx = (down - y).astype(np.float32), (across - x).astype(np.float32)
    upper = plane[y, x] * (1 - fx) + plane[y, x + 1] * fx
    lower = plane[y + 1, x] * (1 - fx) + plane[y + 1, x + 1] * fx
    return np.where(inside, upper * (1 - fy) + lower * fy, 0).astype(np.float32)
