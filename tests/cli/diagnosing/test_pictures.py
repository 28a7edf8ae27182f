"""The pictures and marks of the page of a diagnosis."""

import numpy as np
import pytest

from coldframe.calibration.diagnosis.estimating.dust import Change, DustResult
from coldframe.calibration.diagnosis.estimating.motes import turned
from coldframe.cli.diagnosing.marks import Mark, moved, overlay
from coldframe.cli.diagnosing.pictures import SetPictures, block_means, fixed_picture, line_pattern


@pytest.mark.parametrize("angle", [3.0, -8.0, 90.0, 180.0])
def test_a_mark_turns_as_the_shadow_does(angle: float) -> None:
    plane = np.zeros((81, 121), np.float32)
    plane[30, 70] = 1
    down, across = moved(np.array([30.0, 70.0]), plane.shape, DustResult(Change.TURNED, 99.0, angle=angle))
    peak = np.unravel_index(int(np.argmax(turned(plane, angle))), plane.shape)
    assert (down, across) == pytest.approx(peak, abs=0.8)


def test_a_mark_moves_as_the_shadow_does() -> None:
    result = DustResult(Change.SHIFTED, 99.0, down=2.5, across=-1.0)
    assert moved(np.array([10.0, 20.0]), (50, 60), result) == (12.5, 19.0)


def test_marks_are_drawn_in_pixels() -> None:
    svg = overlay([Mark(10, 20, 5, "new")], (100, 200))
    assert 'viewBox="0 0 200 100"' in svg
    assert '<circle class="new" cx="20.0" cy="10.0" r="5.0"/>' in svg


def test_blocks_leave_out_unknown_pixels() -> None:
    plane = np.ones((4, 6), np.float32)
    plane[0, 0] = np.nan
    plane[:2, 2:4] = np.nan
    assert block_means(plane, 2) == pytest.approx(np.array([[1, np.nan, 1], [1, 1, 1]]), nan_ok=True)


def test_the_pattern_of_lines_compares_equal_colours() -> None:
    plane = np.zeros((32, 48), np.float32)
    plane[0::2, 0::2] = 100  # one colour of a 2x2 array is brighter
    assert line_pattern(plane, 1, 2) == pytest.approx(np.zeros(32))
    plane[8] += 4
    found = line_pattern(plane, 1, 2)
    assert found[8] == pytest.approx(3)
    assert np.flatnonzero(found).tolist() == [8, 10, 12, 14]


def test_the_map_has_a_symmetric_range() -> None:
    relative = np.random.default_rng(1).normal(0, 0.01, (60, 90)).astype(np.float32)
    relative[5, 5] = np.nan
    picture, white = fixed_picture(relative)
    assert white == pytest.approx(0.04, rel=0.1)
    assert picture.mean() == pytest.approx(127, abs=3)


@pytest.mark.parametrize(("mosaic", "shape"), [(None, (64, 96)), ("GRBG", (32, 48, 3))])
def test_the_background_is_the_median(mosaic: str | None, shape: tuple[int, ...]) -> None:
    seen = SetPictures(mosaic)
    for level in (1.0, 2.0, 90.0):
        light = np.full((64, 96), level, np.float32)
        seen.watch(light, light)
    assert seen.lights == 3
    assert seen.background_adu.shape == shape
    assert (seen.background_adu == 2).all()
    assert seen.before().dtype == seen.after().dtype == np.uint8
    rows, columns = seen.profiles()
    assert not rows.any()
    assert not columns.any()
