"""The readout settings of a camera on an INDI server: gain, offset, binning, readout mode and region."""

import math
import re

from coldframe.config.frames import ReadoutSettings
from coldframe.devices.camera import Limits
from coldframe.devices.errors import NotSupportedError, SettingRefusedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.abilities.file_format import is_dslr, sends_raws
from coldframe.devices.indi.device import DEFINE_DEADLINE_S, IndiDevice
from coldframe.devices.indi.mirror import Property, in_brackets

REGION = ("X", "Y", "WIDTH", "HEIGHT")
"""Elements of CCD_FRAME, in unbinned pixels."""

LARGEST_ROUNDING_PIXELS = 16
"""Maximum amount, in binned pixels, by which a driver may round a frame's edge.

The drivers from ZWO, SVBony and Player One round the width down to a multiple of 8 pixels, and the height to a multiple
of 2 pixels.
"""

_ISO_LABEL = re.compile(r"(?:ISO\s*)?(\d{2,7})", re.IGNORECASE)


def camera_property(device: IndiDevice, name: str) -> Property:
    """Return a property that every connected camera has.

    Raises
    ------
    DeviceLostError
        If the driver is missing, is disconnected or has removed the property.
    NotSupportedError
        If the device does not have the property.
    """
    prop = device.link.mirror.find(device.name, name)
    if prop is None:
        device.expect_lasting(name)
        raise NotSupportedError(device.name, f"has no property {name}; it is not a camera, or it is not connected")
    return prop


def driver_sensor_shape(camera: IndiDevice) -> tuple[int, int] | None:
    """Return the height and width of the unbinned sensor in pixels; None if the driver does not know them yet.

    DSLR drivers learn the size from the first frame.
    """
    info = camera_property(camera, "CCD_INFO")
    height, width = info.number("CCD_MAX_Y"), info.number("CCD_MAX_X")
    is_known = 1 <= height < math.inf and 1 <= width < math.inf
    return (round(height), round(width)) if is_known else None


