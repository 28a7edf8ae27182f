"""The format of the files that a camera's driver sends: FITS, or the camera's own raw."""

from importlib.util import find_spec
from typing import Literal

from coldframe.devices.errors import NotSupportedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.mirror import Property

FileFormat = Literal["fits", "raw"]

_RAW_WORDS = ("raw", "nef", "arw", "raf", "orf", "pef", "dng")
_REDUCED = ("sraw", "mraw", "+")
"""Text in a label that marks an unsuitable format: a reduced raw, which lacks the sensor's own pixels, or a raw with a
JPEG."""


async def choose_format(device: IndiDevice, wanted: FileFormat) -> None:
    """Make the driver send FITS or camera raws, and make the camera save raws instead of JPEG.

    Raises
    ------
    NotSupportedError
        If raws are wanted but the driver does not offer them, or if raws will arrive but cannot be decoded.
    DeviceError
        If the driver does not carry out a command.
    """
    demand = dialects.SENDS_RAW if wanted == "raw" else dialects.SENDS_FITS
    prop = device.link.mirror.find(device.name, demand.property)
    # INDI core offers FORMAT_NATIVE for every camera, but other programs can read only the native files of DSLRs.
    if wanted == "raw" and (not is_dslr(device) or prop is None or demand.element not in prop.values):
        device.expect_lasting(demand.property)
        advice = 'Set camera.file_format = "fits" in the configuration.'
        raise NotSupportedError(device.name, "its driver does not offer the raws of a DSLR (FORMAT_NATIVE)", advice)
    if prop is not None and prop.writable and prop.values.get(demand.element) is False:
        await device.link.choose(device.name, prop.name, demand.element)
    if sends_raws(device):
        require_decoder(device)
    await _choose_raw_quality(device)


def is_dslr(device: IndiDevice) -> bool:
    """Return True if a camera has ISO values, and therefore counts as a DSLR."""
    return device.link.mirror.find(device.name, dialects.ISO) is not None


def sends_raws(device: IndiDevice) -> bool:
    """Return True if the frames are camera raws rather than FITS; only DSLRs have raw formats of their own."""
    return is_dslr(device) and device.value((dialects.SENDS_RAW,)) is True


def require_decoder(device: IndiDevice) -> None:
    """Raise an error if the package that decodes camera raws is missing, because raws could then not be judged.

    Raises
    ------
    NotSupportedError
        If the package is missing. The message names it and, if the driver offers FITS, suggests that format.
    """
    if find_spec("rawpy") is not None:
        return
    offers_fits = device.value((dialects.SENDS_FITS,)) is not None
    other = ', or set camera.file_format = "fits" in the configuration' if offers_fits else ""
    raise NotSupportedError(
        device.name, "sends camera raws, which cannot be judged or combined without rawpy", f"pip install rawpy{other}"
    )


async def _choose_raw_quality(device: IndiDevice) -> None:
    """Make the camera save raws, unless it already does so or has no raw format."""
    prop = device.link.mirror.find(device.name, dialects.CAPTURE_FORMAT)
    if prop is None or not prop.writable or not is_dslr(device):
        return
    raws = [element for element, label in prop.labels.items() if _is_raw(label)]
    if raws and prop.switched_on() not in raws:
        await device.link.choose(device.name, prop.name, _largest(prop, raws))


def _is_raw(label: str) -> bool:
    folded = label.casefold()
    return any(word in folded for word in _RAW_WORDS) and not any(word in folded for word in _REDUCED)


def _largest(prop: Property, raws: list[str]) -> str:
    """Return the element with the label "raw" if there is one, otherwise the first; others such as "cRAW" are lossy."""
    return next((each for each in raws if prop.labels[each].strip().casefold() == "raw"), raws[0])
