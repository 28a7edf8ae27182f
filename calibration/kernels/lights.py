# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that calibrate lights and convert them to 16 bits."""

import numpy as np

from coldframe.calibration.kernels.compiling import F32, U16, kernel


@kernel
def calibrate_pixels(
    light: U16 | F32,
    subtracted: F32,
    response: F32,
    dark_variance: F32,
    response_variance: F32,
    adu_per_e: float,
    signal: F32,
    uncertainty: F32,
) -> None:
    """Write (light - subtracted) / response and its standard error.

    All arrays are flat; see `Correction` for the planes.
    """
    zero, photon = np.float32(0), np.float32(adu_per_e)
    for i in range(light.size):
        level = np.float32(light[i]) - subtracted[i]
        divided = level / response[i]
        variance = dark_variance[i] + photon * max(level, zero)
        signal[i] = divided
        uncertainty[i] = np.sqrt(variance / (response[i] * response[i]) + divided * divided * response_variance[i])


@kernel
def quantise(signal: F32, pedestal: float, pixels: U16) -> tuple[int, int]:
    """Round signal + pedestal and clip it to 16 bits; return the numbers of pixels clipped below and above."""
    added, zero, top = np.float32(pedestal), np.float32(0), np.float32(65535)
    below = 0
    above = 0
    for i in range(signal.size):
        value = np.rint(signal[i] + added)
        below += value < zero
        above += value > top
        pixels[i] = np.uint16(np.int32(min(max(value, zero), top)))
    return below, above
