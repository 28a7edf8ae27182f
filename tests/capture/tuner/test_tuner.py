import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.limits import BrightnessRange, ExposureSpan, TuningLimits
from coldframe.capture.tuner.panel_curve import PanelCurve
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.tuner.tuner import FlatTuner, KnownLight, OutOfReach, Reason, Shoot, Tuned

TARGET = FlatTarget(bias_adu=500, full_scale_adu=65535)
PANEL = BrightnessRange(0, 255)

Signal = Callable[[float, int], float]


def run(
    tuner: FlatTuner, signal_adu: Signal, clip_adu: float = 65535.0, bias_adu: float = 500.0, noise_adu: float = 20.0
) -> Tuned | OutOfReach:
    """Run the tuner on a noise-free light: `signal_adu(exposure_s, brightness)`."""
    for _ in range(100):
        decision = tuner.decide()
        if not isinstance(decision, Shoot):
            return decision
        level_adu = min(bias_adu + signal_adu(decision.exposure_s, decision.brightness or 0), clip_adu)
        clipped = level_adu >= clip_adu
        tuner.observe(
            FlatTest(
                decision.exposure_s,
                decision.brightness,
                level_adu,
                saturated_fraction=float(clipped and clip_adu >= 65535),
                noise_adu=0.0 if clipped else math.sqrt(noise_adu**2 + max(level_adu - bias_adu, 0.0)),
            )
        )
    pytest.fail("the tuner did not end")


def test_two_tests_are_enough_if_the_first_is_neither_black_nor_saturated() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    tuned = run(tuner, lambda exposure_s, _: 20000 * exposure_s)
    assert isinstance(tuned, Tuned)
    assert tuned.tests == 2
    assert tuned.exposure_s == pytest.approx(0.4 * 65035 / 20000, abs=0.0006)
    assert tuned.rate_adu_per_s == pytest.approx(20000)


def test_brightness_brings_a_short_exposure_into_the_window() -> None:
    tuned = run(FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30), brightness=PANEL)), lambda s, b: 4000 * b * s)
    assert isinstance(tuned, Tuned)
    assert tuned.tests == 2
    assert 0.5 <= tuned.exposure_s <= 3
    assert tuned.brightness is not None
    assert tuned.brightness < 20
    assert "outside" not in tuned.message


def test_the_exposure_leaves_the_window_only_at_the_end_of_the_brightness_range() -> None:
    tuned = run(FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30), brightness=PANEL)), lambda s, b: 10 * b * s)
    assert isinstance(tuned, Tuned)
    assert tuned.brightness == 255
    assert tuned.exposure_s == pytest.approx(0.4 * 65035 / 2550, rel=0.01)
    assert "outside the preferred 0.5 to 3 s, because no brightness brings it into this range" in tuned.message


@pytest.mark.parametrize("needed_s", [0.01, 0.2, 6.0, 20.0])
def test_a_brightness_without_effect_is_changed_only_twice(needed_s: float) -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30), brightness=PANEL))
    tuned = run(tuner, lambda s, _: 0.4 * 65035 * s / needed_s)
    assert isinstance(tuned, Tuned)
    assert tuned.exposure_s == pytest.approx(needed_s, rel=0.2)
    changes = [a.brightness != b.brightness for a, b in zip(tuner.tests, tuner.tests[1:], strict=False)]
    assert sum(changes) <= 2


def test_the_panel_response_of_one_filter_helps_the_next() -> None:
    def gamma(rate: float) -> Signal:
        return lambda s, b: rate * (b / 255) ** 1.8 * s

    limits = TuningLimits(ExposureSpan(0.001, 30), brightness=PANEL)
    first = FlatTuner(TARGET, limits)
    run(first, gamma(1.5e6))
    assert len(first.tests) > 2
    second = FlatTuner(TARGET, limits, curve=first.curve)
    assert isinstance(run(second, gamma(2.2e6)), Tuned)
    assert len(second.tests) == 2


def test_a_valid_learned_light_needs_one_test() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30), brightness=PANEL), KnownLight(20000, 80))
    tuned = run(tuner, lambda s, b: 21000 * b / 80 * s)
    assert isinstance(tuned, Tuned)
    assert (tuned.tests, tuned.brightness) == (1, 80)


