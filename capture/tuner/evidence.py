"""Determine from the test frames how bright the lamp is and which exposures reach the target.

This module performs no I/O.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.limits import ExposureSpan
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, NeededExposures, PanelCurve, predict_exposure_s
from coldframe.capture.tuner.target import FlatTarget

CLIPPED_FRACTION = 0.01
"""Fraction of saturated pixels above which a test counts as clipped; hot pixels alone are a smaller fraction."""

CLIPPED_LEVEL = 0.95
"""Fraction of the usable range at or above which a signal counts as clipped.

It is below 1, because many sensors saturate below full scale.
"""

BLACK_LEVEL = 0.0005
BLACK_ADU = 6.0
"""A signal below `BLACK_ADU` plus `BLACK_LEVEL` times the usable range counts as black.

A signal this small might be only an error of the bias level.
"""

CLIPPED_STEP = 5.0
"""Factor by which a guessed exposure is divided once for each clipped test.

The level of a clipped test does not show by how much the exposure is too long.
"""

LESS_WITH_MORE = 0.8
"""If a longer exposure gives less than this fraction of a shorter exposure's signal, the lamp has changed."""

MORE_THAN_LINEAR = 1.5
"""If the ratio of two signals is more than this factor times the ratio of their exposures, and dead time cannot explain
this, the lamp has changed.
"""

HOPELESS_FACTOR = 2.0
"""If the signal at the longest exposure would be below the band's lower limit by more than this factor, the longest
exposure is not tried.
"""

LEAST_RANGE_ADU = 4000
"""Usable range of a 12-bit ADC in unscaled files.

No camera has a smaller range, so a lamp that is too faint for this range is too faint for any camera.
"""

