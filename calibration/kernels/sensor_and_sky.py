# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that separate the structures of the sensor from those of the sky in a set of shifted lights.

The array `places` has four integers for each light: its shift down; its shift across; 1 if it is rotated by 180
degrees, otherwise 0; and 1 if its shift is known, otherwise 0. Bin (y, x) of the sky is bin (y + down, x + across) of
the light after the rotation.
"""

import numpy as np

from coldframe.calibration.kernels.compiling import F32, F64, I64, kernel


@kernel
def mean_on_sky(
    lights: F32, fixed: F32, weights: F32, places: I64, fewest: int, first: int, last: int, sky: F32
) -> None:
    """Write the weighted mean of the lights in sky coordinates, after subtracting the pattern of the sensor.

    Parameters
    ----------
    lights
        Shape (lights, rows, columns); NaN for unknown bins. Lights with an unknown shift do not count.
    fixed
        The pattern of the sensor, shape (rows, columns).
    weights
        Inverse variances, shape (lights,).
    places
        Shape (lights, 4).
    fewest
        Smallest number of values for a mean; where there are fewer values, the sky is NaN.
    first, last
        Range of rows of the sky.
    sky
        Output, shape (rows, columns).
    """
    height, width = fixed.shape
    total = np.empty(width, np.float32)
    weight = np.empty(width, np.float32)
    count = np.empty(width, np.int64)
    for y in range(first, last):
        total[:] = 0
        weight[:] = 0
        count[:] = 0
        for i in range(lights.shape[0]):
            down, across, is_turned = places[i, 0], places[i, 1], places[i, 2]
            row = y + down
            if places[i, 3] == 0 or row < 0 or row >= height:
                continue
            row = height - 1 - row if is_turned else row
            for x in range(max(0, -across), min(width, width - across)):
                column = width - 1 - x - across if is_turned else x + across
                value = lights[i, row, column] - fixed[row, column]
                if np.isfinite(value):
                    total[x] += value * weights[i]
                    weight[x] += weights[i]
                    count[x] += 1
        for x in range(width):
            sky[y, x] = total[x] / weight[x] if count[x] >= fewest else np.float32(np.nan)


@kernel
def mean_on_sensor(
    lights: F32, sky: F32, weights: F32, places: I64, fewest: int, first: int, last: int, mean: F32, weight: F32
) -> None:
    """Write the weighted mean of the lights after subtracting the sky, and the inverse variance of the mean.

    Parameters
    ----------
    lights, weights, places, fewest, first, last
        As for `mean_on_sky`; the sky is not subtracted from lights with an unknown shift.
    sky
        Shape (rows, columns); NaN where it is unknown.
    mean, weight
        Outputs, same shape; NaN and 0 where there are fewer than `fewest` values.
    """
    width = sky.shape[1]
    count = np.empty(width, np.int64)
    of_sky = np.empty(width, np.float32)
    for y in range(first, last):
        mean[y] = 0
        weight[y] = 0
        count[:] = 0
        for i in range(lights.shape[0]):
            take_row_of_sky(sky, places, i, y, of_sky)
            for x in range(width):
                value = lights[i, y, x] - of_sky[x]
                if np.isfinite(value):
                    mean[y, x] += value * weights[i]
                    weight[y, x] += weights[i]
                    count[x] += 1
        for x in range(width):
            if count[x] >= fewest:
                mean[y, x] /= weight[y, x]
            else:
                mean[y, x], weight[y, x] = np.float32(np.nan), np.float32(0)


@kernel
def scatter_on_sensor(lights: F32, sky: F32, fixed: F32, places: I64, first: int, last: int, sums: F64) -> None:
    """Write number, sum and sum of squares of each light's values after subtracting sky and sensor pattern.

    `sums` has the shape (lights, 3).
    """
    of_sky = np.empty(sky.shape[1], np.float32)
    for i in range(lights.shape[0]):
        number, total, squares = 0, 0.0, 0.0
        for y in range(first, last):
            take_row_of_sky(sky, places, i, y, of_sky)
            for x in range(of_sky.size):
                value = lights[i, y, x] - of_sky[x] - fixed[y, x]
                if np.isfinite(value):
                    number += 1
                    total += value
                    squares += value * value
        sums[i, 0], sums[i, 1], sums[i, 2] = number, total, squares


@kernel
def take_row_of_sky(sky: F32, places: I64, light: int, y: int, of_sky: F32) -> None:
    """Write the sky in a row of a light: NaN where it is unknown, 0 if the shift of the light is unknown."""
    if places[light, 3] == 0:
        of_sky[:] = 0
        return
    of_sky[:] = np.float32(np.nan)
    height, width = sky.shape
    across, is_turned = places[light, 1], places[light, 2]
    row = (height - 1 - y if is_turned else y) - places[light, 0]
    if row < 0 or row >= height:
        return
    for column in range(max(0, -across), min(width, width - across)):
        of_sky[width - 1 - column - across if is_turned else column + across] = sky[row, column]


@kernel
def median_of_lights(lights: F32, first: int, last: int, medians: F32) -> None:
    """Write the median of each bin over all lights, an array of shape (lights, rows, columns); NaN counts as 0."""
    count = lights.shape[0]
    values = np.empty(count, np.float32)
    for y in range(first, last):
        for x in range(lights.shape[2]):
            for i in range(count):
                value = lights[i, y, x]
                if not np.isfinite(value):
                    value = np.float32(0)
                place = i
                while place > 0 and values[place - 1] > value:
                    values[place] = values[place - 1]
                    place -= 1
                values[place] = value
            medians[y, x] = (values[(count - 1) // 2] + values[count // 2]) / np.float32(2)
