"""Find exposure and panel brightness for a good flat, in as few test frames as possible.

What was seen goes in, what to do comes out:

>>> tuner = FlatTuner(FlatTarget(bias_adu=500, full_scale_adu=65535), TuningLimits(ExposureSpan(0.001, 30)))
>>> while isinstance(decision := tuner.decide(), Shoot):
...     tuner.observe(FlatTest(decision.exposure_s, decision.brightness, 500 + 20000 * decision.exposure_s))
>>> decision.exposure_s
1.301

The signal (level above bias) is taken as linear in the exposure, with a dead time of the shutter once two tests tell
it, and as rising with the brightness in any shape. A test that is clipped or black gives a bound only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from coldframe.capture.panel_curve import PROPORTIONAL, PanelCurve

COMFORT_MARGIN = 0.10
"""Part of the band's width kept free at either end: drift between frames shall not carry a flat out of the band."""

EDGE_MARGIN = 0.05
"""The same where nothing better can be had (an exposure at its limit, no tests left)."""

CLIPPED_FRACTION = 0.01
"""More saturated pixels than this are no hot pixels: the test tells only that there was too much light."""

CLIPPED_LEVEL = 0.95
"""From this part of the usable range on a level is read as clipped: many sensors stop short of full scale."""

BLACK_LEVEL = 0.002
"""Below this part of the usable range the error of the bias level outweighs the signal."""

FIRST_PART = 0.25
"""The first test of an unknown light is a quarter of the window's shortest exposure at a quarter of the brightness.

That lies between what bright broadband and faint narrowband filters need: rather short and dim than clipped, yet not so
short that a shutter's dead time spoils it.
"""

CLIPPED_STEP = 30.0
"""Cut after a clipped test: large, since a dark test still measures the light, a clipped one does not."""

WINDOW_SLACK = 1.1
"""A needed exposure this little outside the window is shot at the window's end instead of changing the panel."""

FLAT_RESPONSE = 0.15
"""Slope of log light against log brightness below which the panel is taken not to answer: its extreme is tried next."""

STEEPEST_RESPONSE = 5.0
"""Largest slope that is believed when the response is extrapolated."""

SAME_NEED = 0.2
"""Needed exposures whose logarithms differ by less count as equal: going to and fro between them wins nothing."""

LESS_WITH_MORE = 0.8
"""A longer exposure with less than this part of a shorter one's signal means that the light changed in between."""

MORE_THAN_LINEAR = 1.5
"""So does a signal that grew by this factor more than the exposure, where `LONG_EXPOSURE_S` rules out a dead time."""

LONG_EXPOSURE_S = 0.2
"""Dead times of shutters lie in the tens of milliseconds: from here on they cannot explain much."""

CONVERTER_BITS = (8, 10, 12, 14)
"""Depths of converters whose values are seen unscaled in 16-bit files."""


class Reason(StrEnum):
    """Why no setting was found."""

    TOO_BRIGHT = "too bright at the shortest exposure"
    TOO_DARK = "too dark at the longest exposure"
    NO_RESPONSE = "the light does not respond"
    STEPS_TOO_COARSE = "the steps of exposure and brightness are too coarse"
    TOO_MANY_TESTS = "too many tests"
    UNSTABLE = "the source is unstable"


