"""The digest by which a night recognises a frame that the camera delivers again."""

import hashlib

import numpy as np
from numpy.typing import NDArray

DIGESTED_STEP = 8
"""One in this number of rows is hashed. Hashing all rows with SHA-256 takes longer than measuring the frame, and many
times longer on a processor without instructions for it, such as that of the Raspberry Pi 4."""


def frame_digest(pixels: NDArray[np.uint16], counts: NDArray[np.int64]) -> bytes:
    """Return the digest of a frame: the SHA-256 of every eighth row and of the histogram of all pixels.

    Two exposures never have the same noise in all of these rows. A pixel that changed in another row changes the
    histogram. The digest is only comparable with other digests of this function; see `pixel_digest`, which depends on
    every pixel and its place, for digests in files.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    counts
        Number of pixels of the whole frame at each level; see `FrameMeasurement`.
    """
    digest = hashlib.sha256(np.array(pixels.shape, np.int64).data)
    digest.update(counts.data)
    digest.update(np.ascontiguousarray(pixels[::DIGESTED_STEP]).data)
    return digest.digest()
