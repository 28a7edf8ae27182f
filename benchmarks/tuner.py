"""Count the test frames that flats need on simulated lights, for the tuner and for the rules of other programs.

``python -m benchmarks.tuner [CASES]`` prints two tables. The rules of the other programs are re-implemented from
descriptions of their behaviour, not from their code. All rules have the same target (40 % of the range) and the same
limits, and use at most 50 tests. The other programs change only the exposure, so the panel stays at half its range, as
a user might leave it. For a colour camera, these programs use the median of all pixels.
"""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.lights import BAND, Light, Shape, drawn_in_reach
from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.tuner.tuner import FlatTuner, KnownLight, OutOfReach, Shoot, Tuned

ENDLESS = 50


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a rule. `after` is an independent frame at the setting found, or None if no setting was found."""

    tests: int
    after: FlatTest | None = None
    message: str = ""


Rule = Callable[[Light], Result]


def coldframe_new_camera_rule(light: Light) -> Result:
    """Tune without knowledge of the light, the panel and the saturation level."""
    return _result(light, _seen_to_saturate(light))


def coldframe_rule(light: Light) -> Result:
    """Tune with the saturation level known from an earlier night, but without knowledge of the light and the panel."""
    return _result(light, _finished(light, _full_scale_adu(light)))


def coldframe_next_filter_rule(light: Light) -> Result:
    """Tune with the panel and the camera known from a different filter, up to ten times brighter or fainter."""
    full_scale_adu, rate_adu_per_s = _full_scale_adu(light), light.rate_adu_per_s
    light.rate_adu_per_s *= 10 ** light.noise.uniform(-1, 1)
    before = _finished(light, full_scale_adu)
    light.rate_adu_per_s = rate_adu_per_s
    light.shots = 0
    return _result(light, _finished(light, before.target.full_scale_adu, None, before.curve))


def coldframe_next_night_rule(light: Light) -> Result:
    """Tune with the values learned the night before. The light has since changed by up to 10 %."""
    first = _seen_to_saturate(light).decide()
    light.shots = 0
    if not isinstance(first, Tuned):
        return coldframe_rule(light)
    rate_adu_per_s = light.rate_adu_per_s
    light.rate_adu_per_s *= light.noise.uniform(0.9, 1.1)
    if not light.reachable(0.1):
        light.rate_adu_per_s = rate_adu_per_s
    known = KnownLight(first.rate_adu_per_s, first.brightness, first.target.faintest_part)
    return _result(light, _finished(light, first.target.full_scale_adu, known))


def _full_scale_adu(light: Light) -> float:
    """Return the level at which the camera saturated on an earlier night."""
    full_scale_adu = _seen_to_saturate(light).target.full_scale_adu
    light.shots = 0
    return full_scale_adu


def _finished(
    light: Light, full_scale_adu: float, known: KnownLight | None = None, curve: PanelCurve = PROPORTIONAL
) -> FlatTuner:
    """Return a tuner that has finished."""
    tuner = FlatTuner(FlatTarget(light.converter.bias_adu, full_scale_adu, band=BAND), light.limits, known, curve)
    _finish(light, tuner)
    return tuner


def _seen_to_saturate(light: Light) -> FlatTuner:
    """Return a tuner that has finished and measured saturation, starting with the level that the driver declares."""
    tuner = _finished(light, light.converter.full_scale_adu)
    saturating = tuner.saturating_shot()
    if saturating is not None:
        tuner.observe(light.shoot(saturating.exposure_s, saturating.brightness))
        _finish(light, tuner)
    return tuner


def _finish(light: Light, tuner: FlatTuner) -> None:
    while isinstance(decision := tuner.decide(), Shoot):
        tuner.observe(light.shoot(decision.exposure_s, decision.brightness))


def _result(light: Light, tuner: FlatTuner) -> Result:
    decision = tuner.decide()
    assert not isinstance(decision, Shoot)
    if isinstance(decision, OutOfReach):
        return Result(tests=light.shots, message=decision.message)
    tests = light.shots
    return Result(tests, light.shoot(decision.exposure_s, decision.brightness), decision.message)


def _shoot_half(light: Light, exposure_s: float) -> tuple[FlatTest, float]:
    """Shoot at half brightness. Return the frame and the median of all its pixels."""
    panel = light.limits.brightness
    test = light.shoot(exposure_s, None if panel is None else panel.nearest(panel.maximum / 2))
    return test, light.overall_adu(test)


def nina_rule(light: Light) -> Result:
    """Follow N.I.N.A.: start in the middle of the range, and stop within 10 % of the raw level or after 21 tries.

    The exposure changes in proportion to the raw level, or by bisection after clipping.
    """
    low_s, high_s = light.limits.exposure.shortest_s, light.limits.exposure.longest_s
    full_scale_adu = light.converter.full_scale_adu
    wanted_adu = 0.4 * full_scale_adu
    exposure_s = (low_s + high_s) / 2
    for tries in range(1, 22):
        _, level_adu = _shoot_half(light, exposure_s)
        if abs(level_adu - wanted_adu) <= 0.1 * wanted_adu:
            return Result(tries, _shoot_half(light, exposure_s)[0])
        if level_adu > wanted_adu:
            high_s = exposure_s
        else:
            low_s = exposure_s
        proportional_s = exposure_s * wanted_adu / level_adu
        clipped = level_adu >= 0.95 * full_scale_adu
        exposure_s = (low_s + high_s) / 2 if clipped or not low_s < proportional_s < high_s else proportional_s
    return Result(21)


def ekos_rule(light: Light) -> Result:
    """Follow Ekos: fit a line to the measured points until a level is within 1,000 ADU, with no limit on the tries."""
    full_scale_adu = light.converter.full_scale_adu
    wanted_adu = 0.4 * full_scale_adu
    span = light.limits.exposure
    exposure_s = 1.0
    seen: list[tuple[float, float]] = []
    for tries in range(1, ENDLESS + 1):
        _, level_adu = _shoot_half(light, exposure_s)
        if abs(level_adu - wanted_adu) <= 1000:
            return Result(tries, _shoot_half(light, exposure_s)[0])
        if level_adu < full_scale_adu:
            seen.append((exposure_s, level_adu))
        exposure_s = span.clamp(_line_s(seen, wanted_adu) or exposure_s * (0.5 if level_adu > wanted_adu else 2.0))
    return Result(ENDLESS)


def _line_s(points: Sequence[tuple[float, float]], wanted_adu: float) -> float | None:
    """Fit a line to the points, and solve it for the exposure. Return None if there is no positive solution."""
    mean_s = math.fsum(s for s, _ in points) / max(len(points), 1)
    mean_adu = math.fsum(adu for _, adu in points) / max(len(points), 1)
    covariance = math.fsum((s - mean_s) * (adu - mean_adu) for s, adu in points)
    variance = math.fsum((s - mean_s) ** 2 for s, _ in points)
    if covariance <= 0 or variance <= 0:
        return None
    exposure_s = mean_s + (wanted_adu - mean_adu) * variance / covariance
    return exposure_s if exposure_s > 0 else None


def pyobs_rule(light: Light) -> Result:
    """Follow pyobs: subtract the bias, limit each factor to the range from 0.1 to 10, and stop within 20 %."""
    converter = light.converter
    wanted_adu = 0.4 * (converter.full_scale_adu - converter.bias_adu)
    exposure_s = light.limits.window.middle_s
    for tries in range(1, ENDLESS + 1):
        signal_adu = _shoot_half(light, exposure_s)[1] - converter.bias_adu
        if abs(signal_adu - wanted_adu) <= 0.2 * wanted_adu:
            return Result(tries, _shoot_half(light, exposure_s)[0])
        factor = min(max(wanted_adu / signal_adu, 0.1), 10.0) if signal_adu > 0 else 10.0
        exposure_s = light.limits.exposure.clamp(exposure_s * factor)
    return Result(ENDLESS)


RULES: dict[str, Rule] = {
    "coldframe, new camera": coldframe_new_camera_rule,
    "coldframe, first filter": coldframe_rule,
    "coldframe, next filter": coldframe_next_filter_rule,
    "coldframe, later night": coldframe_next_night_rule,
    "N.I.N.A.": nina_rule,
    "Ekos": ekos_rule,
    "pyobs": pyobs_rule,
}


def percentile(values: Sequence[int], part: float) -> int:
    """Return the smallest value that at least `part` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def results(rule: Rule, lights: Iterable[Light]) -> list[tuple[Light, Result]]:
    """Return the result of a rule for each light."""
    return [(light, rule(light)) for light in lights]


