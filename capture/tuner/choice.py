"""Choose the setting of the next test, first within the preferred window, then within the hard limits.

This module performs no I/O.
"""

import math

from coldframe.capture.tuner.evidence import Evidence
from coldframe.capture.tuner.limits import ExposureSpan, TuningLimits
from coldframe.capture.tuner.panel_curve import (
    NeededExposures,
    PanelCurve,
    local_slope,
    predict_exposure_s,
    slope_between,
)

WINDOW_SLACK = 1.1
"""Largest factor by which the needed exposure may miss the window without a change in brightness.

The near end of the window is then used as the exposure.
"""

FLAT_RESPONSE = 0.15
"""Slope of log light against log brightness below which the panel is considered not to respond.

The end of the brightness range is tried in this case.
"""

DEPTH_INTO_WINDOW = 0.35
"""Position in the window at which the exposure should be after a change in brightness.

0 is the near end of the window, and 1 is its middle. A position before the middle needs a smaller change in brightness,
so the unknown shape of the panel's response matters less.
"""

TESTS_BEFORE_SETTLING = 5
"""Number of tests after which an exposure outside the window but within the limits is good enough."""

SAME_EXPOSURE = 0.2
"""Difference in logarithmic distance from the window up to which two needed exposures are treated as equally good."""


def next_setting(evidence: Evidence, limits: TuningLimits) -> tuple[int, float]:
    """Choose the brightness and exposure of the next test, in the window if possible, otherwise within the limits."""
    needs = evidence.needed_exposures()
    here = _best_so_far(evidence, needs, limits.window)
    if evidence.is_bracketed() or _is_good_enough(evidence, here, needs, limits):
        there = here
    else:
        there = _better_brightness(here, evidence, needs, limits)
    needed_s = needs[there] if there in needs else _needed_s(there, here, evidence, needs, limits.window)
    if evidence.is_black_up_to(limits.window.longest_s):
        # With the longest exposure of the window, an unlit lamp is detected sooner than with the longest allowed
        # exposure.
        needed_s = min(needed_s, limits.window.longest_s)
    exposure_s = _exposure_to_try_s(evidence, there, needed_s, limits)
    if there in needs and evidence.newest_at(there, exposure_s) is not None:
        return _between_shutter_times(there, evidence, needs, limits) or (there, exposure_s)
    return there, exposure_s


def _needed_s(there: int, here: int, evidence: Evidence, needs: NeededExposures, window: ExposureSpan) -> float:
    """Predict the needed exposure at the brightness `there`, which has not been tried."""
    dark = evidence.dark_below(here)
    if dark is None or there > here:
        return predict_exposure_s(there, needs, evidence.curve)
    start = _onset(evidence, dark, here, needs)
    # The prediction diverges near the brightness at which the panel starts to emit light, so keep it in the window.
    return window.clamp(needs[here] * (here - start) / max(there - start, (here - start) / 100))


def _best_so_far(evidence: Evidence, needs: NeededExposures, window: ExposureSpan) -> int:
    """Return the brightness whose needed exposure is nearest to the window, or the current brightness in a tie."""
    here = evidence.tests[-1].brightness_key
    if evidence.is_bracketed():
        # A shorter exposure at the dimmest clipped brightness will give a measurement; a new brightness might be
        # clipped again.
        return min(test.brightness_key for test in evidence.tests if evidence.is_clipped(test))
    known = [brightness for brightness in needs if not evidence.is_black_at(brightness)] or list(needs)
    best = min(known, key=lambda brightness: _distance(window, needs[brightness]))
    is_as_good = here in known and _distance(window, needs[here]) <= _distance(window, needs[best]) + SAME_EXPOSURE
    return here if is_as_good else best


def _is_good_enough(evidence: Evidence, here: int, needs: NeededExposures, limits: TuningLimits) -> bool:
    """Return whether enough tests have been shot to accept an exposure outside the window."""
    is_known = evidence.is_measured_at(here) and limits.exposure.contains(needs[here])
    return len(evidence.tests) >= TESTS_BEFORE_SETTLING and is_known


def _exposure_to_try_s(evidence: Evidence, brightness: int, needed_s: float, limits: TuningLimits) -> float:
    """Return the rounded needed exposure, or the next allowed exposure if exactly this setting has been tested."""
    window = limits.window
    exposure_s = limits.round_s(window.clamp(needed_s) if is_near_window(window, needed_s) else needed_s)
    shot = evidence.newest_at(brightness, exposure_s)
    if shot is None:
        return exposure_s
    return limits.next_s(exposure_s, is_shorter=evidence.is_above(shot))


