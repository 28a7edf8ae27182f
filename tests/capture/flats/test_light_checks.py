"""Checks of the lamp, the filter and shadows, based on pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.measuring.frame_shape import Bands
from coldframe.capture.flats.light_checks import (
    LEAST_BANDS,
    doubtful_pairs,
    exposures_without_bands,
    filters_of_equal_light,
    find_shadow,
    is_flickering,
    other_filter_in_beam,
)
from coldframe.capture.tuner.limits import ExposureSpan

F64 = NDArray[np.float64]
DOWN, ACROSS = np.mgrid[-1:1:60j, -1:1:16j]
USUAL: F64 = 1 - 0.4 * (DOWN**2 + ACROSS**2) / 2


def noisy(levels: F64) -> F64:
    return levels * (1 + 0.002 * np.random.default_rng(1).normal(size=levels.shape))


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        (Bands(0.002, 50.0, 1.0), True),
        (Bands(0.0004, 50.0, 1.0), False),
        (Bands(0.002, 3.0, 1.0), False),
        (Bands(0.0, 0.0, 1.02), True),
        (Bands(0.0, 0.0, 0.995), False),
    ],
)
def test_flicker_is_bands_or_levels_that_matter(bands: Bands, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_flickering(bands) is expected


@given(st.floats(LEAST_BANDS, 0.3), st.floats(0.001, 5), st.floats(0.01, 60))
def test_flicker_is_countered_by_a_longer_exposure_within_the_limits(
    relative: float, exposure_s: float, longest_s: float
) -> None:
    span = exposures_without_bands(Bands(relative, 100.0, 1.0), exposure_s, ExposureSpan(0.001, 0.01), longest_s)
    if span is None:
        assert longest_s <= 3 * exposure_s
    else:
        assert span.longest_s <= longest_s
        # Bands fall as 1 / exposure: either they are weak enough, or the exposure is as long as allowed.
        expected = relative * exposure_s / span.shortest_s
        assert expected < LEAST_BANDS or span.shortest_s == pytest.approx(longest_s / 2)


def test_a_wheel_that_did_not_turn_is_recognised_by_the_light() -> None:
    earlier = {"L": 1000.0, "R": 340.0, "G": 345.0, "Ha": 60.0}
    assert other_filter_in_beam("Ha", {"L": 1000.0, "Ha": 1004.0}, earlier) == "L"
    assert other_filter_in_beam("Ha", {"L": 700.0, "Ha": 42.0}, earlier) is None, "the lamp is dimmer than it was"
    assert other_filter_in_beam("G", {"R": 340.0, "G": 341.0}, earlier) is None, "they were equal before"
    assert other_filter_in_beam("Ha", {"L": 1000.0, "Ha": 1004.0}, {}) is None
    assert filters_of_equal_light("Ha", {"L": 1000.0, "Ha": 1004.0}) == ["L"]


@pytest.mark.parametrize("light", [0.0, 0.3, 0.45])
@pytest.mark.parametrize("columns", [1, 5, 10])
def test_a_shutter_blade_of_any_size_is_detected(light: float, columns: int) -> None:
    flat = USUAL.copy()
    flat[:, -columns:] *= light
    fault = find_shadow(20_000 * noisy(flat), USUAL)
    assert fault is not None
    assert "a shutter blade" in fault
    assert "right side" in fault


def test_a_blade_that_moves_through_the_exposure_leaves_a_gradient() -> None:
    fault = find_shadow(noisy(USUAL * (1 + 0.36 * ACROSS)), USUAL)
    assert fault is not None
    assert "brightest on the right side" in fault


@given(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15), st.floats(-0.1, 0.1), st.floats(1, 60_000))
def test_a_panel_in_another_position_is_no_shadow(down: float, across: float, round_: float, light: float) -> None:
    change = 1 + down * DOWN + across * ACROSS + round_ * (DOWN**2 + ACROSS**2) / 2
    assert find_shadow(light * noisy(USUAL * change), USUAL) is None


def test_flats_that_cannot_be_compared_pass() -> None:
    assert find_shadow(USUAL[:3], USUAL[:3]) is None
    assert find_shadow(USUAL, USUAL - 1) is None


def test_filters_that_prove_equal_only_later_are_doubtful() -> None:
    earlier = {"L": 1000.0, "Ha": 40.0, "R": 330.0, "G": 340.0}
    tonight = {"L": 500.0, "Ha": 505.0, "R": 160.0}
    assert doubtful_pairs("R", tonight, earlier) == [("Ha", "L")]
    assert doubtful_pairs("Ha", tonight, earlier) == [], "a pair with the selected filter is judged at once"
    assert doubtful_pairs("R", tonight, {}) == []
    assert doubtful_pairs("L", {"L": 1000.0, "R": 340.0, "G": 341.0}, earlier) == [], "they were equal before"
