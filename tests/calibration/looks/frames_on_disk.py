"""Sets of small frames on disk for the tests of the looks."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.looks.set_verdict import SetFrame

SHAPE = (240, 320)
BIAS_ADU, NOISE_ADU = 500.0, 9.0


def frame(folder: Path, number: int, pixels: NDArray[np.floating], kind: str, **cards: object) -> SetFrame:
    """Write a frame as unsigned words and return it."""
    path = folder / f"{kind}-{number:02d}.fits"
    words = np.clip(np.rint(pixels), 0, 65535).astype(np.int32) - 32768
    path.write_bytes(words.astype(">i2").tobytes())
    height, width = pixels.shape
    header = {"IMAGETYP": kind, "NAXIS1": width, "NAXIS2": height, **cards}
    return SetFrame(ImageFile(path, path, 0, (height, width), 16, 32768, 1, header), setup_of(header))


def dark(seed: int, shape: tuple[int, int] = SHAPE, noise_adu: float = NOISE_ADU) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(BIAS_ADU, noise_adu, shape)


def flat(seed: int, level_adu: float = 20_000, shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
    """Return a vignetted flat with photon noise of one electron per ADU."""
    down, across = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    signal: NDArray[np.float64] = level_adu * (1 - 0.2 * (down**2 + across**2))
    pixels: NDArray[np.float64] = BIAS_ADU + np.random.default_rng(seed).normal(signal, np.sqrt(signal + 9))
    return pixels


def written(folder: Path, pictures: Iterable[NDArray[np.floating]], kind: str, **cards: object) -> list[SetFrame]:
    return [frame(folder, number, pixels, kind, **cards) for number, pixels in enumerate(pictures)]
