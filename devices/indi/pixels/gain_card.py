"""A check that the gain in a frame's header is the gain that was commanded."""

import math
from collections.abc import Mapping

from coldframe.calibration.files.cards import HeaderValue
from coldframe.devices.indi.pixels.driver_report import DriverReport

TOLERANCE = 0.01
"""Relative and absolute tolerance for GAIN; drivers write the card with few digits."""


class GainCard:
    """A comparison of the GAIN or ISOSPEED card of each frame with the commanded gain, as confirmed by the driver."""

    def __init__(self) -> None:
        self._report = DriverReport()
        self._wrong = ""
        self._is_reported = False

    def contradiction(self, header: Mapping[str, HeaderValue], gain: float | None) -> str:
        """Return how the card contradicts the gain, such as "with gain 0 instead of 100"; otherwise an empty string.

        Parameters
        ----------
        header
            Cards from the driver.
        gain
            The commanded gain, in the driver's units; None if it is unknown which gain the frame should have.
        """
        stated = header.get("ISOSPEED", header.get("GAIN"))  # if both are present, GAIN is not in ISO units
        if gain is None or isinstance(stated, bool | str) or stated is None or not math.isfinite(stated):
            return ""
        differs = not math.isclose(stated, gain, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        self._wrong = f"with gain {stated:g} instead of {gain:g}"
        return self._wrong if self._report.contradicts(differs=differs) else ""

    def remark(self) -> str:
        """Return a remark if the card has always been wrong, but only once; otherwise, return an empty string."""
        if self._is_reported or not self._report.is_habit:
            return ""
        self._is_reported = True
        return (
            f"the frames are labelled {self._wrong} (card GAIN), although the driver shows the requested gain. The "
            "card is no longer compared; check the gain in another program, unless the card uses different units"
        )
