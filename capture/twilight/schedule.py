"""Twilight flats: through which filter to shoot next, when, and how long. Pure.

The filter whose time ends first is shot first: at dawn the one that lets most light through, at dusk the one that lets
least through. Which that is, a test frame through each tells. From then on each exposure follows the sky.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import log10

from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.twilight.sky_brightness import SkyLight

LEAST_SIGNAL_ADU = 10.0
"""A weaker signal may be drift of the bias; it counts as this much, which is a bound for the filter's light."""

TEST_PART = 1 / 12
"""First exposure in a dark sky, as part of the longest: sees the sky long before flats can be shot."""

TEST_LEVEL = 0.3
"""What further filters' tests aim at, were they as bright as the brightest so far, as part of the target."""

MARGIN = 0.2
"""A frame is shot only if its level is expected so far inside the band, as part of the band's width."""

LONG_WAIT_S = 240.0
"""Before the sky's pace is measured, no longer wait is trusted: a test frame shows how far the sky has come."""

LOOK_PART = 0.8
"""Part of a long wait after which that is looked at."""

LONGEST_KEPT = 0.9
"""Part of the longest exposure at which a filter's turn begins."""

MOST_WASTED = 8
"""Frames of a filter that may fail before it is given up: clouds."""

BEYOND_SATURATION = 4.0
"""What a saturated frame is taken for, in full ranges: the next exposure is a tenth as long."""


@dataclass(frozen=True, slots=True)
class SkyLimits:
    """Exposures, in seconds.

    Attributes
    ----------
    shortest_s, longest_s
        Of flats.
    test_s
        Shortest one for tests.
    """

    shortest_s: float
    longest_s: float
    test_s: float


@dataclass(frozen=True, slots=True)
class Expose:
    """Shoot a flat now. `is_test` where its level cannot be foreseen."""

    filter: str | None
    exposure_s: float
    is_test: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Shoot nothing until a time."""

    filter: str | None
    until_s: float


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to be shot."""


@dataclass(slots=True)
class _Filter:
    """A filter's flats.

    Attributes
    ----------
    name
        Of the filter.
    missing
        Flats to be shot.
    target, limits
        Level and exposures.
    wasted
        Frames that were no good flats.
    given_up
        Why no more are shot.
    """

    name: str | None
    missing: int
    target: FlatTarget
    limits: SkyLimits
    wasted: int = 0
    given_up: str | None = None