LONG_EXPOSURE_S = 0.2
"""Shortest exposure for which the dead time of a shutter, some tens of milliseconds, hardly matters."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The test frames so far, the target adjusted to their colour channels, and the known curve of the panel."""

    target: FlatTarget
    tests: Sequence[FlatTest]
    curve: PanelCurve = PROPORTIONAL

    def signal_adu(self, test: FlatTest) -> float:
        """Return the level of a test above bias, in ADU."""
        return test.level_adu - self.target.bias_adu

    def percent(self, test: FlatTest) -> float:
        """Return the signal of a test as a percentage of the usable range."""
        return 100 * self.signal_adu(test) / self.target.range_adu

    def is_clipped(self, test: FlatTest) -> bool:
        """Return whether the light of a test was too bright to measure."""
        return (
            test.saturated_fraction > CLIPPED_FRACTION or self.signal_adu(test) >= CLIPPED_LEVEL * self.target.range_adu
        )

    def is_black(self, test: FlatTest) -> bool:
        """Return whether the light of a test was too faint to measure."""
        return self.signal_adu(test) < black_limit_adu(self.target)

    def is_measured(self, test: FlatTest) -> bool:
        """Return whether the signal of a test can be used for predictions."""
        return not (self.is_clipped(test) or self.is_black(test))

    def is_black_up_to(self, exposure_s: float) -> bool:
        """Return whether all tests were black and shorter than the given exposure."""
        return all(self.is_black(test) and test.exposure_s < exposure_s for test in self.tests)

    def is_too_faint(self, test: FlatTest, longest_s: float) -> bool:
        """Return whether even the longest exposure, in the camera with the smallest range, would be too dark."""
        most_adu = self.signal_adu(test) * longest_s / test.exposure_s
        return HOPELESS_FACTOR * most_adu < self.target.band[0] * LEAST_RANGE_ADU

    def is_above(self, test: FlatTest) -> bool:
        """Return whether the signal of a test is above the target."""
        return self.is_clipped(test) or self.signal_adu(test) > self.target.signal_adu

    def describe(self, test: FlatTest) -> str:
        """Return the test and its result as text."""
        state = (
            "clipped"
            if self.is_clipped(test)
            else "black"
            if self.is_black(test)
            else f"{self.percent(test):.1f} % of the usable range"
        )
        return f"{test.setting} gave {test.level_adu:.0f} ADU, {state}"

    def at(self, brightness: int) -> list[FlatTest]:
        """Return the tests at the given brightness, oldest first."""
        return [test for test in self.tests if test.brightness_key == brightness]

    def is_bracketed(self) -> bool:
        """Return whether a brightness was too dark and a higher one too bright, and no test gave a measurement."""
        dark = [test.brightness_key for test in self.tests if self.is_black(test)]
        bright = [test.brightness_key for test in self.tests if self.is_clipped(test)]
        return len(dark) + len(bright) == len(self.tests) and max(dark, default=math.inf) < min(bright, default=0)

    def is_measured_at(self, brightness: int) -> bool:
        """Return whether any test at the given brightness gave a measurement."""
        return any(self.is_measured(test) for test in self.at(brightness))

    def dark_below(self, brightness: int) -> int | None:
        """Return the next lower tested brightness if it was black and the given one was not, otherwise None."""
        below = max((test.brightness_key for test in self.tests if test.brightness_key < brightness), default=None)
        if below is None or self.is_black_at(brightness):
            return None
        return below if self.is_black_at(below) else None

    def is_black_at(self, brightness: int) -> bool:
        """Return whether all tests at the given brightness were black."""
        return all(self.is_black(test) for test in self.at(brightness))

    def newest_at(self, brightness: int, exposure_s: float) -> FlatTest | None:
        """Return the newest test at the given brightness and exposure, or None."""
        return next(
            (test for test in reversed(self.at(brightness)) if math.isclose(test.exposure_s, exposure_s, rel_tol=1e-6)),
            None,
        )

    def best_test(self, margin: float, span: ExposureSpan) -> FlatTest | None:
        """Return the test nearest to the target among those with an exposure in the span and a signal in the band.

        Return None if there is no such test. `margin` is the fraction of the band's width that must remain free at
        either end.
        """
        good = [
            test
            for test in self.tests
            if span.contains(test.exposure_s)
            and not self.is_clipped(test)
            and self.target.holds(self.signal_adu(test), margin)
        ]
        return min(good, key=lambda test: abs(self.signal_adu(test) - self.target.signal_adu), default=None)

    def needed_exposures(self) -> NeededExposures:
        """Return the exposure that should reach the target, for each brightness that was tried."""
        measured = self.measured_exposures()
        unmeasured = sorted({test.brightness_key for test in self.tests} - measured.keys())
        return measured | {brightness: self._guess_s(brightness, measured) for brightness in unmeasured}

    def measured_exposures(self) -> NeededExposures:
        """Return the exposure that should reach the target, for each brightness with a measured test."""
        seen = {test.brightness_key for test in self.tests if self.is_measured(test)}
        return {brightness: self._measured_s(self.at(brightness)) for brightness in seen}

    def _measured_s(self, tests: Sequence[FlatTest]) -> float:
        """Return the needed exposure, kept between the exposures that were too short and those that were too long."""
        needed_s = self._linear_s([test for test in tests if self.is_measured(test)])
        too_short_s = max((test.exposure_s for test in tests if not self.is_above(test)), default=0.0)
        too_long_s = min((test.exposure_s for test in tests if self.is_above(test)), default=math.inf)
        if too_short_s < needed_s < too_long_s or not 0 < too_short_s < too_long_s < math.inf:
            return needed_s
        return math.sqrt(too_short_s * too_long_s)

    def _linear_s(self, measured: Sequence[FlatTest]) -> float:
        """Return the exposure at which the line through the two tests nearest to the target reaches the target.

        The line through two tests accounts for the shutter's dead time. If there is only one test, or if drift or noise
        makes the slope of the line implausible, the signal is assumed to be proportional to the exposure.
        """
        wanted_adu = self.target.signal_adu
        by_nearness = sorted(measured, key=lambda test: abs(math.log(self.signal_adu(test) / wanted_adu)))
        nearest = by_nearness[0]
        rate = self.signal_adu(nearest) / nearest.exposure_s
        for other in by_nearness[1:]:
            apart_s = nearest.exposure_s - other.exposure_s
            if abs(apart_s) > 0.05 * nearest.exposure_s:
                slope = (self.signal_adu(nearest) - self.signal_adu(other)) / apart_s
                rate = slope if 0.5 * rate < slope < 2 * rate else rate
                break
        line_s = nearest.exposure_s + (wanted_adu - self.signal_adu(nearest)) / rate
        return line_s if line_s > 0 else nearest.exposure_s * wanted_adu / self.signal_adu(nearest)

    def _guess_s(self, brightness: int, measured: NeededExposures) -> float:
        """Guess the exposure at a brightness whose tests were all clipped or black.

        The bounds come from these tests and from the rule that a higher brightness never needs a longer exposure. The
        guess between the bounds comes from the measurements at other brightnesses.
        """
        own = self.at(brightness)
        clipped_s = min((test.exposure_s for test in own if self.is_clipped(test)), default=math.inf)
        black_s = max((test.exposure_s for test in own if self.is_black(test)), default=0.0)
        if 0 < black_s < clipped_s < math.inf:
            return math.sqrt(black_s * clipped_s)
        darkest = black_limit_adu(self.target)
        dimmer = [test for test in self.tests if test.brightness_key <= brightness]
        brighter = [test for test in self.tests if test.brightness_key >= brightness]
        at_most_s = min(
            [test.exposure_s * self.target.fraction for test in dimmer if self.is_clipped(test)]
            + [needed_s for other, needed_s in measured.items() if other < brightness],
            default=math.inf,
        )
        at_least_s = max(
            [test.exposure_s * self.target.signal_adu / darkest for test in brighter if self.is_black(test)]
            + [needed_s for other, needed_s in measured.items() if other > brightness],
            default=0.0,
        )
        if measured:
            guess_s = predict_exposure_s(brightness, measured, self.curve)
        else:
            clips = sum(self.is_clipped(test) for test in self.tests)
            guess_s = at_most_s / CLIPPED_STEP**clips if clipped_s < math.inf else at_least_s
        if at_least_s < guess_s < at_most_s:
            return guess_s
        if 0 < at_least_s < at_most_s < math.inf:
            return math.sqrt(at_least_s * at_most_s)
        return at_most_s / 2 if guess_s >= at_most_s else at_least_s


