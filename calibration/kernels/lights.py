# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that calibrate lights, derive their photon noise, convert them to 16 bits, and hash their bytes."""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.compiling import F32, U16, kernel

Mask = NDArray[np.bool_]
U64 = NDArray[np.uint64]

REACH = 3
"""The local mean of a pixel covers this many pixels of its colour on each side, and the pixel itself: 7 x 7 pixels."""

ORDINARY_SIGMA = 3.0
"""Distance from the local mean, in standard deviations, beyond which a pixel is treated as part of a star."""


@kernel
def average_locally(light: U16 | F32, subtracted: F32, period: int, lowest: float, highest: float, local: F32) -> None:
    """Write the mean level of the pixels of the same colour around each pixel; the area is cut off at the edges.

    Parameters
    ----------
    light, subtracted
        Shape (rows, columns): the pixels, and the levels that are subtracted from them.
    period
        Distance between pixels of the same colour.
    lowest, highest
        Range to which levels are limited, so that a single bright pixel does not dominate.
    local
        Output, same shape.
    """
    height, width = light.shape
    reach = REACH * period
    levels = np.empty((height, width), np.float32)
    for row in range(height):
        limit_levels(light[row], subtracted[row], lowest, highest, levels[row])
    sums = np.empty(width, np.float32)
    for row in range(height):
        if reach <= row < height - reach:
            add_seven_rows(levels, row - reach, period, sums)
            average_along_row(sums, 2 * REACH + 1, period, local[row])
            continue
        sums[:] = 0
        rows = 0
        for other in range(max(row - reach, row % period), min(row + reach + 1, height), period):
            rows += 1
            for column in range(width):
                sums[column] += levels[other, column]
        average_along_row(sums, rows, period, local[row])


@kernel
def limit_levels(light: U16 | F32, subtracted: F32, lowest: float, highest: float, levels: F32) -> None:
    """Write the levels of a row above the dark, limited to a range; NaN becomes the middle of the range."""
    low, high = np.float32(lowest), np.float32(highest)
    middle = (low + high) / np.float32(2)
    for column in range(light.size):
        level = np.float32(light[column]) - subtracted[column]
        levels[column] = min(high, max(low, level)) if level == level else middle  # noqa: PLR0124 - false for NaN


@kernel
def add_seven_rows(levels: F32, first: int, period: int, sums: F32) -> None:
    """Write the sums of seven rows in one loop; with a loop for each row, the local means would take twice as long."""
    one, two, three = levels[first], levels[first + period], levels[first + 2 * period]
    four, five = levels[first + 3 * period], levels[first + 4 * period]
    six, seven = levels[first + 5 * period], levels[first + 6 * period]
    for i in range(sums.size):
        sums[i] = one[i] + two[i] + three[i] + four[i] + five[i] + six[i] + seven[i]


@kernel
def average_along_row(sums: F32, rows: int, period: int, local: F32) -> None:
    """Write the running means along `sums`, each of which is the sum of `rows` pixels.

    Vector code computes the interior; the means at the ends are computed one by one.
    """
    width, reach = sums.size, REACH * period
    inner = local[reach : max(width - reach, reach)]
    scale = np.float32(1) / np.float32(rows * (2 * REACH + 1))
    one, two, three, four = sums[0:], sums[period:], sums[2 * period :], sums[3 * period :]
    five, six, seven = sums[4 * period :], sums[5 * period :], sums[6 * period :]
    for i in range(inner.size):
        inner[i] = (one[i] + two[i] + three[i] + four[i] + five[i] + six[i] + seven[i]) * scale
    for outer in range(width - inner.size):
        column = outer if outer < reach else outer + inner.size
        total, columns = np.float32(0), 0
        for other in range(max(column - reach, column % period), min(column + reach + 1, width), period):
            total += sums[other]
            columns += 1
        local[column] = total / np.float32(rows * columns)


