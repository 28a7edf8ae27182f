"""Find the exposure and panel brightness of a good flat with as few test frames as possible.

Pass test results to the tuner, and follow its decisions:

>>> from coldframe.capture.tuner.limits import ExposureSpan
>>> tuner = FlatTuner(FlatTarget(bias_adu=500, full_scale_adu=65535), TuningLimits(ExposureSpan(0.001, 30)))
>>> while isinstance(decision := tuner.decide(), Shoot):
...     tuner.observe(FlatTest(decision.exposure_s, decision.brightness, 500 + 20000 * decision.exposure_s))
>>> decision.exposure_s
1.301

The signal is the level above bias; for a colour camera, the level of the brightest channel counts. The tuner assumes
that the signal is linear in the exposure, apart from the shutter's dead time, and that the signal does not fall when
the brightness rises. Two tests reveal the dead time. Clipped and black tests give only bounds.

This module performs no I/O.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from coldframe.capture.tuner.choice import is_near_window, next_setting
from coldframe.capture.tuner.evidence import Evidence, light_changed, observed_faintest_part
from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.limits import TuningLimits
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner.saturation import (
    is_histogram_cut_off,
    levels_without_shot_noise_adu,
    observed_full_scale_adu,
)
from coldframe.capture.tuner.target import FlatTarget

COMFORT_MARGIN = 0.10
"""Fraction of the band's width to keep free at either end, so that drift between frames stays within the band."""

EDGE_MARGIN = 0.05
"""Margin that suffices if no better setting is possible because the exposure is at its limit or no tests are left."""

OVEREXPOSURE = 1.3
"""Signal of the test that shows the saturation level, relative to the assumed usable range."""

FIRST_PART = 0.25
"""The first test of an unknown lamp uses this fraction of the window's shortest exposure and of the full brightness.

This setting lies between the needs of bright broadband and faint narrowband filters. A short, dim test wastes less time
than a clipped test, but it must be long enough that the shutter's dead time does not matter.
"""


class Reason(StrEnum):
    """Reason why no setting was found."""

    TOO_BRIGHT = "too bright at the shortest exposure"
    TOO_DARK = "too dark at the longest exposure"
    NO_RESPONSE = "the lamp does not respond"
    STEPS_TOO_COARSE = "the steps of exposure and brightness are too coarse"
    TOO_MANY_TESTS = "too many tests"
    UNSTABLE = "the lamp is unstable"


@dataclass(frozen=True, slots=True)
class KnownLight:
    """The light that an earlier tuning measured.

    Attributes
    ----------
    rate_adu_per_s
        Signal per second of the brightest channel, ADU.
    brightness
        Brightness at which the light was measured; None for a lamp without brightness control.
    faintest_part
        Signal of the faintest channel relative to the brightest channel.
    exposure_s
        Exposure to use for the first test, so that existing dark flats with this exposure can be used; None to use the
        exposure that should give exactly the target.
    """

    rate_adu_per_s: float
    brightness: int | None = None
    faintest_part: float = 1.0
    exposure_s: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.rate_adu_per_s < math.inf and 0 <= self.faintest_part <= 1):
            raise ValueError(f"the learned values are impossible: {self}")


@dataclass(frozen=True, slots=True)
class Shoot:
    """Decision to shoot a test frame; `message` gives the reason."""

    exposure_s: float
    brightness: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """Decision that a tested setting gives good flats.

    Attributes
    ----------
    signal_adu
        Level of the brightest channel above bias, in the test frame.
    target
        Target adapted to the saturation level and the colour channels that the tests showed.
    is_starved
        True if the faintest channel gets too little light although the brightest channel is as bright as allowed.
    tests
        Number of test frames.
    message
        Result for the user, with the reason for an exposure outside the preferred window.
    """

    exposure_s: float
    brightness: int | None
    signal_adu: float
    target: FlatTarget
    is_starved: bool
    tests: int
    message: str

    @property
    def rate_adu_per_s(self) -> float:
        """Signal per second, ADU; the next night's tuning starts from it."""
        return self.signal_adu / self.exposure_s

    @property
    def known_light(self) -> KnownLight:
        """The measured light, as the starting point of a tuning that should find the same exposure."""
        return KnownLight(self.rate_adu_per_s, self.brightness, self.target.faintest_part, self.exposure_s)


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """Decision that no allowed setting gives a good flat; `message` contains the measured values."""

    reason: Reason
    message: str


Decision = Shoot | Tuned | OutOfReach


