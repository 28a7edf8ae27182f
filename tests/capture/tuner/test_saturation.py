"""The saturation level from a truncated histogram, from missing shot noise, and from levels that do not rise."""

import math

from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.saturation import (
    is_histogram_cut_off,
    levels_without_shot_noise_adu,
    observed_full_scale_adu,
)
from coldframe.capture.tuner.target import FlatTarget

TARGET = FlatTarget(bias_adu=500, full_scale_adu=65535)


def frame(
    exposure_s: float, level_adu: float, noise_adu: float | None = None, saturation_adu: float = math.inf
) -> FlatTest:
    shot_noise_adu = math.sqrt(400 + level_adu - 500)
    noise_adu = shot_noise_adu if noise_adu is None else noise_adu
    return FlatTest(exposure_s, None, level_adu, noise_adu=noise_adu, saturation_adu=saturation_adu)


def test_the_given_full_scale_holds_without_a_sign_of_saturation() -> None:
    tests = [frame(0.5, 10500), frame(1.0, 20500)]
    assert observed_full_scale_adu(TARGET, tests) == 65535
    assert levels_without_shot_noise_adu(TARGET, tests) == []


def test_a_histogram_that_is_cut_off_shows_the_full_scale() -> None:
    cut_off = frame(1.0, 15000, saturation_adu=16383)
    assert is_histogram_cut_off(cut_off, TARGET)
    assert not is_histogram_cut_off(frame(1.0, 15000, saturation_adu=65535), TARGET)
    assert observed_full_scale_adu(TARGET, [cut_off]) == 16383


def test_a_level_without_shot_noise_is_a_saturation() -> None:
    tests = [frame(0.5, 20500), frame(2.0, 50000, noise_adu=3.0)]
    assert levels_without_shot_noise_adu(TARGET, tests) == [50000]
    assert observed_full_scale_adu(TARGET, tests) == 50000


def test_frames_that_never_have_shot_noise_are_not_saturated() -> None:
    tests = [frame(0.5, 20500, noise_adu=3.0), frame(1.0, 40500, noise_adu=3.0)]
    assert levels_without_shot_noise_adu(TARGET, tests) == []
    assert observed_full_scale_adu(TARGET, tests) == 65535


def test_a_level_that_does_not_rise_with_the_exposure_is_a_saturation() -> None:
    assert observed_full_scale_adu(TARGET, [frame(1.0, 30000), frame(2.0, 30010)]) == 30010
    assert observed_full_scale_adu(TARGET, [frame(1.0, 30000), frame(1.2, 30010)]) == 65535, "hardly longer"


def test_low_levels_are_never_a_saturation() -> None:
    assert observed_full_scale_adu(TARGET, [frame(1.0, 600, noise_adu=0.5)]) == 65535
