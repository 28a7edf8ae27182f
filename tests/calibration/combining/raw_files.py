"""Raw frames in the formats of other programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.combining.frame_sets import RawFrame, open_frames

SHAPE = (24, 32)
DARK = {"IMAGETYP": "Dark Frame", "EXPTIME": 300.0, "GAIN": 100, "INSTRUME": "ZWO ASI2600MM"}


def save(path: Path, pixels: NDArray[Any], **cards: object) -> Path:
    fits.PrimaryHDU(pixels, fits.Header([(key.replace("_", "-"), value) for key, value in cards.items()])).writeto(path)
    return path


def noise(seed: int, level: float = 1000, sigma: float = 8) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).normal(level, sigma, SHAPE).round().astype(np.uint16)


def opened(paths: Sequence[Path], folder: Path) -> list[RawFrame]:
    frames, refused = open_frames(paths, folder)
    assert not refused
    return frames


def darks(folder: Path, count: int, **cards: object) -> list[Path]:
    start = len(list(folder.glob("*.fits")))
    return [
        save(folder / f"dark{number:03d}.fits", noise(number), **{**DARK, **cards})
        for number in range(start, start + count)
    ]
