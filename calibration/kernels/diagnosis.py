# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that bin calibrated lights and sum their blocks for the diagnosis.

A bin has 4 x 4 pixels. A block has 4 x 4 pixels of the same colour. On a monochrome sensor, these pixels are adjacent.
With a 2 x 2 filter array, they are two pixels apart, and an area of 8 x 8 pixels contains one block for each position
in the pattern. The residual of a pixel is its difference from the mean of its block, so it is free of everything
smooth: sky, nebulae, vignetting and large dust shadows.
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
    SUMS,
)
from coldframe.calibration.kernels.compiling import F32, F64, I64, U16, kernel

Mask = NDArray[np.bool_]

BLOCKS_AT_ONCE = 128
"""Number of blocks that vector code processes at once; their values stay in the processor's cache."""

OF_SIGNAL, OF_RESPONSE, OF_INVERSE, OF_VARIANCE, OF_DARK, OF_DARK_VARIANCE = 0, 1, 2, 3, 4, 5
SCRATCH = 6
"""Indices and number of the values that are kept for each pixel in a row of blocks."""


@kernel
def calibrate_light(light: U16 | F32, subtracted: F32, response: F32, signal: F32) -> None:
    """Write (light - subtracted) / response; all arrays have the shape (height, width)."""
    height, width = light.shape
    for y in range(height):
        for x in range(width):
            signal[y, x] = (np.float32(light[y, x]) - subtracted[y, x]) / response[y, x]


