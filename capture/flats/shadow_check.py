"""Whether something stands in the light of flats, against the library's: a shutter blade, a cover half open."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import FrameFileError, read_header
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.frames.matching import Tolerances, best_master
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.library.library import Library
from coldframe.calibration.measuring.frame_shape import FrameShape, frame_shape, is_large_enough, smooth_pattern
from coldframe.config.frames import FrameKind

DARKENED = 0.5
"""Where less than this part of the usual light arrives, something is in its way: panels and dust change less."""

USUAL_QUANTILE = 0.75
LEAST_PART = 0.01
"""Of the frame."""

LARGEST_GRADIENT = 0.15
"""Root mean square of the smooth part of the change: a blade that moves through the exposure, no panel hung askew."""

WHITE_ADU = 50000.0


def shadow(flat: NDArray[np.float64], usual: NDArray[np.float64]) -> str | None:
    """Say what is wrong with the light of a flat; None where nothing is.

    Parameters
    ----------
    flat, usual
        float64, shape (rows, columns): the shape of the flat, bias subtracted, and that of an earlier night's.
    """
    if not is_large_enough(flat.shape) or usual.min() <= 0:
        return None
    ratio = flat / usual
    # Not the median: a shadow may be larger than half of the frame.
    ratio /= np.quantile(ratio, USUAL_QUANTILE)
    dark = (ratio < DARKENED).astype(np.float64)
    if dark.mean() >= LEAST_PART:
        what = f"{100 * dark.mean():.0f} % of the frame, on the {smooth_pattern(dark).brightest}, get less than "
        what += f"{100 * DARKENED:.0f} % of the light of the library's flat"
        return f"{what}: a shutter blade or a cover in the way?"
    pattern = smooth_pattern(ratio)
    if pattern.amplitude_adu > LARGEST_GRADIENT:
        return (
            f"a gradient of {100 * pattern.amplitude_adu:.0f} % against the library's flat, brightest on the "
            f"{pattern.brightest}: does the shutter work?"
        )
    return None


def usual_shape(library: Path, flat: Path) -> FrameShape | None:
    """Return the shape of the newest master flat that was shot as a saved flat was; None where there is none.

    Raises
    ------
    FrameFileError, OSError
        A file cannot be read.
    """
    match = best_master(
        setup_of(read_header(flat)), Library(library).catalogue().setups, FrameKind.FLAT, Tolerances(flat_days=1e9)
    )
    if match.path is None:
        return None
    levels = np.asarray(open_image(match.path, flat.parent).pixels(), np.float32)
    highest = float(np.quantile(levels[::16, ::16], 0.99))
    if not 0 < highest < np.inf:
        raise FrameFileError(match.path, "its light is no light")
    return frame_shape(np.clip(levels * (WHITE_ADU / highest), 0, 65535).astype(np.uint16))