@kernel
def calibrate_pixels(
    light: U16 | F32,
    local: F32,
    subtracted: F32,
    response: F32,
    dark_variance: F32,
    response_variance: F32,
    adu_per_e: float,
    signal: F32,
    uncertainty: F32,
) -> None:
    """Write (light - subtracted) / response and its standard error.

    If a pixel differs from the local mean only by noise, its photon noise is computed from the local mean; if the
    pixel's own level were used, the uncertainty of the fainter half of all pixels would be too small. For all other
    pixels, such as those of a star, the photon noise is computed from the pixel's own level.

    All arrays are one-dimensional; see `Correction` for the planes, and `average_locally` for `local`.
    """
    zero, photon, ordinary = np.float32(0), np.float32(adu_per_e), np.float32(ORDINARY_SIGMA**2)
    for i in range(light.size):
        level = np.float32(light[i]) - subtracted[i]
        divided = level / response[i]
        apart = level - local[i]
        smooth = dark_variance[i] + photon * max(local[i], zero)
        own = dark_variance[i] + photon * max(level, zero)
        variance = smooth if apart * apart <= ordinary * smooth else own
        signal[i] = divided
        uncertainty[i] = np.sqrt(variance / (response[i] * response[i]) + divided * divided * response_variance[i])


@kernel
def calibrate_to_words(
    light: U16 | F32, subtracted: F32, response: F32, bad: Mask, lowest: float, pedestal: float, pixels: U16
) -> tuple[int, int, int]:
    """Round (light - subtracted) / response + pedestal to 16 bits; the signal of bad pixels is set to zero.

    Parameters
    ----------
    light, subtracted, response
        One-dimensional arrays.
    bad
        bool, same shape; empty if there are no bad pixels.
    lowest
        Signal below which pixels are counted.
    pedestal
        Level to add.
    pixels
        Output, same shape.

    Returns
    -------
    lower, below, above
        Number of pixels with a signal below `lowest`, and numbers of pixels clipped at 0 and at 65,535.
    """
    added, least, zero, top = np.float32(pedestal), np.float32(lowest), np.float32(0), np.float32(65535)
    lower = 0
    below = 0
    above = 0
    for i in range(light.size):
        divided = (np.float32(light[i]) - subtracted[i]) / response[i]
        signal = zero if bad.size and bad[i] else divided
        value = np.rint(signal + added)
        lower += int(signal < least)
        below += value < zero
        above += value > top
        pixels[i] = np.uint16(np.int32(min(max(value, zero), top)))
    return lower, below, above


@kernel
def calibrate_to_floats(
    light: U16 | F32, subtracted: F32, response: F32, bad: Mask, pedestal: float, signal: F32
) -> None:
    """Write (light - subtracted) / response + pedestal; otherwise like `calibrate_to_words`."""
    added, zero = np.float32(pedestal), np.float32(0)
    for i in range(light.size):
        divided = (np.float32(light[i]) - subtracted[i]) / response[i]
        signal[i] = (zero if bad.size and bad[i] else divided) + added


@kernel
def lowest_signal(light: U16 | F32, subtracted: F32, response: F32, bad: Mask) -> float:
    """Return the lowest (light - subtracted) / response of the pixels, with bad pixels counted as zero."""
    lowest = np.float32(0) if bad.size else np.float32(np.inf)
    for i in range(light.size):
        if not (bad.size and bad[i]):
            lowest = min(lowest, (np.float32(light[i]) - subtracted[i]) / response[i])
    return lowest  # type: ignore[return-value] # float, once compiled


@kernel
def hash_words(words: U64, lanes: U64) -> None:
    """Mix words into independent lanes, so that any change to a word changes its lane.

    Each step is invertible for a given word, like the rounds of other fast hashes: the word is multiplied by an odd
    number and added to the lane, and the sum is rotated and multiplied by another odd number.

    Parameters
    ----------
    words
        One-dimensional array; its size is a multiple of the number of lanes.
    lanes
        State of the hash, updated in place: four lanes.
    """
    first, second, third, fourth = lanes[0], lanes[1], lanes[2], lanes[3]
    for i in range(0, words.size, 4):
        first = mixed(first, words[i])
        second = mixed(second, words[i + 1])
        third = mixed(third, words[i + 2])
        fourth = mixed(fourth, words[i + 3])
    lanes[0], lanes[1], lanes[2], lanes[3] = first, second, third, fourth


@kernel
def mixed(lane: np.uint64, word: np.uint64) -> np.uint64:
    """Return a lane of `hash_words` after one more word; the factors derive from the golden ratio and sqrt(3)."""
    total = np.uint64(lane + word * np.uint64(0x9E3779B97F4A7C15))
    turned = np.uint64((total << np.uint64(29)) | (total >> np.uint64(35)))
    return np.uint64(turned * np.uint64(0xBB67AE8584CAA73B))
