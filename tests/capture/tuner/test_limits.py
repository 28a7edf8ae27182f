"""Ranges of exposure and brightness, and rounding within them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.tuner.limits import BrightnessRange, ExposureSpan, TuningLimits


@given(st.floats(1e-6, 4000))
def test_exposures_print_in_six_digits_and_are_rounded_finely(exposure_s: float) -> None:
    rounded = TuningLimits(ExposureSpan(1e-6, 4000)).round_s(exposure_s)
    assert rounded == pytest.approx(exposure_s, rel=0.0051)
    assert len(f"{rounded!r}".replace(".", "").replace("e-", "").lstrip("0")) <= 7


@given(st.integers(0, 20), st.integers(1, 5000), st.integers(1, 60), st.floats(-100, 10_000))
def test_the_nearest_brightness_is_on_a_step_and_never_0(minimum: int, span: int, step: int, wanted: float) -> None:
    panel = BrightnessRange(minimum, minimum + span, step)
    nearest = panel.nearest(wanted)
    assert 0 < nearest <= panel.maximum
    assert nearest in (panel.dimmest, panel.brightest) or (nearest - minimum) % step == 0


def test_exposures_are_multiples_of_the_cameras_step() -> None:
    limits = TuningLimits(ExposureSpan(0.3, 2.0), exposure_step_s=0.1)
    assert limits.round_s(0.1) == 0.3
    assert limits.round_s(0.449) == 0.4
    assert limits.round_s(9.0) == 2.0


def test_the_window_is_clipped_to_the_hard_limits() -> None:
    assert TuningLimits(ExposureSpan(1.0, 2.0), ExposureSpan(0.5, 3.0)).window == ExposureSpan(1.0, 2.0)
    assert TuningLimits(ExposureSpan(5.0, 9.0), ExposureSpan(0.5, 3.0)).window == ExposureSpan(5.0, 5.0)


def test_exposures_are_shutter_times_within_the_limits() -> None:
    listed_s = (0.00025, 0.3, 0.4, 0.5, 2.0, 30.0)
    limits = TuningLimits(ExposureSpan(0.3, 10.0), shutter_s=listed_s)
    assert [limits.round_s(each) for each in (0.001, 0.34, 0.35, 0.9, 99.0)] == [0.3, 0.3, 0.4, 0.5, 2.0]
    assert (limits.next_s(0.4, is_shorter=True), limits.next_s(0.4, is_shorter=False)) == (0.3, 0.5)
    assert limits.next_s(2.0, is_shorter=False) == 2.0
    with pytest.raises(ValueError, match=r"no shutter time within the allowed 3 to 10 s"):
        TuningLimits(ExposureSpan(3.0, 10.0), shutter_s=listed_s)
