"""The choice of the next setting, first by brightness, then by exposure in its window, and finally at the limits."""

import pytest

from coldframe.capture.tuner.choice import is_near_window, next_setting
from coldframe.capture.tuner.evidence import Evidence
from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.limits import BrightnessRange, ExposureSpan, TuningLimits
from coldframe.capture.tuner.target import FlatTarget

TARGET = FlatTarget(bias_adu=500, full_scale_adu=65535)
LIMITS = TuningLimits(ExposureSpan(0.001, 30), brightness=BrightnessRange(0, 255))
WINDOW = LIMITS.window


def seen(*tests: tuple[float, int, float]) -> Evidence:
    """Return the evidence of tests: exposure, brightness, signal."""
    return Evidence(TARGET, [FlatTest(s, b, 500 + adu, noise_adu=200.0) for s, b, adu in tests])


def test_a_good_brightness_stays_and_the_exposure_is_corrected() -> None:
    assert next_setting(seen((0.5, 64, 13007)), LIMITS) == pytest.approx((64, 1.0))


def test_too_much_light_takes_less_brightness_for_an_exposure_in_the_window() -> None:
    brightness, exposure_s = next_setting(seen((0.05, 64, 26014)), LIMITS)
    assert brightness < 64
    assert WINDOW.contains(exposure_s)


def test_too_little_light_takes_more_brightness() -> None:
    brightness, _ = next_setting(seen((1.0, 64, 2600)), LIMITS)
    assert brightness > 64


def test_a_panel_that_does_not_respond_is_tried_at_its_end() -> None:
    assert next_setting(seen((1.0, 64, 2600), (1.0, 128, 2600)), LIMITS)[0] == 255


def test_without_brightness_control_only_the_exposure_changes() -> None:
    evidence = Evidence(TARGET, [FlatTest(0.1, None, 500 + 260.14)])
    assert next_setting(evidence, TuningLimits(ExposureSpan(0.001, 30))) == pytest.approx((0, 10.0))


def test_a_setting_that_was_shot_and_missed_is_not_repeated() -> None:
    evidence = seen((0.5, 64, 13007), (1.0, 64, 20000))
    brightness, exposure_s = next_setting(evidence, LIMITS)
    assert evidence.newest_at(brightness, exposure_s) is None


def test_enough_tests_settle_for_an_exposure_outside_the_window() -> None:
    several = [(4.0 + 0.1 * count, 255, 10000.0 + 250 * count) for count in range(5)]
    brightness, exposure_s = next_setting(seen(*several), LIMITS)
    assert brightness == 255
    assert exposure_s > WINDOW.longest_s


def test_a_lamp_that_seems_off_is_tried_no_longer_than_the_window() -> None:
    assert next_setting(seen((0.1, 255, 1.0)), LIMITS)[1] <= WINDOW.longest_s


def test_an_exposure_just_outside_the_window_is_near_enough() -> None:
    assert is_near_window(WINDOW, 1.05 * WINDOW.longest_s)
    assert not is_near_window(WINDOW, 1.2 * WINDOW.longest_s)