@kernel
def bin_signal(signal: F32, defects: Mask, scales: F32, bins: F32) -> None:
    """Write the mean of the pixels without defects in each bin, each multiplied by the scale of its colour.

    Parameters
    ----------
    signal
        Shape (height, width).
    defects
        bool, same shape: pixels that are left out.
    scales
        Shape (2, 2), by parity of row and column.
    bins
        Output, shape (height // 4, width // 4); NaN where fewer than half of the pixels are free of defects.
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
    """Sum the blocks in a range of block rows by tile, and their residuals by row and column.

    A block counts if it contains neither a defect nor an avoided bin, and if no residual exceeds `cut` times its noise.

    Parameters
    ----------
    signal
        The calibrated light, shape (height, width).
    response, response_variance, dark, dark_variance
        Same shape: the flat, its relative variance, the subtracted plane, and the variance of one dark frame plus that
        of the master dark.
    defects
        bool, same shape: pixels that are left out.
    avoided
        bool, shape (height // 4, width // 4): bins with stars or dust.
    photon_adu2, adu_per_e
        Lower limit of the photon variance, and the photon variance divided by the level; they determine the noise.
    cut
        Largest residual in units of its noise.
    period
        Distance between pixels of the same colour: 1 or 2.
    first, last
        Range of rows of blocks; `last` is excluded.
    tile
        Number of blocks along the side of a tile.
    tiles
        Output, shape (tile rows, tile columns, period ** 2, SUMS), zeroed by the caller.
    rows, columns
        Outputs, shapes (2, height) and (2, width): the sum of the residuals, in ADU as before the division by the flat,
        and their number.
    """
    side, colours = BIN * period, period * period
    columns_of_blocks = columns.shape[1] // side
    # The sums of 16 pixels need no more than 32 bits; the tiles add up many blocks.
    scratch = np.empty((SCRATCH, PIXELS, BLOCKS_AT_ONCE), np.float32)
    residuals = np.empty((colours, PIXELS, BLOCKS_AT_ONCE), np.float32)
    sums = np.empty((colours, SUMS, BLOCKS_AT_ONCE), np.float32)
    bad = np.empty((PIXELS, BLOCKS_AT_ONCE), np.bool_)
    kept = np.empty((colours, BLOCKS_AT_ONCE), np.bool_)
    for block_row in range(first, last):
        top = block_row * side
        for first_column in range(0, columns_of_blocks, BLOCKS_AT_ONCE):
            count = min(BLOCKS_AT_ONCE, columns_of_blocks - first_column)
            left = first_column * side
            for colour in range(colours):
                down, right = top + colour // period, left + colour % period
                load_blocks(signal, down, right, period, count, scratch[OF_SIGNAL])
                load_blocks(response, down, right, period, count, scratch[OF_RESPONSE])
                load_blocks(response_variance, down, right, period, count, scratch[OF_VARIANCE])
                load_blocks(dark, down, right, period, count, scratch[OF_DARK])
                load_blocks(dark_variance, down, right, period, count, scratch[OF_DARK_VARIANCE])
                load_blocks(defects, down, right, period, count, bad)
                total_blocks(count, scratch, bad, sums[colour], kept[colour])
                cut_blocks(photon_adu2, adu_per_e, cut, count, scratch, residuals[colour], sums[colour], kept[colour])
                compare_blocks(count, scratch, residuals[colour], sums[colour])
            for block in range(count):
                if is_avoided(avoided, top // BIN, left // BIN + block * period, period):
                    continue
                tile_sums = tiles[block_row // tile, (first_column + block) // tile]
                for colour in range(colours):
                    if kept[colour, block]:
                        add_block(sums[colour, :, block], tile_sums[colour])
                        down, right = top + colour // period, left + block * side + colour % period
                        add_residuals(residuals[colour, :, block], down, right, period, rows, columns)


@kernel
def is_avoided(avoided: Mask, top: int, left: int, bins: int) -> bool:
    """Return whether a block of `bins` x `bins` bins contains an avoided bin."""
    for row in range(top, top + bins):
        for column in range(left, left + bins):
            if avoided[row, column]:
                return True
    return False


@kernel
def load_blocks(plane: F32 | Mask, top: int, left: int, period: int, count: int, values: F32 | Mask) -> None:
    """Copy the pixels of a row of blocks, so that vector code can process many blocks at once.

    Parameters
    ----------
    plane
        Shape (height, width).
    top, left
        First pixel of the first block.
    period
        Distance between pixels of the same colour: 1 or 2.
    count
        Number of blocks.
    values
        Output, shape (16, blocks).
    """
    for pixel in range(0, PIXELS, BIN):
        row, into = plane[top + pixel // BIN * period, left:], values[pixel : pixel + BIN]
        if period == 1:  # with constant steps, the compiler emits vector code
            for block in range(count):
                for across in range(BIN):
                    into[across, block] = row[block * BIN + across]
        else:
            for block in range(count):
                for across in range(BIN):
                    into[across, block] = row[(block * BIN + across) * 2]


@kernel
def total_blocks(count: int, scratch: F32, defects: Mask, sums: F32, kept: Mask) -> None:
    """Write the inverse response of each pixel, the means of blocks, and whether the blocks are free of defects."""
    sums[:, :count] = 0
    kept[:count] = True
    for pixel in range(PIXELS):
        signals, responses = scratch[OF_SIGNAL, pixel], scratch[OF_RESPONSE, pixel]
        inverses, bad = scratch[OF_INVERSE, pixel], defects[pixel]
        # Vector code is emitted only for loops with few arrays, because the compiler must rule out overlaps.
        for block in range(count):
            inverses[block] = np.float32(1) / responses[block]
        for block in range(count):
            sums[LEVEL, block] += signals[block] * responses[block]
        for block in range(count):
            kept[block] &= not bad[block]
        add_to(sums[SIGNAL], signals, count)
        add_to(sums[DARK], scratch[OF_DARK, pixel], count)
        add_to(sums[DARK_VARIANCE], scratch[OF_DARK_VARIANCE, pixel], count)
    for number in (SIGNAL, LEVEL, DARK, DARK_VARIANCE):
        for block in range(count):
            sums[number, block] /= np.float32(PIXELS)


@kernel
def add_to(sums: F32, values: F32, count: int) -> None:
    """Add each of the first `count` values to the corresponding sum."""
    for block in range(count):
        sums[block] += values[block]


@kernel
def cut_blocks(
    photon_adu2: float, adu_per_e: float, cut: float, count: int, scratch: F32, residuals: F32, sums: F32, kept: Mask
) -> None:
    """Write the residuals of blocks, in ADU as before the division by the flat; clear the flags of blocks to cut."""
    limits = np.empty(count, np.float32)
    slope, least, factor = np.float32(adu_per_e), np.float32(photon_adu2), np.float32(cut * cut)
    for block in range(count):
        photons_adu2 = max(slope * sums[LEVEL, block], least)
        limits[block] = factor * (sums[DARK_VARIANCE, block] + photons_adu2)
    for pixel in range(PIXELS):
        signals, responses = scratch[OF_SIGNAL, pixel], scratch[OF_RESPONSE, pixel]
        for block in range(count):
            residual = (signals[block] - sums[SIGNAL, block]) * responses[block]
            residuals[pixel, block] = residual
            kept[block] &= residual * residual <= limits[block]
            sums[SCATTER, block] += residual * residual


@kernel
def compare_blocks(count: int, scratch: F32, residuals: F32, sums: F32) -> None:
    """Write the sums for comparing the residuals of blocks with those of the inverse flat and with each other."""
    inverse = np.zeros(count, np.float32)
    for pixel in range(PIXELS):
        for block in range(count):
            inverse[block] += scratch[OF_INVERSE, pixel, block]
    inverse /= np.float32(PIXELS)
    for pixel in range(PIXELS):
        signals, responses = scratch[OF_SIGNAL, pixel], scratch[OF_RESPONSE, pixel]
        inverses, variances = scratch[OF_INVERSE, pixel], scratch[OF_VARIANCE, pixel]
        for block in range(count):
            mean = sums[SIGNAL, block]
            apart = inverses[block] - inverse[block]
            seen = mean * responses[block]
            sums[RESPONSE_PRODUCT, block] += (signals[block] - mean) * apart
            sums[RESPONSE_SQUARE, block] += apart * apart
            sums[RESPONSE_ERROR, block] += variances[block] * inverses[block] * inverses[block]
            sums[FLAT_VARIANCE, block] += seen * seen * variances[block]
    for block in range(count):
        sums[SIGNAL_ERROR, block] = sums[RESPONSE_ERROR, block] * sums[SIGNAL, block]
        sums[FLAT_VARIANCE, block] /= np.float32(PIXELS)
        sums[BLOCKS, block] = np.float32(1)
    for corner in (0, 2, 2 * BIN, 2 * BIN + 2):  # the residuals of 2 x 2 pixels, minus their mean
        one, two = residuals[corner], residuals[corner + 1]
        three, four = residuals[corner + BIN], residuals[corner + BIN + 1]
        for block in range(count):
            a, b, c, d = one[block], two[block], three[block], four[block]
            middle = (a + b + c + d) / np.float32(4)
            sums[NEAR_SCATTER, block] += (a - middle) ** 2 + (b - middle) ** 2 + (c - middle) ** 2 + (d - middle) ** 2


@kernel
def add_block(sums: F32, tile: F64) -> None:
    """Add the sums of a block to those of its tile."""
    for number in range(SUMS):
        tile[number] += sums[number]


@kernel
def add_residuals(residuals: F32, top: int, left: int, period: int, rows: F64, columns: F64) -> None:
    """Add the residuals of a block to the sums of its rows and columns."""
    zero = np.float32(0)
    one, two, three, four = zero, zero, zero, zero
    for line in range(BIN):  # few sums in memory are changed, because each change waits for the one before
        a, b, c, d = (
            residuals[line * BIN],
            residuals[line * BIN + 1],
            residuals[line * BIN + 2],
            residuals[line * BIN + 3],
        )
        one, two, three, four = one + a, two + b, three + c, four + d
        rows[0, top + line * period] += (a + b) + (c + d)
        rows[1, top + line * period] += BIN
        columns[1, left + line * period] += BIN
    columns[0, left] += one
    columns[0, left + period] += two
    columns[0, left + 2 * period] += three
    columns[0, left + 3 * period] += four


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
        # Vector code marks the few pixels for which it is worth computing a median.
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
    """Write by how much the given pixels exceed the median of their eight neighbours of the same colour.

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
    """Write the sum of the pixels in a disc around each pixel; pixels beyond the edges count as 0.

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