@pytest.mark.parametrize(("light", "kept"), [(1.0, True), (1.15, True), (0.82, True), (1.3, False), (0.6, False)])
def test_the_exposure_of_dark_flats_is_kept_while_the_level_is_good(light: float, kept: bool) -> None:  # noqa: FBT001
    known = KnownLight(20000, 80, exposure_s=1.234)
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30), brightness=PANEL), known)
    tuned = run(tuner, lambda s, b: TARGET.signal_adu / 1.234 * light * b / 80 * s)
    assert isinstance(tuned, Tuned)
    assert (tuned.exposure_s == 1.234) is kept
    assert (tuned.tests == 1) is kept


@pytest.mark.parametrize("wrong", [1e-3, 0.1, 10.0, 1e3])
def test_a_wrong_learned_light_is_corrected(wrong: float) -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)), KnownLight(20000 * wrong))
    tuned = run(tuner, lambda s, _: 20000 * s)
    assert isinstance(tuned, Tuned)
    assert tuned.tests <= 4


@pytest.mark.parametrize("clip_adu", [4095.0, 16383.0, 50000.0])
def test_a_saturation_below_the_declared_one_is_detected(clip_adu: float) -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    tuned = run(tuner, lambda s, _: 5e5 * s, clip_adu=clip_adu)
    assert isinstance(tuned, Tuned)
    if clip_adu < 20000:
        assert tuned.target.full_scale_adu == clip_adu
        assert 0.3 <= tuned.signal_adu / (clip_adu - 500) <= 0.5


def test_a_plateau_without_a_round_number_is_a_saturation() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    tuner.observe(FlatTest(1.0, None, 15800.0, noise_adu=40.0))
    tuner.observe(FlatTest(1.7, None, 15810.0, noise_adu=40.0))
    assert tuner.target.full_scale_adu == 15810
    shot = tuner.decide()
    assert isinstance(shot, Shoot)
    assert shot.exposure_s < 0.5


@pytest.mark.parametrize(
    ("signal", "reason", "part"),
    [
        (lambda s, _: 1e9 * s, Reason.TOO_BRIGHT, "0.001 s"),
        (lambda s, _: 100 * s, Reason.TOO_DARK, "30 s gave 3500 ADU, 4.6 %"),
        (lambda _s, _b: 4.0, Reason.NO_RESPONSE, "504 to 504 ADU"),
        (lambda _s, _b: 3000.0, Reason.NO_RESPONSE, "3500 to 3500 ADU"),
    ],
)
def test_an_unreachable_target_is_reported_with_reason_and_values(signal: Signal, reason: Reason, part: str) -> None:
    verdict = run(FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30))), signal)
    assert isinstance(verdict, OutOfReach)
    assert verdict.reason is reason
    assert part in verdict.message


def test_an_unlit_panel_is_reported_within_three_tests() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 10), brightness=PANEL))
    verdict = run(tuner, lambda _s, _b: 1.0)
    assert isinstance(verdict, OutOfReach)
    assert verdict.reason is Reason.NO_RESPONSE
    assert len(tuner.tests) <= 3


def test_coarse_exposure_steps_end_with_a_verdict() -> None:
    limits = TuningLimits(ExposureSpan(1, 30), exposure_step_s=1.0)
    verdict = run(FlatTuner(FlatTarget(0, 65535, band=(0.39, 0.41)), limits), lambda s, _: 65535 * 0.27 * s)
    assert isinstance(verdict, OutOfReach)
    assert verdict.reason is Reason.STEPS_TOO_COARSE


def test_a_lamp_that_contradicts_itself_is_unstable() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    levels = iter([6000, 1500, 12000, 2000, 16000, 1800, 9000, 1500, 9000, 1500])
    verdict = run(tuner, lambda _s, _b: next(levels))
    assert isinstance(verdict, OutOfReach)
    assert verdict.reason is Reason.UNSTABLE
    assert "then" in verdict.message


def test_the_noise_of_black_frames_is_no_contradiction() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.3, 30), brightness=PANEL), KnownLight(90_000, 255))
    levels = iter([3.0, 0.5, 4.0, 1.0, 2.0, 0.1, 3.0, 0.2, 1.0, 0.5])
    verdict = run(tuner, lambda _s, _b: next(levels))
    assert isinstance(verdict, OutOfReach)
    assert verdict.reason is Reason.NO_RESPONSE


def test_a_black_test_before_a_measured_one_is_no_contradiction() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)), KnownLight(1e5))
    signals = iter([1.0])
    tuned = run(tuner, lambda s, _: next(signals, 1000 * s))
    assert isinstance(tuned, Tuned)


def test_one_change_of_the_light_is_tolerated() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    rates = iter([40000, 10000, 10000, 10000, 10000, 10000])
    tuned = run(tuner, lambda s, _: next(rates) * s)
    assert isinstance(tuned, Tuned)
    assert tuned.rate_adu_per_s == pytest.approx(10000)


