"""The features that the driver of a camera reports directly."""

from coldframe.devices.camera import Limits, ShutterTimes
from coldframe.devices.indi import dialects
from coldframe.devices.indi.abilities.file_format import FileFormat, is_dslr, sends_raws
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.pixels.bayer import at_first_pixel

ANY_EXPOSURE = Limits(0.0, 3600.0)

RAW_NOTE = (
    "frames are kept as the camera's own raws, each with a .json file that names its kind, ISO and exposure. Programs "
    'that do not read these names find the kinds in the folders; camera.file_format = "fits" has the driver send FITS'
)
FITS_NOTE = (
    "the driver sends FITS, which every program reads and whose headers name kind, ISO and exposure; "
    'camera.file_format = "raw" keeps the camera\'s own raws instead'
)


def exposure_limits(device: IndiDevice, shutter: ShutterTimes | None) -> Limits:
    """Return the range of the exposures. The driver of a DSLR without bulb announces an hour, but takes its longest."""
    limits = device.limits(dialects.EXPOSURE) or ANY_EXPOSURE
    if shutter is None:
        return limits
    longest_s = limits.maximum if shutter.bulb_from_s is not None else shutter.times_s[-1]
    return Limits(shutter.times_s[0], max(longest_s, shutter.times_s[-1]))


def serial_number(device: IndiDevice) -> str:
    """Return the serial number; empty if the driver has none, or knows it only after it has found the camera."""
    serial = str(device.value(dialects.SERIAL) or "").strip()
    return "" if serial.casefold() == "unknown" else serial


def driver_cfa_pattern(device: IndiDevice) -> str | None:
    """Return the colour filter array, starting at the frame's first pixel; None for a mono camera."""
    rows = (dialects.CFA_PATTERN, dialects.CFA_OFFSET_X, dialects.CFA_OFFSET_Y)
    pattern, offset_x, offset_y = (str(device.value(row) or "").strip() for row in rows)
    return at_first_pixel(pattern, offset_x, offset_y) or None


def notes_on(device: IndiDevice, wanted: FileFormat) -> tuple[str, ...]:
    """Return what the user should know before the night: which files a DSLR sends, and for whom they are best."""
    if not is_dslr(device):
        return ()
    if not sends_raws(device):
        return (FITS_NOTE,)
    forced = "its driver does not send FITS: " if wanted == "fits" else ""
    return (forced + RAW_NOTE,)
