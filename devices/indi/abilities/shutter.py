"""The shutter times of a DSLR, and what times an exposure: the camera, or the driver with bulb.

INDI's driver for gphoto lets the camera time an exposure only if the exposure is exactly in the camera's list and
"Force BULB" is off. Otherwise, the driver opens and closes the shutter itself, or takes the nearest time in the list if
the camera has no bulb (gphoto_driver.cpp, `gphoto_start_exposure`). It writes the requested exposure into its header in
all cases.
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
    """Return the shutter times of a camera; None if its driver lists none."""
    labels = _labels(device)
    times_s = sorted({time_s for label in labels if (time_s := seconds_of(label))})
    has_bulb = any(label.startswith(_BULB) for label in labels)
    return ShutterTimes(tuple(times_s), BULB_FROM_S if has_bulb else None) if times_s else None


def unknown_times(device: IndiDevice) -> list[str]:
    """Return the entries of a camera's list that look like shutter times, but that coldframe does not understand."""
    labels = [label for label in _labels(device) if any(map(str.isdecimal, label))]
    return [label for label in labels if not label.startswith(_BULB) and not seconds_of(label)]


def _labels(device: IndiDevice) -> list[str]:
    prop = device.link.mirror.find(device.name, dialects.SHUTTER_TIMES)
    is_list = prop is not None and prop.kind == "switch"
    return [label.strip().casefold() for label in prop.labels.values()] if prop is not None and is_list else []


def seconds_of(label: str) -> float | None:
    """Return the seconds of a shutter time; None for words.

    Examples are "1/50" and "0.3" (Canon), "0.0001s" (Nikon), "60s" and "2m" (Fujifilm). Some drivers write decimal
    commas.
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
        Stating where to enter the size.
    """
    info = device.link.mirror.find(device.name, "CCD_INFO")
    if info is None or not info.writable or any(info.values.get(name) != 0 for name in PIXEL_SIZES):
        return
    what = "its driver refuses exposures, because it does not know the size of the pixels (CCD_INFO)"
    advice = f"Enter the size in micrometres in {', '.join(PIXEL_SIZES)} with an INDI client, and save the settings."
    raise NotSupportedError(device.name, what, advice)


class ShutterControl:
    """A shutter setting that lets the camera time exposures too short for bulb; other exposures use the user's setting.

    The lights were exposed with the user's setting. It matters, because the camera's "30 s" lasts 32 s.

    Parameters
    ----------
    device
        The camera.
    """

    def __init__(self, device: IndiDevice) -> None:
        self._device = device
        self._is_forced: bool | None = None

    def possible_s(self, exposure_s: float) -> float:
        """Return an exposure if it is possible, apart from rounding; otherwise, the nearest possible one."""
        shutter = shutter_times(self._device)
        return exposure_s if shutter is None or shutter.offers(exposure_s) else shutter.nearest_s(exposure_s)

    def commanded_s(self, exposure_s: float) -> float:
        """Return the exposure to command, which must be exactly a time in the camera's list."""
        shutter = shutter_times(self._device)
        return exposure_s if shutter is None else shutter.nearest_s(exposure_s)

    async def prepare(self, exposure_s: float) -> None:
        """Choose whether the camera or the driver times the next exposure.

        Raises
        ------
        DeviceError
            If the driver does not obey.
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