@dataclass(frozen=True, slots=True)
class FlatTarget:
    """The signal that a flat shall have.

    Attributes
    ----------
    bias_adu
        Level without light, ADU.
    full_scale_adu
        Level at which pixels saturate, ADU. A lower one that shows in the tests takes its place.
    fraction
        Signal aimed at, as part of the usable range from bias to full scale.
    band
        Lowest and highest allowed signal, as parts of the same range.

    Raises
    ------
    ValueError
        Where full scale does not lie above bias, or the fraction not inside the band.
    """

    bias_adu: float
    full_scale_adu: float
    fraction: float = 0.40
    band: tuple[float, float] = (0.30, 0.50)

    def __post_init__(self) -> None:
        if not -math.inf < self.bias_adu < self.full_scale_adu < math.inf:
            raise ValueError(
                f"full scale ({self.full_scale_adu} ADU) must lie above the bias level ({self.bias_adu} ADU)"
            )
        if not 0 < self.band[0] < self.fraction < self.band[1] < 1:
            raise ValueError(
                f"the target {self.fraction} must lie inside the band {self.band}, and that between 0 and 1"
            )

    @property
    def range_adu(self) -> float:
        """The usable range, from bias to full scale."""
        return self.full_scale_adu - self.bias_adu

    @property
    def signal_adu(self) -> float:
        """The signal aimed at."""
        return self.fraction * self.range_adu

    def holds(self, signal_adu: float, margin: float) -> bool:
        """Tell whether a signal lies in the band, `margin` (as part of the band's width) inside its ends."""
        low, high = self.band
        kept = margin * (high - low)
        return low + kept <= signal_adu / self.range_adu <= high - kept


@dataclass(frozen=True, slots=True)
class ExposureSpan:
    """A range of exposures, in seconds; ValueError unless 0 < shortest <= longest."""

    shortest_s: float
    longest_s: float

    def __post_init__(self) -> None:
        if not 0 < self.shortest_s <= self.longest_s < math.inf:
            raise ValueError(f"exposures from {self.shortest_s} s to {self.longest_s} s are no range above zero")

    @property
    def middle_s(self) -> float:
        """The geometric middle."""
        return math.sqrt(self.shortest_s * self.longest_s)

    def contains(self, exposure_s: float) -> bool:
        """Tell whether the exposure lies in the range."""
        return self.shortest_s <= exposure_s <= self.longest_s

    def clamp(self, exposure_s: float) -> float:
        """Return the exposure of the range that is nearest."""
        return min(max(exposure_s, self.shortest_s), self.longest_s)


@dataclass(frozen=True, slots=True)
class BrightnessRange:
    """A panel's brightness control, in its own steps; ValueError unless 0 <= minimum < maximum and step > 0.

    A brightness of 0 is off on most panels: the tuner never asks for it.
    """

    minimum: int
    maximum: int
    step: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.minimum < self.maximum and self.step > 0):
            raise ValueError(f"brightness from {self.minimum} to {self.maximum} in steps of {self.step} is no range")

    @property
    def dimmest(self) -> int:
        """The lowest brightness that gives light."""
        return self.minimum or min(self.step, self.maximum)

    @property
    def brightest(self) -> int:
        """The highest brightness that lies on a step."""
        return max(self.dimmest, self.maximum - (self.maximum - self.minimum) % self.step)

    def nearest(self, brightness: float) -> int:
        """Return the step nearest to a wanted brightness."""
        wanted = min(max(brightness, self.dimmest), self.brightest)
        return min(
            max(self.minimum + round((wanted - self.minimum) / self.step) * self.step, self.dimmest), self.brightest
        )


