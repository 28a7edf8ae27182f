"""A table of the controls that coldframe uses, as INDI drivers spell them, with the usual spelling first.

The spellings come from the sources of the drivers (INDI core, ZWO, QHY, ToupTek family, Moravian, FLI, QSI, Flip-Flat,
Deep Sky Dad, Wanderer, Pegasus). For each row of the table, coldframe uses the first spelling that a device defines. As
in Ekos, an element is also found by its label, and case is ignored: for example, Atik's CCD_CONTROLS has an element
CONTROL_GAIN with the label "Gain".
"""

from dataclasses import dataclass

from coldframe.config.frames import FrameKind
from coldframe.devices.indi.mirror import Mirror, Property, Value


@dataclass(frozen=True, slots=True)
class Spelling:
    """One driver family's name for a control: a property and one of its elements."""

    property: str
    element: str


# numbers
EXPOSURE = (Spelling("CCD_EXPOSURE", "CCD_EXPOSURE_VALUE"),)
TEMPERATURE = (Spelling("CCD_TEMPERATURE", "CCD_TEMPERATURE_VALUE"),)
GAIN = (
    Spelling("CCD_GAIN", "GAIN"),  # INDI core, QHY
    Spelling("CCD_CONTROLS", "Gain"),  # ZWO, ToupTek, Atik (by label)
)
OFFSET = (
    Spelling("CCD_OFFSET", "OFFSET"),  # INDI core, QHY, ToupTek
    Spelling("CCD_CONTROLS", "Offset"),  # ZWO, Atik (by label)
)
COOLER_POWER = (
    Spelling("CCD_COOLER_POWER", "CCD_COOLER_VALUE"),  # INDI core, ZWO, QHY
    Spelling("CCD_COOLER_POWER", "COOLER_POWER"),  # ToupTek
)
ADC_BITS = (
    Spelling("ADC_DEPTH", "BITS"),  # ZWO
    Spelling("CCD_INFO", "CCD_BITSPERPIXEL"),
)
READOUT_MODE_NUMBER = (Spelling("READ_MODE", "MODE"),)  # QHY
LIGHT_BRIGHTNESS = (Spelling("FLAT_LIGHT_INTENSITY", "FLAT_LIGHT_INTENSITY_VALUE"),)
FILTER_SLOT = (Spelling("FILTER_SLOT", "FILTER_SLOT_VALUE"),)
ROTATOR_ANGLE = (Spelling("ABS_ROTATOR_ANGLE", "ANGLE"),)
POLLING_PERIOD = (Spelling("POLLING_PERIOD", "PERIOD_MS"),)

# switches
COOLER_ON = (Spelling("CCD_COOLER", "COOLER_ON"),)
COOLER_OFF = (Spelling("CCD_COOLER", "COOLER_OFF"),)
ABORT = (
    Spelling("CCD_ABORT_EXPOSURE", "ABORT"),
    Spelling("CCD_ABORT_EXPOSURE", "ABORT_EXPOSURE"),
)
LIGHT_ON = (Spelling("FLAT_LIGHT_CONTROL", "FLAT_LIGHT_ON"),)
LIGHT_OFF = (Spelling("FLAT_LIGHT_CONTROL", "FLAT_LIGHT_OFF"),)
COVER_CLOSE = (Spelling("CAP_PARK", "PARK"),)
COVER_OPEN = (Spelling("CAP_PARK", "UNPARK"),)

# Switch properties whose elements are the readout modes.
READOUT_MODE_SWITCHES = (
    "READ_MODE",  # newer QHY
    "CCD_READOUT_MODE",
    "CCD_READ_MODE",  # Moravian
    "CAMERA_MODES",  # FLI
    "TC_CONVERSION_GAIN",  # ToupTek
    "Gain",  # QSI: high, low or automatic
    "READOUT_QUALITY",  # QSI
    "CCD_BINNING_MODE",  # ToupTek: how binned pixels are summed; last, because all ToupTek cameras have it
)

ISO = "CCD_ISO"
"""Switch property that DSLRs (gphoto) have instead of a gain; the labels of its elements are the ISO values."""

# Elements of CCD_FRAME_TYPE.
FRAME_TYPES = {
    FrameKind.BIAS: "FRAME_BIAS",
    FrameKind.DARK: "FRAME_DARK",
    FrameKind.DARK_FLAT: "FRAME_DARK",
    FrameKind.FLAT: "FRAME_FLAT",
    FrameKind.LIGHT: "FRAME_LIGHT",
}

