"""Kernels that measure the level of flats and scale flats to a common level."""

import numpy as np

from coldframe.calibration.kernels.compiling import F32, U16, U32, kernel


@kernel
def count_signals(pixels: U16, dark: F32, counts: U32) -> None:
    """Count the values of (pixels - dark) in a region, rounded and clipped to 16 bits, in 65,536 bins from 0."""
    half, zero, top = np.float32(0.5), np.float32(0), np.float32(65535)
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            signal = np.float32(pixels[y, x]) - dark[y, x] + half
            counts[np.int64(min(max(signal, zero), top))] += 1


@kernel
def scale_signals(pixels: U16, dark: F32, scales: F32, scaled: U16) -> None:
    """Multiply (pixels - dark) by the scale of the pixel's position in the 2x2 pattern; round and clip to 16 bits.

    Parameters
    ----------
    pixels, dark
        Shape (height, width).
    scales
        Shape (2, 2): by row and column of the pattern.
    scaled
        Output, shape (height, width).
    """
    half, zero, top = np.float32(0.5), np.float32(0), np.float32(65535)
    for y in range(pixels.shape[0]):
        row, dark_row, scaled_row = pixels[y], dark[y], scaled[y]
        even, odd = scales[y % 2, 0], scales[y % 2, 1]
        for x in range(row.size):
            scale = odd if x & 1 else even
            value = (np.float32(row[x]) - dark_row[x]) * scale + half
            scaled_row[x] = np.uint16(np.int32(min(max(value, zero), top)))


@kernel
def scale_words(pixels: U16, dark: F32, scales: F32, first: int, width: int) -> None:
    """Scale a section of a flat frame in place, with the same results as `scale_signals`.

    Parameters
    ----------
    pixels, dark
        Flattened sections of the frame and the dark that begin at pixel index `first`.
    scales
        Shape (2, 2): by row and column of the pattern.
    first
        Index of the first pixel in the flattened frame.
    width
        Width of the frame.
    """
    half, zero, top = np.float32(0.5), np.float32(0), np.float32(65535)
    begin = 0
    while begin < pixels.size:
        row, column = divmod(first + begin, width)
        end = min(begin + width - column, pixels.size)
        even, odd = scales[row % 2, column % 2], scales[row % 2, 1 - column % 2]
        part, dark_part = pixels[begin:end], dark[begin:end]
        for x in range(part.size):
            scale = odd if x & 1 else even
            value = (np.float32(part[x]) - dark_part[x]) * scale + half
            part[x] = np.uint16(np.int32(min(max(value, zero), top)))
        begin = end


@kernel
def scale_values(pixels: F32, dark: F32, scales: F32, first: int, width: int) -> None:
    """Scale a section of a floating-point flat frame in place, like `scale_words`, but without rounding."""
    for i in range(pixels.size):
        row, column = divmod(first + i, width)
        pixels[i] = (pixels[i] - dark[i]) * scales[row % 2, column % 2]
