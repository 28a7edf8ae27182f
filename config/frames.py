"""The terms that every layer shares: kinds of frames, and a camera's readout settings."""

from dataclasses import dataclass
from enum import StrEnum


class FrameKind(StrEnum):
    """The purpose of a frame."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    DARK_FLAT = "dark-flat"
    LIGHT = "light"

    @property
    def needs_darkness(self) -> bool:
        """True if no light may reach the sensor."""
        return self in (FrameKind.BIAS, FrameKind.DARK, FrameKind.DARK_FLAT)


@dataclass(frozen=True, slots=True)
class ReadoutSettings:
    """Camera settings that calibration frames must share with the lights.

    Attributes
    ----------
    gain, offset
        Values in the camera driver's own units. In a command, None keeps the driver's value; in a reading, None means
        that the camera does not have this control.
    binning
        Number of pixels binned along each axis.
    readout_mode
        The driver's label for the mode. In a command, None keeps the driver's mode; in a reading, None means that the
        camera has only one mode.
    """

    gain: float | None = None
    offset: float | None = None
    binning: int = 1
    readout_mode: str | None = None
