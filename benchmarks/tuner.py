"""How many test frames flats need: the tuner beside the rules of other programs, over simulated lights.

``python -m benchmarks.tuner [CASES]`` prints two tables. The rules of the others are re-implemented from descriptions
of what they do, not from their code; all of them get the same target (40 % of the range), the same limits and at most
50 tests. They change the exposure only, so the panel stays where a user would have left it, at half its range.
"""

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console
from rich.table import Table

from coldframe.capture.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner import (
    BrightnessRange,
    ExposureSpan,
    FlatTarget,
    FlatTest,
    FlatTuner,
    KnownLight,
    OutOfReach,
    Shoot,
    Tuned,
    TuningLimits,
)

BAND = (0.30, 0.50)
ENDLESS = 50


class Shape(StrEnum):
    """How a panel answers to its brightness setting."""

    SWITCHED = "no brightness"
    LINEAR = "linear"
    GAMMA = "gamma"
    STEPPED = "PWM steps"
    SATURATING = "saturating"
    DEAD = "dead brightness"


@dataclass
class Light:
    """A light, the filter before it and the camera behind, as one random case.

    `rate_adu_per_s` is the signal per second at full brightness; the data really clip at `clip_adu` and are said to
    clip at `full_scale_adu`; `parameter` belongs to the shape; `drift` is the relative change from frame to frame.
    """

    shape: Shape
    parameter: float
    rate_adu_per_s: float
    dead_time_s: float
    drift: float
    bias_adu: float
    clip_adu: float
    full_scale_adu: float
    gain_e_per_adu: float
    limits: TuningLimits
    noise: random.Random
    shots: int = field(default=0)

    def response(self, brightness: int | None) -> float:
        """Light at a brightness, relative to the brightest."""
        if brightness is None or self.shape is Shape.DEAD:
            return 1.0
        panel = self.limits.brightness
        assert panel is not None
        part = brightness / panel.maximum
        match self.shape:
            case Shape.GAMMA:
                return float(part**self.parameter)
            case Shape.STEPPED:
                return math.ceil(part * self.parameter) / self.parameter
            case Shape.SATURATING:
                return (1 - math.exp(-part / self.parameter)) / (1 - math.exp(-1 / self.parameter))
            case _:
                return part

    def signal_adu(self, exposure_s: float, brightness: int | None) -> float:
        """Return the signal before drift, noise and clipping."""
        return self.rate_adu_per_s * self.response(brightness) * max(0.0, exposure_s - self.dead_time_s)

    def shoot(self, exposure_s: float, brightness: int | None) -> FlatTest:
        """Shoot a frame: the light drifts on, the level has the noise of a median and of the bias level, and clips."""
        self.shots += 1
        signal_adu = self.signal_adu(exposure_s, brightness) * (1 + self.drift) ** self.shots
        spread_adu = math.hypot(math.sqrt(signal_adu / self.gain_e_per_adu), 0.005 * signal_adu, 2.0)
        level_adu = self.bias_adu + signal_adu + self.noise.gauss(0.0, 0.3 + 0.001 * signal_adu)
        clipped_part = 0.5 * math.erfc((self.clip_adu - level_adu) / spread_adu / math.sqrt(2))
        step_adu = 16 if self.clip_adu == 65520 else 1  # 12 bits scaled to 16
        return FlatTest(
            exposure_s=exposure_s,
            brightness=brightness,
            level_adu=min(step_adu * round(level_adu / step_adu), self.clip_adu),
            saturated_fraction=clipped_part if self.clip_adu >= self.full_scale_adu else 0.0,
            noise_adu=0.0 if clipped_part > 0.84 else spread_adu,
        )

    def fraction(self, signal_adu: float) -> float:
        """Return a signal as part of the range that is really usable."""
        return signal_adu / (self.clip_adu - self.bias_adu)

    def reachable(self, margin: float) -> bool:
        """Tell whether some allowed setting gives a signal in the band, `margin` of its width inside.

        Where the data clip far below the level that they are said to, a rule must be able to see them clip.
        """
        panel, span = self.limits.brightness, self.limits.exposure
        kept = margin * (BAND[1] - BAND[0])
        low, high = BAND[0] + kept, BAND[1] - kept
        settings = [None] if panel is None else [panel.dimmest, panel.brightest]
        dim = min(self.fraction(self.signal_adu(span.shortest_s, setting)) for setting in settings)
        bright = max(self.fraction(self.signal_adu(span.longest_s, setting)) for setting in settings)
        return dim <= high and bright >= (low if self.clip_adu > 0.9 * self.full_scale_adu else 1.2)


DEPTHS = (
    *[(500.0, 65535.0, 65535.0), (200.0, 65520.0, 65520.0), (64.0, 4095.0, 4095.0), (250.0, 16383.0, 16383.0)] * 4,
    # Data that clip below what they are said to: just so, and unscaled in 16-bit files.
    *[(1000.0, 65000.0, 65535.0), (64.0, 4095.0, 65535.0), (250.0, 16383.0, 65535.0)],
)
"""Bias level, level at which the data clip, and the one at which they are said to, ADU."""