# texts
CFA_PATTERN = (Spelling("CCD_CFA", "CFA_TYPE"),)
CFA_OFFSET_X = (Spelling("CCD_CFA", "CFA_OFFSET_X"),)
CFA_OFFSET_Y = (Spelling("CCD_CFA", "CFA_OFFSET_Y"),)
SERIAL = (
    Spelling("Serial Number", "SN#"),  # ZWO, Player One, SVBONY
    Spelling("Serial Number", "SN"),
)
DRIVER_PROGRAM = (Spelling("DRIVER_INFO", "DRIVER_EXEC"),)
DRIVER_INTERFACE = (Spelling("DRIVER_INFO", "DRIVER_INTERFACE"),)

# File formats. DSLR drivers send the camera raw itself, or FITS files that they make from it.
SENDS_FITS = Spelling("CCD_TRANSFER_FORMAT", "FORMAT_FITS")
SENDS_RAW = Spelling("CCD_TRANSFER_FORMAT", "FORMAT_NATIVE")
CAPTURE_FORMAT = "CCD_CAPTURE_FORMAT"

# DSLRs (gphoto; the driver spells BULB as BLOB). Unless this switch is on, the driver times all exposures itself.
FORCE_BULB_OFF = Spelling("CCD_FORCE_BLOB", "Off")
SHUTTER_TIMES = "CCD_EXPOSURE_PRESETS"
"""Switch property of DSLRs (gphoto). The labels of its elements are the shutter times; choosing one of them starts an
exposure."""

# Switches that are set after every connection if the camera has them. A restarted driver has lost all settings.
CAMERA_DEMANDS = (
    Spelling("UPLOAD_MODE", "UPLOAD_CLIENT"),
    Spelling("CCD_COMPRESSION", "INDI_DISABLED"),
    Spelling("CCD_COMPRESSION", "CCD_RAW"),  # before INDI 1.9
    Spelling("CCD_FAST_TOGGLE", "INDI_DISABLED"),
    Spelling("CCD_VIDEO_FORMAT", "ASI_IMG_RAW16"),  # ZWO falls back to 8 bits after some errors
    Spelling("CCD_CAPTURE_FORMAT", "ASI_IMG_RAW16"),
    Spelling("CCD_CAPTURE_FORMAT", "INDI_MONO"),
    Spelling("CCD_CAPTURE_FORMAT", "INDI_MONO_16"),  # ToupTek, mono
    Spelling("CCD_CAPTURE_FORMAT", "INDI_RAW"),  # ToupTek, colour; the alternative is 8-bit RGB
)

# Effect on the frames if another client changes one of these switches.
DEMANDS_CHANGED = {
    "UPLOAD_MODE": "kept on the server's disk",
    "CCD_TRANSFER_FORMAT": "sent in a different file format",
    "CCD_COMPRESSION": "compressed",
    "CCD_FAST_TOGGLE": "exposed in series",
    "CCD_VIDEO_FORMAT": "read out in a different pixel format",
    "CCD_CAPTURE_FORMAT": "read out in a different pixel format",
}

# Bits of DRIVER_INTERFACE (INDI's basedevice.h).
INTERFACE_CCD = 1 << 1
INTERFACE_FILTER = 1 << 4
INTERFACE_DUST_CAP = 1 << 9
INTERFACE_LIGHT_BOX = 1 << 10
INTERFACE_ROTATOR = 1 << 12


def find(mirror: Mirror, device: str, spellings: tuple[Spelling, ...]) -> tuple[Property, str] | None:
    """Return the property and the element name of a control on `device`; None if the device lacks the control."""
    for spelling in spellings:
        prop = mirror.find(device, spelling.property)
        element = None if prop is None else _element(prop, spelling.element)
        if prop is not None and element is not None:
            return prop, element
    return None


def _element(prop: Property, wanted: str) -> str | None:
    """Return the element with the wanted name, otherwise the first element whose name or label differs only in case."""
    if wanted in prop.values:
        return wanted
    folded = wanted.casefold()
    names = ((name, prop.labels.get(name, "")) for name in prop.values)
    return next((name for name, label in names if folded in (name.casefold(), label.casefold())), None)


def value_of(mirror: Mirror, device: str, spellings: tuple[Spelling, ...]) -> Value | None:
    """Return the value of a control on `device`; None if the device lacks the control."""
    found = find(mirror, device, spellings)
    return None if found is None else found[0].values[found[1]]
