"""The words every layer shares: kinds of frame and the settings a camera is read out with."""

from dataclasses import dataclass
from enum import StrEnum


class FrameKind(StrEnum):
    """What a frame was shot for."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    DARK_FLAT = "dark-flat"
    LIGHT = "light"

    @property
    def needs_darkness(self) -> bool:
        """True where no light may reach the sensor."""
        return self in (FrameKind.BIAS, FrameKind.DARK, FrameKind.DARK_FLAT)


@dataclass(frozen=True, slots=True)
class ReadoutSettings:
    """Camera settings that calibration frames must share with the lights.

    Attributes
    ----------
    gain, offset
        In the camera driver's own units; None leaves the driver's value, or means that there is no such control.
    binning
        Pixels binned along each axis.
    readout_mode
        The driver's label of the mode, or None where the camera has one mode only.
    """

    gain: float | None = None
    offset: float | None = None
    binning: int = 1
    readout_mode: str | None = None