class IndiReadout:
    """The readout settings of a camera. The wanted settings are stored so that they can be restored.

    Parameters
    ----------
    device
        The camera. Its driver must be connected whenever a method is called.

    Attributes
    ----------
    wanted
        The settings that `apply` sends to the driver.
    """

    def __init__(self, device: IndiDevice) -> None:
        self._device = device
        self.wanted = ReadoutSettings()
        self._sensor = self._region = (0, 0)
        self._learned: tuple[int, int] | None = None
        self._applied: ReadoutSettings | None = None

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Height and width of a frame in binned pixels."""
        return tuple(edge // self.wanted.binning for edge in self._region)

    @property
    def sensor_shape(self) -> tuple[int, int] | None:
        """Height and width of the unbinned sensor in pixels; None if they are still unknown.

        For a DSLR, the size is taken only from a frame: after a camera raw, the driver reports the size of the raw's
        preview, which may differ from the visible area (gphoto_ccd.cpp, `grabImage`).
        """
        if self._learned is not None or is_dslr(self._device):
            return self._learned
        return driver_sensor_shape(self._device)

    def learn(self, shape: tuple[int, ...]) -> bool:
        """Learn the height and width of the sensor from a frame; return False if the frame may have been cropped.

        A DSLR driver learns the size of the sensor from each FITS frame, before cropping the frame.
        """
        height, width = (edge * self.wanted.binning for edge in shape)
        self._learned = height, width
        return sends_raws(self._device) or driver_sensor_shape(self._device) in {None, self._learned}

    @property
    def held_gain(self) -> float | None:
        """The commanded gain while the driver shows it; None if it shows another gain, or if no gain was commanded."""
        shown = shown_gain(self._device)
        is_held = self._applied is not None and self._applied.gain == shown and self.wanted.gain is not None
        return shown if is_held else None

    @property
    def gain_limits(self) -> Limits | None:
        """Range of the gain or, for a camera without a gain, of its ISO values; None if it has neither."""
        if has_iso(self._device):
            iso = _iso_values(self._device)
            return Limits(min(iso.values()), max(iso.values()))
        return self._device.settable(dialects.GAIN)

    @property
    def maximum_binning(self) -> int:
        """Largest symmetric binning."""
        binning = self._binning()
        return max(1, round(binning.limits["HOR_BIN"].maximum)) if binning is not None else 1

    def _binning(self) -> Property | None:
        return self._device.link.mirror.find(self._device.name, "CCD_BINNING")

    async def apply(self) -> None:
        """Set the camera to the wanted settings, and select the whole sensor for readout.

        Raises
        ------
        SettingRefusedError, NotSupportedError, DeviceError
            If the camera does not accept the settings.
        """
        device, wanted = self._device, self.wanted
        if wanted.readout_mode is not None:
            await self._set_mode(wanted.readout_mode)
        await self._set_gain(wanted.gain)
        await self._order("offset", dialects.OFFSET, wanted.offset)
        binning = self._binning()
        if wanted.binning != 1 and sends_raws(device):
            raise NotSupportedError(device.name, "cannot bin camera raws", "Set binning = 1.")
        if binning is not None and binning.writable:
            await device.command(binning.name, {"HOR_BIN": wanted.binning, "VER_BIN": wanted.binning})
        elif wanted.binning != 1:
            device.expect_lasting("CCD_BINNING")
            raise NotSupportedError(device.name, "cannot bin")
        await self._reset_region()
        self._applied = self.read_back()

    async def _set_gain(self, wanted: float | None) -> None:
        """Set the gain or, for a camera without a gain, the ISO value."""
        device = self._device
        iso = _iso_values(device)
        if wanted is None or not iso or device.number(dialects.GAIN) is not None:
            if wanted is not None and device.value(dialects.GAIN) is None:
                device.expect_lasting(dialects.ISO)
            await self._order("gain", dialects.GAIN, wanted)
            return
        element = next((name for name, value in iso.items() if value == wanted), None)
        if element is None:
            known = ", ".join(f"{value:g}" for value in sorted(set(iso.values())))
            raise NotSupportedError(device.name, f"has no ISO {wanted:g} (it has {known})")
        await device.command(dialects.ISO, {element: True})

    async def _order(self, what: str, control: tuple[dialects.Spelling, ...], wanted: float | None) -> None:
        """Set a control if a value is wanted. A read-only control must already have this value."""
        device, shown = self._device, self._device.number(control)
        if wanted is None:
            return
        if shown is None or device.has(control):
            await device.set(control, wanted)
        elif not math.isclose(shown, wanted, rel_tol=1e-5, abs_tol=1e-6):
            raise SettingRefusedError(
                device.name, f"has a fixed {what} of {shown:g}, which cannot be set to {wanted:g}"
            )

    def read_back(self) -> ReadoutSettings:
        """Return the settings that the driver shows."""
        binning = self._binning()
        return ReadoutSettings(
            gain=shown_gain(self._device),
            offset=self._device.number(dialects.OFFSET),
            binning=round(binning.number("HOR_BIN")) if binning is not None else 1,
            readout_mode=self._shown_mode(),
        )

    def changes(self) -> list[str]:
        """Return changes made by another client since `apply`, as phrases such as "binned 2 x 2 by another client"."""
        find, camera, changes = self._device.link.mirror.find, self._device.name, list[str]()
        binning, frame = self._binning(), find(camera, "CCD_FRAME")
        if binning is not None and binning.writable and set(binning.values.values()) != {self.wanted.binning}:
            horizontal, vertical = _numbers(binning, "HOR_BIN", "VER_BIN")
            changes.append(f"binned {horizontal:g} x {vertical:g} by another client")
        if frame is not None and frame.writable and not sends_raws(self._device) and not self._is_whole(frame):
            x, y, width, height = _numbers(frame, *REGION)
            changes.append(f"cropped to {width:g} x {height:g} pixels at {x:g}, {y:g} by another client")
        found = self.read_back()
        for name in ("gain", "offset", "readout_mode"):
            applied, shown = getattr(self._applied, name, None), getattr(found, name)
            if getattr(self.wanted, name) is not None and shown != applied:
                changes.append(
                    f"taken with {name.replace('_', ' ')} {shown}, set by another client, instead of {applied}"
                )
        return changes

    def _is_whole(self, region: Property) -> bool:
        """Return True if a region covers the whole sensor, apart from rounding by the driver.

        A DSLR driver that does not know the size of the sensor shows a region of 0 x 0 pixels.
        """
        if not all(_numbers(region, "WIDTH", "HEIGHT")):
            return True
        rounding = LARGEST_ROUNDING_PIXELS * self.wanted.binning
        differences = zip(_numbers(region, *REGION), (0, 0, *reversed(self._sensor)), strict=True)
        return all(abs(found - whole) <= rounding for found, whole in differences)

    async def _reset_region(self) -> None:
        """Select the whole sensor for readout, and determine the size to which the driver rounds the region.

        Drivers round the binned size down to a size that their hardware supports. Some drivers first
        report the rounded size, and then repeat the requested size when they set the state to Ok. The smallest size
        reported after the command is the true size.
        """
        device = self._device
        frame = camera_property(device, "CCD_FRAME")
        if not frame.writable:
            self._region = _shape(frame)
            return
        self._sensor = self._region = self.sensor_shape or (0, 0)
        # Before the first frame, a DSLR driver refuses all regions.
        height, width = driver_sensor_shape(device) or (0, 0)
        if sends_raws(device) or not height * width:
            return  # camera raws are always whole, and no region can be set while the size is unknown
        rounding = LARGEST_ROUNDING_PIXELS * self.wanted.binning
        sent = device.link.send(device.name, frame.name, {"X": 0, "Y": 0, "WIDTH": width, "HEIGHT": height})

        def accepted() -> Property | None:
            prop = device.newer(frame.name, sent)
            if prop is None:
                return None
            if prop.state == "alert":
                message = device.link.mirror.message_since(device.name, sent)
                raise SettingRefusedError(
                    device.name, f"refused to read out all its {width} x {height} pixels" + in_brackets(message)
                )
            rows, columns = _shape(prop)
            if height - rows > rounding or width - columns > rounding:
                return None
            self._region = (min(rows, self._region[0]), min(columns, self._region[1]))
            return prop if prop.state == "ok" else None

        waiting_for = f"the region to cover all {width} x {height} pixels"
        await device.link.wait_answer(device.name, frame.name, accepted, DEFINE_DEADLINE_S, waiting_for)

    def modes(self) -> tuple[str, ...]:
        """Return the labels of the readout modes, or an empty tuple if there is only one mode."""
        for prop in self._mode_switches():
            return tuple(prop.labels.values())
        limits = self._device.limits(dialects.READOUT_MODE_NUMBER)
        return tuple(str(mode) for mode in range(round(limits.maximum) + 1)) if limits is not None else ()

    def _mode_switches(self) -> list[Property]:
        find, name = self._device.link.mirror.find, self._device.name
        found = (find(name, switches) for switches in dialects.READOUT_MODE_SWITCHES)
        return [prop for prop in found if prop is not None and prop.kind == "switch"]

    async def _set_mode(self, mode: str) -> None:
        device = self._device
        for prop in self._mode_switches():
            for element, label in prop.labels.items():
                if mode in (label, element):
                    await device.command(prop.name, {element: True})
                    return
        if mode.isdecimal() and device.has(dialects.READOUT_MODE_NUMBER):
            await device.set(dialects.READOUT_MODE_NUMBER, float(mode))
            return
        device.expect_lasting(*dialects.READOUT_MODE_SWITCHES)
        known = ", ".join(self.modes()) or "none"
        raise NotSupportedError(device.name, f"has no readout mode {mode!r} (it has {known})")

    def _shown_mode(self) -> str | None:
        """Return the mode shown by the property that has the wanted mode, or by the first property if none has it."""
        switches, wanted = self._mode_switches(), self.wanted.readout_mode
        with_wanted = [prop for prop in switches if wanted in prop.labels or wanted in prop.labels.values()]
        for prop in with_wanted or switches:
            shown = prop.switched_on()
            return None if shown is None else prop.labels[shown]
        number = self._device.number(dialects.READOUT_MODE_NUMBER) if self.modes() else None
        return None if number is None else str(round(number))


def has_iso(device: IndiDevice) -> bool:
    """Return True if a camera has ISO values instead of a gain."""
    return device.number(dialects.GAIN) is None and bool(_iso_values(device))


def shown_gain(device: IndiDevice) -> float | None:
    """Return the gain that a camera's driver shows or, for a camera without a gain, the ISO value.

    The result is None if the driver shows neither.
    """
    gain = device.number(dialects.GAIN)
    iso = device.link.mirror.find(device.name, dialects.ISO)
    chosen = None if gain is not None or iso is None or iso.kind != "switch" else iso.switched_on()
    return gain if chosen is None else _iso_values(device).get(chosen)


def _iso_values(device: IndiDevice) -> dict[str, float]:
    """Return the ISO values of a camera, keyed by element name. Elements such as "Auto" are omitted."""
    prop = device.link.mirror.find(device.name, dialects.ISO)
    if prop is None or prop.kind != "switch":
        return {}
    found = ((element, _ISO_LABEL.fullmatch(label.strip())) for element, label in prop.labels.items())
    return {element: float(match[1]) for element, match in found if match is not None}


def _numbers(prop: Property, *elements: str) -> list[float]:
    """Return the values of elements, with NaN for missing values, for a description of changes by another client."""
    return [float(prop.values.get(element, math.nan)) for element in elements]


def _shape(region: Property) -> tuple[int, int]:
    return round(region.number("HEIGHT")), round(region.number("WIDTH"))