def _between_shutter_times(
    here: int, evidence: Evidence, needs: NeededExposures, limits: TuningLimits
) -> tuple[int, float] | None:
    """Return a brightness and a shutter time that together reach the target; None if every such pair has been tested.

    This is needed if no shutter time reaches the target at the brightness `here`: the shutter times of some cameras are
    whole stops apart, which is more than the width of the target's band.
    """
    panel, slope = limits.brightness, local_slope(here, needs, evidence.curve)
    if panel is None or not limits.shutter_s or slope < FLAT_RESPONSE:
        return None

    def preference(time_s: float) -> tuple[bool, float]:
        return not limits.window.contains(time_s), abs(math.log(time_s / needs[here]))

    for time_s in sorted(limits.listed_s, key=preference):
        brightness = panel.nearest(_brightness_for(here, needs[here] / time_s, slope, evidence.curve))
        if brightness != here and evidence.newest_at(brightness, time_s) is None:
            return brightness, time_s
    return None


def _better_brightness(here: int, evidence: Evidence, needs: NeededExposures, limits: TuningLimits) -> int:
    """Return the brightness that should bring the exposure into the window, or `here` if no other is better."""
    panel, window, curve = limits.brightness, limits.window, evidence.curve
    if panel is None or is_near_window(window, needs[here]):
        return here
    brighter = needs[here] > window.longest_s
    end = panel.brightest if brighter else panel.dimmest
    beyond = [other for other in needs if (other > here if brighter else other < here)]
    across = min(beyond, key=lambda other: abs(other - here), default=None)
    edge_s = window.longest_s if brighter else window.shortest_s
    wanted = needs[here] / (edge_s ** (1 - DEPTH_INTO_WINDOW) * window.middle_s**DEPTH_INTO_WINDOW)
    if across is None:
        slope = local_slope(here, needs, curve)
        # If the panel did not respond, try the end of its range.
        choice = end if slope < FLAT_RESPONSE else panel.nearest(_brightness_for(here, wanted, slope, curve))
    elif not brighter and across == evidence.dark_below(here):
        start = _onset(evidence, across, here, needs)
        choice = panel.nearest(start + (here - start) * wanted)
    elif (needs[across] > window.longest_s) != brighter:
        slope = slope_between(here, across, needs, curve)
        choice = panel.nearest(_brightness_for(here, wanted, slope, curve))
    else:
        # The neighbouring brightness should be better but is not, so the panel no longer responds here. Try the end of
        # its range.
        choice = end
    if choice == here:
        choice = panel.nearest(here + panel.step if brighter else here - panel.step)
    return min((here, choice), key=lambda each: _distance(window, needs[each])) if choice in needs else choice


def _onset(evidence: Evidence, dark: int, lit: int, needs: NeededExposures) -> float:
    """Estimate the brightness between `dark` (black) and `lit` at which a panel starts to emit light.

    Above that brightness, the light of panels with a dark range rises linearly, so the line through the two lowest
    measured brightnesses reaches zero light there. Without two measurements, or if the line contradicts the tests,
    guess a brightness between `dark` and `lit`. The guess moves towards `lit` as more black brightnesses are found.
    """
    blacks = len({test.brightness_key for test in evidence.tests if evidence.is_black(test)})
    guess = dark + (lit - dark) * blacks / (blacks + 3)
    above = min((other for other in needs if other > lit and evidence.is_measured_at(other)), default=None)
    if above is not None and needs[above] < needs[lit]:
        line = lit - (above - lit) / (needs[lit] / needs[above] - 1)
        guess = line if dark < line < lit else guess
    return guess


def _brightness_for(here: int, factor: float, slope: float, curve: PanelCurve) -> float:
    """Return the brightness that gives `factor` times the light at `here`.

    Near `here`, light is assumed to be proportional to a power of the curve, with the exponent `slope`.
    """
    exponent = math.log(factor) / slope
    # The bound prevents an overflow; a factor of e^100 is outside any panel's range.
    return curve.brightness(curve.light(here) * math.exp(min(max(exponent, -100.0), 100.0)))


def is_near_window(window: ExposureSpan, needed_s: float) -> bool:
    """Return whether a needed exposure is in the window, or near enough that the window's end can be used instead."""
    return window.shortest_s / WINDOW_SLACK <= needed_s <= window.longest_s * WINDOW_SLACK


def _distance(window: ExposureSpan, needed_s: float) -> float:
    """Return the logarithmic distance of an exposure from the window; 0 inside the window."""
    return abs(math.log(needed_s / window.clamp(needed_s)))
