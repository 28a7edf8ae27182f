"""Define the exposures and brightnesses that the flat tuner may use. This module performs no I/O."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExposureSpan:
    """A range of exposures in seconds; raises ValueError unless 0 < shortest <= longest."""

    shortest_s: float
    longest_s: float

    def __post_init__(self) -> None:
        if not 0 < self.shortest_s <= self.longest_s < math.inf:
            raise ValueError(f"exposures from {self.shortest_s} s to {self.longest_s} s are not a valid range")

    @property
    def middle_s(self) -> float:
        """Geometric mean of the ends."""
        return math.sqrt(self.shortest_s * self.longest_s)

    def contains(self, exposure_s: float) -> bool:
        """Return whether an exposure is in the range."""
        return self.shortest_s <= exposure_s <= self.longest_s

    def clamp(self, exposure_s: float) -> float:
        """Return the exposure in the range that is nearest to the given exposure."""
        return min(max(exposure_s, self.shortest_s), self.longest_s)


@dataclass(frozen=True, slots=True)
class BrightnessRange:
    """Brightness range of a panel, in the panel's units; raises ValueError unless 0 <= minimum < maximum and step > 0.

    Brightness 0 is never used, because it means off on most panels.
    """

    minimum: int
    maximum: int
    step: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.minimum < self.maximum and self.step > 0):
            raise ValueError(
                f"brightness from {self.minimum} to {self.maximum} in steps of {self.step} is not a valid range"
            )

    @property
    def dimmest(self) -> int:
        """Lowest allowed brightness above 0."""
        return self.minimum or min(self.step, self.maximum)

    @property
    def brightest(self) -> int:
        """Highest allowed brightness that is a whole number of steps above the minimum."""
        return max(self.dimmest, self.maximum - (self.maximum - self.minimum) % self.step)

    def nearest(self, brightness: float) -> int:
        """Return the allowed brightness nearest to the given value."""
        wanted = min(max(brightness, self.dimmest), self.brightest)
        return min(
            max(self.minimum + round((wanted - self.minimum) / self.step) * self.step, self.dimmest), self.brightest
        )


@dataclass(frozen=True, slots=True)
class TuningLimits:
    """Limits of the search for a flat exposure.

    Attributes
    ----------
    exposure
        Hard limits: exposures that the camera supports and the user allows.
    preferred
        Exposures to aim for by changing the brightness: long enough to avoid flicker and shutter artefacts, short
        enough to keep dark current low.
    brightness
        Brightness range; None for a lamp that can only be switched on and off.
    exposure_step_s
        Step of which all exposures are multiples; 0 if the camera accepts any exposure.
    shutter_s
        The only exposures that the camera offers, shortest first; empty if the camera has no list of exposures.
    maximum_tests
        Number of tests after which the best test so far is used.

    Raises
    ------
    ValueError
        If no multiple of the step, or no time in the list, lies within the limits, or no test is allowed.
    """

    exposure: ExposureSpan
    preferred: ExposureSpan = ExposureSpan(0.5, 3.0)
    brightness: BrightnessRange | None = None
    exposure_step_s: float = 0.0
    maximum_tests: int = 10
    shutter_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.maximum_tests < 1:
            raise ValueError(f"at least one test must be allowed, not {self.maximum_tests}")
        if not 0 <= self.exposure_step_s < math.inf:
            raise ValueError(f"an exposure step of {self.exposure_step_s} s is impossible")
        if self.exposure_step_s and self._steps[0] > self._steps[1]:
            raise ValueError(f"no multiple of {self.exposure_step_s} s is within {self.exposure}")
        if self.shutter_s and not self.listed_s:
            limits = f"{self.exposure.shortest_s:g} to {self.exposure.longest_s:g} s"
            raise ValueError(f"the camera has no shutter time within the allowed {limits}")

    @property
    def window(self) -> ExposureSpan:
        """The preferred range, clipped to the hard limits."""
        return ExposureSpan(
            self.exposure.clamp(self.preferred.shortest_s), self.exposure.clamp(self.preferred.longest_s)
        )

    def round_s(self, exposure_s: float) -> float:
        """Return the exposure, limited to the allowed range and rounded so that it equals its printed value.

        The result is the nearest of the camera's shutter times, or a multiple of the camera's step. Without either, the
        result is rounded to 1 ms, or to three significant digits below 0.1 s. This rounding is finer than a flat needs
        and coarser than the rounding of drivers.
        """
        if self.shutter_s:
            return min(self.listed_s, key=lambda time_s: abs(math.log(time_s / exposure_s)))
        if self.exposure_step_s:
            return self._on_step(exposure_s)
        wanted = self.exposure.clamp(exposure_s)
        digits = 3 if wanted >= 0.1 else 2 - math.floor(math.log10(wanted))  # noqa: PLR2004 (documented above)
        return self.exposure.clamp(round(wanted, digits))

    def _on_step(self, exposure_s: float) -> float:
        first, last = self._steps
        steps = min(max(round(exposure_s / self.exposure_step_s), first), last)
        return self.exposure.clamp(float(f"{steps * self.exposure_step_s:.9g}"))

    def next_s(self, exposure_s: float, *, is_shorter: bool) -> float:
        """Return the next shorter or longer allowed exposure; at the limits, return the given exposure."""
        if self.shutter_s:
            beyond = [each for each in self.listed_s if (each < exposure_s if is_shorter else each > exposure_s)]
            return min(beyond, key=lambda each: abs(each - exposure_s), default=exposure_s)
        step_s = max(self.exposure_step_s, 0.02 * exposure_s)
        return self.round_s(exposure_s - step_s if is_shorter else exposure_s + step_s)

    @property
    def listed_s(self) -> list[float]:
        """The shutter times within the hard limits."""
        return [time_s for time_s in self.shutter_s if self.exposure.contains(time_s)]

    @property
    def _steps(self) -> tuple[int, int]:
        """Shortest and longest allowed exposure, in steps."""
        # Without the tolerance, rounding errors would exclude limits that are multiples of the step: 0.3 = 3 x 0.1.
        first = max(1, math.ceil(self.exposure.shortest_s / self.exposure_step_s - 1e-9))
        return first, math.floor(self.exposure.longest_s / self.exposure_step_s + 1e-9)
