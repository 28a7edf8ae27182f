"""Acceptance tests of the tuner on many simulated lights, with a smaller sample than the benchmark."""

import pytest

from benchmarks.lights import WORKING, Shape, drawn, drawn_in_reach
from benchmarks.tuner import (
    RULES,
    Rule,
    coldframe_new_camera_rule,
    coldframe_next_filter_rule,
    coldframe_next_night_rule,
    coldframe_rule,
    percentile,
    results,
)

CASES = 420
RULE_NUMBERS = [
    (coldframe_new_camera_rule, 3, 5),
    (coldframe_rule, 2, 4),
    (coldframe_next_filter_rule, 2, 4),
    (coldframe_next_night_rule, 1, 2),
]


@pytest.mark.parametrize(("rule", "median", "high"), RULE_NUMBERS)
@pytest.mark.parametrize("cases", [CASES, pytest.param(4000, marks=pytest.mark.deep)])
def test_every_reachable_light_is_tuned_in_few_tests_and_the_next_frame_is_good(
    rule: Rule, median: int, high: int, cases: int
) -> None:
    done = results(rule, drawn_in_reach(cases))
    assert len(done) > 0.9 * cases
    for light, result in done:
        assert result.after is not None, (light, result)
        assert light.is_good(result.after), (light, result)
    tests = [result.tests for _, result in done]
    assert percentile(tests, 0.5) <= median
    assert percentile(tests, 0.95) <= high
    assert max(tests) <= 10


@pytest.mark.parametrize("shape", [Shape.SWITCHED, Shape.LINEAR])
def test_a_plain_light_takes_two_tests(shape: Shape) -> None:
    tests = [result.tests for _, result in results(coldframe_rule, drawn_in_reach(CASES // 2, (shape,)))]
    assert percentile(tests, 0.5) == 2
    assert percentile(tests, 0.95) <= 3


def test_no_channel_is_clipped_or_starved_unnecessarily() -> None:
    colour = [light for light in drawn_in_reach(CASES) if light.colours and light.faintest_part > 0.36]
    assert len(colour) > CASES / 4
    for light, result in results(coldframe_rule, colour):
        assert result.after is not None
        assert result.after.faintest_adu is not None
        assert (result.after.level_adu - light.converter.bias_adu) / light.range_adu <= 0.501
        assert (result.after.faintest_adu - light.converter.bias_adu) / light.range_adu >= 0.149


def test_unreachable_lights_are_reported_and_never_tuned() -> None:
    unreachable = 0
    for number, light in enumerate(drawn(CASES, WORKING)):
        light.rate_adu_per_s *= 1e6 if number % 2 else 1e-4
        if not light.reachable(-0.3):
            unreachable += 1
            result = coldframe_new_camera_rule(light)
            assert result.after is None, (light, result)
            assert result.message
            assert result.tests <= 10
    assert unreachable > CASES / 2


def test_the_other_rules_need_more_tests() -> None:
    ours = sum(result.tests for _, result in results(coldframe_new_camera_rule, drawn_in_reach(CASES)))
    for name in ("N.I.N.A.", "Ekos", "pyobs"):
        assert sum(result.tests for _, result in results(RULES[name], drawn_in_reach(CASES))) > 2 * ours
