"""Tests of the digest of a night's frames."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.measuring.digest import frame_digest
from coldframe.calibration.measuring.statistics import measure

U16 = NDArray[np.uint16]
SHAPE = (61, 40)


def digest(pixels: U16) -> bytes:
    return frame_digest(pixels, measure(pixels).counts)


def noise(seed: int) -> U16:
    return np.random.default_rng(seed).normal(500, 10, SHAPE).round().astype(np.uint16)


def test_equal_pixels_have_the_same_digest() -> None:
    frame = noise(1)
    assert digest(frame) == digest(frame.copy()) == digest(np.asfortranarray(frame))
    assert digest(frame) != digest(noise(2))


@pytest.mark.parametrize("row", range(SHAPE[0]))
def test_one_changed_pixel_of_any_row_changes_the_digest(row: int) -> None:
    frame = noise(1)
    changed = frame.copy()
    changed[row, row % SHAPE[1]] += 1
    assert digest(changed) != digest(frame)


def test_the_place_of_the_values_counts() -> None:
    frame = noise(1)
    assert digest(frame[::-1]) != digest(frame)
    flat = np.full((8, 12), 7, np.uint16)
    assert digest(flat) != digest(flat.reshape(12, 8))


def test_the_places_of_equal_values_count_only_in_the_hashed_rows() -> None:
    for row, counts in [(0, True), (1, False), (7, False), (8, True)]:
        frame = noise(1)
        frame[row, :2] = 400, 600
        swapped = frame.copy()
        swapped[row, :2] = 600, 400
        assert (digest(swapped) != digest(frame)) == counts


def test_exposures_with_a_clipped_black_level_differ_by_a_few_pixels_in_any_row() -> None:
    places = np.random.default_rng(5).permutation(SHAPE[0] * SHAPE[1])[:300]
    frames = np.zeros((places.size, *SHAPE), np.uint16)
    frames.reshape(places.size, -1)[np.arange(places.size), places] = 1
    assert len({digest(frame) for frame in frames}) == places.size
