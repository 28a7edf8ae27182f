"""The [dslr] table of a rig file: a DSLR that INDI's gphoto driver controls."""

from math import log10
from typing import Annotated, Literal

from pydantic import Field

from coldframe.config.rig_part import RigPart


class DslrModel(RigPart):
    """A DSLR that INDI's gphoto driver controls; it has no gain, no offset and no cooler.

    Attributes
    ----------
    model
        Model in the camera's raw files. In INDI, the device has the same name as every simulated camera.
    iso
        The ISO values. `SensorModel.e_per_adu` applies to the first value.
    shutter
        The shutter times as the camera shows them, such as "1/50" or "30"; "bulb" for any exposure.
    formats
        The camera's file formats; the first is selected at the start. Formats with the word "RAW" are camera raws; all
        others are JPEG.
    transfer
        The format that the driver sends when the rig is switched on.
    offers_fits
        False if the driver can only send the camera's own files.
    force_bulb
        True if the driver times all exposures itself when the rig is switched on.
    pixel_size_known
        False if the driver refuses exposures until a client has entered the size of the pixels.
    has_thermometer
        True if the driver shows the temperature of the sensor.
    masked_px
        Width, in pixels, of the masked border at the left and top. Raws include it, but the driver's FITS files do not.
    """

    model: str = "Coldframe D1"
    iso: tuple[Annotated[int, Field(ge=1)], ...] = Field((100, 200, 400, 800, 1600), min_length=1)
    shutter: tuple[str, ...] = Field(min_length=1)
    formats: tuple[str, ...] = Field(("Large Fine JPEG", "RAW"), min_length=1)
    transfer: Literal["fits", "native"] = "fits"
    offers_fits: bool = True
    force_bulb: bool = True
    pixel_size_known: bool = True
    has_thermometer: bool = True
    masked_px: int = Field(8, ge=0, le=200, multiple_of=2)

    def amplification_db(self, iso: float) -> float:
        """Return the amplification at an ISO value relative to that at the first ISO value, in decibels."""
        return 20 * log10(iso / self.iso[0])
