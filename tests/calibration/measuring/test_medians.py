"""The exact median, compared with NumPy's."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.measuring import medians
from coldframe.calibration.measuring.medians import median


def planes() -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(5)
    noise = random.normal(500, 5, (900, 700)).astype(np.float32)
    lines = np.repeat(random.normal(500, 50, 900).astype(np.float32), 700).reshape(900, 700)
    gap = noise.copy()
    gap[:, ::2] += 1000
    misleading = noise.copy()
    step = int((noise.size / medians.SAMPLED) ** 0.5) | 1
    misleading[::step, ::step] += 10_000  # all sampled values, and only these
    return {
        "noise": noise,
        "odd number": noise[1:, 1:],
        "whole numbers": np.rint(noise),
        "equal": np.full((900, 700), 3, np.float32),
        "lines": lines,
        "two levels": gap,
        "misleading sample": misleading,
        "infinite": np.where(noise > 510, np.float32(np.inf), noise),
        "strided": np.tile(noise, (2, 2))[::2, ::2],
        "small": noise[:5, :3],
        "single": noise[:1, :1],
    }


@pytest.mark.parametrize("name", planes())
def test_the_median_is_that_of_numpy(name: str) -> None:
    plane = planes()[name]
    assert name in {"small", "single"} or plane.size > medians.LARGEST_SORTED
    assert median(plane) == np.median(plane)


def test_the_median_of_values_that_are_not_numbers_is_none() -> None:
    plane = planes()["noise"]
    plane[3, 5] = np.nan
    assert np.isnan(median(plane))
