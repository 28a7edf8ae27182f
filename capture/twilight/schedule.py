"""Schedule twilight flats: choose the filter and exposure of the next frame, or decide to wait.

The filter whose time ends first is used first. At dawn, this is the filter with the highest throughput; at dusk, it is
the filter with the lowest throughput. A test frame through each filter measures its throughput. After that, each
exposure follows the brightness of the sky.

This module performs no I/O.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import log10

from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.twilight.sky_brightness import SkyBrightness

LEAST_SIGNAL_ADU = 10.0
"""Smallest signal that counts. A weaker signal might be only bias drift, so this upper bound replaces it."""

TEST_PART = 1 / 12
"""Exposure of the first test frame under a dark sky, as a fraction of the longest exposure of flats.

It detects the sky long before flats are possible. The first test frame through any other filter is never longer.
"""

TEST_LEVEL = 0.3
"""Target level for test frames through further filters, as a fraction of the target for flats.

Each of these filters is assumed to let through as much light as the brightest filter so far.
"""

MARGIN = 0.2
"""Distance from the edges of the band that a frame's expected level must keep, as a fraction of the band's width."""

LONG_WAIT_S = 240.0
"""Maximum wait based on the presumed rate at which the sky brightens or fades. A test frame interrupts a longer wait
and measures that rate.
"""

LOOK_PART = 0.8
"""Fraction of a long wait after which the test frame is shot."""

LONGEST_KEPT = 0.9
"""At dawn, a filter's turn begins when the filter needs this fraction of the longest exposure; at dusk, when it needs
the shortest exposure divided by this fraction.
"""

MOST_WASTED = 8
"""Number of rejected frames after which a filter gets no more flats. Clouds are the most likely cause."""

BEYOND_SATURATION = 4.0
"""Presumed signal of a saturated frame, relative to the usable range, chosen so that the next exposure is a tenth as
long.
"""


@dataclass(frozen=True, slots=True)
class SkyLimits:
    """Limits of exposures, in seconds.

    Attributes
    ----------
    shortest_s, longest_s
        Limits of flats.
    test_s
        Shortest exposure of test frames.
    """

    shortest_s: float
    longest_s: float
    test_s: float


@dataclass(frozen=True, slots=True)
class Expose:
    """Decision to shoot a flat now; `is_test` is True if the level of the flat cannot be predicted."""

    filter: str | None
    exposure_s: float
    is_test: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Decision to shoot nothing until the given time on the night's clock, in seconds."""

    filter: str | None
    until_s: float


@dataclass(frozen=True, slots=True)
class Finished:
    """Decision to end, because no flats are missing or the missing flats can no longer be shot."""


@dataclass(slots=True)
class _Filter:
    """The flats of one filter.

    Attributes
    ----------
    name
        Name of the filter.
    missing
        Number of flats still to be shot.
    target, limits
        Level to aim for, and limits of the exposures.
    wasted
        Number of rejected frames.
    given_up
        Reason why no more flats are shot; None if more flats can be shot.
    """

    name: str | None
    missing: int
    target: FlatTarget
    limits: SkyLimits
    wasted: int = 0
    given_up: str | None = None


