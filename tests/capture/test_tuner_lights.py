"""The tuner over many simulated lights: the acceptance numbers, on a smaller draw than the benchmark's."""

import pytest

from benchmarks.tuner import (
    BAND,
    RULES,
    Light,
    Result,
    Rule,
    Shape,
    coldframe_next_filter_rule,
    coldframe_next_night_rule,
    coldframe_rule,
    lights,
    percentile,
    random_light,
)

CASES = 900


def results(rule: Rule) -> list[tuple[Light, Result]]:
    drawn = (random_light(seed, shape) for seed, shape in lights(CASES))
    return [(light, rule(light)) for light in drawn if light.reachable(0.1)]


@pytest.mark.parametrize(
    ("rule", "median", "high"),
    [(coldframe_rule, 3, 4), (coldframe_next_filter_rule, 2, 4), (coldframe_next_night_rule, 1, 3)],
)
def test_every_reachable_light_is_tuned_in_few_tests_and_the_next_frame_is_in_the_band(
    rule: Rule, median: int, high: int
) -> None:
    cases = results(rule)
    assert len(cases) > 0.9 * CASES
    for light, result in cases:
        assert result.fraction is not None, (light, result)
        assert BAND[0] <= result.fraction <= BAND[1], (light, result)
    tests = [result.tests for _, result in cases]
    assert percentile(tests, 0.5) <= median
    assert percentile(tests, 0.95) <= high
    assert max(tests) <= 10


@pytest.mark.parametrize("shape", [Shape.SWITCHED, Shape.LINEAR])
def test_a_plain_light_takes_two_tests(shape: Shape) -> None:
    tests = [result.tests for light, result in results(coldframe_rule) if light.shape is shape]
    assert percentile(tests, 0.5) == 2
    assert percentile(tests, 0.95) <= 3


def test_lights_out_of_reach_are_told_and_never_tuned() -> None:
    unreachable = 0
    for seed, shape in lights(CASES):
        light = random_light(seed, shape)
        light.rate_adu_per_s *= 1e6 if seed % 2 else 1e-4
        if not light.reachable(-0.3):
            unreachable += 1
            result = coldframe_rule(light)
            assert result.fraction is None, (light, result)
            assert result.message
            assert result.tests <= 10
    assert unreachable > CASES / 2


def test_the_other_rules_need_more_tests() -> None:
    ours = sum(result.tests for _, result in results(coldframe_rule))
    for name in ("N.I.N.A.", "Ekos", "pyobs"):
        assert sum(result.tests for _, result in results(RULES[name])) > 2 * ours