@dataclass(frozen=True, slots=True)
class TuningLimits:
    """What the tuner may ask for.

    Attributes
    ----------
    exposure
        Never left: what the camera can do and the user allows.
    preferred
        Aimed at, by changing the brightness first: long enough against flicker and shutter artefacts, short enough
        against dark current.
    brightness
        None for a light that can only be switched.
    exposure_step_s
        Exposures are multiples of this; 0 where the camera takes any.
    maximum_tests
        After so many tests the best one decides.

    Raises
    ------
    ValueError
        Where no multiple of the step lies within the limits, or no test is allowed.
    """

    exposure: ExposureSpan
    preferred: ExposureSpan = ExposureSpan(0.5, 3.0)
    brightness: BrightnessRange | None = None
    exposure_step_s: float = 0.0
    maximum_tests: int = 10

    def __post_init__(self) -> None:
        if self.maximum_tests < 1:
            raise ValueError(f"{self.maximum_tests} tests are too few to find anything")
        if not 0 <= self.exposure_step_s < math.inf:
            raise ValueError(f"an exposure step of {self.exposure_step_s} s is impossible")
        if self.exposure_step_s and self._steps[0] > self._steps[1]:
            raise ValueError(f"no multiple of {self.exposure_step_s} s lies within {self.exposure}")

    @property
    def window(self) -> ExposureSpan:
        """The preferred window as far as the hard limits allow it."""
        return ExposureSpan(
            self.exposure.clamp(self.preferred.shortest_s), self.exposure.clamp(self.preferred.longest_s)
        )

    def round_s(self, exposure_s: float) -> float:
        """Return an exposure within the limits that prints as it is.

        Multiples of the camera's step where it has one, else of 1 ms, below 0.1 s three significant digits: finer than
        matters for a flat, coarser than the rounding of drivers.
        """
        if self.exposure_step_s:
            return self._on_step(exposure_s)
        wanted = self.exposure.clamp(exposure_s)
        digits = 3 if wanted >= 0.1 else 2 - math.floor(math.log10(wanted))  # noqa: PLR2004 (documented above)
        return self.exposure.clamp(round(wanted, digits))

    def _on_step(self, exposure_s: float) -> float:
        first, last = self._steps
        steps = min(max(round(exposure_s / self.exposure_step_s), first), last)
        return self.exposure.clamp(float(f"{steps * self.exposure_step_s:.9g}"))

    @property
    def _steps(self) -> tuple[int, int]:
        """The shortest and the longest allowed exposure, counted in steps."""
        # The tolerance keeps a limit that is itself a multiple, such as 0.3 = 3 x 0.1, from being lost to rounding.
        first = max(1, math.ceil(self.exposure.shortest_s / self.exposure_step_s - 1e-9))
        return first, math.floor(self.exposure.longest_s / self.exposure_step_s + 1e-9)


@dataclass(frozen=True, slots=True)
class KnownLight:
    """What an earlier night learned: signal per second at a brightness (None for a light without control)."""

    rate_adu_per_s: float
    brightness: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate_adu_per_s < math.inf:
            raise ValueError(f"a light of {self.rate_adu_per_s} ADU/s cannot have been learned")


@dataclass(frozen=True, slots=True)
class FlatTest:
    """What a test frame showed.

    Attributes
    ----------
    exposure_s, brightness
        As shot; brightness None for a light without control.
    level_adu
        Median of the central region, bias included.
    saturated_fraction
        Part of the central region's pixels at or above the saturation level.
    noise_adu
        Robust standard deviation of the central region; NaN is refused, infinity stands for unknown.

    Raises
    ------
    ValueError
        Where a number is not finite or the exposure not positive.
    """

    exposure_s: float
    brightness: int | None
    level_adu: float
    saturated_fraction: float = 0.0
    noise_adu: float = math.inf

    def __post_init__(self) -> None:
        finite = (
            math.isfinite(self.level_adu) and math.isfinite(self.saturated_fraction) and not math.isnan(self.noise_adu)
        )
        if not (finite and 0 < self.exposure_s < math.inf):
            raise ValueError(f"a test frame gave figures that cannot be: {self}")


@dataclass(frozen=True, slots=True)
class Shoot:
    """Shoot a test frame; `message` says why."""

    exposure_s: float
    brightness: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """A setting that was seen to give a good flat.

    Attributes
    ----------
    signal_adu
        Level above bias in the test frame.
    full_scale_adu
        The saturation level that the band was measured against: the given one, or a lower one that showed.
    tests
        Test frames shot.
    message
        For people; tells also when the exposure lies outside the preferred window, and why.
    """

    exposure_s: float
    brightness: int | None
    signal_adu: float
    full_scale_adu: float
    tests: int
    message: str

    @property
    def rate_adu_per_s(self) -> float:
        """Signal per second: what the next night starts from."""
        return self.signal_adu / self.exposure_s


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """No allowed setting gives a good flat; `message` has the numbers."""

    reason: Reason
    message: str