def test_dead_time_of_the_shutter_is_learned() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.02, 0.4)))
    tuned = run(tuner, lambda s, _: 2e5 * max(0.0, s - 0.05))
    assert isinstance(tuned, Tuned)
    assert tuned.tests <= 4


def test_a_good_test_at_the_limit_is_accepted() -> None:
    tuned = run(FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 2))), lambda s, _: 0.315 / 2 * 65035 * s)
    assert isinstance(tuned, Tuned)
    assert tuned.exposure_s == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_impossible_values_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="has impossible values"):
        FlatTest(1.0, None, value)
    with pytest.raises(ValueError, match="has impossible values"):
        FlatTest(1.0, None, 1000.0, saturated_fraction=value)
    with pytest.raises(ValueError, match="has impossible values"):
        FlatTest(value, None, 1000.0)
    with pytest.raises(ValueError, match="full scale"):
        FlatTarget(value, 65535)
    with pytest.raises(ValueError, match="learned"):
        KnownLight(value)


@pytest.mark.parametrize("brightness", [None, 0])
def test_a_test_must_name_the_brightness_of_a_panel_that_has_one(brightness: int | None) -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30), brightness=PANEL))
    with pytest.raises(ValueError, match="does not fit"):
        tuner.observe(FlatTest(1.0, brightness, 1000.0))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: FlatTarget(500, 400),
        lambda: FlatTarget(500, 65535, fraction=0.6),
        lambda: ExposureSpan(0, 1),
        lambda: ExposureSpan(2, 1),
        lambda: BrightnessRange(5, 5),
        lambda: BrightnessRange(0, 5, 0),
        lambda: TuningLimits(ExposureSpan(0.1, 1), maximum_tests=0),
        lambda: TuningLimits(ExposureSpan(0.3, 0.7), exposure_step_s=1.0),
        lambda: TuningLimits(ExposureSpan(0.3, 0.7), exposure_step_s=math.nan),
    ],
)
def test_impossible_limits_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wrong()


@st.composite
def limits_of_all_kinds(draw: st.DrawFn) -> TuningLimits:
    shortest_s = draw(st.floats(1e-5, 5))
    step_s = draw(st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.1]))
    longest_s = max(shortest_s, step_s) * draw(st.floats(2, 1e5))
    minimum = draw(st.integers(0, 20))
    panels = st.builds(
        BrightnessRange,
        st.just(minimum),
        st.integers(minimum + 1, minimum + 5000),
        st.integers(1, 60),
    )
    return TuningLimits(
        ExposureSpan(shortest_s, longest_s),
        brightness=draw(st.none() | panels),
        exposure_step_s=step_s,
        maximum_tests=draw(st.integers(1, 12)),
    )


levels = st.floats(-1000, 70000) | st.sampled_from([0.0, 500.0, 4095.0, 16383.0, 65000.0, 65535.0])


@settings(max_examples=400, deadline=None)
@given(
    limits=limits_of_all_kinds(),
    answers=st.lists(st.tuples(levels, st.sampled_from([0.0, 0.005, 0.5, 1.0]), st.sampled_from([0.0, 5.0, math.inf]))),
    known=st.none() | st.builds(KnownLight, st.floats(1e-6, 1e12), st.none() | st.integers(0, 9000)),
    curve=st.dictionaries(st.integers(1, 5000), st.floats(1e-6, 1e6)).map(PanelCurve.through),
)
def test_any_results_end_the_search_within_its_limits(
    limits: TuningLimits, answers: list[tuple[float, float, float]], known: KnownLight | None, curve: PanelCurve
) -> None:
    tuner = FlatTuner(TARGET, limits, known, curve)
    replies = iter([*answers, *[(500.0, 0.0, 1.0)] * limits.maximum_tests])
    for _ in range(limits.maximum_tests + 1):
        decision = tuner.decide()
        assert decision == tuner.decide()
        if isinstance(decision, OutOfReach):
            return
        assert limits.exposure.contains(decision.exposure_s)
        assert float(f"{decision.exposure_s!r}") == decision.exposure_s
        if limits.brightness is None:
            assert decision.brightness is None
        else:
            assert decision.brightness
            assert decision.brightness == limits.brightness.nearest(decision.brightness)
        if isinstance(decision, Tuned):
            assert any((t.exposure_s, t.brightness) == (decision.exposure_s, decision.brightness) for t in tuner.tests)
            assert 0.3 < decision.signal_adu / (decision.target.full_scale_adu - TARGET.bias_adu) < 0.5
            return
        level_adu, saturated, noise_adu = next(replies)
        tuner.observe(FlatTest(decision.exposure_s, decision.brightness, level_adu, saturated, noise_adu))
        assert isinstance(tuner.curve, PanelCurve)
    pytest.fail("the tuner did not end")


