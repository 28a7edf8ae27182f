"""What coldframe asks of a camera, and the frame it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.config.frames import FrameKind, ReadoutSettings


@dataclass(frozen=True, slots=True)
class Limits:
    """Range of a numeric control as its driver announces it (step 0: continuous)."""

    minimum: float
    maximum: float
    step: float = 0.0

    def contains(self, value: float) -> bool:
        """Tell whether `value` lies within the range (NaN never does)."""
        return self.minimum <= value <= self.maximum


@dataclass(frozen=True, slots=True)
class CameraFeatures:
    """What a connected camera can do.

    Attributes
    ----------
    width, height
        Unbinned sensor size in pixels.
    bit_depth
        Bits of the analogue-to-digital converter where the driver tells, else the depth of its files.
    exposure_s
        Shortest and longest exposure.
    gain, offset
        Ranges, or None where the camera has no such control.
    maximum_binning
        Largest symmetric binning.
    readout_modes
        Labels of the modes; empty where there is only one.
    setpoint_c
        Range of the cooler's setpoint, or None for an uncooled camera.
    reports_temperature
        True where the sensor's temperature can be read.
    cfa_pattern
        Colour filter array, such as "RGGB", as seen at the frame's first pixel; None for mono.
    serial
        The camera's serial number or the driver's device name.
    """

    width: int
    height: int
    bit_depth: int
    exposure_s: Limits
    gain: Limits | None = None
    offset: Limits | None = None
    maximum_binning: int = 1
    readout_modes: tuple[str, ...] = ()
    setpoint_c: Limits | None = None
    reports_temperature: bool = False
    cfa_pattern: str | None = None
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Thermals:
    """The camera's newest temperature reading.

    Attributes
    ----------
    sensor_c
        Sensor temperature in degrees Celsius, None where nothing sensible was reported yet.
    setpoint_c
        The setpoint last asked for, None while the cooler is off.
    cooler_on
        What the driver says, None where it does not say.
    power_percent
        Cooler power, 0 to 100; None where the driver does not report it.
    read_at_s
        Time of the reading on the running loop's clock.
    """

    sensor_c: float | None
    setpoint_c: float | None
    cooler_on: bool | None
    power_percent: float | None
    read_at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One exposure as the camera delivered it.

    Attributes
    ----------
    pixels
        uint16, shape (height, width), ADU, rows in the order of the driver's file.
    kind
        What it was shot for.
    exposure_s
        The exposure that was *asked for*, in seconds.
    started_at
        Start of the exposure, UTC.
    settings
        Readout settings as read back from the driver.
    sensor_c
        Sensor temperature when the exposure ended, degrees Celsius.
    setpoint_c
        Cooler setpoint, None where the cooler was off or there is none.
    camera
        Name of the camera.
    header
        Cards that the driver wrote, structural ones left out.
    """

    pixels: NDArray[np.uint16]
    kind: FrameKind
    exposure_s: float
    started_at: datetime
    settings: ReadoutSettings
    sensor_c: float | None
    setpoint_c: float | None
    camera: str
    header: Mapping[str, HeaderValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StrayFrame:
    """What a camera delivered and what is not the frame that was asked for: late, repeated, foreign or damaged.

    Attributes
    ----------
    camera
        Name of the camera.
    reason
        Why it does not count, as a clause.
    content
        The bytes as they came where they could not be read, else the pixels: uint16, shape (height, width), ADU.
    header
        Cards that came with the pixels.
    """

    camera: str
    reason: str
    content: bytes | NDArray[np.uint16]
    header: Mapping[str, HeaderValue] = field(default_factory=dict)


class Camera(Protocol):
    """A camera, cooled or not. All methods raise DeviceError; waits are bounded by deadlines of their own."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def features(self) -> CameraFeatures:
        """What the camera can do; known once connected."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the camera is there and stands as it was last told to."""
        ...

    async def ensure_ready(self) -> None:
        """Bring the camera back, with the settings and the setpoint it was last given, if it has been away."""
        ...

    async def reconnect(self) -> None:
        """Have the driver let its hardware go and take it again, and bring the camera back as it was."""
        ...

    async def connect(self) -> None:
        """Connect and bring the driver into the state we rely on (local upload, FITS, 16 bit, full frame)."""
        ...

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """Set gain, offset, binning and readout mode; return them as the driver reads them back."""
        ...

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose and read out one frame. Cancelling aborts the exposure first."""
        ...

    async def abort(self) -> None:
        """End a running exposure, if any."""
        ...

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Switch the cooler on and hand it a setpoint; returns when the driver has taken it, not when it is reached."""
        ...

    async def cooler_off(self) -> None:
        """Switch the cooler off."""
        ...

    def thermals(self) -> Thermals:
        """Return the newest temperature reading."""
        ...