@dataclass(slots=True)
class SkySchedule:
    """Schedule of the flats of one twilight.

    Attributes
    ----------
    sky
        Model of the sky's brightness.
    is_dawn
        True if the sky is becoming brighter.
    """

    sky: SkyBrightness
    is_dawn: bool
    _filters: dict[str | None, _Filter] = field(init=False, default_factory=dict)

    def plan(self, name: str | None, count: int, target: FlatTarget, limits: SkyLimits) -> None:
        """Add the flats of a filter."""
        self._filters[name] = _Filter(name, count, target, limits)

    def target(self, name: str | None) -> FlatTarget:
        """Return the target level for the flats of a filter."""
        return self._filters[name].target

    @property
    def given_up(self) -> dict[str | None, str]:
        """The reasons why some filters get no more flats, although flats are missing, by filter."""
        return {each.name: each.given_up for each in self._filters.values() if each.given_up is not None}

    def observe(self, shot: Expose, start_s: float, level_adu: float, faintest_adu: float | None = None) -> None:
        """Update the model of the sky with the level of a frame, even if that frame is not a good flat.

        Parameters
        ----------
        shot
            Exposure that was requested.
        start_s
            Start of the exposure on the night's clock, seconds.
        level_adu, faintest_adu
            Level of the brightest and of the faintest channel, ADU; the latter is None for mono frames.
        """
        mine = self._filters[shot.filter]
        signal_adu = level_adu - mine.target.bias_adu
        if signal_adu >= mine.target.range_adu:
            signal_adu = BEYOND_SATURATION * mine.target.range_adu
        elif faintest_adu is not None and signal_adu > LEAST_SIGNAL_ADU and mine.target.faintest_part == 1:
            mine.target = mine.target.for_channels((faintest_adu - mine.target.bias_adu) / signal_adu)
        self.sky.observe(shot.filter, start_s, shot.exposure_s, max(signal_adu, LEAST_SIGNAL_ADU))

    def saturates(self, name: str | None, saturation_adu: float) -> None:
        """Lower the target of a filter if the camera saturates below the presumed level."""
        mine = self._filters[name]
        if mine.target.bias_adu < saturation_adu < mine.target.full_scale_adu:
            mine.target = replace(mine.target, full_scale_adu=saturation_adu)

    def accept(self, name: str | None) -> None:
        """Count a good flat."""
        self._filters[name].missing -= 1

    def waste(self, name: str | None) -> None:
        """Count a rejected frame."""
        mine = self._filters[name]
        mine.wasted += 1
        if mine.wasted >= MOST_WASTED:
            mine.given_up = f"{mine.wasted} frames were rejected: clouds?"

    def decide(self, now_s: float) -> Expose | Wait | Finished:
        """Return the decision for the given time on the night's clock, in seconds."""
        unseen = [each for each in self._left() if each.name not in self.sky.filters]
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
        """Return the filter whose time ends first. It needs the shortest exposure at dawn and the longest at dusk."""

        def need_s(mine: _Filter) -> float:
            return mine.target.signal_adu / self.sky.rate_adu_per_s(mine.name, now_s)

        return (min if self.is_dawn else max)(self._left(), key=need_s, default=None)

    def _test(self, mine: _Filter, now_s: float) -> Expose:
        limits = mine.limits
        if not self.sky.filters:
            exposure_s = limits.longest_s * TEST_PART if self.is_dawn else limits.test_s
        else:
            brightest = max(self.sky.rate_adu_per_s(name, now_s) for name in self.sky.filters)
            exposure_s = TEST_LEVEL * mine.target.signal_adu / brightest
        kept_s = min(max(exposure_s, limits.test_s), limits.longest_s * TEST_PART)
        return Expose(mine.name, _rounded(kept_s), is_test=True)

    def _flat(self, mine: _Filter, now_s: float) -> Expose | Wait | None:
        """Return the decision for the flats of one filter. If their time is over, record this and return None."""
        limits, signal_adu = mine.limits, mine.target.signal_adu
        wanted_s = self.sky.exposure_s(mine.name, now_s, signal_adu)
        exposure_s = _rounded(min(max(wanted_s, limits.shortest_s), limits.longest_s))
        expected_adu = self.sky.signal_adu(mine.name, now_s, exposure_s)
        if mine.target.holds(expected_adu, MARGIN):
            return Expose(mine.name, exposure_s, is_test=False)
        is_faint = expected_adu < signal_adu
        if is_faint is not self.is_dawn:
            limit = f"longer than {limits.longest_s:g} s" if is_faint else f"shorter than {limits.shortest_s:g} s"
            mine.given_up = f"the sky is too {'dark' if is_faint else 'bright'}: exposures would have to be {limit}"
            return None
        turn_s = LONGEST_KEPT * limits.longest_s if is_faint else limits.shortest_s / LONGEST_KEPT
        return self._until(mine, now_s, self.sky.reaches_s(mine.name, signal_adu / turn_s))

    def _until(self, mine: _Filter, now_s: float, reached_s: float) -> Expose | Wait:
        """Return a decision to wait for the sky, or to shoot a test frame during a long wait.

        The test frame is needed only while the rate at which the sky changes has not been measured.
        """
        waited_s = reached_s - self.sky.latest_s
        if self.sky.is_followed or waited_s < LONG_WAIT_S:
            return Wait(mine.name, max(reached_s, now_s + 1.0))
        look_s = self.sky.latest_s + LOOK_PART * waited_s
        if now_s < look_s:
            return Wait(mine.name, look_s)
        exposure_s = TEST_LEVEL * mine.target.signal_adu / self.sky.rate_adu_per_s(mine.name, now_s)
        return Expose(
            mine.name, _rounded(min(max(exposure_s, mine.limits.test_s), mine.limits.longest_s)), is_test=True
        )


def _rounded(exposure_s: float) -> float:
    """Round the exposure to three significant digits, so that headers and file names can state it exactly."""
    return round(exposure_s, 2 - int(log10(exposure_s) // 1))
