"""Detecting light on darks by its pattern, in one frame or over the set."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.looks.frame_looks import are_comparable
from coldframe.calibration.measuring.frame_shape import FrameShape
from coldframe.capture.judging.light_leak import MOST_SHAPES, Leak, LeakWatch, filters_for_darks

ROWS, COLUMNS = 320, 16
CELL_NOISE_ADU, ROW_NOISE_ADU, NOISE_ADU = 0.55, 0.2, 6.0


def shape(random: np.random.Generator, light_adu: float = 0.0, swing_adu: float = 0.0) -> FrameShape:
    """Return the shape of a dark with light that rises from right to left and an offset that swings down the frame."""
    levels = random.normal(550, CELL_NOISE_ADU, (ROWS, COLUMNS)) + random.normal(0, ROW_NOISE_ADU, (ROWS, 1))
    levels += light_adu * np.linspace(2, 0, COLUMNS) + swing_adu * np.linspace(-1, 1, ROWS)[:, None]
    return FrameShape(levels, 120, (2 * ROWS, 960), 1)


def watched(light_adu: list[float], seed: int = 1) -> tuple[int, Leak | None]:
    """Return the number of frames after which a leak was found, and the leak."""
    random, watch = np.random.default_rng(seed), LeakWatch(NOISE_ADU)
    for number, each in enumerate(light_adu):
        seen = shape(random, each)
        if leak := watch.leak(seen, -10.0):
            return number, leak
        watch.accept(seen, -10.0)
    return len(light_adu), None


def test_clean_sets_raise_no_alarm() -> None:
    assert [watched([0.0] * 30, seed) for seed in range(100)] == [(30, None)] * 100


def test_light_in_one_frame_is_found_in_that_frame() -> None:
    number, leak = watched([0.0] * 5 + [0.5])
    assert number == 5
    assert leak is not None
    assert leak.place == "on the left side"
    assert leak.level_adu == pytest.approx(0.5, abs=0.1)


def test_light_that_disappeared_is_located_in_the_earlier_frame() -> None:
    number, leak = watched([0.5, 0.0])
    assert number == 1
    assert leak is not None
    assert leak.place == "on the left side"
    assert leak.level_adu == pytest.approx(-0.5, abs=0.1)


def test_a_slowly_growing_leak_is_found_before_it_is_a_fiftieth_of_the_noise() -> None:
    rate_adu = 0.004
    number, leak = watched([rate_adu * n for n in range(60)])
    assert leak is not None
    assert leak.place == "on the left side"
    assert rate_adu * number < 0.02 * NOISE_ADU


def test_a_slowly_growing_leak_is_found_among_merged_frames() -> None:
    dark = 2 * MOST_SHAPES
    number, leak = watched([0.0] * dark + [0.002 * n for n in range(100)])
    assert leak is not None
    assert dark < number < dark + 100


def test_a_large_clean_set_raises_no_alarm_and_takes_no_more_memory_than_a_small_one() -> None:
    random, watch = np.random.default_rng(7), LeakWatch(NOISE_ADU)
    tracemalloc.start()
    try:
        for _ in range(8 * MOST_SHAPES):
            seen = shape(random)
            assert watch.leak(seen, -10.0) is None
            watch.accept(seen, -10.0)
        assert tracemalloc.get_traced_memory()[0] < (MOST_SHAPES + 3) * ROWS * COLUMNS * 8
    finally:
        tracemalloc.stop()


def test_uniform_light_is_found_only_above_the_noise() -> None:
    watch, levels = LeakWatch(NOISE_ADU), np.random.default_rng(1).normal(550, CELL_NOISE_ADU, (ROWS, COLUMNS))
    watch.accept(FrameShape(levels, 120, (640, 960), 1), None)
    assert watch.leak(FrameShape(levels + 0.9 * NOISE_ADU, 120, (640, 960), 1), None) is None
    leak = watch.leak(FrameShape(levels + 1.1 * NOISE_ADU, 120, (640, 960), 1), None)
    assert leak is not None
    assert leak.place is None


def test_an_offset_that_swings_from_frame_to_frame_is_no_light() -> None:
    random, watch, alarms = np.random.default_rng(3), LeakWatch(NOISE_ADU), 0
    for number in range(60):
        seen = shape(random, swing_adu=random.normal(0, 0.1))
        # A few frames are needed to measure the swings of the offset.
        alarms += number >= 10 and watch.leak(seen, None) is not None
        watch.accept(seen, None)
    assert alarms == 0


def test_a_frame_of_another_temperature_is_not_compared() -> None:
    random, watch = np.random.default_rng(4), LeakWatch(NOISE_ADU)
    watch.accept(shape(random), -10.0)
    assert watch.leak(shape(random, 1.0), -9.0) is None
    assert watch.leak(shape(random, 1.0), -9.9) is not None
    assert are_comparable(None, -10.0)


@given(st.dictionaries(st.text(max_size=3), st.floats(0.001, 1e6)))
def test_filters_for_darks_are_the_clearest_and_the_densest(light: dict[str, float]) -> None:
    filters = filters_for_darks(light)
    if filters is None:
        assert not light or max(light.values()) < 3 * min(light.values())
    else:
        assert [light[name] for name in filters] == [max(light.values()), min(light.values())]