class FlatTuner:
    """Decides on the next test frame of the search, or ends the search.

    Parameters
    ----------
    target
        Signal to reach.
    limits
        Exposures and brightnesses that may be used.
    known
        Light measured by an earlier tuning, as a starting point.
    curve
        Panel response, from the `curve` of an earlier tuner.
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
        """Tests observed so far, oldest first."""
        return tuple(self._tests)

    @property
    def target(self) -> FlatTarget:
        """The target, adapted to the full scale and the channels that the tests showed."""
        seen = replace(self._target, full_scale_adu=observed_full_scale_adu(self._target, self._tests))
        part = observed_faintest_part(seen, self._tests)
        if part is None:
            part = self._known.faintest_part if self._known is not None else 1.0
        return seen.for_channels(part)

    @property
    def curve(self) -> PanelCurve:
        """Panel response, including the tests of this tuner."""
        if self._limits.brightness is None:
            return self._curve
        needs = Evidence(self.target, self._tests).measured_exposures()
        return self._curve.extended({brightness: 1 / needed_s for brightness, needed_s in needs.items()})

    def observe(self, test: FlatTest) -> None:
        """Record the result of a test frame.

        Raises
        ------
        ValueError
            If the brightness is missing, or given for a lamp without brightness control.
        """
        if (test.brightness is None) != (self._limits.brightness is None) or test.brightness == 0:
            raise ValueError(
                f"brightness {test.brightness} does not fit a panel with the range {self._limits.brightness}"
            )
        self._tests.append(test)

    def decide(self) -> Decision:
        """Return the next decision, which does not change until another test is observed."""
        if not self._tests:
            return self._first_shot()
        changes = [pair for pair in pairwise(self._tests) if self._changed(*pair)]
        if len(changes) > 1:
            return _unstable(*changes[-1])
        # If the lamp has changed, use only the tests that agree with the newest test.
        newest = self._tests[-1]
        fitting = [test for test in self._tests if not self._changed(test, newest)]
        return self._judge(Evidence(self.target, fitting, self._curve))

    def saturating_shot(self) -> Shoot | None:
        """Return the test that shows at which level an unknown camera saturates, or None if no such test is needed.

        Drivers report the bit depth, not the level at which pixels saturate. Shoot this test after the search has
        ended, and observe it; `decide` then confirms or revises the result. The test is not needed if no good flat was
        found or another test has already shown the saturation level.
        """
        decision = self.decide()
        if not isinstance(decision, Tuned):
            return None
        given = Evidence(self._target, self._tests)
        is_seen = any(given.is_clipped(test) or is_histogram_cut_off(test, self._target) for test in self._tests)
        wanted_s = OVEREXPOSURE * decision.exposure_s * self._target.range_adu / decision.signal_adu
        exposure_s = self._limits.round_s(wanted_s)
        longest_s = max(test.exposure_s for test in self._tests if test.brightness == decision.brightness)
        if is_seen or longest_s >= exposure_s:
            return None
        return Shoot(exposure_s, decision.brightness, "to find the level at which the camera saturates")

    def _judge(self, evidence: Evidence) -> Decision:
        brightness, exposure_s = next_setting(evidence, self._limits)
        good = evidence.best_test(COMFORT_MARGIN, self._limits.window) or self._exhausted_at(evidence, brightness)
        if good is not None:
            return self._tuned(evidence, good)
        if self._is_unlit(evidence):
            return self._no_response()
        shot = evidence.newest_at(brightness, exposure_s)
        if shot is None and len(self._tests) < self._limits.maximum_tests:
            return Shoot(exposure_s, brightness or None, evidence.describe(self._tests[-1]))
        within = evidence.best_test(EDGE_MARGIN, self._limits.window) or evidence.best_test(
            EDGE_MARGIN, self._limits.exposure
        )
        if within is not None:
            return self._tuned(evidence, within)
        return self._too_many() if shot is None else self._at_the_end(evidence, shot)

    def _changed(self, one: FlatTest, other: FlatTest) -> bool:
        return light_changed(one, other, self.target)

    def _first_shot(self) -> Shoot:
        panel = self._limits.brightness
        if self._known is None:
            exposure_s = self._limits.round_s(self._limits.window.shortest_s * FIRST_PART)
            brightness = None if panel is None else panel.nearest(panel.maximum * FIRST_PART)
            return Shoot(exposure_s, brightness, "the lamp has not been measured yet")
        best_s = self.target.signal_adu / self._known.rate_adu_per_s
        exposure_s = self._limits.round_s(best_s if self._known.exposure_s is None else self._known.exposure_s)
        brightness = None if panel is None else panel.nearest(self._known.brightness or panel.maximum)
        return Shoot(exposure_s, brightness, "starting from the learned setting")

    def _exhausted_at(self, evidence: Evidence, brightness: int) -> FlatTest | None:
        """Return a good test outside the window if no brightness would bring the exposure into it, otherwise None."""
        here = evidence.at(brightness)
        if not here or is_near_window(self._limits.window, evidence.needed_exposures()[brightness]):
            return None
        return Evidence(evidence.target, here).best_test(COMFORT_MARGIN, self._limits.exposure)

    def _tuned(self, evidence: Evidence, test: FlatTest) -> Tuned:
        window = self._limits.window
        message = f"{test.setting}: {evidence.percent(test):.0f} % of the usable range after {_count(len(self._tests))}"
        if not window.contains(test.exposure_s):
            preferred = f"{window.shortest_s:g} to {window.longest_s:g} s"
            message += f"; the exposure is outside the preferred {preferred}, {self._why_outside(evidence)}"
        part = evidence.target.faintest_part
        is_starved = self._target.starves(part)
        if is_starved:
            message += f"; the faintest colour gets only {100 * part:.0f} % of the light of the brightest"
        return Tuned(
            exposure_s=test.exposure_s,
            brightness=test.brightness,
            signal_adu=evidence.signal_adu(test),
            target=evidence.target,
            is_starved=is_starved,
            tests=len(self._tests),
            message=message,
        )

    def _why_outside(self, evidence: Evidence) -> str:
        if self._limits.brightness is None:
            return "because the lamp has no brightness control"
        needs = evidence.needed_exposures().values()
        if len(needs) > 1 and max(needs) < 1.15 * min(needs):
            return "because the brightness has no effect"
        return "because no brightness brings it into this range"

    def _at_the_end(self, evidence: Evidence, shot: FlatTest) -> OutOfReach:
        """Return the reason why the search ends at a setting that has already been tested."""
        if self._stays_dark(evidence) or self._stays_level(evidence):
            return self._no_response()
        if evidence.is_above(shot):
            reason = Reason.TOO_BRIGHT if shot.exposure_s <= self._shortest_s else Reason.STEPS_TOO_COARSE
        else:
            reason = Reason.TOO_DARK if shot.exposure_s >= self._longest_s else Reason.STEPS_TOO_COARSE
        low, high = (100 * part for part in evidence.target.band)
        return OutOfReach(reason, f"{reason}: {evidence.describe(shot)}; {low:.0f} to {high:.0f} % are allowed")

    def _no_response(self) -> OutOfReach:
        levels = [test.level_adu for test in self._tests]
        exposures = [test.exposure_s for test in self._tests]
        return OutOfReach(
            Reason.NO_RESPONSE,
            f"{Reason.NO_RESPONSE}: the level is {min(levels):.0f} to {max(levels):.0f} ADU at exposures from "
            f"{min(exposures):g} to {max(exposures):g} s, and the bias is {self._target.bias_adu:.0f} ADU. "
            "Is the panel lit, and is it in front of the telescope?",
        )

    @property
    def _shortest_s(self) -> float:
        return self._limits.round_s(self._limits.exposure.shortest_s)

    @property
    def _longest_s(self) -> float:
        return self._limits.round_s(self._limits.exposure.longest_s)

    def _is_unlit(self, evidence: Evidence) -> bool:
        """Return whether the lamp at full brightness was so faint that the longest exposure need not be tried."""
        brightest = self._limits.brightness.brightest if self._limits.brightness is not None else 0
        telling = [test for test in evidence.at(brightest) if test.exposure_s >= self._limits.window.longest_s]
        hopeless = any(evidence.is_too_faint(test, self._longest_s) for test in telling)
        return hopeless and self._stays_dark(evidence)

    def _stays_dark(self, evidence: Evidence) -> bool:
        return all(evidence.is_black(test) for test in evidence.tests)

    def _stays_level(self, evidence: Evidence) -> bool:
        """Return whether the level does not depend on the exposure, although the camera is not saturated."""
        exposures = [test.exposure_s for test in evidence.tests]
        signals = [evidence.signal_adu(test) for test in evidence.tests]
        given = Evidence(self._target, evidence.tests)
        clips = any(given.is_clipped(test) or is_histogram_cut_off(test, self._target) for test in evidence.tests)
        clips = clips or bool(levels_without_shot_noise_adu(self._target, evidence.tests))
        return not clips and max(exposures) > 2 * min(exposures) and max(signals) < 1.05 * min(signals)

    def _too_many(self) -> OutOfReach:
        last = Evidence(self.target, self._tests).describe(self._tests[-1])
        text = f"no good flat was found in {_count(len(self._tests))}; the last result: {last}"
        return OutOfReach(Reason.TOO_MANY_TESTS, text)


def _unstable(before: FlatTest, after: FlatTest) -> OutOfReach:
    seen = f"{before.level_adu:.0f} ADU at {before.setting}, then {after.level_adu:.0f} ADU at {after.setting}"
    return OutOfReach(Reason.UNSTABLE, f"{Reason.UNSTABLE}: {seen}")


def _count(tests: int) -> str:
    return "1 test" if tests == 1 else f"{tests} tests"
