"""Decide from a frame's pixels, not from the driver's report, whether the frame may go into its master.

The caller moves rejected frames to quarantine, records the reason, and shoots the frames again.

This module performs no I/O.
"""

from dataclasses import dataclass
from typing import Self

from coldframe.calibration.looks.frame_looks import (
    LARGEST_BANDS,
    Fault,
    MeasuredFrame,
    Reference,
    not_read_out,
    other_dark_level,
    other_format,
    other_noise,
    saturated_dark,
    saturated_flat,
    shape_bounds_adu,
    torn_bias,
    uneven_light,
)
from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.judging.light_leak import LeakWatch
from coldframe.capture.judging.repeats import NightDigests, SetDigests
from coldframe.capture.tuner.target import FlatTarget
from coldframe.config.frames import FrameKind


@dataclass(frozen=True, slots=True)
class FlatBand:
    """Limits for the flats of a set.

    Attributes
    ----------
    low_adu, high_adu
        Lowest and highest allowed level of the brightest channel, including bias.
    saturated_fraction
        Maximum fraction of saturated pixels.
    faintest_adu
        Lowest allowed level of the faintest channel, including bias.
    bias_adu
        Bias level.
    largest_bands
        Largest allowed relative depth of bands.
    """

    low_adu: float
    high_adu: float
    saturated_fraction: float
    faintest_adu: float
    bias_adu: float = 0.0
    largest_bands: float = LARGEST_BANDS

    @classmethod
    def around(cls, target: FlatTarget, saturated_fraction: float) -> Self:
        """Return the limits for a flat target."""
        low_adu, high_adu = target.levels_adu
        return cls(low_adu, high_adu, saturated_fraction, target.faintest_level_adu, target.bias_adu)


class FrameGate:
    """A gate that accepts or rejects the frames of one set.

    Parameters
    ----------
    kind
        Kind of the frames.
    band
        Limits for flats; None for frames that are shot in the dark.
    ceiling_adu
        Highest possible level of frames that are shot in the dark; None if unknown.
    digests
        Digests of the night's frames; None if there is no other set.
    """

    def __init__(
        self,
        kind: FrameKind,
        band: FlatBand | None = None,
        ceiling_adu: float | None = None,
        digests: SetDigests | None = None,
    ) -> None:
        self._kind = kind
        self._band = band
        self._ceiling_adu = ceiling_adu
        self._reference: Reference | None = None
        self._leaks: LeakWatch | None = None
        self._digests = digests or NightDigests().of_set(kind)

    def bounds_adu(self, statistics: FrameStatistics) -> tuple[float, float]:
        """Return the bounds to which pixels are clipped before the shape of a frame is measured.

        Once the set has a good frame, the bounds that follow from the first good frame apply to the whole set.
        """
        if self._band is not None:
            return 0.0, 65535.0
        return shape_bounds_adu(self._reference.statistics if self._reference else statistics)

    def fault(self, frame: MeasuredFrame) -> Fault | None:
        """Return the reason for rejecting a frame, or None if the frame is good. Use `accept` to record the frame."""
        fault = self._fault(frame)
        if fault is None and frame.digest in self._digests:
            return Fault("the pixels are those of an earlier frame: the camera repeated that frame")
        return fault

    def remember_pixels(self, frame: MeasuredFrame) -> None:
        """Record the pixels of a frame, so that a repetition of the frame is rejected.

        Also call this method for a frame that is rejected because of how it was shot, even if its pixels are faultless.
        """
        self._digests.add(frame.digest)

    def accept(self, frame: MeasuredFrame) -> None:
        """Record a good frame for comparison with later frames."""
        self.remember_pixels(frame)
        self._reference = self._reference or Reference(frame.statistics, frame.shape, frame.lines, "the first frame")
        # Bias exposures are too short to show a leak, and comparing the frames of large bias sets would take too long.
        if self._kind in {FrameKind.DARK, FrameKind.DARK_FLAT}:
            self._leaks = self._leaks or LeakWatch(self._reference.statistics.noise_adu)
            self._leaks.accept(frame.shape, frame.sensor_c)

    def _fault(self, frame: MeasuredFrame) -> Fault | None:
        statistics = frame.statistics
        if not self._is_flooded(statistics) and (fault := not_read_out(statistics)):
            return fault
        if self._reference is not None and (fault := other_format(frame, self._reference)):
            return fault
        return self._flat_fault(frame, self._band) if self._band is not None else self._dark_fault(frame)

    def _is_flooded(self, statistics: FrameStatistics) -> bool:
        """Return whether every pixel is saturated although the frame was meant to be shot in the dark.

        Light causes this, not a failed readout.
        """
        return self._band is None and statistics.saturated_fraction == 1

    def _flat_fault(self, frame: MeasuredFrame, band: FlatBand) -> Fault | None:
        statistics = frame.statistics
        level_adu = statistics.brightest_adu
        if not band.low_adu <= level_adu <= band.high_adu:
            return Fault(
                f"the level of {level_adu:.0f} ADU is outside {band.low_adu:.0f} to {band.high_adu:.0f} ADU: "
                "the light has changed since the tuning"
            )
        if statistics.faintest_adu < band.faintest_adu:
            return Fault(
                f"the faintest colour has {statistics.faintest_adu:.0f} ADU, less than {band.faintest_adu:.0f} ADU: "
                "the colour of the light has changed since the tuning"
            )
        if fault := saturated_flat(statistics, band.saturated_fraction):
            return fault
        if self._reference is None:
            return None
        return uneven_light(frame, self._reference, band.bias_adu, band.largest_bands)

    def _dark_fault(self, frame: MeasuredFrame) -> Fault | None:
        statistics = frame.statistics
        if fault := saturated_dark(statistics):
            return fault
        if self._ceiling_adu is not None and statistics.level_adu > self._ceiling_adu:
            return Fault(
                f"the level of {statistics.level_adu:.0f} ADU is above {self._ceiling_adu:.0f} ADU: there is light "
                "although the lamp is off",
                is_light=True,
            )
        return None if self._reference is None else self._change(frame, self._reference)

    def _change(self, frame: MeasuredFrame, reference: Reference) -> Fault | None:
        """Compare a frame that was shot in the dark with earlier frames."""
        if self._kind is FrameKind.BIAS and (fault := torn_bias(frame, reference)):
            return fault
        if fault := other_dark_level(frame, reference):
            return fault
        if self._leaks is not None and (leak := self._leaks.leak(frame.shape, frame.sensor_c)):
            return Fault(str(leak), is_light=True)
        return other_noise(frame, reference)