Decision = Shoot | Tuned | OutOfReach


class FlatTuner:
    """Decides on the next test frame, or on the end.

    Parameters
    ----------
    target
        The signal wanted.
    limits
        What may be asked for.
    known
        Start from this light instead of from ignorance.
    curve
        What is known of the panel, from the `curve` of an earlier tuner.
    """

    def __init__(
        self,
        target: FlatTarget,
        limits: TuningLimits,
        known: KnownLight | None = None,
        curve: PanelCurve = PROPORTIONAL,
    ) -> None:
        self._target = target
        self._limits = limits
        self._known = known
        self._curve = curve
        self._tests: list[FlatTest] = []

    @property
    def tests(self) -> tuple[FlatTest, ...]:
        """The tests seen so far, oldest first."""
        return tuple(self._tests)

    @property
    def target(self) -> FlatTarget:
        """The target, measured against the full scale that the tests showed."""
        return replace(self._target, full_scale_adu=_full_scale_seen(self._target, self._tests))

    @property
    def curve(self) -> PanelCurve:
        """What is known of the panel now."""
        if self._limits.brightness is None:
            return self._curve
        needs = _Evidence(self.target, self._tests).measured_needs()
        return self._curve.extended({brightness: 1 / needed_s for brightness, needed_s in needs.items()})

    def observe(self, test: FlatTest) -> None:
        """Take in a test frame.

        Raises
        ------
        ValueError
            Where a brightness is missing, or given for a light without control.
        """
        if (test.brightness is None) != (self._limits.brightness is None) or test.brightness == 0:
            raise ValueError(
                f"brightness {test.brightness} does not fit a panel with the range {self._limits.brightness}"
            )
        self._tests.append(test)

    def decide(self) -> Decision:
        """Say what to do next; the same until another test is observed."""
        if not self._tests:
            return self._first_shot()
        changes = [pair for pair in pairwise(self._tests) if self._changed(*pair)]
        if len(changes) > 1:
            return _unstable(*changes[-1])
        # Once the light may have changed, what was seen before and does not fit any more is left out.
        newest = self._tests[-1]
        fitting = [test for test in self._tests if not self._changed(test, newest)]
        return self._judge(_Evidence(self.target, fitting, self._curve))

    def _judge(self, evidence: "_Evidence") -> Decision:
        brightness, exposure_s = _next_setting(evidence, self._limits)
        good = evidence.best(COMFORT_MARGIN, self._limits.window) or self._exhausted_at(evidence, brightness)
        if good is not None:
            return self._tuned(evidence, good)
        shot = evidence.shot(brightness, exposure_s)
        if shot is None and len(self._tests) < self._limits.maximum_tests:
            return Shoot(exposure_s, brightness or None, evidence.describe(self._tests[-1]))
        within = evidence.best(EDGE_MARGIN, self._limits.window) or evidence.best(EDGE_MARGIN, self._limits.exposure)
        if within is not None:
            return self._tuned(evidence, within)
        return self._too_many() if shot is None else self._at_the_end(evidence, shot)

    def _changed(self, one: FlatTest, other: FlatTest) -> bool:
        return _light_changed(one, other, self.target)

    def _first_shot(self) -> Shoot:
        panel = self._limits.brightness
        if self._known is None:
            exposure_s = self._limits.round_s(self._limits.window.shortest_s * FIRST_PART)
            brightness = None if panel is None else panel.nearest(panel.maximum * FIRST_PART)
            return Shoot(exposure_s, brightness, "nothing is known of this light yet")
        exposure_s = self._limits.round_s(self._target.signal_adu / self._known.rate_adu_per_s)
        brightness = None if panel is None else panel.nearest(self._known.brightness or panel.maximum)
        return Shoot(exposure_s, brightness, "starting from what was learned")

    def _exhausted_at(self, evidence: "_Evidence", brightness: int) -> FlatTest | None:
        """Return a good test outside the window where no brightness would bring the exposure into it."""
        here = evidence.at(brightness)
        if not here or _in_reach(self._limits.window, evidence.needs()[brightness]):
            return None
        return _Evidence(evidence.target, here).best(COMFORT_MARGIN, self._limits.exposure)

    def _tuned(self, evidence: "_Evidence", test: FlatTest) -> Tuned:
        window = self._limits.window
        message = (
            f"{_setting(test)}: {evidence.percent(test):.0f} % of the usable range after {_count(len(self._tests))}"
        )
        if not window.contains(test.exposure_s):
            preferred = f"{window.shortest_s:g} to {window.longest_s:g} s"
            message += f"; outside the preferred {preferred}, {self._why_outside(evidence)}"
        return Tuned(
            exposure_s=test.exposure_s,
            brightness=test.brightness,
            signal_adu=evidence.signal_adu(test),
            full_scale_adu=evidence.target.full_scale_adu,
            tests=len(self._tests),
            message=message,
        )

    def _why_outside(self, evidence: "_Evidence") -> str:
        if self._limits.brightness is None:
            return "and this light has no brightness control"
        needs = evidence.needs().values()
        if len(needs) > 1 and max(needs) < 1.15 * min(needs):
            return "and the brightness has no effect"
        return "and no brightness brings it inside"

    def _at_the_end(self, evidence: "_Evidence", shot: FlatTest) -> OutOfReach:
        """Say why a setting that was shot already cannot be bettered."""
        if self._stays_dark(evidence) or self._stays_level(evidence):
            levels = [test.level_adu for test in self._tests]
            exposures = [test.exposure_s for test in self._tests]
            return OutOfReach(
                Reason.NO_RESPONSE,
                f"{Reason.NO_RESPONSE}: {min(levels):.0f} to {max(levels):.0f} ADU at exposures from "
                f"{min(exposures):g} to {max(exposures):g} s, bias {self._target.bias_adu:.0f} ADU. "
                "Is the panel lit, and is it the panel that the camera looks at?",
            )
        if evidence.is_above(shot):
            reason = Reason.TOO_BRIGHT if shot.exposure_s <= self._shortest_s else Reason.STEPS_TOO_COARSE
        else:
            reason = Reason.TOO_DARK if shot.exposure_s >= self._longest_s else Reason.STEPS_TOO_COARSE
        low, high = (100 * part for part in evidence.target.band)
        return OutOfReach(reason, f"{reason}: {evidence.describe(shot)}, wanted are {low:.0f} to {high:.0f} %")

    @property
    def _shortest_s(self) -> float:
        return self._limits.round_s(self._limits.exposure.shortest_s)

    @property
    def _longest_s(self) -> float:
        return self._limits.round_s(self._limits.exposure.longest_s)

    def _stays_dark(self, evidence: "_Evidence") -> bool:
        return all(evidence.is_black(test) for test in evidence.tests)

    def _stays_level(self, evidence: "_Evidence") -> bool:
        """Tell whether exposure changes nothing although the level is not one at which a sensor clips."""
        exposures = [test.exposure_s for test in evidence.tests]
        signals = [evidence.signal_adu(test) for test in evidence.tests]
        given = _Evidence(self._target, evidence.tests)
        clips = any(given.is_clipped(test) or _at_converter_limit(test) for test in evidence.tests)
        return not clips and max(exposures) > 2 * min(exposures) and max(signals) < 1.05 * min(signals)

    def _too_many(self) -> OutOfReach:
        last = _Evidence(self.target, self._tests).describe(self._tests[-1])
        return OutOfReach(
            Reason.TOO_MANY_TESTS, f"{_count(len(self._tests))} did not find a good flat; the last one: {last}"
        )


