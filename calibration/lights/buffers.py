"""Memory for the pixels of lights, which is requested once and not for each light."""

import threading
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray


class Use(Enum):
    """The content of a buffer."""

    RAW = auto()
    """The pixels of the light."""
    CALIBRATED = auto()
    """The calibrated pixels in 16 bits."""


class LightBuffers(threading.local):
    """Arrays for the light that a thread calibrates; each thread has its own, and its next light overwrites them.

    The operating system clears new memory page by page, which takes about as long as the calibration.
    """

    def __init__(self) -> None:
        self._arrays: dict[Use, NDArray[np.uint16]] = {}

    def words(self, use: Use, shape: tuple[int, ...]) -> NDArray[np.uint16]:
        """Return an array for 16-bit pixels: uint16, with the given shape and any content."""
        array = self._arrays.get(use)
        if array is None or array.shape != shape:
            array = self._arrays[use] = np.empty(shape, np.uint16)
        return array
