"""The recipe that turns raw flats into a master flat, whether they are being shot or come from files.

1. Subtract the overscan from each frame, if the camera has one.
2. Subtract the dark of the frame's exposure.
3. Scale the result to `REFERENCE_LEVEL`; with a colour filter array, scale each channel separately.
4. Stack the scaled frames: with `Accumulator` as they arrive, or with `combine_columns` from files.
5. Add the error of the dark, which all frames share, to the uncertainty.
6. Normalise to a mean of 1, and mask the pixels without signal.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.frames.overscan import PEDESTAL_ADU, Overscan
from coldframe.calibration.masters.flat_scaling import FlatScaler, flat_response, mean_level_adu, with_dark_noise
from coldframe.calibration.stacking.stack import Stack


class ScaledFlat(NamedTuple):
    """A flat frame scaled to `REFERENCE_LEVEL`.

    Attributes
    ----------
    pixels
        uint16, shape (height, width), in a buffer that the recipe reuses for the next frame.
    factors
        float32, shape (2, 2): the factors by which the frame was scaled; see `FlatScaler.factors`.
    """

    pixels: NDArray[np.uint16]
    factors: NDArray[np.float32]


class FlatRecipe:
    """The steps of the recipe for flats that share one dark.

    Flats with different exposures, as in twilight, need a separate recipe for each exposure.

    Parameters
    ----------
    dark
        float32, shape (height, width): the level to subtract from each frame without overscan, ADU; see `on_pedestal`.
    dark_uncertainty
        float32, same shape: standard error of the dark, ADU; 0 or NaN where it is unknown.
    cfa_pattern
        Colour filter array, such as "RGGB"; None for a monochrome sensor.
    overscan
        The overscan to subtract from raw frames; None if the frames have no overscan, or if it was already subtracted.

    Raises
    ------
    ValueError
        If the pattern is unknown.
    """

    def __init__(
        self,
        dark: NDArray[np.float32],
        dark_uncertainty: NDArray[np.float32],
        cfa_pattern: str | None,
        overscan: Overscan | None = None,
    ) -> None:
        self.dark = dark
        self.dark_uncertainty = dark_uncertainty
        self.cfa_pattern = cfa_pattern
        self.overscan = overscan
        self.scaler = FlatScaler(dark, cfa_pattern)

    def scaled(self, raw: NDArray[np.uint16]) -> ScaledFlat:
        """Apply steps 1 to 3 to a raw frame, uint16, and return the scaled frame, ready for stacking.

        Raises
        ------
        NoSignalError
            If the level above the dark is below 1 ADU.
        ValueError
            If the dark has a different shape.
        """
        pixels = raw if self.overscan is None else self.overscan.correct_words(raw)[0]
        factors = self.scaler.factors(pixels)
        return ScaledFlat(self.scaler.scale_by(factors, pixels), factors)

    def response(self, stack: Stack, factors: Sequence[NDArray[np.float32]]) -> tuple[Stack, NDArray[np.bool_]]:
        """Apply steps 5 and 6 to the stack of the scaled frames; return the master flat and its mask.

        Parameters
        ----------
        stack
            The stack of the scaled frames.
        factors
            The factors of each frame, in any order.

        Returns
        -------
        response, dead
            See `flat_response`.
        """
        leveled = replace(stack, flat_level_adu=mean_level_adu(factors))
        return flat_response(with_dark_noise(leveled, self.dark_uncertainty, factors), self.cfa_pattern)


def on_pedestal(mean: NDArray[np.float32], overscan: Overscan | None) -> NDArray[np.float32]:
    """Return the plane to subtract from flats: the mean of a master of dark frames, on the pedestal of the flats.

    Frames whose overscan was subtracted have a pedestal of `PEDESTAL_ADU`; masters of darks and biases are stored
    without this pedestal.

    Parameters
    ----------
    mean
        float32, shape (height, width), ADU.
    overscan
        The overscan that is subtracted from the flats; None if none is subtracted.
    """
    return mean if overscan is None else mean + np.float32(PEDESTAL_ADU)
