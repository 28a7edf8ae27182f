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
