"""The difference between the odd and the even lines of a frame."""

import numpy as np
import pytest

from coldframe.calibration.measuring.line_levels import line_levels


def cells(*levels: float) -> np.ndarray:
    """Return a frame whose 2x2 cells have these levels: upper left, upper right, lower left, lower right."""
    return np.tile(np.array(levels, np.uint16).reshape(2, 2), (20, 30))


@pytest.mark.parametrize(
    ("levels", "mosaic", "excess"),
    [
        ((1200, 1200, 1100, 1100), None, 0.1),
        ((1100, 1100, 1200, 1200), None, -1 / 11),
        ((1100, 1000, 1100, 1000), None, None),  # columns
        ((600, 1000, 1000, 500), None, None),  # an array that the header does not declare
        ((600, 1200, 1100, 500), "RGGB", 0.1),
        ((1200, 600, 500, 1100), "GRBG", 0.1),
        ((600, 1200, 1100, 500), "XTRANS", None),
        ((100, 100, 120, 120), None, None),  # no light above the bias
    ],
)
def test_the_excess_of_the_odd_lines(levels: tuple[int, ...], mosaic: str | None, excess: float | None) -> None:
    found = line_levels(cells(*levels)).odd_excess(100, mosaic)
    assert found == (None if excess is None else pytest.approx(excess))


def test_bounds_limit_hot_pixels() -> None:
    pixels = cells(500, 500, 500, 500)
    pixels[20, 30] = 60_000
    assert line_levels(pixels, (400, 600)).levels_adu.max() < 501