_Needs = dict[int, float]
"""Needed exposure by brightness; a light without control has the one key 0."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Tests, read against a target."""

    target: FlatTarget
    tests: Sequence[FlatTest]
    curve: PanelCurve = PROPORTIONAL

    def signal_adu(self, test: FlatTest) -> float:
        return test.level_adu - self.target.bias_adu

    def percent(self, test: FlatTest) -> float:
        return 100 * self.signal_adu(test) / self.target.range_adu

    def is_clipped(self, test: FlatTest) -> bool:
        return (
            test.saturated_fraction > CLIPPED_FRACTION or self.signal_adu(test) >= CLIPPED_LEVEL * self.target.range_adu
        )

    def is_black(self, test: FlatTest) -> bool:
        return self.signal_adu(test) < BLACK_LEVEL * self.target.range_adu

    def is_measured(self, test: FlatTest) -> bool:
        return not (self.is_clipped(test) or self.is_black(test))

    def is_above(self, test: FlatTest) -> bool:
        return self.is_clipped(test) or self.signal_adu(test) > self.target.signal_adu

    def describe(self, test: FlatTest) -> str:
        state = (
            "clipped"
            if self.is_clipped(test)
            else "black"
            if self.is_black(test)
            else f"{self.percent(test):.1f} % of the usable range"
        )
        return f"{_setting(test)} gave {test.level_adu:.0f} ADU, {state}"

    def at(self, brightness: int) -> list[FlatTest]:
        return [test for test in self.tests if _step(test) == brightness]

    def shot(self, brightness: int, exposure_s: float) -> FlatTest | None:
        return next(
            (test for test in reversed(self.at(brightness)) if math.isclose(test.exposure_s, exposure_s, rel_tol=1e-6)),
            None,
        )

    def best(self, margin: float, span: ExposureSpan) -> FlatTest | None:
        """Return the test nearest to the target among those in the band, with `margin`, and in the span."""
        good = [
            test
            for test in self.tests
            if span.contains(test.exposure_s)
            and not self.is_clipped(test)
            and self.target.holds(self.signal_adu(test), margin)
        ]
        return min(good, key=lambda test: abs(self.signal_adu(test) - self.target.signal_adu), default=None)

    def needs(self) -> _Needs:
        """Return the exposure that should give the target, for each brightness that was seen."""
        measured = self.measured_needs()
        unmeasured = sorted({_step(test) for test in self.tests} - measured.keys())
        return measured | {brightness: self._guess_s(brightness, measured) for brightness in unmeasured}

    def measured_needs(self) -> _Needs:
        """Return the same for those brightnesses only where a test was neither clipped nor black."""
        seen = {_step(test) for test in self.tests if self.is_measured(test)}
        return {brightness: self._measured_s(self.at(brightness)) for brightness in seen}

    def _measured_s(self, tests: Sequence[FlatTest]) -> float:
        """Solve for the exposure, kept between the tests that had too little light and those that had too much."""
        needed_s = self._linear_s([test for test in tests if self.is_measured(test)])
        too_short_s = max((test.exposure_s for test in tests if not self.is_above(test)), default=0.0)
        too_long_s = min((test.exposure_s for test in tests if self.is_above(test)), default=math.inf)
        if too_short_s < needed_s < too_long_s or not 0 < too_short_s < too_long_s < math.inf:
            return needed_s
        return math.sqrt(too_short_s * too_long_s)

    def _linear_s(self, measured: Sequence[FlatTest]) -> float:
        """Solve for the exposure by the line through the two tests nearest to the target, or through zero.

        The line through two tests knows the shutter's dead time. Where drift or noise gives it an impossible slope, the
        nearest test and proportionality are the better guess.
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

    def _guess_s(self, brightness: int, measured: _Needs) -> float:
        """Guess the exposure at a brightness where all tests were clipped or black.

        Bounds come from there, and from the rule that more brightness never needs more exposure; the guess itself from
        what was measured at other brightnesses.
        """
        own = self.at(brightness)
        clipped_s = min((test.exposure_s for test in own if self.is_clipped(test)), default=math.inf)
        black_s = max((test.exposure_s for test in own if self.is_black(test)), default=0.0)
        if 0 < black_s < clipped_s < math.inf:
            return math.sqrt(black_s * clipped_s)
        dimmer = [test for test in self.tests if _step(test) <= brightness]
        brighter = [test for test in self.tests if _step(test) >= brightness]
        at_most_s = min(
            [test.exposure_s * self.target.fraction for test in dimmer if self.is_clipped(test)]
            + [needed_s for other, needed_s in measured.items() if other < brightness],
            default=math.inf,
        )
        at_least_s = max(
            [test.exposure_s * self.target.fraction / BLACK_LEVEL for test in brighter if self.is_black(test)]
            + [needed_s for other, needed_s in measured.items() if other > brightness],
            default=0.0,
        )
        if measured:
            guess_s = _predicted_s(brightness, measured, self.curve)
        else:
            guess_s = at_most_s / CLIPPED_STEP if clipped_s < math.inf else at_least_s
        if at_least_s < guess_s < at_most_s:
            return guess_s
        if 0 < at_least_s < at_most_s < math.inf:
            return math.sqrt(at_least_s * at_most_s)
        return at_most_s / 2 if guess_s >= at_most_s else at_least_s


def _next_setting(evidence: _Evidence, limits: TuningLimits) -> tuple[int, float]:
    """Choose brightness and exposure of the next test: the window first, then the hard limits."""
    needs = evidence.needs()
    here = _step(evidence.tests[-1])
    best = min(needs, key=lambda brightness: _distance(limits.window, needs[brightness]))
    if _distance(limits.window, needs[here]) > _distance(limits.window, needs[best]) + SAME_NEED:
        here = best
    there = _better_brightness(here, needs, evidence.curve, limits)
    needed_s = needs[there] if there in needs else _predicted_s(there, needs, evidence.curve)
    return there, _aimed_s(evidence, there, needed_s, limits)


def _aimed_s(evidence: _Evidence, brightness: int, needed_s: float, limits: TuningLimits) -> float:
    """Round the needed exposure, and step aside where just that was shot already and missed."""
    window = limits.window
    exposure_s = limits.round_s(window.clamp(needed_s) if _in_reach(window, needed_s) else needed_s)
    shot = evidence.shot(brightness, exposure_s)
    if shot is None:
        return exposure_s
    step_s = max(limits.exposure_step_s, 0.02 * exposure_s)
    return limits.round_s(exposure_s - step_s if evidence.is_above(shot) else exposure_s + step_s)


def _better_brightness(here: int, needs: _Needs, curve: PanelCurve, limits: TuningLimits) -> int:
    """Return the brightness that should need the middle of the window, or `here` if none is better."""
    panel, window = limits.brightness, limits.window
    if panel is None or _in_reach(window, needs[here]):
        return here
    brighter = needs[here] > window.longest_s
    end = panel.brightest if brighter else panel.dimmest
    beyond = [other for other in needs if (other > here if brighter else other < here)]
    across = min(beyond, key=lambda other: abs(other - here), default=None)
    wanted = needs[here] / window.middle_s
    if across is None:
        slope = _slope(here, needs, curve)
        # A panel that did not answer is tried at its end.
        choice = end if slope < FLAT_RESPONSE else panel.nearest(_brightness_for(here, wanted, slope, curve))
    elif (needs[across] > window.longest_s) != brighter:
        slope = _slope_between(here, across, needs, curve)
        choice = panel.nearest(_brightness_for(here, wanted, slope, curve))
    else:
        # No better than here although it should be: the panel answers no more on this side. Its end is the last hope.
        choice = end
    if choice == here:
        choice = panel.nearest(here + panel.step if brighter else here - panel.step)
    return here if choice in needs else choice


def _brightness_for(here: int, factor: float, slope: float, curve: PanelCurve) -> float:
    """Return the brightness with `factor` times the light of `here`; light is the curve to the power of `slope`."""
    exponent = math.log(factor) / slope
    return curve.brightness(curve.light(here) * math.exp(min(max(exponent, -100.0), 100.0)))  # more is out of any range


def _predicted_s(there: int, needs: _Needs, curve: PanelCurve) -> float:
    """Follow the curve from the nearest brightness seen, stretched to pass through the next one, too."""
    lower, upper = [other for other in needs if other < there], [other for other in needs if other > there]
    near = max(lower) if lower else min(upper)
    slope = _slope_between(near, min(upper), needs, curve) if lower and upper else _slope(near, needs, curve)
    return float(needs[near] * (curve.light(near) / curve.light(there)) ** slope)


def _slope(here: int, needs: _Needs, curve: PanelCurve) -> float:
    """Return the power of the curve that the light follows next to `here`; 1 while only one brightness was seen."""
    others = [other for other in needs if other != here]
    if not others:
        return 1.0
    nearest = min(others, key=lambda other: abs(math.log(other / here)))
    return min(max(_slope_between(here, nearest, needs, curve), 0.0), STEEPEST_RESPONSE)


def _slope_between(one: int, other: int, needs: _Needs, curve: PanelCurve) -> float:
    return math.log(needs[one] / needs[other]) / math.log(curve.light(other) / curve.light(one))


def _unstable(before: FlatTest, after: FlatTest) -> OutOfReach:
    seen = f"{before.level_adu:.0f} ADU at {_setting(before)}, then {after.level_adu:.0f} ADU at {_setting(after)}"
    return OutOfReach(Reason.UNSTABLE, f"{Reason.UNSTABLE}: {seen}")


def _full_scale_seen(target: FlatTarget, tests: Sequence[FlatTest]) -> float:
    """Return the level at which the tests clip, where that lies below the given full scale.

    A converter's highest value without any noise is one; so is a level that stays although the exposure grows.
    """
    clips = [test.level_adu for test in tests if _at_converter_limit(test)]
    for test in tests:
        for longer in tests:
            if longer.brightness == test.brightness and longer.exposure_s >= 1.5 * test.exposure_s:
                signal_adu = longer.level_adu - target.bias_adu
                stays = abs(longer.level_adu - test.level_adu) < 0.01 * signal_adu
                if stays and signal_adu > 0.05 * target.range_adu:
                    clips.append(max(longer.level_adu, test.level_adu))
    return min([target.full_scale_adu, *(level for level in clips if level > target.bias_adu)])


def _at_converter_limit(test: FlatTest) -> bool:
    without_noise = test.noise_adu < 0.5  # noqa: PLR2004 (half a step of the converter)
    return without_noise and any(abs(test.level_adu - (2**bits - 1)) < 1 for bits in CONVERTER_BITS)


def _light_changed(one: FlatTest, other: FlatTest, target: FlatTarget) -> bool:
    """Tell whether two tests at one brightness contradict each other, whatever the shutter's dead time."""
    short, long = sorted((one, other), key=lambda test: test.exposure_s)
    short_adu, long_adu = short.level_adu - target.bias_adu, long.level_adu - target.bias_adu
    if short.brightness != long.brightness or short_adu < BLACK_LEVEL * target.range_adu:
        return False
    brighter = long_adu / short_adu
    longer = long.exposure_s / short.exposure_s
    return brighter < LESS_WITH_MORE or (short.exposure_s >= LONG_EXPOSURE_S and brighter > MORE_THAN_LINEAR * longer)


def _in_reach(window: ExposureSpan, needed_s: float) -> bool:
    return window.shortest_s / WINDOW_SLACK <= needed_s <= window.longest_s * WINDOW_SLACK


def _distance(window: ExposureSpan, needed_s: float) -> float:
    """Return how far an exposure lies outside the window, as a logarithm; 0 inside."""
    return abs(math.log(needed_s / window.clamp(needed_s)))


def _step(test: FlatTest) -> int:
    return test.brightness or 0


def _setting(test: FlatTest) -> str:
    return f"{test.exposure_s:g} s" + ("" if test.brightness is None else f" at brightness {test.brightness}")


def _count(tests: int) -> str:
    return "1 test" if tests == 1 else f"{tests} tests"
