"""Clipped, black and measured test frames, and the exposures that they predict."""

import math

import pytest

from coldframe.capture.tuner.evidence import Evidence, black_limit_adu, light_changed, observed_faintest_part
from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.limits import ExposureSpan
from coldframe.capture.tuner.target import FlatTarget

TARGET = FlatTarget(bias_adu=500, full_scale_adu=65535)


def frame(exposure_s: float, signal_adu: float, brightness: int | None = None, saturated: float = 0.0) -> FlatTest:
    return FlatTest(exposure_s, brightness, 500 + signal_adu, saturated, noise_adu=math.sqrt(400 + abs(signal_adu)))


@pytest.mark.parametrize(
    ("test", "clipped", "black"),
    [
        (frame(1.0, 26000), False, False),
        (frame(1.0, 62500), True, False),
        (frame(1.0, 26000, saturated=0.02), True, False),
        (frame(1.0, 30), False, True),
        (frame(1.0, -5), False, True),
    ],
)
def test_tests_are_clipped_black_or_measured(test: FlatTest, *, clipped: bool, black: bool) -> None:
    evidence = Evidence(TARGET, [test])
    assert (evidence.is_clipped(test), evidence.is_black(test)) == (clipped, black)
    assert evidence.is_measured(test) is not (clipped or black)


def test_a_measured_test_predicts_the_exposure_in_proportion() -> None:
    evidence = Evidence(TARGET, [frame(1.0, 13007, 20)])
    assert evidence.needed_exposures() == {20: pytest.approx(2.0)}


def test_two_tests_account_for_the_dead_time_of_the_shutter() -> None:
    tests = [frame(exposure_s, 20000 * (exposure_s - 0.1)) for exposure_s in (0.5, 1.0)]
    assert Evidence(TARGET, tests).measured_exposures()[0] == pytest.approx(TARGET.signal_adu / 20000 + 0.1)


def test_a_needed_exposure_stays_between_those_that_were_too_short_and_too_long() -> None:
    tests = [frame(1.0, 20000, 5), frame(1.2, 65000, 5)]
    assert 1.0 < Evidence(TARGET, tests).needed_exposures()[5] < 1.2


def test_an_unmeasured_brightness_is_bounded_by_the_others() -> None:
    evidence = Evidence(TARGET, [frame(1.0, 26014, 40), frame(0.25, 65035, 200)])
    needs = evidence.needed_exposures()
    assert needs[40] == pytest.approx(1.0)
    assert needs[200] < 0.25 * TARGET.fraction


def test_dark_and_clipped_brightnesses_bracket_the_light() -> None:
    evidence = Evidence(TARGET, [frame(1.0, 2, 10), frame(1.0, 65035, 100)])
    assert evidence.is_bracketed()
    assert evidence.dark_below(100) == 10
    assert evidence.dark_below(10) is None
    assert not Evidence(TARGET, [frame(1.0, 65035, 10), frame(1.0, 2, 100)]).is_bracketed()


def test_the_best_test_is_nearest_to_the_target_within_band_and_span() -> None:
    tests = [frame(0.8, 20810), frame(1.0, 26000), frame(9.0, 26010), frame(1.2, 31200)]
    evidence = Evidence(TARGET, tests)
    assert evidence.best_test(0.1, ExposureSpan(0.5, 3.0)) == tests[1]
    assert evidence.best_test(0.1, ExposureSpan(0.5, 10.0)) == tests[2]
    assert evidence.best_test(0.1, ExposureSpan(20.0, 30.0)) is None


def test_the_faintest_channel_is_taken_from_the_brightest_measured_test() -> None:
    def colour(level_adu: float, part: float) -> FlatTest:
        return FlatTest(1.0, None, 500 + level_adu, noise_adu=100.0, faintest_adu=500 + part * level_adu)

    assert observed_faintest_part(TARGET, [colour(5000, 0.6), colour(25000, 0.5), colour(64000, 0.9)]) == 0.5
    assert observed_faintest_part(TARGET, [frame(1.0, 26000)]) is None


def test_the_light_has_changed_if_a_longer_exposure_is_fainter_or_much_too_bright() -> None:
    assert light_changed(frame(1.0, 20000), frame(2.0, 15000), TARGET)
    assert light_changed(frame(2.0, 15000), frame(1.0, 20000), TARGET), "in either order"
    assert light_changed(frame(1.0, 10000), frame(2.0, 31000), TARGET)
    assert not light_changed(frame(0.01, 1000), frame(0.02, 3100), TARGET), "a dead time of the shutter explains it"
    assert not light_changed(frame(1.0, 20000, 10), frame(2.0, 15000, 20), TARGET), "another brightness"
    assert not light_changed(frame(1.0, 0.9 * black_limit_adu(TARGET)), frame(2.0, 5), TARGET), "black frames"