@dataclass(slots=True)
class SkyFlats:
    """The flats of one twilight.

    Attributes
    ----------
    light
        The sky.
    is_dawn
        Whether it becomes brighter.
    """

    light: SkyLight
    is_dawn: bool
    _filters: dict[str | None, _Filter] = field(init=False, default_factory=dict)

    def plan(self, name: str | None, count: int, target: FlatTarget, limits: SkyLimits) -> None:
        """Add a filter whose flats are wanted."""
        self._filters[name] = _Filter(name, count, target, limits)

    def target(self, name: str | None) -> FlatTarget:
        """Return the level that a filter's flats shall have."""
        return self._filters[name].target

    @property
    def given_up(self) -> dict[str | None, str]:
        """Filters whose flats are not all shot, and why."""
        return {each.name: each.given_up for each in self._filters.values() if each.given_up is not None}

    def observe(self, shot: Expose, start_s: float, level_adu: float, faintest_adu: float | None = None) -> None:
        """Take in what a frame showed, before it is known whether it is a good flat.

        Parameters
        ----------
        shot
            What was asked for.
        start_s
            When its exposure began.
        level_adu, faintest_adu
            Level of its brightest and its faintest channel; None where there is one.
        """
        mine = self._filters[shot.filter]
        signal_adu = level_adu - mine.target.bias_adu
        if signal_adu >= mine.target.range_adu:
            signal_adu = BEYOND_SATURATION * mine.target.range_adu
        elif faintest_adu is not None and signal_adu > LEAST_SIGNAL_ADU and mine.target.faintest_part == 1:
            mine.target = mine.target.for_channels((faintest_adu - mine.target.bias_adu) / signal_adu)
        self.light.observe(shot.filter, start_s, shot.exposure_s, max(signal_adu, LEAST_SIGNAL_ADU))

    def saturates(self, name: str | None, saturation_adu: float) -> None:
        """Lower a filter's target to a camera that saturates below what was presumed."""
        mine = self._filters[name]
        if mine.target.bias_adu < saturation_adu < mine.target.full_scale_adu:
            mine.target = replace(mine.target, full_scale_adu=saturation_adu)

    def accept(self, name: str | None) -> None:
        """Count a good flat."""
        self._filters[name].missing -= 1

    def waste(self, name: str | None) -> None:
        """Count a frame that is none."""
        mine = self._filters[name]
        mine.wasted += 1
        if mine.wasted >= MOST_WASTED:
            mine.given_up = f"{mine.wasted} frames were no good flats: clouds?"

    def decide(self, now_s: float) -> Expose | Wait | Finished:
        """Return what to do now."""
        unseen = [each for each in self._left() if each.name not in self.light.filters]
        if unseen:
            return self._test(unseen[0], now_s)
        while (mine := self._next(now_s)) is not None:
            decision = self._flat(mine, now_s)
            if decision is not None:
                return decision
        return Finished()

    def _left(self) -> Iterable[_Filter]:
        return (each for each in self._filters.values() if each.missing > 0 and each.given_up is None)

    def _next(self, now_s: float) -> _Filter | None:
        """Return the filter whose time ends first: it needs the shortest exposure at dawn, the longest at dusk."""

        def need_s(mine: _Filter) -> float:
            return mine.target.signal_adu / self.light.rate_adu_per_s(mine.name, now_s)

        return (min if self.is_dawn else max)(self._left(), key=need_s, default=None)

    def _test(self, mine: _Filter, now_s: float) -> Expose:
        limits = mine.limits
        if not self.light.filters:
            exposure_s = limits.longest_s * TEST_PART if self.is_dawn else limits.test_s
        else:
            brightest = max(self.light.rate_adu_per_s(name, now_s) for name in self.light.filters)
            exposure_s = TEST_LEVEL * mine.target.signal_adu / brightest
        kept_s = min(max(exposure_s, limits.test_s), limits.longest_s * TEST_PART)
        return Expose(mine.name, _rounded(kept_s), is_test=True)

    def _flat(self, mine: _Filter, now_s: float) -> Expose | Wait | None:
        """Return what a filter's flats need now; None where their time is over, and they are given up."""
        limits, signal_adu = mine.limits, mine.target.signal_adu
        wanted_s = self.light.exposure_s(mine.name, now_s, signal_adu)
        exposure_s = _rounded(min(max(wanted_s, limits.shortest_s), limits.longest_s))
        expected_adu = self.light.signal_adu(mine.name, now_s, exposure_s)
        if mine.target.holds(expected_adu, MARGIN):
            return Expose(mine.name, exposure_s, is_test=False)
        is_faint = expected_adu < signal_adu
        if is_faint is not self.is_dawn:
            limit = f"longer than {limits.longest_s:g} s" if is_faint else f"shorter than {limits.shortest_s:g} s"
            mine.given_up = f"the sky is too {'dark' if is_faint else 'bright'}: they would have to be {limit}"
            return None
        turn_s = LONGEST_KEPT * limits.longest_s if is_faint else limits.shortest_s / LONGEST_KEPT
        return self._until(mine, now_s, self.light.reaches_s(mine.name, signal_adu / turn_s))

    def _until(self, mine: _Filter, now_s: float, reached_s: float) -> Expose | Wait:
        """Wait for the sky; a long wait for one whose pace is only presumed is broken by a test."""
        waited_s = reached_s - self.light.latest_s
        if self.light.is_followed or waited_s < LONG_WAIT_S:
            return Wait(mine.name, max(reached_s, now_s + 1.0))
        look_s = self.light.latest_s + LOOK_PART * waited_s
        if now_s < look_s:
            return Wait(mine.name, look_s)
        exposure_s = TEST_LEVEL * mine.target.signal_adu / self.light.rate_adu_per_s(mine.name, now_s)
        return Expose(
            mine.name, _rounded(min(max(exposure_s, mine.limits.test_s), mine.limits.longest_s)), is_test=True
        )


def _rounded(exposure_s: float) -> float:
    """Return an exposure to three digits: what stands in headers is then what was shot."""
    return round(exposure_s, 2 - int(log10(exposure_s) // 1))
