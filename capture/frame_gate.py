"""Whether a frame may go into its master: judged by its pixels, whatever its driver says. Pure.

A frame that is turned away is kept in quarantine with the reason, and shot again.
"""

from dataclasses import dataclass

from coldframe.calibration.statistics import FrameStatistics
from coldframe.config.frames import FrameKind

LARGEST_DARK_SATURATION = 0.01
"""Saturated pixels in a frame without light: hot pixels stay far below, a leak or a lamp left on goes beyond."""

LEVEL_TOLERANCE = 8.0
"""Deviation from the level of the set's first frames, in units of one frame's noise; see `level_limit_adu`."""

LEAST_LEVEL_TOLERANCE_ADU = 20.0


@dataclass(frozen=True, slots=True)
class FlatBand:
    """Allowed levels of a flat, ADU with bias, and the fraction of its pixels that may be saturated."""

    low_adu: float
    high_adu: float
    saturated_fraction: float


class FrameGate:
    """Judges the frames of one set.

    Parameters
    ----------
    kind
        What the frames are.
    band
        For flats: the levels allowed.
    """

    def __init__(self, kind: FrameKind, band: FlatBand | None = None) -> None:
        self._kind = kind
        self._band = band
        self._reference: FrameStatistics | None = None
        self._digests: set[bytes] = set()

    def fault(self, statistics: FrameStatistics, digest: bytes) -> str | None:
        """Return why the frame is turned away, None where it is good.

        Parameters
        ----------
        statistics
            The frame's figures.
        digest
            Tells its pixels from those of every other frame.
        """
        fault = self._fault(statistics, digest)
        if fault is None:
            self._digests.add(digest)
            self._reference = self._reference or statistics
        return fault

    def _fault(self, statistics: FrameStatistics, digest: bytes) -> str | None:
        if digest in self._digests:
            return "the same pixels as an earlier frame: the camera repeated it"
        if statistics.minimum_adu == statistics.maximum_adu:
            return f"every pixel is {statistics.minimum_adu} ADU: the camera was not read out"
        return self._flat_fault(statistics) if self._band is not None else self._dark_fault(statistics)

    def _flat_fault(self, statistics: FrameStatistics) -> str | None:
        band = self._band
        assert band is not None
        if not band.low_adu <= statistics.level_adu <= band.high_adu:
            return (
                f"level {statistics.level_adu:.0f} ADU outside {band.low_adu:.0f} to {band.high_adu:.0f} ADU: "
                "the light has changed since the tuning"
            )
        if statistics.saturated_fraction > band.saturated_fraction:
            return f"{100 * statistics.saturated_fraction:.2f} % of the central pixels are saturated"
        return None

    def _dark_fault(self, statistics: FrameStatistics) -> str | None:
        if statistics.saturated_fraction > LARGEST_DARK_SATURATION:
            return (
                f"{100 * statistics.saturated_fraction:.1f} % of the central pixels are saturated: light on the sensor?"
            )
        reference = self._reference
        if reference is None:
            return None
        limit_adu = level_limit_adu(reference)
        if abs(statistics.level_adu - reference.level_adu) > limit_adu:
            return (
                f"level {statistics.level_adu:.0f} ADU, more than {limit_adu:.0f} ADU from the first frame's "
                f"{reference.level_adu:.0f} ADU: light on the sensor, or another setting?"
            )
        return None


def level_limit_adu(reference: FrameStatistics) -> float:
    """Return how far the level of a frame without light may lie from the first one's.

    The median of so many pixels scatters by far less than one pixel's noise; drifting offsets move it by a few ADU.
    """
    return max(LEVEL_TOLERANCE * reference.noise_adu, LEAST_LEVEL_TOLERANCE_ADU)
