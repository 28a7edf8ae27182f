"""Memory for the pixels of lights, requested once instead of for each light."""

import threading

import numpy as np
from numpy.typing import NDArray


class LightBuffers(threading.local):
    """An array for the pixels of a light; each thread has its own array and overwrites it with its next light.

    The operating system clears new memory page by page, which takes about as long as the calibration.
    """

    def __init__(self) -> None:
        self._words = np.empty((0, 0), np.uint16)

    def words(self, shape: tuple[int, ...]) -> NDArray[np.uint16]:
        """Return an array for 16-bit pixels: uint16, with the given shape and undefined content."""
        if self._words.shape != shape:
            self._words = np.empty(shape, np.uint16)
        return self._words
