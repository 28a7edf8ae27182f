"""Small camera raws in files, with the pixels of a sensor."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.simulators.dng import dng_file


def write_dng(path: Path, pixels: NDArray[np.uint16], **described: Any) -> Path:
    """Write sensor data as a DNG; see `dng_file`."""
    path.write_bytes(dng_file(pixels, **described))
    return path


def sensor(height: int, width: int, seed: int = 1, level: int = 1000) -> NDArray[np.uint16]:
    """Return noise around a level, as from a sensor."""
    noise = np.random.default_rng(seed).integers(0, 200, (height, width))
    return (level + noise).astype(np.uint16)