def random_light(seed: int, shape: Shape) -> Light:
    """Draw a case: bright broadband to faint narrowband, 12 to 16 bits, a shutter, a drift."""
    rng = random.Random(seed)
    bias_adu, clip_adu, full_scale_adu = rng.choice(DEPTHS)
    needed_s = 10 ** rng.uniform(math.log10(0.005), math.log10(20.0))
    mechanical = rng.random() < 0.3
    panels = [
        BrightnessRange(0, 255),
        BrightnessRange(1, 255),
        BrightnessRange(0, 100),
        BrightnessRange(0, 4096),
        BrightnessRange(0, 1000, 10),
    ]
    parameter = {
        Shape.GAMMA: rng.choice([0.5, 0.8, 1.3, 1.8, 2.2]),
        Shape.STEPPED: rng.choice([16, 32, 64, 128]),
        Shape.SATURATING: rng.uniform(0.2, 0.8),
    }.get(shape, 0.0)
    return Light(
        shape=shape,
        parameter=parameter,
        rate_adu_per_s=0.4 * (clip_adu - bias_adu) / needed_s,
        dead_time_s=rng.uniform(0.0, 0.02) if mechanical else 0.0,
        drift=rng.uniform(-0.01, 0.01),
        bias_adu=bias_adu,
        clip_adu=clip_adu,
        full_scale_adu=full_scale_adu,
        gain_e_per_adu=rng.uniform(0.2, 2.0) * 65535 / clip_adu,
        limits=TuningLimits(
            exposure=ExposureSpan(0.05 if mechanical else 0.0001, 30.0),
            brightness=None if shape is Shape.SWITCHED else rng.choice(panels),
        ),
        noise=rng,
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What a rule made of a light. `fraction` is that of an independent frame at the setting found."""

    tests: int
    exposure_s: float | None = None
    fraction: float | None = None
    message: str = ""


Rule = Callable[[Light], Result]


def coldframe_rule(light: Light) -> Result:
    """Tune, knowing nothing of the light."""
    return _tune(light, None)


def coldframe_next_filter_rule(light: Light) -> Result:
    """Tune, knowing the panel from one other filter of the same night, up to ten times brighter or fainter."""
    rate_adu_per_s = light.rate_adu_per_s
    light.rate_adu_per_s *= 10 ** light.noise.uniform(-1, 1)
    before = _finished(light, None)
    light.rate_adu_per_s = rate_adu_per_s
    light.shots = 0
    light.full_scale_adu = before.target.full_scale_adu
    return _tune(light, None, before.curve)


def coldframe_next_night_rule(light: Light) -> Result:
    """Start from what was learned the night before; the light has changed by up to 10 % since."""
    first = _finished(light, None).decide()
    light.shots = 0
    if not isinstance(first, Tuned):
        return _tune(light, None)
    light.rate_adu_per_s *= light.noise.uniform(0.9, 1.1)
    light.full_scale_adu = first.full_scale_adu
    return _tune(light, KnownLight(first.rate_adu_per_s, first.brightness))


def _finished(light: Light, known: KnownLight | None, curve: PanelCurve = PROPORTIONAL) -> FlatTuner:
    """Return a tuner that has come to its end."""
    target = FlatTarget(light.bias_adu, light.full_scale_adu, band=BAND)
    tuner = FlatTuner(target, light.limits, known, curve)
    while isinstance(decision := tuner.decide(), Shoot):
        tuner.observe(light.shoot(decision.exposure_s, decision.brightness))
    return tuner


def _tune(light: Light, known: KnownLight | None, curve: PanelCurve = PROPORTIONAL) -> Result:
    decision = _finished(light, known, curve).decide()
    assert not isinstance(decision, Shoot)
    if isinstance(decision, OutOfReach):
        return Result(tests=light.shots, message=decision.message)
    return _checked(light, decision.exposure_s, decision.brightness, light.shots, decision.message)


def _checked(light: Light, exposure_s: float, brightness: int | None, tests: int, message: str = "") -> Result:
    level_adu = light.shoot(exposure_s, brightness).level_adu
    return Result(tests, exposure_s, light.fraction(level_adu - light.bias_adu), message)


def _half(light: Light) -> int | None:
    panel = light.limits.brightness
    return None if panel is None else panel.nearest(panel.maximum / 2)


def nina_rule(light: Light) -> Result:
    """Follow N.I.N.A.: start mid-range, 10 % of the raw level, 21 tries, raw proportion, bisection after clipping."""
    low_s, high_s = light.limits.exposure.shortest_s, light.limits.exposure.longest_s
    wanted_adu = 0.4 * light.full_scale_adu
    exposure_s = (low_s + high_s) / 2
    for tries in range(1, 22):
        test = light.shoot(exposure_s, _half(light))
        if abs(test.level_adu - wanted_adu) <= 0.1 * wanted_adu:
            return _checked(light, exposure_s, _half(light), tries)
        if test.level_adu > wanted_adu:
            high_s = exposure_s
        else:
            low_s = exposure_s
        proportional_s = exposure_s * wanted_adu / test.level_adu
        clipped = test.level_adu >= 0.95 * light.full_scale_adu
        exposure_s = (low_s + high_s) / 2 if clipped or not low_s < proportional_s < high_s else proportional_s
    return Result(21)


def ekos_rule(light: Light) -> Result:
    """Follow Ekos: within 1,000 ADU, a line through the points seen, no cap of its own."""
    wanted_adu = 0.4 * light.full_scale_adu
    span = light.limits.exposure
    exposure_s = 1.0
    seen: list[tuple[float, float]] = []
    for tries in range(1, ENDLESS + 1):
        test = light.shoot(exposure_s, _half(light))
        if abs(test.level_adu - wanted_adu) <= 1000:
            return _checked(light, exposure_s, _half(light), tries)
        if test.level_adu < light.full_scale_adu:
            seen.append((exposure_s, test.level_adu))
        exposure_s = span.clamp(_line_s(seen, wanted_adu) or exposure_s * (0.5 if test.level_adu > wanted_adu else 2.0))
    return Result(ENDLESS)


def _line_s(points: Sequence[tuple[float, float]], wanted_adu: float) -> float | None:
    """Fit a line to at least two points and solve it for the exposure; None where that gives none above zero."""
    mean_s = math.fsum(s for s, _ in points) / max(len(points), 1)
    mean_adu = math.fsum(adu for _, adu in points) / max(len(points), 1)
    covariance = math.fsum((s - mean_s) * (adu - mean_adu) for s, adu in points)
    variance = math.fsum((s - mean_s) ** 2 for s, _ in points)
    if covariance <= 0 or variance <= 0:
        return None
    exposure_s = mean_s + (wanted_adu - mean_adu) * variance / covariance
    return exposure_s if exposure_s > 0 else None


def pyobs_rule(light: Light) -> Result:
    """Follow pyobs: bias subtracted, the factor held within 0.1 to 10, within 20 %."""
    wanted_adu = 0.4 * (light.full_scale_adu - light.bias_adu)
    exposure_s = light.limits.window.middle_s
    for tries in range(1, ENDLESS + 1):
        signal_adu = light.shoot(exposure_s, _half(light)).level_adu - light.bias_adu
        if abs(signal_adu - wanted_adu) <= 0.2 * wanted_adu:
            return _checked(light, exposure_s, _half(light), tries)
        factor = min(max(wanted_adu / signal_adu, 0.1), 10.0) if signal_adu > 0 else 10.0
        exposure_s = light.limits.exposure.clamp(exposure_s * factor)
    return Result(ENDLESS)


RULES: dict[str, Rule] = {
    "coldframe, first filter": coldframe_rule,
    "coldframe, next filter": coldframe_next_filter_rule,
    "coldframe, later night": coldframe_next_night_rule,
    "N.I.N.A.": nina_rule,
    "Ekos": ekos_rule,
    "pyobs": pyobs_rule,
}


WORKING = tuple(shape for shape in Shape if shape is not Shape.DEAD)
"""A brightness without effect is a fault: it has a row of its own."""


def lights(cases: int, shapes: Sequence[Shape] = WORKING) -> Iterator[tuple[int, Shape]]:
    """Return seed and shape of each case, the shapes in turn."""
    return ((seed, shapes[seed % len(shapes)]) for seed in range(cases))


def percentile(values: Sequence[int], part: float) -> int:
    """Return the smallest value that at least `part` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def _row(cases: Sequence[tuple[Light, Result]]) -> list[str]:
    """Figures over cases that can be reached."""
    found = [(light, result) for light, result in cases if result.fraction is not None]
    tests = [result.tests for _, result in cases]
    good = sum(BAND[0] <= (result.fraction or 0) <= BAND[1] for _, result in found)
    inside = sum(light.limits.window.contains(result.exposure_s or 0) for light, result in found)
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


COLUMNS = ("reachable cases", "reached", "next frame in 30-50 %", "0.5 to 3 s", "tests: median", "95 %", "most", "mean")


def _table(title: str, first: str) -> Table:
    table = Table(first, title=title)
    for column in COLUMNS:
        table.add_column(column, justify="right")
    return table


def main(cases: int) -> None:
    """Print the tables."""
    drawn = [(seed, shape) for seed, shape in lights(cases) if random_light(seed, shape).reachable(0.1)]
    by_rule = _table(f"{cases:,} simulated lights, all rules", "rule")
    by_shape = _table("coldframe, first filter, by the panel's response", "panel")
    for name, rule in RULES.items():
        by_rule.add_row(name, *_row(_results(rule, drawn)))
    for shape in Shape:
        alike = [case for case in lights(cases // 5, (shape,)) if random_light(*case).reachable(0.1)]
        by_shape.add_row(shape.value, *_row(_results(coldframe_rule, alike)))
    console = Console(width=140)
    console.print(by_rule)
    console.print(by_shape)


def _results(rule: Rule, drawn: Sequence[tuple[int, Shape]]) -> list[tuple[Light, Result]]:
    return [(light, rule(light)) for light in (random_light(seed, shape) for seed, shape in drawn)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
