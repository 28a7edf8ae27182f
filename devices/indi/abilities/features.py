"""The features that a camera's driver reports directly."""

from coldframe.devices.camera import Limits, ShutterTimes
from coldframe.devices.indi import dialects
from coldframe.devices.indi.abilities.file_format import FileFormat, is_dslr, sends_raws
from coldframe.devices.indi.abilities.shutter import unknown_times
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.pixels.bayer import at_first_pixel

ANY_EXPOSURE = Limits(0.0, 3600.0)
MOST_LABELS = 3

RAW_NOTE = (
    "frames are kept as the camera's own raws, each with a .json file that names its kind, ISO and exposure. For "
    "programs that do not read these files, the folders also show the kind. With "
    'camera.file_format = "fits", the driver sends FITS'
)
FITS_NOTE = (
    "the driver sends FITS, which every program reads and whose headers name kind, ISO and exposure. With "
    'camera.file_format = "raw", the camera\'s own raws are kept instead'
)


def exposure_limits(device: IndiDevice, shutter: ShutterTimes | None) -> Limits:
    """Return the range of possible exposures, in seconds.

    For a DSLR without a bulb setting, the driver announces exposures of up to one hour, but exposes for at most the
    longest shutter time.
    """
    limits = device.limits(dialects.EXPOSURE) or ANY_EXPOSURE
    if shutter is None:
        return limits
    longest_s = limits.maximum if shutter.bulb_from_s is not None else shutter.times_s[-1]
    return Limits(shutter.times_s[0], max(longest_s, shutter.times_s[-1]))


def serial_number(device: IndiDevice) -> str:
    """Return the serial number, or an empty string if the driver reports none or does not know it yet."""
    serial = str(device.value(dialects.SERIAL) or "").strip()
    return "" if serial.casefold() == "unknown" else serial


def driver_cfa_pattern(device: IndiDevice) -> str | None:
    """Return the pattern of the colour filter array, starting at the frame's first pixel; None for a mono camera."""
    rows = (dialects.CFA_PATTERN, dialects.CFA_OFFSET_X, dialects.CFA_OFFSET_Y)
    pattern, offset_x, offset_y = (str(device.value(row) or "").strip() for row in rows)
    return at_first_pixel(pattern, offset_x, offset_y) or None


def notes_on(device: IndiDevice, wanted: FileFormat) -> tuple[str, ...]:
    """Return notes that the user should read before the night; only a DSLR has any.

    The notes describe the files that the DSLR sends and the alternative to them, and list the shutter times that
    coldframe does not understand.
    """
    if not is_dslr(device):
        return ()
    forced = "its driver does not send FITS: " if wanted == "fits" else ""
    on_files = forced + RAW_NOTE if sends_raws(device) else FITS_NOTE
    unknown = unknown_times(device)
    if not unknown:
        return (on_files,)
    named = ", ".join(repr(label) for label in unknown[:MOST_LABELS]) + (", ..." if len(unknown) > MOST_LABELS else "")
    return on_files, f"its list of shutter times has entries that are not understood and will not be used: {named}"