def black_limit_adu(target: FlatTarget) -> float:
    """Return the signal below which a test shows only that there was too little light."""
    return BLACK_ADU + BLACK_LEVEL * target.range_adu


def observed_faintest_part(target: FlatTarget, tests: Sequence[FlatTest]) -> float | None:
    """Return the signal of the faintest channel relative to the brightest channel, from the brightest measured test.

    The result is None if no measured test has colour channels.
    """
    evidence = Evidence(target, tests)
    telling = [test for test in tests if test.faintest_adu is not None and evidence.is_measured(test)]
    best = max(telling, key=lambda test: test.level_adu, default=None)
    if best is None or best.faintest_adu is None:
        return None
    return min(max((best.faintest_adu - target.bias_adu) / evidence.signal_adu(best), 0.0), 1.0)


def light_changed(one: FlatTest, other: FlatTest, target: FlatTarget) -> bool:
    """Return whether two tests at the same brightness contradict each other by more than dead time can explain."""
    short, long = sorted((one, other), key=lambda test: test.exposure_s)
    short_adu, long_adu = short.level_adu - target.bias_adu, long.level_adu - target.bias_adu
    if short.brightness != long.brightness or short_adu < black_limit_adu(target):
        return False
    brighter = long_adu / short_adu
    longer = long.exposure_s / short.exposure_s
    return brighter < LESS_WITH_MORE or (short.exposure_s >= LONG_EXPOSURE_S and brighter > MORE_THAN_LINEAR * longer)
