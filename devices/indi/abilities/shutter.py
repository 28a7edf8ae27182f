"""The shutter times of a DSLR, and the choice of what times an exposure: the camera itself, or the driver in bulb mode.

With INDI's driver for gphoto, the camera times an exposure only if the camera's list contains exactly this exposure and
"Force BULB" is off. Otherwise, the driver opens and closes the shutter itself or, if the camera has no bulb setting,
uses the nearest time in the list (gphoto_driver.cpp, `gphoto_start_exposure`). In all cases, the driver writes
the requested exposure into the header.
"""

import re

from coldframe.devices.camera import BULB_FROM_S, ShutterTimes
from coldframe.devices.errors import NotSupportedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice

PIXEL_SIZES = ("CCD_PIXEL_SIZE", "CCD_PIXEL_SIZE_X", "CCD_PIXEL_SIZE_Y")

_FRACTION = re.compile(r"(\d{1,6})/(\d{1,6})\s?s?")
_NUMBER = re.compile(r"(\d{1,6}(?:[.,]\d{1,6})?)\s?([ms]?)")
_BULB = ("bulb", "65535/65535")


def shutter_times(device: IndiDevice) -> ShutterTimes | None:
    """Return the shutter times of a camera; None if its driver has no list of them."""
    labels = _labels(device)
    times_s = sorted({time_s for label in labels if (time_s := seconds_of(label))})
    has_bulb = any(label.startswith(_BULB) for label in labels)
    return ShutterTimes(tuple(times_s), BULB_FROM_S if has_bulb else None) if times_s else None


def unknown_times(device: IndiDevice) -> list[str]:
    """Return the entries in a camera's list of shutter times that contain digits but are not understood."""
    labels = [label for label in _labels(device) if any(map(str.isdecimal, label))]
    return [label for label in labels if not label.startswith(_BULB) and not seconds_of(label)]


def _labels(device: IndiDevice) -> list[str]:
    prop = device.link.mirror.find(device.name, dialects.SHUTTER_TIMES)
    is_list = prop is not None and prop.kind == "switch"
    return [label.strip().casefold() for label in prop.labels.values()] if prop is not None and is_list else []


def seconds_of(label: str) -> float | None:
    """Return the shutter time given by a label, in seconds; None if the label is not a time.

    Examples are "1/50" and "0.3" (Canon), "0.0001s" (Nikon), "60s" and "2m" (Fujifilm). Some drivers use a decimal
    comma.
    """
    if label.startswith(_BULB):
        return None
    if (fraction := _FRACTION.fullmatch(label)) is not None and int(fraction[2]):
        return int(fraction[1]) / int(fraction[2])
    number = _NUMBER.fullmatch(label)
    return None if number is None else float(number[1].replace(",", ".")) * (60 if number[2] == "m" else 1)


def require_pixel_size(device: IndiDevice) -> None:
    """Raise an error if the driver refuses all exposures until a client enters the size of the pixels.

    Raises
    ------
    NotSupportedError
        If the size is missing. The message says where to enter it.
    """
    info = device.link.mirror.find(device.name, "CCD_INFO")
    if info is None or not info.writable or any(info.values.get(name) != 0 for name in PIXEL_SIZES):
        return
    what = "its driver refuses exposures, because it does not know the size of the pixels (CCD_INFO)"
    advice = f"Enter the size in micrometres in {', '.join(PIXEL_SIZES)} with an INDI client, and save the settings."
    raise NotSupportedError(device.name, what, advice)


class ShutterControl:
    """Controls "Force BULB": off for exposures too short for bulb mode, and as set by the user for longer exposures.

    Lights that are long enough for bulb mode were exposed with the user's setting, so calibration frames must use it,
    too: a "30 s" exposure that the camera itself times lasts 32 s.

    Parameters
    ----------
    device
        The camera.
    """

    def __init__(self, device: IndiDevice) -> None:
        self._device = device
        self._is_forced: bool | None = None

    def possible_s(self, exposure_s: float) -> float:
        """Return the given exposure if it is possible, allowing for rounding; otherwise, the nearest possible one."""
        shutter = shutter_times(self._device)
        return exposure_s if shutter is None or shutter.offers(exposure_s) else shutter.nearest_s(exposure_s)

    def commanded_s(self, exposure_s: float) -> float:
        """Return the exposure to command. An exposure that the camera itself times is exactly a time in its list."""
        shutter = shutter_times(self._device)
        return exposure_s if shutter is None else shutter.nearest_s(exposure_s)

    async def prepare(self, exposure_s: float) -> None:
        """Choose whether the camera or the driver times the next exposure.

        Raises
        ------
        DeviceError
            If the driver does not carry out the command.
        """
        device, control = self._device, dialects.FORCE_BULB_OFF
        prop = device.link.mirror.find(device.name, control.property)
        if prop is None or not prop.writable or control.element not in prop.values:
            return
        if self._is_forced is None:
            self._is_forced = prop.values[control.element] is False
        wanted = "On" if self._is_forced and exposure_s >= BULB_FROM_S else control.element
        if prop.values.get(wanted) is False:
            await device.link.choose(device.name, prop.name, wanted)
