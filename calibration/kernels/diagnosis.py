# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that bin calibrated lights and sum their blocks for the diagnosis.

A bin has 4 x 4 pixels. A block has 4 x 4 pixels of the same colour: 4 x 4 pixels of a monochrome sensor, or 8 x 8
pixels of a 2 x 2 filter array, which contain one block of each colour. The residual of a pixel is its difference from
the mean of its block, which removes everything smooth: sky, nebula, vignetting and large dust shadows.
"""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.block_sums import (
    BIN,
    BLOCKS,
    DARK,
    DARK_VARIANCE,
    FLAT_VARIANCE,
    LEVEL,
    NEAR_SCATTER,
    PIXELS,
    RESPONSE_ERROR,
    RESPONSE_PRODUCT,
    RESPONSE_SQUARE,
    SCATTER,
    SIGNAL,
    SIGNAL_ERROR,
)
from coldframe.calibration.kernels.compiling import F32, F64, I64, U16, kernel

Mask = NDArray[np.bool_]


@kernel
def calibrate_light(light: U16 | F32, subtracted: F32, response: F32, signal: F32) -> None:
    """Write (light - subtracted) / response; all arrays have the shape (height, width)."""
    height, width = light.shape
    for y in range(height):
        for x in range(width):
            signal[y, x] = (np.float32(light[y, x]) - subtracted[y, x]) / response[y, x]


@kernel
def bin_signal(signal: F32, defects: Mask, scales: F32, bins: F32) -> None:
    """Write the mean of each bin's ordinary pixels, each multiplied by the scale of its colour.

    Parameters
    ----------
    signal
        Shape (height, width).
    defects
        bool, same shape: pixels that are left out.
    scales
        Shape (2, 2), by parity of row and column.
    bins
        Output, shape (height // 4, width // 4); NaN where fewer than half of the pixels are ordinary.
    """
    rows, columns = bins.shape
    totals = np.empty(columns, np.float32)
    counts = np.empty(columns, np.int32)
    for top in range(rows):
        totals[:] = 0
        counts[:] = 0
        for row in range(top * BIN, top * BIN + BIN):
            even, odd = scales[row & 1, 0], scales[row & 1, 1]
            for column in range(columns):
                for x in range(column * BIN, column * BIN + BIN):
                    if not defects[row, x]:
                        totals[column] += signal[row, x] * (odd if x & 1 else even)
                        counts[column] += 1
        for column in range(columns):
            enough = 2 * counts[column] >= PIXELS
            bins[top, column] = totals[column] / np.float32(counts[column]) if enough else np.float32(np.nan)


@kernel
def sum_blocks(
    signal: F32,
    response: F32,
    response_variance: F32,
    dark: F32,
    dark_variance: F32,
    defects: Mask,
    avoided: Mask,
    photon_adu2: float,
    adu_per_e: float,
    cut: float,
    period: int,
    first: int,
    last: int,
    tile: int,
    tiles: F64,
    rows: F64,
    columns: F64,
) -> None:
    """Sum the blocks of some rows of blocks by tile, and their residuals by row and column.

    A block counts if it contains neither a defect nor an avoided bin, and if no residual exceeds `cut` times its noise.

    Parameters
    ----------
    signal
        The calibrated light, shape (height, width).
    response, response_variance, dark, dark_variance
        Same shape: the flat, its relative variance, the subtracted plane, and the variance of one dark frame plus that
        of the dark.
    defects
        bool, same shape: pixels that are left out.
    avoided
        bool, shape (height // 4, width // 4): bins with stars or dust.
    photon_adu2, adu_per_e
        Smallest photon variance, and photon variance relative to the level, for the noise.
    cut
        Largest residual in units of its noise.
    period
        Distance between pixels of the same colour: 1 or 2.
    first, last
        Range of rows of blocks.
    tile
        Blocks along the side of a tile.
    tiles
        Output, shape (tile rows, tile columns, period ** 2, SUMS), zeroed by the caller.
    rows, columns
        Outputs, shapes (2, height) and (2, width): the sum of the residuals in ADU above the dark, and their number.
    """
    side = BIN * period
    inverses = np.empty(PIXELS)
    for block_row in range(first, last):
        for block_column in range(columns.shape[1] // side):
            top, left = block_row * side, block_column * side
            if is_avoided(avoided, top // BIN, left // BIN, period):
                continue
            for colour in range(period * period):
                add_block(
                    signal,
                    response,
                    response_variance,
                    dark,
                    dark_variance,
                    defects,
                    photon_adu2,
                    adu_per_e,
                    cut,
                    period,
                    top + colour // period,
                    left + colour % period,
                    inverses,
                    tiles[block_row // tile, block_column // tile, colour],
                    rows,
                    columns,
                )


@kernel
def is_avoided(avoided: Mask, top: int, left: int, bins: int) -> bool:
    """Return whether a block of `bins` x `bins` bins contains an avoided one."""
    for row in range(top, top + bins):
        for column in range(left, left + bins):
            if avoided[row, column]:
                return True
    return False


@kernel
def add_block(
    signal: F32,
    response: F32,
    response_variance: F32,
    dark: F32,
    dark_variance: F32,
    defects: Mask,
    photon_adu2: float,
    adu_per_e: float,
    cut: float,
    period: int,
    top: int,
    left: int,
    inverses: F64,
    sums: F64,
    rows: F64,
    columns: F64,
) -> None:
    """Add one block to the sums of its tile, as `sum_blocks` describes; `top` and `left` are its first pixel.

    `inverses` is scratch space for one value per pixel.
    """
    number = 0
    mean, inverse, level, dark_mean, variance = 0.0, 0.0, 0.0, 0.0, 0.0
    bottom, right = top + BIN * period, left + BIN * period
    for y in range(top, bottom, period):
        for x in range(left, right, period):
            if defects[y, x]:
                return
            mean += signal[y, x]
            inverses[number] = 1 / response[y, x]
            inverse += inverses[number]
            number += 1
            level += signal[y, x] * response[y, x]
            dark_mean += dark[y, x]
            variance += dark_variance[y, x]
    mean, inverse, level, dark_mean, variance = (
        mean / PIXELS,
        inverse / PIXELS,
        level / PIXELS,
        dark_mean / PIXELS,
        variance / PIXELS,
    )
    limit = cut * cut * (variance + max(adu_per_e * level, photon_adu2))
    scatter = 0.0
    for y in range(top, bottom, period):
        for x in range(left, right, period):
            residual = (signal[y, x] - mean) * response[y, x]
            if not residual * residual <= limit:
                return
            scatter += residual * residual
    number = 0
    product, square, error, flat_variance = 0.0, 0.0, 0.0, 0.0
    for y in range(top, bottom, period):
        for x in range(left, right, period):
            residual = signal[y, x] - mean
            inverse_residual = inverses[number] - inverse
            product += residual * inverse_residual
            square += inverse_residual * inverse_residual
            error += response_variance[y, x] * inverses[number] * inverses[number]
            number += 1
            seen = mean * response[y, x]
            flat_variance += seen * seen * response_variance[y, x]
            rows[0, y] += residual * response[y, x]
            rows[1, y] += 1
            columns[0, x] += residual * response[y, x]
            columns[1, x] += 1
    sums[BLOCKS] += 1
    sums[LEVEL] += level
    sums[SIGNAL] += mean
    sums[RESPONSE_PRODUCT] += product
    sums[RESPONSE_SQUARE] += square
    sums[RESPONSE_ERROR] += error
    sums[SIGNAL_ERROR] += error * mean
    sums[SCATTER] += scatter
    sums[NEAR_SCATTER] += near_scatter(signal, response, mean, top, left, period)
    sums[DARK_VARIANCE] += variance
    sums[FLAT_VARIANCE] += flat_variance / PIXELS
    sums[DARK] += dark_mean


@kernel
def near_scatter(signal: F32, response: F32, mean: float, top: int, left: int, period: int) -> float:
    """Return the sum of squares of the residuals of a block, less the mean of each group of 2 x 2 pixels."""
    total = 0.0
    for y in range(top, top + BIN * period, 2 * period):
        for x in range(left, left + BIN * period, 2 * period):
            one = (signal[y, x] - mean) * response[y, x]
            two = (signal[y, x + period] - mean) * response[y, x + period]
            three = (signal[y + period, x] - mean) * response[y + period, x]
            four = (signal[y + period, x + period] - mean) * response[y + period, x + period]
            middle = (one + two + three + four) / 4
            total += (one - middle) ** 2 + (two - middle) ** 2 + (three - middle) ** 2 + (four - middle) ** 2
    return total


@kernel
def find_hot_pixels(dark: F32, period: int, least: float, found: Mask) -> None:
    """Mark pixels that exceed the median of their eight neighbours of the same colour by more than `least`."""
    height, width = dark.shape
    around = np.empty(8, np.float32)
    bound = np.float32(least)
    inner = width - 2 * period
    for y in range(period, height - period):
        # Slices that begin at index 0 let LLVM vectorize the loop, because no index can be negative.
        left, row, right = dark[y, :inner], dark[y, period : period + inner], dark[y, 2 * period :]
        above, below = dark[y - period, period : period + inner], dark[y + period, period : period + inner]
        marks = found[y, period : period + inner]
        # Vector code marks the few pixels for which a median is worth its time.
        marked = 0
        for x in range(inner):
            across = (left[x] + right[x]) / np.float32(2)
            down = (above[x] + below[x]) / np.float32(2)
            marks[x] = row[x] - min(across, down) > bound
            marked += marks[x]
        if marked == 0:
            continue
        for x in range(inner):
            if marks[x]:
                marks[x] = row[x] - median_around(dark, y, x + period, period, around) > bound


@kernel
def excess_at(plane: F32, places: I64, period: int, excess: F32) -> None:
    """Write the difference of some pixels from the median of their eight neighbours of the same colour.

    Parameters
    ----------
    plane
        Shape (height, width).
    places
        Rows and columns of the pixels, shape (2, pixels); none is within `period` of an edge.
    period
        Distance between pixels of the same colour: 1 or 2.
    excess
        Output, shape (pixels,).
    """
    around = np.empty(8, np.float32)
    for i in range(places.shape[1]):
        y, x = places[0, i], places[1, i]
        excess[i] = plane[y, x] - median_around(plane, y, x, period, around)


@kernel
def median_around(plane: F32, y: int, x: int, period: int, around: F32) -> np.float32:
    """Return the median of the eight neighbours at distance `period`; `around` is scratch space for 8 values."""
    count = 0
    for row in range(y - period, y + period + 1, period):
        for column in range(x - period, x + period + 1, period):
            if row == y and column == x:
                continue
            value = plane[row, column]
            place = count
            while place > 0 and around[place - 1] > value:
                around[place] = around[place - 1]
                place -= 1
            around[place] = value
            count += 1
    return np.float32((around[3] + around[4]) / 2)


@kernel
def sum_discs(plane: F32, radius: int, sums: F64) -> None:
    """Write the sum over the disc around each pixel; pixels beyond the edges count as 0.

    Parameters
    ----------
    plane
        Shape (rows, columns).
    radius
        Radius of the disc in pixels.
    sums
        Output, same shape.
    """
    height, width = plane.shape
    left = np.zeros((height, width + 1), np.float64)
    for y in range(height):
        for x in range(width):
            left[y, x + 1] = left[y, x] + plane[y, x]
    reaches = np.empty(2 * radius + 1, np.int64)
    for step in range(-radius, radius + 1):
        reaches[step + radius] = int(np.sqrt(radius * radius - step * step + 0.5))
    for y in range(height):
        sums[y] = 0
        for row in range(max(y - radius, 0), min(y + radius + 1, height)):
            reach = reaches[row - y + radius]
            for x in range(width):
                sums[y, x] += left[row, min(x + reach + 1, width)] - left[row, max(x - reach, 0)]