def _row(cases: Sequence[tuple[Light, Result]]) -> list[str]:
    """Return a row of the table for the reachable cases."""
    found = [(light, result.after) for light, result in cases if result.after is not None]
    tests = [result.tests for _, result in cases]
    good = sum(light.is_good(after) for light, after in found)
    inside = sum(light.limits.window.contains(after.exposure_s) for light, after in found)
    return [
        str(len(cases)),
        f"{100 * len(found) / len(cases):.1f} %",
        f"{100 * good / max(len(found), 1):.1f} %",
        f"{100 * inside / max(len(found), 1):.0f} %",
        str(percentile(tests, 0.5)),
        str(percentile(tests, 0.95)),
        str(max(tests)),
        f"{sum(tests) / len(tests):.2f}",
    ]


COLUMNS = ("reachable cases", "reached", "next frame good", "0.5 to 3 s", "tests: median", "95 %", "most", "mean")


def _table(title: str, first: str) -> Table:
    table = Table(first, title=title)
    for column in COLUMNS:
        table.add_column(column, justify="right")
    return table


def main(cases: int) -> None:
    """Print the tables."""
    by_rule = _table(f"{cases:,} simulated lights, all rules", "rule")
    by_shape = _table("coldframe, first filter, by the panel's response", "panel")
    for name, rule in RULES.items():
        by_rule.add_row(name, *_row(results(rule, drawn_in_reach(cases))))
    for shape in Shape:
        by_shape.add_row(shape.value, *_row(results(coldframe_rule, drawn_in_reach(cases // 5, (shape,)))))
    console = Console(width=140)
    console.print(by_rule)
    console.print(by_shape)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
