"""The ways in which the values of a pixel become one, by name; each is defined here, computed elsewhere.

`Clipping`, the running state's own, has a module to itself. The others need the whole sample of a pixel and therefore
frames on disk. The uncertainty is for all of them the standard error from the scatter of the kept values (ddof 1) times
a correction for what the method does to normal samples.
"""

from dataclasses import dataclass

from coldframe.calibration.stacking.clipping import Clipping


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of all values."""

    def __str__(self) -> str:
        return "mean of all values"


@dataclass(frozen=True, slots=True)
class Median:
    """The median, of an even number of values the mean of the middle two; the uncertainty is from all values."""

    def __str__(self) -> str:
        return "median"


@dataclass(frozen=True, slots=True)
class MedianClipping:
    """Iterated kappa-sigma clipping about the median, as Siril's `rej sigma` does it.

    Of the kept values median and sigma (ddof 1) are taken, and all values further than kappa sigma from the median are
    rejected for good, until none is or only four are left. The result is the mean of the kept values. Unlike Siril,
    exact zeros count like any other value, and the last four values that stay are those next to the median.

    Attributes
    ----------
    kappa
        Limit in units of sigma.
    """

    kappa: float = 3.0

    def __post_init__(self) -> None:
        _check(self.kappa)

    def __str__(self) -> str:
        return f"{self.kappa:g} sigma about the median"


@dataclass(frozen=True, slots=True)
class Winsorizing:
    """Clipping about the median with a sigma that outliers do not widen, as Siril's `rej winsorized` does it.

    The values are drawn in to the median plus and minus 1.5 sigma, the bounds rounded to whole ADU of integer frames;
    1.134 times the standard deviation (ddof 1) of these is the next sigma, and so on until it changes by no more than
    0.0005 of itself. Then all values further than kappa sigma from the median are rejected for good, and everything is
    repeated until none is or only four are left. The result is the mean of the kept values. 1.5 and 1.134 are Huber's
    (Robust Statistics, 1981; the factor makes sigma right for normal samples). Unlike Siril, exact zeros count like any
    other value, and the last four values that stay are those next to the median.

    Attributes
    ----------
    kappa
        Limit in units of sigma.
    """

    kappa: float = 3.0

    def __post_init__(self) -> None:
        _check(self.kappa)

    def __str__(self) -> str:
        return f"{self.kappa:g} winsorized sigma about the median"


__all__ = ["Clipping", "Mean", "Median", "MedianClipping", "Method", "Winsorizing"]

Method = Clipping | Mean | Median | MedianClipping | Winsorizing


def _check(kappa: float) -> None:
    if not 1 <= kappa <= 100:  # noqa: PLR2004 - as `Clipping` allows
        raise ValueError(f"kappa is {kappa}; allowed: 1 to 100")
