"""Definitions of the methods that combine the values of a pixel, one from each frame; other modules apply them.

`Clipping`, the method of the running state, has its own module. All other methods except the mean need all values of a
pixel at once, and therefore frames on disk. The uncertainty of each method is the standard error from the scatter of
the kept values (ddof 1), corrected for the effect of the method on normally distributed values.

`step_adu` is the step between neighbouring levels of the frames, or 0 for floating-point frames. Rounding to this step
limits how precisely a value is known; see `coldframe.calibration.stacking.rounding`.
"""

from dataclasses import dataclass

from coldframe.calibration.stacking.clipping import Clipping


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of all values."""

    step_adu: float = 1.0

    def __str__(self) -> str:
        return "mean of all values"


@dataclass(frozen=True, slots=True)
class Median:
    """The median or, for an even number of values, the mean of the middle two; all values determine its uncertainty."""

    step_adu: float = 1.0

    def __str__(self) -> str:
        return "median"


@dataclass(frozen=True, slots=True)
class MedianClipping:
    """Iterated kappa-sigma clipping about the median, as in Siril's `rej sigma`.

    Each step computes the median and sigma (ddof 1) of the kept values, and permanently rejects all values further than
    kappa sigma from the median. These steps are repeated until no value is rejected or only four are left. The result
    is the mean of the kept values. Unlike in Siril, exact zeros count like any other value, and the last four values
    are those nearest to the median.

    Attributes
    ----------
    kappa
        Limit in units of sigma.
    step_adu
        Step between neighbouring levels of the frames; it does not affect which values are kept.
    """

    kappa: float = 3.0
    step_adu: float = 1.0

    def __post_init__(self) -> None:
        _check(self.kappa)

    def __str__(self) -> str:
        return f"{self.kappa:g} sigma about the median"


@dataclass(frozen=True, slots=True)
class Winsorizing:
    """Clipping about the median with a sigma that outliers do not inflate, as in Siril's `rej winsorized`.

    Values beyond the bounds at 1.5 sigma from the median are moved to these bounds, which are rounded to whole ADU for
    integer frames; 1.134 times the standard deviation (ddof 1) of the result is the next sigma. These steps are
    repeated until the relative change in sigma is at most 0.0005. Then all values further than kappa sigma from the
    median are permanently rejected. The whole procedure is repeated until no value is rejected or only four are left.
    The result is the mean of the kept values. The numbers 1.5 and 1.134 are Huber's (Robust Statistics, 1981); the
    factor 1.134 makes sigma correct for normally distributed values. Unlike in Siril, exact zeros count like any other
    value, and the last four values are those nearest to the median.

    Attributes
    ----------
    kappa
        Limit in units of sigma.
    step_adu
        Step between neighbouring levels of the frames; it does not affect which values are kept.
    """

    kappa: float = 3.0
    step_adu: float = 1.0

    def __post_init__(self) -> None:
        _check(self.kappa)

    def __str__(self) -> str:
        return f"{self.kappa:g} winsorized sigma about the median"


__all__ = ["Clipping", "Mean", "Median", "MedianClipping", "Method", "Winsorizing"]

Method = Clipping | Mean | Median | MedianClipping | Winsorizing


def _check(kappa: float) -> None:
    if not 1 <= kappa <= 100:  # noqa: PLR2004 - the limits of `Clipping`
        raise ValueError(f"kappa is {kappa}; allowed: 1 to 100")
