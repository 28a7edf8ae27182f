"""The digest that is used during a night to recognise frames that the camera delivers a second time."""

import hashlib

import numpy as np
from numpy.typing import NDArray

DIGESTED_STEP = 8
"""Step between the rows that are hashed. Hashing all rows with SHA-256 takes longer than measuring the frame, and many
times longer on a processor without instructions for SHA-256, such as the processor of the Raspberry Pi 4."""

LARGEST_EQUAL = 0.9
"""Fraction of pixels with the same value above which all rows are hashed. If the black level is clipped, only a few
pixels distinguish two exposures, and these pixels may all be in rows that are not hashed."""


def frame_digest(pixels: NDArray[np.uint16], counts: NDArray[np.int64]) -> bytes:
    """Return the digest of a frame: the SHA-256 of every eighth row and of the histogram of all pixels.

    Two exposures never have the same noise in all of these rows; if nearly all pixels have the same value, all rows are
    hashed. A change in the other rows is detected only if it changes the histogram, but not if values merely swap
    places. The digest can be compared only with other digests from this function; for digests in files, see
    `pixel_digest`, which depends on the value and the place of every pixel.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    counts
        Number of pixels of the whole frame at each level; see `FrameMeasurement`.
    """
    step = 1 if counts.max() > LARGEST_EQUAL * pixels.size else DIGESTED_STEP
    digest = hashlib.sha256(np.array(pixels.shape, np.int64).data)
    digest.update(counts.data)
    digest.update(np.ascontiguousarray(pixels[::step]).data)
    return digest.digest()
