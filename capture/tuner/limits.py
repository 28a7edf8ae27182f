"""What the flat tuner may ask for: exposures and brightnesses. Pure."""

import math
from dataclasses import dataclass


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
