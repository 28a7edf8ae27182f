"""Verdicts on lamp and filter from pixels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.measuring.frame_shape import Bands
from coldframe.capture.flats.filter_check import stuck_at, twins
from coldframe.capture.flats.flicker import LEAST_BANDS, cured, is_flickering
from coldframe.capture.tuner.limits import ExposureSpan


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
def test_the_cure_is_a_longer_exposure_within_the_limits(relative: float, exposure_s: float, longest_s: float) -> None:
    span = cured(Bands(relative, 100.0, 1.0), exposure_s, ExposureSpan(0.001, 0.01), longest_s)
    if span is None:
        assert longest_s <= 3 * exposure_s
    else:
        assert span.longest_s <= longest_s
        # Bands fall as 1 / exposure: they are low enough, or the exposure is as long as it may be.
        expected = relative * exposure_s / span.shortest_s
        assert expected < LEAST_BANDS or span.shortest_s == pytest.approx(longest_s / 2)


def test_a_wheel_that_did_not_turn_is_known_by_the_light() -> None:
    earlier = {"L": 1000.0, "R": 340.0, "G": 345.0, "Ha": 60.0}
    assert stuck_at("Ha", {"L": 1000.0, "Ha": 1004.0}, earlier) == "L"
    assert stuck_at("Ha", {"L": 700.0, "Ha": 42.0}, earlier) is None, "the lamp is dimmer than it was"
    assert stuck_at("G", {"R": 340.0, "G": 341.0}, earlier) is None, "they were alike before"
    assert stuck_at("Ha", {"L": 1000.0, "Ha": 1004.0}, {}) is None
    assert twins("Ha", {"L": 1000.0, "Ha": 1004.0}) == ["L"]
