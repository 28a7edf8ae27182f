"""The FITS cards of simulated frames, as INDI's CCD base class writes them."""

from datetime import datetime

from coldframe.calibration.files.cards import HeaderValue
from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.simulators.sensor import Exposure

TELESCOPE_NAME = "Coldframe Telescope"
CAMERA_NAME = "Coldframe Camera"
PANEL_NAME = "Coldframe Flat Panel"
WHEEL_NAME = "Coldframe Filter Wheel"
ROTATOR_NAME = "Coldframe Rotator"

IMAGE_TYPES = {
    FrameKind.BIAS: "Bias Frame",
    FrameKind.DARK: "Dark Frame",
    FrameKind.DARK_FLAT: "Dark Frame",
    FrameKind.FLAT: "Flat Frame",
    FrameKind.LIGHT: "Light Frame",
}


def driver_cards(
    rig: SimulatedRig,
    kind: FrameKind,
    shot: Exposure,
    started_at: datetime,
    reading_c: float,
    *,
    iso: int | None = None,
) -> dict[str, HeaderValue]:
    """Return the cards of a full frame, without the structural cards.

    Like the base class, this function writes neither OFFSET nor SET-TEMP nor the readout mode. The observer and the
    object are unknown until a client sets them. A DSLR has an ISO value and no gain.
    """
    sensor = rig.sensor
    cards: dict[str, HeaderValue] = {
        "ROWORDER": "TOP-DOWN",
        "INSTRUME": CAMERA_NAME,
        "TELESCOP": TELESCOPE_NAME,
        "OBSERVER": "Unknown",
        "OBJECT": "Unknown",
        "EXPTIME": shot.exposure_s,
        "CCD-TEMP": round(reading_c, 2),
        "PIXSIZE1": sensor.pixel_um,
        "PIXSIZE2": sensor.pixel_um,
        "XBINNING": shot.binning,
        "YBINNING": shot.binning,
        "XPIXSZ": sensor.pixel_um * shot.binning,
        "YPIXSZ": sensor.pixel_um * shot.binning,
        "FRAME": IMAGE_TYPES[kind].split()[0],
        "IMAGETYP": IMAGE_TYPES[kind],
        "DATE-OBS": started_at.replace(tzinfo=None).isoformat(timespec="milliseconds"),
    }
    if IMAGE_TYPES[kind] == IMAGE_TYPES[FrameKind.DARK]:
        cards["DARKTIME"] = shot.exposure_s
    if iso is not None:
        cards["ISOSPEED"] = iso
    elif sensor.gain:
        cards["GAIN"] = shot.gain
    if rig.wheel and shot.filter_slot is not None:
        cards["FILTER"] = rig.wheel.filters[shot.filter_slot].name
    if shot.rotator_deg is not None:
        cards["ROTATANG"] = round(shot.rotator_deg, 3)
    if sensor.cfa_pattern and shot.binning == 1:
        cards |= {"XBAYROFF": 0, "YBAYROFF": 0, "BAYERPAT": sensor.cfa_pattern}
    if sensor.overscan_columns and shot.binning == 1:
        cards["BIASSEC"] = f"[{sensor.active_width + 1}:{sensor.width},1:{sensor.height}]"
        cards["TRIMSEC"] = f"[1:{sensor.active_width},1:{sensor.height}]"
    return cards
