"""The protocol for cameras, and the frames that they return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isclose, log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.config.frames import FrameKind, ReadoutSettings


@dataclass(frozen=True, slots=True)
class Limits:
    """The range of a numeric control as announced by its driver. A step of 0 means that any value in it is allowed."""

    minimum: float
    maximum: float
    step: float = 0.0

    def contains(self, value: float) -> bool:
        """Return True if `value` is within the range. NaN is never within the range."""
        return self.minimum <= value <= self.maximum

    @property
    def is_fixed(self) -> bool:
        """True if the range is a single value, as for a control that the driver reports but cannot change."""
        return self.minimum == self.maximum


BULB_FROM_S = 1.0
"""Shortest exposure that a driver can time accurately enough in bulb mode; each command to the camera takes a few
hundredths of a second."""

SAME_EXPOSURE = 0.01
"""Maximum relative difference at which a requested exposure and a shutter time count as equal."""


@dataclass(frozen=True, slots=True)
class ShutterTimes:
    """The possible exposures of a camera that has a list of shutter times, such as a DSLR.

    Attributes
    ----------
    times_s
        The shutter times, shortest first; never empty.
    bulb_from_s
        Shortest exposure, in seconds, for which the driver itself holds the shutter open (bulb), so any longer exposure
        is possible; None if the camera has no bulb setting.
    """

    times_s: tuple[float, ...]
    bulb_from_s: float | None = None

    def nearest_s(self, exposure_s: float) -> float:
        """Return the possible exposure that is nearest to the given exposure, in seconds."""
        if self.bulb_from_s is not None and exposure_s >= self.bulb_from_s:
            return exposure_s
        return min(self.times_s, key=lambda time_s: abs(log(time_s / exposure_s)))

    def offers(self, exposure_s: float) -> bool:
        """Return True if the exposure is possible, allowing for the rounding of numbers such as 0.33."""
        return isclose(self.nearest_s(exposure_s), exposure_s, rel_tol=SAME_EXPOSURE)


@dataclass(frozen=True, slots=True, eq=False)
class RawFile:
    """A file in the camera's own format, as the driver delivered it.

    Attributes
    ----------
    suffix
        Suffix of the file, such as ".cr2"; always a suffix that coldframe can read.
    content
        The complete file.
    """

    suffix: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CameraFeatures:
    """The capabilities of a connected camera.

    Attributes
    ----------
    width, height
        Unbinned sensor size in pixels; 0 while it is unknown, for example before the first frame from a DSLR.
    bit_depth
        Bit depth of the ADC if the driver reports it, otherwise that of the driver's files.
    exposure_s
        Range of possible exposures, in seconds.
    gain, offset
        Range of the control, or a single value if the control is read-only; None if the camera lacks the control.
    maximum_binning
        Largest symmetric binning.
    readout_modes
        Labels of the readout modes; empty if there is only one mode.
    setpoint_c
        Range of the cooler's setpoint, in degrees Celsius; None for an uncooled camera.
    reports_temperature
        True if the sensor's temperature can be read.
    cfa_pattern
        Pattern of the colour filter array, such as "RGGB", starting at the frame's first pixel; None for a mono camera.
    serial
        The camera's serial number; empty if the driver does not report it.
    shutter
        The shutter times of a DSLR; None if every exposure in `exposure_s` is possible.
    notes
        Facts about the camera that the user should know before the night, each as a clause.
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
    shutter: ShutterTimes | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thermals:
    """The camera's latest temperature reading.

    Attributes
    ----------
    sensor_c
        Sensor temperature in degrees Celsius; None if no plausible value has been reported yet.
    setpoint_c
        The last commanded setpoint, in degrees Celsius; None while the cooler is off.
    cooler_on
        True if the cooler is on, according to the driver; None if the driver does not report this.
    power_percent
        Cooler power, 0 to 100; None if the driver does not report it.
    read_at_s
        Time of the reading on the event loop's clock.
    """

    sensor_c: float | None
    setpoint_c: float | None
    cooler_on: bool | None
    power_percent: float | None
    read_at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame, as the camera delivered it.

    Attributes
    ----------
    pixels
        Pixel values in ADU, uint16, shape (height, width). The rows are in the order of the driver's file.
    kind
        The kind of frame that was requested.
    exposure_s
        The *requested* exposure, in seconds; if the camera's shutter times do not include it, the nearest possible one.
    started_at
        Start of the exposure in UTC.
    settings
        Readout settings that were read back from the driver.
    sensor_c
        Sensor temperature at the end of the exposure, in degrees Celsius.
    setpoint_c
        Cooler setpoint in degrees Celsius; None if the cooler was off or the camera has no cooler.
    camera
        Name of the camera.
    header
        FITS cards that the driver wrote, without the structural cards.
    remarks
        Facts about the camera that the user should know, such as changes by another client that were undone.
    raw
        The camera raw from which `pixels` and `header` were read; None if the driver delivered FITS.
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
    remarks: tuple[str, ...] = ()
    raw: RawFile | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StrayFrame:
    """A delivery from the camera that is not a frame of a set, for example because it is late, repeated or damaged.

    Attributes
    ----------
    camera
        Name of the camera.
    reason
        Reason why the delivery does not count, as a clause.
    content
        Pixel values in ADU, uint16, shape (height, width); the received bytes if they could not be decoded; or a camera
        raw.
    header
        FITS cards that were delivered with the pixels.
    was_requested
        True for a frame that coldframe itself took before the night; such a frame must be kept.
    """

    camera: str
    reason: str
    content: bytes | NDArray[np.uint16] | RawFile
    header: Mapping[str, HeaderValue] = field(default_factory=dict)
    was_requested: bool = False


class Camera(Protocol):
    """A cooled or uncooled camera. All methods can raise DeviceError, and every wait has a deadline."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def features(self) -> CameraFeatures:
        """Capabilities of the camera, known once it is connected."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the camera is connected and has the last commanded settings and setpoint."""
        ...

    async def ensure_ready(self) -> None:
        """Reconnect the camera if necessary, and restore the last commanded settings and setpoint."""
        ...

    async def reconnect(self) -> None:
        """Disconnect the driver from its hardware, reconnect it, and restore the settings and the setpoint."""
        ...

    async def connect(self) -> None:
        """Connect to the camera, and configure its driver to upload full 16-bit frames to the client."""
        ...

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """Set gain, offset, binning and readout mode, and return the settings read back from the driver."""
        ...

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose and read out one frame. On cancellation, abort the exposure before re-raising."""
        ...

    async def abort(self) -> None:
        """Abort the running exposure, if any."""
        ...

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Switch the cooler on, and set its setpoint.

        Return once the driver accepts the setpoint, without waiting for the sensor to cool.
        """
        ...

    async def cooler_off(self) -> None:
        """Switch the cooler off."""
        ...

    def thermals(self) -> Thermals:
        """Return the latest temperature reading."""
        ...
