"""A check that a frame has the exposure that was requested, and not an exposure that another client started."""

import math
from collections.abc import Mapping

from coldframe.calibration.files.cards import HeaderValue
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import BULB_FROM_S
from coldframe.devices.errors import DeviceError, FrameDamagedError
from coldframe.devices.indi.pixels.driver_report import DriverReport
from coldframe.devices.indi.pixels.gain_card import GainCard

EARLIEST = 0.98
"""A frame that arrives before this fraction of its exposure was not fully exposed (seen in indi-allsky#1020)."""

ROUNDING_S = 1.0
"""Rounding of the remaining time. Drivers of ZWO count down in whole seconds."""

EXPTIME_TOLERANCE = 0.01
LEAST_EXPTIME_TOLERANCE_S = 0.05
"""Tolerances of EXPTIME, relative and in seconds: drivers measure exposures, or round them to their resolution."""

MEASURED_TOLERANCE = 0.04
LEAST_MEASURED_TOLERANCE_S = 1.0
"""Tolerances of the exposure in the EXIF data of a raw, for exposures that a driver can time by bulb. The camera
measures when the shutter opened and closed, which its USB connection delays; and its own "30 s" are 32 s."""

ADVICE = "Does another program use the camera?"
DIAL_ADVICE = "Is the camera in M or B, or does another program use it?"


class ExposureCheck:
    """A comparison of each requested exposure with the driver's countdown, its EXPTIME and GAIN, and the wall time.

    Parameters
    ----------
    device
        The camera.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._countdown, self._exptime = DriverReport(), DriverReport()
        self._gain_card = GainCard()
        self._exposure_s = 0.0
        self._least_left_s = math.inf
        self._is_foreign: bool | None = None
        """Whether another client started an exposure; None while the countdown is as it should be."""

    def begin(self, exposure_s: float) -> None:
        """Start the check of an exposure that is about to be commanded."""
        self._exposure_s = exposure_s
        self._least_left_s = math.inf
        self._is_foreign = None

    def count_down(self, left_s: float) -> None:
        """Take the remaining time that the driver shows during the exposure, in seconds.

        Raises
        ------
        DeviceError
            If more time remains than was requested, so that the running exposure belongs to another client.
        """
        is_too_long = left_s > self._exposure_s + ROUNDING_S
        if self._is_foreign is None and (is_too_long or left_s > self._least_left_s + ROUNDING_S):
            self._is_foreign = self._countdown.contradicts(differs=True)
        if is_too_long and self._is_foreign:
            what = f"another client started an exposure of {left_s:.4g} s during the exposure of {self._exposure_s:g} s"
            raise DeviceError(self._device, what, ADVICE)
        if left_s > 0:  # some drivers show 0 until the exposure has started
            self._least_left_s = min(left_s, self._least_left_s)

    def check(
        self,
        header: Mapping[str, HeaderValue],
        kind: FrameKind,
        elapsed_s: float,
        gain: float | None,
        *,
        is_raw: bool = False,
    ) -> None:
        """Check a frame.

        Parameters
        ----------
        header
            Cards of the driver.
        kind
            The requested kind.
        elapsed_s
            Time from the command of the exposure to the arrival of the frame.
        gain
            The gain that the frame should have, in the driver's units; None if it is not known.
        is_raw
            True if the cards are the EXIF data of a camera raw, which states the exposure that the camera measured.

        Raises
        ------
        FrameDamagedError
            If the frame has a different exposure or gain.
        """
        # Compare the gain first, so that a driver that states both wrongly costs two frames and not four.
        other_gain = self._gain_card.contradiction(header, gain)
        self._check_time(header, kind, elapsed_s, is_raw=is_raw)
        if other_gain:
            raise FrameDamagedError(self._device, f"sent a frame {other_gain}", ADVICE)

    def gain_remark(self) -> str:
        """Return once that the driver always states a wrong gain; otherwise an empty string."""
        return self._gain_card.remark()

    def _check_time(
        self, header: Mapping[str, HeaderValue], kind: FrameKind, elapsed_s: float, *, is_raw: bool
    ) -> None:
        if kind is not FrameKind.BIAS and elapsed_s < EARLIEST * self._exposure_s:
            raise FrameDamagedError(
                self._device, f"sent a frame {elapsed_s:.3f} s after the start of a {self._exposure_s:g} s exposure"
            )
        if self._is_foreign is None:
            self._countdown.contradicts(differs=False)
        if self._is_foreign:
            what = f"another client started an exposure during the exposure of {self._exposure_s:g} s"
            raise FrameDamagedError(self._device, what, ADVICE)
        exptime_s = _seconds(header.get("EXPTIME"))
        if exptime_s is None:
            return
        differs = self._differs(exptime_s, kind, is_raw=is_raw)
        if kind is FrameKind.BIAS and not differs:
            return  # hardly any driver states a wrong exposure that is zero
        took_as_long = exptime_s > self._exposure_s and elapsed_s >= EARLIEST * exptime_s
        if self._exptime.contradicts(differs=differs) or (differs and took_as_long):
            what = f"sent a frame with an exposure of {exptime_s:g} s instead of {self._exposure_s:g} s"
            raise FrameDamagedError(self._device, what, DIAL_ADVICE if is_raw else ADVICE)

    def _differs(self, exptime_s: float, kind: FrameKind, *, is_raw: bool) -> bool:
        if kind is FrameKind.BIAS:  # many drivers expose a bias frame with a shortest exposure that they choose
            return exptime_s > self._exposure_s + ROUNDING_S
        tolerance_s = max(EXPTIME_TOLERANCE * self._exposure_s, LEAST_EXPTIME_TOLERANCE_S)
        if is_raw and self._exposure_s >= BULB_FROM_S:
            tolerance_s = LEAST_MEASURED_TOLERANCE_S + MEASURED_TOLERANCE * self._exposure_s
        return abs(exptime_s - self._exposure_s) > tolerance_s


def _seconds(value: HeaderValue | None) -> float | None:
    """Return the seconds that a card states; None if it does not state a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None
