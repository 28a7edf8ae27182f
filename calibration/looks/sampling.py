"""Measurement of frames on disk from a fraction of their rows, so that judging a set takes little time and memory."""

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import BZERO
from coldframe.calibration.files.image_file import UINT16_STORAGES, ImageFile
from coldframe.calibration.files.unpacking import STORED_AS
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.kernels import fits_words
from coldframe.calibration.looks.frame_looks import MeasuredFrame, shape_bounds_adu
from coldframe.calibration.measuring.frame_shape import LEAST_CELL_PIXELS, frame_shape
from coldframe.calibration.measuring.line_levels import line_levels
from coldframe.calibration.measuring.statistics import FULL_SCALE_ADU, measure
from coldframe.config.frames import FrameKind

MOST_PAIRS = 64
"""Largest number of pairs of rows read from a frame. For 6 megapixels, they determine the noise to within 0.3 %."""

FEWEST_PAIRS = 16
"""Smallest number of pairs of rows read from a frame, for very large sets."""

PAIRS_OF_A_SET = 1 << 17
"""Largest number of pairs of rows read from a set. The mean levels of all these pairs take 16 MiB of memory."""

HIGHEST_OF_8_BITS = 255

DIGESTED_STEP = 8
"""Step between the sampled rows that enter the digest: no two exposures have the same noise in all of these rows."""


@dataclass(frozen=True, slots=True, eq=False)
class SampledFrame:
    """A frame on disk, measured on a fraction of its rows.

    Attributes
    ----------
    measured
        Measurements; sizes refer to the sampled rows.
    zero_fraction
        Fraction of the pixels whose raw value is exactly 0.
    """

    measured: MeasuredFrame
    zero_fraction: float


def row_pairs(frames: int) -> int:
    """Return the number of pairs of rows to read from each frame of a set."""
    return min(MOST_PAIRS, max(FEWEST_PAIRS, PAIRS_OF_A_SET // max(frames, 1)))


def sample(
    image: ImageFile,
    setup: FrameSetup,
    pairs: int,
    bounds_adu: tuple[float, float] | None = None,
    raw: ImageFile | None = None,
) -> SampledFrame | None:
    """Measure a frame on evenly spaced pairs of rows.

    Parameters
    ----------
    image
        The frame.
    setup
        How the frame was shot.
    pairs
        Number of pairs of rows to read. Frames with fewer rows are read completely.
    bounds_adu
        Bounds to which values are clipped before the shape is measured; they must be the same for all frames of a set.
        If None, only hot pixels are clipped in frames without light, and nothing is clipped in flats.
    raw
        The frame before its overscan was subtracted; None for a frame without overscan. Saturated and zero pixels are
        counted in this frame, because the subtraction shifts their levels.

    Returns
    -------
    SampledFrame or None
        None if the frame is too small, or its values are not numbers from 0 to 65,535 in ADU.

    Raises
    ------
    FrameFileError
        If the file cannot be read.
    """
    pixels = _sampled_rows(image, pairs)
    if pixels is None:
        return None
    full_scale_adu = HIGHEST_OF_8_BITS if (raw or image).bits == 8 else None  # noqa: PLR2004 - FITS bytes
    measurement = measure(pixels, full_scale_adu, setup.mosaic)
    statistics = measurement.statistics
    zero_fraction = float(measurement.counts[0]) / pixels.size
    if raw is not None and (raw_pixels := _sampled_rows(raw, pairs)) is not None:
        whole = measure(raw_pixels, full_scale_adu)
        zero_fraction = float(whole.counts[0]) / raw_pixels.size
        statistics = replace(
            statistics,
            saturated_fraction=whole.statistics.saturated_fraction,
            saturation_adu=whole.statistics.saturation_adu,
        )
    has_light = setup.kind is FrameKind.FLAT
    if bounds_adu is None:
        bounds_adu = (0.0, float(FULL_SCALE_ADU)) if has_light else shape_bounds_adu(statistics)
    shape = frame_shape(pixels, bounds_adu)
    measured = MeasuredFrame(
        statistics,
        blake2b(pixels[::DIGESTED_STEP].tobytes(), digest_size=16).digest(),
        shape,
        setup.temperature_c,
        line_levels(pixels) if has_light else None,
    )
    return SampledFrame(measured, zero_fraction)


def _sampled_rows(image: ImageFile, pairs: int) -> NDArray[np.uint16] | None:
    """Return evenly spaced pairs of rows, uint16, shape (2 * pairs, width); None if `sample` returns None.

    Each pair begins with an even row, so that the phase of a colour filter array is preserved.
    """
    height, width = image.shape
    if height < 2 or width < LEAST_CELL_PIXELS:  # noqa: PLR2004 - a pair of rows
        return None
    tops = 2 * np.linspace(0, height // 2 - 1, min(pairs, height // 2)).astype(int)
    stored = np.empty((2 * tops.size, width), STORED_AS[image.bits])
    with image.opened() as file:
        for pair, top in zip(stored.reshape(tops.size, 2, width), tops.tolist(), strict=True):
            file.fill(pair, image.data_start + top * width * image.pixel_bytes)
    if image.storage == (16, BZERO, 1):
        words = stored.view(np.uint16)
        fits_words.decode_words(words.reshape(-1), BZERO)
        return words
    if image.storage in UINT16_STORAGES:
        values = stored.astype(np.int32) + int(image.zero)
    else:
        values = np.rint(stored.astype(np.float64) * image.scale + image.zero)
    lowest, highest = values.min(), values.max()
    are_fractions = image.bits < 0 and highest <= 1
    return None if lowest < 0 or highest > FULL_SCALE_ADU or are_fractions else values.astype(np.uint16)
