"""Which exposure and brightness the tuner tries next: the preferred window first, then the hard limits. Pure."""

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
"""A needed exposure this little outside the window is shot at the window's end instead of changing the panel."""

FLAT_RESPONSE = 0.15
"""Slope of log light against log brightness below which the panel is taken not to answer: its extreme is tried next."""

DEPTH_INTO_WINDOW = 0.35
"""How far inside the window the exposure is aimed at that a change of brightness shall bring: 0 its end, 1 the middle.

The less the brightness is changed, the less a response of unknown shape can lead astray.
"""

TESTS_BEFORE_SETTLING = 5
"""After so many tests an exposure outside the window, but within the limits, is good enough."""

SAME_EXPOSURE = 0.2
"""Needed exposures whose logarithms differ by less count as equal: going to and fro between them wins nothing."""


def next_setting(evidence: Evidence, limits: TuningLimits) -> tuple[int, float]:
    """Choose brightness and exposure of the next test: the window first, then the hard limits."""
    needs = evidence.needed_exposures()
    here = _best_so_far(evidence, needs, limits.window)
    if evidence.is_bracketed() or _is_good_enough(evidence, here, needs, limits):
        there = here
    else:
        there = _better_brightness(here, evidence, needs, limits)
    needed_s = needs[there] if there in needs else _needed_s(there, here, evidence, needs, limits.window)
    if evidence.is_black_up_to(limits.window.longest_s):
        # A light that is off shows at the window's end as surely as at the longest exposure, and sooner.
        needed_s = min(needed_s, limits.window.longest_s)
    return there, _exposure_to_try_s(evidence, there, needed_s, limits)


def _needed_s(there: int, here: int, evidence: Evidence, needs: NeededExposures, window: ExposureSpan) -> float:
    """Predict the exposure at a brightness that was not tried yet."""
    dark = evidence.dark_below(here)
    if dark is None or there > here:
        return predict_exposure_s(there, needs, evidence.curve)
    start = _onset(evidence, dark, here, needs)
    # So near to where the light begins nothing can be foretold: the window is as good as anything.
    return window.clamp(needs[here] * (here - start) / max(there - start, (here - start) / 100))


def _best_so_far(evidence: Evidence, needs: NeededExposures, window: ExposureSpan) -> int:
    """Return the brightness whose needed exposure lies nearest to the window; the present one if it is as good."""
    here = evidence.tests[-1].brightness_key
    if evidence.is_bracketed():
        # A short exposure at the dimmest clipped brightness measures the light, another brightness may not.
        return min(test.brightness_key for test in evidence.tests if evidence.is_clipped(test))
    known = [brightness for brightness in needs if not evidence.is_black_at(brightness)] or list(needs)
    best = min(known, key=lambda brightness: _distance(window, needs[brightness]))
    is_as_good = here in known and _distance(window, needs[here]) <= _distance(window, needs[best]) + SAME_EXPOSURE
    return here if is_as_good else best


def _is_good_enough(evidence: Evidence, here: int, needs: NeededExposures, limits: TuningLimits) -> bool:
    """Tell whether a brightness is good enough after so many tests, although the window is missed."""
    is_known = evidence.is_measured_at(here) and limits.exposure.contains(needs[here])
    return len(evidence.tests) >= TESTS_BEFORE_SETTLING and is_known


def _exposure_to_try_s(evidence: Evidence, brightness: int, needed_s: float, limits: TuningLimits) -> float:
    """Round the needed exposure, and step aside where just that was shot already and missed."""
    window = limits.window
    exposure_s = limits.round_s(window.clamp(needed_s) if is_near_window(window, needed_s) else needed_s)
    shot = evidence.newest_at(brightness, exposure_s)
    if shot is None:
        return exposure_s
    step_s = max(limits.exposure_step_s, 0.02 * exposure_s)
    return limits.round_s(exposure_s - step_s if evidence.is_above(shot) else exposure_s + step_s)


def _better_brightness(here: int, evidence: Evidence, needs: NeededExposures, limits: TuningLimits) -> int:
    """Return the brightness that should need the middle of the window, or `here` if none is better."""
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
        # A panel that did not answer is tried at its end.
        choice = end if slope < FLAT_RESPONSE else panel.nearest(_brightness_for(here, wanted, slope, curve))
    elif not brighter and across == evidence.dark_below(here):
        start = _onset(evidence, across, here, needs)
        choice = panel.nearest(start + (here - start) * wanted)
    elif (needs[across] > window.longest_s) != brighter:
        slope = slope_between(here, across, needs, curve)
        choice = panel.nearest(_brightness_for(here, wanted, slope, curve))
    else:
        # No better than here although it should be: the panel answers no more on this side. Its end is the last hope.
        choice = end
    if choice == here:
        choice = panel.nearest(here + panel.step if brighter else here - panel.step)
    return min((here, choice), key=lambda each: _distance(window, needs[each])) if choice in needs else choice


def _onset(evidence: Evidence, dark: int, lit: int, needs: NeededExposures) -> float:
    """Return the brightness between `dark` and `lit` from which a panel seems to give light that was black at `dark`.

    Such panels rise straight from there: the line through the two lowest measured brightnesses tells it. Where there
    are no two, or where it was black above that, a part of the way is a guess, the larger the more often it was black.
    """
    blacks = len({test.brightness_key for test in evidence.tests if evidence.is_black(test)})
    guess = dark + (lit - dark) * blacks / (blacks + 3)
    above = min((other for other in needs if other > lit and evidence.is_measured_at(other)), default=None)
    if above is not None and needs[above] < needs[lit]:
        line = lit - (above - lit) / (needs[lit] / needs[above] - 1)
        guess = line if dark < line < lit else guess
    return guess


def _brightness_for(here: int, factor: float, slope: float, curve: PanelCurve) -> float:
    """Return the brightness with `factor` times the light of `here`; light is the curve to the power of `slope`."""
    exponent = math.log(factor) / slope
    return curve.brightness(curve.light(here) * math.exp(min(max(exponent, -100.0), 100.0)))  # more is out of any range


def is_near_window(window: ExposureSpan, needed_s: float) -> bool:
    """Tell whether a needed exposure lies in the window or so near that its end serves."""
    return window.shortest_s / WINDOW_SLACK <= needed_s <= window.longest_s * WINDOW_SLACK


def _distance(window: ExposureSpan, needed_s: float) -> float:
    """Return how far an exposure lies outside the window, as a logarithm; 0 inside."""
    return abs(math.log(needed_s / window.clamp(needed_s)))
