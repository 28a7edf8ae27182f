"""A DSLR as INDI's driver for gphoto presents it (indi-gphoto, gphoto_ccd.cpp and gphoto_driver.cpp).

This driver differs from the drivers of other cameras: the size of the sensor is 0 x 0 until the first frame, an ISO
value replaces the gain, the camera has a list of shutter times, and a BLOB can be the camera's own file.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from io import BytesIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.config.frames import FrameKind
from coldframe.config.simulated_dslr import DslrModel
from coldframe.simulators.cards import driver_cards
from coldframe.simulators.dng import dng_file
from coldframe.simulators.fits import MemoryFile, fits_file
from coldframe.simulators.indi.device import MAIN_GROUP, OPTIONS_GROUP, Publish
from coldframe.simulators.indi.properties import Number, Permission, RefusedError, State, Switch, Text, Value, Vector
from coldframe.simulators.indi.rig import IMAGE_GROUP, IMAGE_INFO_GROUP, IndiCamera, loop_time_s
from coldframe.simulators.optics import Telescope
from coldframe.simulators.sensor import Exposure

SAME_S = 1e-5
"""Maximum difference, seconds, at which an exposure counts as one in the camera's list (find_exposure_setting)."""

_LARGEST_PX = 20_000
_FRACTION = re.compile(r"(\d+)/(\d+)")


