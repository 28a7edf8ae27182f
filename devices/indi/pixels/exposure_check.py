"""A check that a frame comes from the requested exposure rather than from one that another client started."""

import math
from collections.abc import Mapping

from coldframe.calibration.files.cards import HeaderValue
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import BULB_FROM_S
from coldframe.devices.errors import DeviceError, FrameDamagedError
from coldframe.devices.indi.pixels.driver_report import DriverReport
from coldframe.devices.indi.pixels.gain_card import GainCard

EARLIEST = 0.98
"""Smallest fraction of an exposure after which its frame can arrive. An earlier frame was not fully exposed (seen in
indi-allsky#1020)."""

ROUNDING_S = 1.0
"""Tolerance for the rounding of the remaining time. ZWO's drivers count down in whole seconds."""

EXPTIME_TOLERANCE = 0.01
LEAST_EXPTIME_TOLERANCE_S = 0.05
"""Tolerance for EXPTIME, as a fraction of the exposure, and its minimum in seconds. Drivers write measured exposures,
or round exposures to the resolution of the hardware."""

MEASURED_TOLERANCE = 0.04
LEAST_MEASURED_TOLERANCE_S = 1.0
"""Tolerance for the exposure in a raw's EXIF data, as a fraction of the exposure and as seconds; the two are added.
They apply to exposures that a driver can time in bulb mode. The camera measures the time from the opening to the
closing of the shutter, and the USB connection delays both. If the camera itself times a "30 s" exposure, it lasts
32 s."""

ADVICE = "Is another program using the camera?"
DIAL_ADVICE = "Is the camera's mode dial at M or B? Is another program using the camera?"


class ExposureCheck:
    """A comparison of each commanded exposure with the driver's countdown, the frame's header, and the elapsed time.

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
        """Whether another client started an exposure; None while the countdown is as expected."""

    def begin(self, exposure_s: float) -> None:
        """Start the check of an exposure that is about to be commanded."""
        self._exposure_s = exposure_s
        self._least_left_s = math.inf
        self._is_foreign = None

    def count_down(self, left_s: float) -> None:
        """Check the remaining time, in seconds, that the driver shows during the exposure.

        Raises
        ------
        DeviceError
            If more time remains than was requested, which means that another client started the running exposure.
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
        """Check the exposure and the gain of a frame.

        Parameters
        ----------
        header
            Cards from the driver.
        kind
            The requested kind.
        elapsed_s
            Time from the exposure command to the arrival of the frame, in seconds.
        gain
            The gain that the frame should have, in the driver's units; None if unknown.
        is_raw
            True if the cards come from the EXIF data of a camera raw, and so contain the exposure that the camera
            measured.

        Raises
        ------
        FrameDamagedError
            If the frame has a different exposure or gain.
        """
        # Compare the gain first, so that a driver that reports gain and exposure wrongly costs two frames, not four.
        other_gain = self._gain_card.contradiction(header, gain)
        self._check_time(header, kind, elapsed_s, is_raw=is_raw)
        if other_gain:
            raise FrameDamagedError(self._device, f"sent a frame {other_gain}", ADVICE)

    def gain_remark(self) -> str:
        """Return a remark if the driver always reports a wrong gain, but only once; otherwise, an empty string."""
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
            return  # agreement proves nothing: hardly any driver reports an exposure of zero wrongly
        took_as_long = exptime_s > self._exposure_s and elapsed_s >= EARLIEST * exptime_s
        if self._exptime.contradicts(differs=differs) or (differs and took_as_long):
            what = f"sent a frame with an exposure of {exptime_s:g} s instead of {self._exposure_s:g} s"
            raise FrameDamagedError(self._device, what, DIAL_ADVICE if is_raw else ADVICE)

    def _differs(self, exptime_s: float, kind: FrameKind, *, is_raw: bool) -> bool:
        if kind is FrameKind.BIAS:  # many drivers choose the shortest exposure for bias frames themselves
            return exptime_s > self._exposure_s + ROUNDING_S
        tolerance_s = max(EXPTIME_TOLERANCE * self._exposure_s, LEAST_EXPTIME_TOLERANCE_S)
        if is_raw and self._exposure_s >= BULB_FROM_S:
            tolerance_s = LEAST_MEASURED_TOLERANCE_S + MEASURED_TOLERANCE * self._exposure_s
        return abs(exptime_s - self._exposure_s) > tolerance_s


def _seconds(value: HeaderValue | None) -> float | None:
    """Return the value of a card, in seconds; None if it is not a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None
