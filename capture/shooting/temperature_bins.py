"""Which darks of a sensor without a cooler belong together. Pure."""

from collections.abc import Sequence

WIDEST_BIN_C = 2.0
"""Darks of one master differ by so much: a fourth in dark current, an eighth to either side of the mean."""

LEAST_PART = 5
"""Frames of a part, before and after: fewer cannot be clipped."""


def has_left_bin(sensor_c: Sequence[float], missing: int) -> bool:
    """Tell whether frames with these sensor temperatures make one master, and those that are missing another.

    Parameters
    ----------
    sensor_c
        Of the frames so far, degrees Celsius, in any order.
    missing
        Frames still to be shot.
    """
    is_divisible = min(len(sensor_c), missing) >= LEAST_PART
    return is_divisible and max(sensor_c) - min(sensor_c) >= WIDEST_BIN_C