class IndiDslr(IndiCamera):
    """The DSLR as an INDI device.

    Parameters
    ----------
    telescope
        The hardware.
    model
        Properties of the camera's files and of its driver.
    tasks, publish
        See `IndiDevice`.
    """

    def __init__(self, telescope: Telescope, model: DslrModel, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        self._model = model
        self._list = {text: time for text in model.shutter if (time := _seconds(text)) is not None}
        super().__init__(telescope, tasks, publish)
        self._add_shutter()

    # ---- properties ----

    def _add_geometry(self) -> None:
        sensor, known = self._telescope.rig.sensor, self._model.pixel_size_known
        pixel_um = sensor.pixel_um if known else 0.0
        info = [
            Number("CCD_MAX_X", 0, 0, _LARGEST_PX, label="Max. Width"),
            Number("CCD_MAX_Y", 0, 0, _LARGEST_PX, label="Max. Height"),
            Number("CCD_PIXEL_SIZE", pixel_um, 0, 40, label="Pixel size (um)"),
            Number("CCD_PIXEL_SIZE_X", pixel_um, 0, 40, label="Pixel size X"),
            Number("CCD_PIXEL_SIZE_Y", pixel_um, 0, 40, label="Pixel size Y"),
            Number("CCD_BITSPERPIXEL", 8, 8, 64, label="Bits per pixel"),
        ]
        self._info = self.add(Vector("CCD_INFO", "CCD Information", IMAGE_INFO_GROUP, *info))
        edges = [Number(edge, 0, 0, _LARGEST_PX, 1, "%.0f") for edge in ("X", "Y", "WIDTH", "HEIGHT")]
        self._region = self.add(Vector("CCD_FRAME", "Frame", IMAGE_GROUP, *edges), self._set_region)
        bins = [Number(name, 1, 1, 4, 1, "%.0f") for name in ("HOR_BIN", "VER_BIN")]
        self._binning = self.add(Vector("CCD_BINNING", "Binning", IMAGE_GROUP, *bins), self._set_binning)
        cfa = [Text("CFA_OFFSET_X", "0"), Text("CFA_OFFSET_Y", "0"), Text("CFA_TYPE", "RGGB")]
        self._cfa = self.add(Vector("CCD_CFA", "Bayer Info", IMAGE_INFO_GROUP, *cfa))

    def _add_transfer(self) -> None:
        super()._add_transfer()
        is_native = self._model.transfer == "native" or not self._model.offers_fits
        native = Switch("FORMAT_NATIVE", "On" if is_native else "Off", "Native")
        as_fits = Switch("FORMAT_FITS", "Off" if is_native else "On", "FITS")
        encodings = (as_fits, native) if self._model.offers_fits else (native,)
        # Replace the base class's vector, which supports only FITS.
        self._connected.remove(next(each for each in self._connected if each.name == "CCD_TRANSFER_FORMAT"))
        self._encoding = self.add(Vector("CCD_TRANSFER_FORMAT", "Encode", IMAGE_GROUP, *encodings, state=State.OK))
        self._handlers["CCD_TRANSFER_FORMAT"] = self._choose_encoding
        formats = [
            Switch(f"FORMAT_{number}", "On" if number == 1 else "Off", label)
            for number, label in enumerate(self._model.formats, start=1)
        ]
        self._capture = self.add(Vector("CCD_CAPTURE_FORMAT", "Format", IMAGE_GROUP, *formats, state=State.OK))

    def _choose_encoding(self, values: Mapping[str, Value]) -> None:
        self._store(self._encoding, values)

    def _add_cooler(self) -> None:
        if self._model.has_thermometer:
            super()._add_cooler()
            self._temperature.set({"CCD_TEMPERATURE_VALUE": 0.0})
        else:
            self._temperature = Vector("CCD_TEMPERATURE", "", MAIN_GROUP, Number("CCD_TEMPERATURE_VALUE", 20.0))

    def _add_controls(self) -> None:
        self._controls = self._read_mode = None
        iso = [Switch(f"ISO{place}", "Off", str(value)) for place, value in enumerate(self._model.iso)]
        iso[0].value = "On"
        self._iso = self.add(Vector("CCD_ISO", "ISO", IMAGE_GROUP, *iso))

    def _add_shutter(self) -> None:
        presets = [Switch(f"EXPOSURE_PRESET{place}", "Off", text) for place, text in enumerate(self._model.shutter)]
        presets[0].value = "On"
        self.add(Vector("CCD_EXPOSURE_PRESETS", "Presets", MAIN_GROUP, *presets, permission=Permission.READ_ONLY))
        states = ("On", "Off") if self._model.force_bulb else ("Off", "On")
        force = [Switch(name, state, name) for name, state in zip(("On", "Off"), states, strict=True)]
        self._force_bulb = self.add(Vector("CCD_FORCE_BLOB", "Force BULB", OPTIONS_GROUP, *force))

    # ---- exposures ----

    def _start_exposure(self, values: Mapping[str, Value]) -> None:
        if self._info.number("CCD_PIXEL_SIZE_X") == 0:
            raise RefusedError("Please update the CCD Information in the Image Info section before proceeding.")
        super()._start_exposure(values)

    def _begin(self, kind: FrameKind, exposure_s: float, started_s: float) -> Exposure:
        binning = int(self._binning.number("HOR_BIN"))
        return self._telescope.begin(
            kind,
            self._taken_s(exposure_s),
            started_s,
            gain=self._telescope.rig.gain_at(self._chosen_iso),
            offset=0.0,
            binning=binning,
            readout_mode=0,
        )

    @property
    def _chosen_iso(self) -> int:
        names = list(self._iso.elements)
        return self._model.iso[names.index(self._iso.selected or names[0])]

    def _taken_s(self, exposure_s: float) -> float:
        """Return the exposure that the camera takes: as requested if listed or by bulb, otherwise the nearest."""
        exact = [time for time in self._list.values() if abs(float(time) - exposure_s) < SAME_S]
        if exact and self._force_bulb.selected == "Off":
            return float(exact[0])
        if "bulb" in self._model.shutter:
            return exposure_s
        return float(min(self._list.values(), key=lambda time: abs(float(time) - exposure_s)))

    def _file(
        self, pixels: NDArray[np.uint16], kind: FrameKind, shot: Exposure, started_at: datetime
    ) -> tuple[str, MemoryFile]:
        is_raw = "RAW" in (self._capture.elements[self._capture.selected or "FORMAT_1"].label or "").upper()
        if self._encoding.selected == "FORMAT_NATIVE":
            content = self._dng(pixels, shot, started_at) if is_raw else b"\xff\xd8\xff\xe0 a JPEG"
            return (".dng" if is_raw else ".jpg"), _memory_file(content)
        if not is_raw:
            cube = BytesIO()
            fits.PrimaryHDU((np.stack([pixels] * 3) >> 8).astype(np.uint8)).writeto(cube)
            return ".fits", _memory_file(cube.getvalue())
        self._learn()
        # Whatever the camera does, the driver writes the exposure that the client asked for.
        asked = replace(shot, exposure_s=self._asked_s)
        reading_c = self._temperature.number("CCD_TEMPERATURE_VALUE")
        cards = driver_cards(self._telescope.rig, kind, asked, started_at, reading_c, iso=self._chosen_iso)
        if not self._model.has_thermometer:
            cards.pop("CCD-TEMP")
        return ".fits", fits_file(pixels, cards | self._client_cards.cards)

    async def _expose(self, kind: FrameKind, exposure_s: float) -> None:
        self._asked_s = exposure_s
        await super()._expose(kind, exposure_s)
        self.report(self._info, State.OK)
        self.report(self._region, State.OK)
        self._temperature.set({"CCD_TEMPERATURE_VALUE": round(self._telescope.sensor_c(loop_time_s()), 2)})
        self.report(self._temperature, State.OK)

    def _refresh_temperature(self) -> None:
        """Do nothing: the driver knows only the temperature in the last frame, and 0 C before the first frame."""

    def _learn(self) -> None:
        """Learn the size of the sensor from a frame, except from files that the driver forwards unread."""
        sensor = self._telescope.rig.sensor
        self._info.set({"CCD_MAX_X": sensor.width, "CCD_MAX_Y": sensor.height, "CCD_BITSPERPIXEL": 16})
        if not self._region.number("WIDTH"):
            self._region.set({"X": 0, "Y": 0, "WIDTH": sensor.width, "HEIGHT": sensor.height})

    def _dng(self, pixels: NDArray[np.uint16], shot: Exposure, started_at: datetime) -> bytes:
        border = self._model.masked_px
        masked = np.pad(pixels, ((border, 0), (border, 0)), constant_values=int(np.median(pixels[:8])))
        listed = next((time for time in self._list.values() if float(time) == shot.exposure_s), None)
        exposure = listed or Fraction(round(shot.exposure_s * 100), 100)
        return dng_file(
            masked,
            pattern=self._telescope.rig.sensor.cfa_pattern,
            iso=self._chosen_iso,
            exposure=(exposure.numerator, exposure.denominator),
            taken=f"{started_at:%Y:%m:%d %H:%M:%S}",
            model=self._model.model,
            active=(border, border, border + pixels.shape[0], border + pixels.shape[1]),
        )

    def _cropped(self, pixels: NDArray[np.uint16], binning: int) -> NDArray[np.uint16]:
        return super()._cropped(pixels, binning) if self._region.number("WIDTH") else pixels

    def _set_region(self, values: Mapping[str, Value]) -> None:
        self._require_fits("Subframing is only supported in FITS/XISF encode mode.")
        super()._set_region(values)

    def _set_binning(self, values: Mapping[str, Value]) -> None:
        if float(values.get("HOR_BIN", 1)) != 1:
            self._require_fits("Binning is only supported in FITS/XISF transport mode.")
        super()._set_binning(values)

    def _require_fits(self, message: str) -> None:
        if self._encoding.selected != "FORMAT_FITS":
            raise RefusedError(message)


def _seconds(text: str) -> Fraction | None:
    """Return a shutter time in seconds; None for words, such as "bulb"."""
    found = _FRACTION.fullmatch(text)
    if found is not None:
        return Fraction(int(found[1]), int(found[2]))
    return Fraction(text) if text.replace(".", "", 1).isdecimal() else None


def _memory_file(content: bytes) -> MemoryFile:
    file = MemoryFile(len(content))
    file.writable()[:] = np.frombuffer(content, np.uint8)
    return file