def test_the_saturating_frame_is_requested_once() -> None:
    def level_adu(exposure_s: float) -> float:
        return min(500 + 20000 * exposure_s, 45000.0)

    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    run(tuner, lambda s, _: 20000 * s)
    assert tuner.target.full_scale_adu == 65535
    shot = tuner.saturating_shot()
    assert shot is not None
    assert 500 + 20000 * shot.exposure_s > 65535
    tuner.observe(FlatTest(shot.exposure_s, None, level_adu(shot.exposure_s), noise_adu=3.0))
    assert tuner.saturating_shot() is None
    tuned = run(tuner, lambda s, _: 20000 * s, clip_adu=45000)
    assert isinstance(tuned, Tuned)
    assert tuned.target.full_scale_adu == 45000
    assert 0.3 <= tuned.signal_adu / 44500 <= 0.5
    assert tuner.saturating_shot() is None


def test_no_saturating_frame_is_requested_if_a_test_has_shown_the_saturation() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    assert isinstance(run(tuner, lambda s, _: 5e6 * s), Tuned)
    assert tuner.saturating_shot() is None


def test_hot_pixels_at_a_converters_top_save_a_test() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    shot = tuner.decide()
    assert isinstance(shot, Shoot)
    tuner.observe(FlatTest(shot.exposure_s, None, 700.0, noise_adu=8.0, saturation_adu=4095))
    assert tuner.target.full_scale_adu == 4095
    shot = tuner.decide()
    assert isinstance(shot, Shoot)
    assert shot.exposure_s == pytest.approx(0.125 * 0.4 * 3595 / 200, rel=0.01)


@pytest.mark.parametrize(("part", "starved"), [(0.9, False), (0.4, False), (0.1, True)])
def test_the_brightest_channel_is_tuned_for_all_of_them(part: float, starved: bool) -> None:  # noqa: FBT001 - a verdict
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 30)))
    while isinstance(decision := tuner.decide(), Shoot):
        signal_adu = min(20000 * decision.exposure_s, 65035.0)
        noise_adu = math.sqrt(signal_adu)
        tuner.observe(
            FlatTest(decision.exposure_s, None, 500 + signal_adu, 0.0, noise_adu, faintest_adu=500 + part * signal_adu)
        )
    assert isinstance(decision, Tuned)
    assert decision.is_starved is starved
    assert ("faintest colour" in decision.message) is starved
    assert decision.target.faintest_part == pytest.approx(part)
    fraction = decision.signal_adu / 65035
    assert fraction <= 0.5
    assert starved or part * fraction >= 0.15


def test_a_panel_that_is_off_is_not_searched_up_to_the_longest_exposure() -> None:
    tuner = FlatTuner(TARGET, TuningLimits(ExposureSpan(0.001, 60), brightness=PANEL))
    verdict = run(tuner, lambda _s, _b: 2.0)
    assert isinstance(verdict, OutOfReach)
    assert verdict.reason is Reason.NO_RESPONSE
    assert sum(test.exposure_s for test in tuner.tests) < 4


@pytest.mark.parametrize("light", [1000.0, 1900.0, 2700.0, 4400.0, 7300.0, 9700.0])
def test_the_brightness_fits_the_light_to_shutter_times_that_are_whole_stops_apart(light: float) -> None:
    listed_s = (1 / 4000, 1 / 60, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 30.0)
    limits = TuningLimits(ExposureSpan(1 / 4000, 30.0), brightness=PANEL, shutter_s=listed_s)
    tuned = run(FlatTuner(TARGET, limits), lambda s, b: light * b * s)
    assert isinstance(tuned, Tuned)
    assert tuned.exposure_s in listed_s
    assert 0.5 <= tuned.exposure_s <= 3


def test_a_panel_without_brightness_cannot_fit_the_light_to_shutter_times_that_are_stops_apart() -> None:
    limits = TuningLimits(ExposureSpan(1 / 4000, 30.0), shutter_s=(1 / 4, 1.0, 4.0))
    assert isinstance(found := run(FlatTuner(TARGET, limits), lambda s, _: 42_000 * s), OutOfReach)
    assert found.reason is Reason.STEPS_TOO_COARSE
