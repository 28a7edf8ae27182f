"""A model of the sensor. It computes the pixel values of a file from the light and the exposure time.

The model follows J. Janesick, "Photon Transfer", SPIE Press 2007, chapters 2 and 3. It includes photoelectrons and dark
electrons with their shot noise, the full well, the read noise, the amplifier, the noise of the ADC, the pedestal and
the digitisation. Shot noise is drawn from a normal distribution with the Poisson variance. Shot noise and read noise
share one draw per pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coldframe.config.simulated_rig import SensorModel
from coldframe.simulators.dust import Mote, scatter_motes, turned_about
from coldframe.simulators.faulty_light import Flicker, Leak
from coldframe.simulators.sky import SkyField

Map = NDArray[np.float32]

BAND_ROWS = 64
"""Number of rows rendered at a time. Intermediate arrays of this size fit in the processor's cache."""

CFA_RESPONSE = {"R": 0.46, "G": 1.0, "B": 0.62}
"""Relative response of the colours of a Bayer array to a white LED panel, typical of one-shot-colour sensors."""

COSMIC_RAY_E = 900.0
"""Median charge that a cosmic-ray hit leaves in a pixel, electrons. A minimum-ionising muon frees about 80 electrons
per micrometre of silicon.
"""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Everything that a frame depends on.

    Attributes
    ----------
    number
        Number of the frame, counted since the camera was switched on. The number seeds the noise of the frame.
    exposure_s
        Integration time, seconds.
    light_e_per_s
        Light, in electrons per second in a clear pixel on the axis; 0 if the shutter stayed closed.
    filter_slot
        Slot of the filter in the beam; None without a wheel. Each filter has its own dust.
    sensor_c
        Sensor temperature, degrees Celsius.
    gain, offset
        Settings of the controls; 0 for a control that the camera does not have.
    binning
        Number of pixels summed along each axis.
    readout_mode
        Index into `SensorModel.readout_modes`.
    flicker
        Flicker of the light; None if it is steady.
    leak
        Stray light on the sensor; None if there is none.
    sky
        Stars and the gradient of the twilight sky; None if the sky is not visible.
    rotator_deg
        Angle of the rotator, by which the vignetting and the telescope's dust are rotated about the centre of the
        sensor; None without a rotator. The dust on the filters and on the sensor's window turns with the camera.
    """

    number: int
    exposure_s: float
    light_e_per_s: float = 0.0
    filter_slot: int | None = None
    sensor_c: float = 20.0
    gain: float = 0.0
    offset: float = 0.0
    binning: int = 1
    readout_mode: int = 0
    flicker: Flicker | None = None
    leak: Leak | None = None
    sky: SkyField | None = None
    rotator_deg: float | None = None


class Sensor:
    """An individual sensor of a given model. The same seed gives the same sensor and the same frames.

    Parameters
    ----------
    model
        Parameters of the sensor.
    seed
        Seed for the sensor's fixed patterns and, with the frame's number, for the noise of each frame.
    """

    def __init__(self, model: SensorModel, seed: int) -> None:
        self.model = model
        self._seed = seed
        self._flat: tuple[tuple[int, float | None], Map] | None = None
        self._bare: tuple[float | None, Map] | None = None

    def e_per_adu(self, gain: float) -> float:
        """Return the electrons per ADC step at the given gain setting."""
        control = self.model.gain
        return self.model.e_per_adu * 10 ** (-gain * control.db_per_step / 20) if control else self.model.e_per_adu

    def bias_adu(self, offset: float) -> float:
        """Return the mean level of a bias frame, in ADC steps."""
        control = self.model.offset
        return self.model.pedestal_adu + (offset * control.adu_per_step if control else 0.0)

    def read_noise_e(self, gain: float, readout_mode: int = 0) -> float:
        """Return the read noise, including the noise of the ADC, in electrons."""
        modes = self.model.readout_modes
        factor = modes[readout_mode].noise_factor if modes else 1.0
        return factor * float(np.hypot(self.model.read_noise_e, self.model.converter_noise_adu * self.e_per_adu(gain)))

    def warmth(self, sensor_c: float) -> float:
        """Return the dark current relative to the dark current at the reference temperature."""
        return float(2.0 ** ((sensor_c - self.model.dark_reference_c) / self.model.dark_doubling_c))

    @cached_property
    def dark_e_per_s(self) -> Map:
        """Dark current of every pixel at the reference temperature, including hot pixels, shape (height, width)."""
        model, random = self.model, self._random("dark")
        dark = random.standard_gamma(8.0, self._shape, dtype=np.float32)
        dark *= np.float32(model.dark_e_per_s / 8.0)
        hot = random.integers(dark.size, size=round(model.hot_fraction * dark.size))
        dark.reshape(-1)[hot] += random.lognormal(np.log(model.hot_e_per_s or 1e-9), 1.1, hot.size).astype(np.float32)
        dark[:, model.active_width :] = 0
        return dark

    @cached_property
    def glow_e_per_s(self) -> tuple[Map, Map]:
        """Amplifier glow, brightest in the middle of the right edge, as the product of a column and a row."""
        rows = np.linspace(-1, 1, self.model.height, dtype=np.float32)[:, None]
        columns = np.linspace(0, 1, self.model.width, dtype=np.float32)[None, :]
        across = np.exp((columns - 1) / np.float32(0.07))
        across[:, self.model.active_width :] = 0
        return np.float32(self.model.glow_e_per_s) * np.exp(-((rows / np.float32(0.35)) ** 2)), across

    def flat_response(self, filter_slot: int | None, rotator_deg: float | None = None) -> Map:
        """Return the response of every pixel to uniform light through a filter, relative to a clear pixel on the axis.

        Parameters
        ----------
        filter_slot
            Slot of the filter in the beam. The dust of each filter is different.
        rotator_deg
            Angle of the rotator; None without a rotator. With a rotator, there is also dust in the telescope.

        Returns
        -------
        float32, shape (height, width); 0 in the overscan. Calls share the array, so do not write to it.
        """
        slot = 0 if filter_slot is None else filter_slot
        if self._flat is None or self._flat[0] != (slot, rotator_deg):
            flat = self._bare_flat(rotator_deg).copy()
            for mote in self._motes("filter", slot, diameter_px=(0.05, 0.09)):
                mote.shade(flat[:, : self.model.active_width])
            self._flat = (slot, rotator_deg), flat
        return self._flat[1]

    def render(self, shot: Exposure) -> NDArray[np.uint16]:
        """Expose and read out one frame.

        Returns
        -------
        uint16, shape (height // binning, width // binning), file ADU.
        """
        model = self.model
        random = self._random("frame", shot.number)
        frame = np.empty(self._shape, np.uint16)
        row_level = self._row_pattern + random.normal(0, model.row_noise_adu, model.height).astype(np.float32)
        row_level += self._short_exposure_level(shot.exposure_s)
        noise, signal = np.empty((2, BAND_ROWS, model.width), np.float32)
        for band in self._bands():
            rows = band.stop - band.start
            electrons = self._electrons(shot, band, signal[:rows])
            draw = random.standard_normal(out=noise[:rows], dtype=np.float32)
            self._read_out(shot, electrons, draw, row_level[band], frame[band])
        self._add_cosmic_rays(shot, frame, random)
        return _binned(frame, shot.binning, model.saturation_adu)

    def _short_exposure_level(self, exposure_s: float) -> Map:
        """Return the extra level of each row in a short exposure. The extra level grows towards the last row."""
        model = self.model
        last_adu = model.short_exposure_adu * np.exp(-exposure_s / model.short_exposure_s)
        return np.linspace(0, last_adu, model.height, dtype=np.float32)

    def _read_out(self, shot: Exposure, electrons: Map, draw: Map, row_level: Map, target: NDArray[np.uint16]) -> None:
        model, e_per_adu = self.model, self.e_per_adu(shot.gain)
        draw *= np.sqrt(electrons + np.float32(self.read_noise_e(shot.gain, shot.readout_mode) ** 2))
        electrons += draw
        # Clip after the shared draw, because a full well has no shot noise, and its read noise is negligible.
        np.minimum(electrons, np.float32(model.full_well_e), out=electrons)
        electrons *= np.float32(1 / e_per_adu)
        electrons += self._column_pattern
        # Add half a step for rounding, because the conversion below truncates.
        electrons += row_level[:, None] + np.float32(self.bias_adu(shot.offset) + 0.5)
        np.clip(electrons, 0, (1 << model.bit_depth) - 1, out=electrons)
        np.copyto(target, electrons, casting="unsafe")
        if model.file_scale > 1:
            target *= np.uint16(model.file_scale)

    def _electrons(self, shot: Exposure, band: slice, electrons: Map) -> Map:
        np.multiply(self.dark_e_per_s[band], np.float32(self.warmth(shot.sensor_c) * shot.exposure_s), out=electrons)
        if self.model.glow_e_per_s:
            down, across = self.glow_e_per_s
            electrons += (down[band] * np.float32(shot.exposure_s)) * across
        if shot.light_e_per_s:
            electrons += self._response(shot, band) * self._lit_e(shot, band)
        if shot.leak:
            leak = shot.leak.light(self._shape, band) * np.float32(shot.exposure_s)
            electrons += self._response(shot, band) * leak
        if shot.sky:
            uneven = shot.sky.light(self._shape, band) * np.float32(shot.exposure_s)
            electrons += self._response(shot, band) * uneven
        return electrons

    def _response(self, shot: Exposure, band: slice) -> Map:
        return self.flat_response(shot.filter_slot, shot.rotator_deg)[band]

    def _lit_e(self, shot: Exposure, band: slice) -> Map | np.float32:
        if shot.flicker:
            return shot.flicker.light(shot.exposure_s, band) * np.float32(shot.light_e_per_s * shot.exposure_s)
        if self.model.shutter_travel_s is None:
            return np.float32(shot.light_e_per_s * shot.exposure_s)
        # The blades of an iris shutter uncover the centre first and cover it last.
        lit_s = shot.exposure_s + self.model.shutter_travel_s * (1 - self._axis_distance(band))
        return np.asarray(shot.light_e_per_s * lit_s, np.float32)

    def _add_cosmic_rays(self, shot: Exposure, frame: NDArray[np.uint16], random: np.random.Generator) -> None:
        model = self.model
        area_cm2 = model.active_width * model.height * (model.pixel_um * 1e-4) ** 2
        hits = random.poisson(model.cosmic_rays_per_cm2_min * area_cm2 * shot.exposure_s / 60)
        for _ in range(hits):
            row, column = random.integers(model.height), random.integers(model.active_width)
            angle = random.uniform(0, 2 * np.pi)
            steps = np.arange(1 + int(random.exponential(3)))
            rows = np.clip(row + np.rint(steps * np.sin(angle)).astype(int), 0, model.height - 1)
            columns = np.clip(column + np.rint(steps * np.cos(angle)).astype(int), 0, model.active_width - 1)
            charge_e = random.lognormal(np.log(COSMIC_RAY_E), 0.5, steps.size)
            added = np.rint(charge_e / self.e_per_adu(shot.gain)) * model.file_scale
            frame[rows, columns] = np.minimum(frame[rows, columns] + added, model.saturation_adu)

    def _bare_flat(self, rotator_deg: float | None) -> Map:
        """Return the response without the dust of the filter."""
        if self._bare is None or self._bare[0] != rotator_deg:
            self._bare = rotator_deg, self._new_bare_flat(rotator_deg)
        return self._bare[1]

    def _new_bare_flat(self, rotator_deg: float | None) -> Map:
        model = self.model
        flat = self._random("prnu").standard_normal(self._shape, dtype=np.float32)
        flat *= np.float32(model.prnu)
        flat += 1
        for band in self._bands():
            # The square of the distance approximates the combined effect of natural vignetting and baffles.
            flat[band] *= 1 - np.float32(model.vignetting) * self._axis_distance(band, rotator_deg or 0.0) ** 2
        for row, column, colour in self._cfa_sites():
            flat[row::2, column::2] *= np.float32(CFA_RESPONSE[colour])
        for mote in self._motes("window", 0, diameter_px=(0.012, 0.03)):
            mote.shade(flat[:, : model.active_width])
        if rotator_deg is not None:
            for mote in self._motes("telescope", 0, diameter_px=(0.1, 0.16)):
                self._turned(mote, rotator_deg).shade(flat[:, : model.active_width])
        flat[:, model.active_width :] = 0
        return flat

    def _turned(self, mote: Mote, angle_deg: float) -> Mote:
        row, column = turned_about(self._middle, (mote.row, mote.column), angle_deg)
        return replace(mote, row=row, column=column)

    @property
    def _middle(self) -> tuple[float, float]:
        return self.model.height / 2, self.model.active_width / 2

    def _axis_distance(self, band: slice, rotator_deg: float = 0.0) -> Map:
        """Return the distance from the optical axis, about 1 in the corners. The axis is slightly off centre."""
        model = self.model
        axis = 0.485 * model.height, 0.51 * model.active_width
        row, column = turned_about(self._middle, axis, rotator_deg) if rotator_deg else axis
        rows = np.arange(band.start, band.stop, dtype=np.float32)[:, None] - np.float32(row)
        columns = np.arange(model.width, dtype=np.float32)[None, :] - np.float32(column)
        half_diagonal = np.float32(0.52 * np.hypot(model.height, model.active_width))
        return np.asarray(np.sqrt(rows**2 + columns**2) / half_diagonal)

    def _cfa_sites(self) -> Iterator[tuple[int, int, str]]:
        for index, colour in enumerate(self.model.cfa_pattern or ""):
            yield *divmod(index, 2), colour

    def _motes(self, place: str, number: int, diameter_px: tuple[float, float]) -> list[Mote]:
        shape = (self.model.height, self.model.active_width)
        return scatter_motes(self._random(place, number), self.model.dust_motes, shape, diameter_px)

    @cached_property
    def _column_pattern(self) -> Map:
        return self._random("columns").normal(0, self.model.column_pattern_adu, self.model.width).astype(np.float32)

    @cached_property
    def _row_pattern(self) -> Map:
        return self._random("rows").normal(0, self.model.row_pattern_adu, self.model.height).astype(np.float32)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.model.height, self.model.width

    def _bands(self) -> Iterator[slice]:
        for start in range(0, self.model.height, BAND_ROWS):
            yield slice(start, min(start + BAND_ROWS, self.model.height))

    def _random(self, purpose: str, number: int = 0) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64([self._seed, number, *purpose.encode()]))


def _binned(frame: NDArray[np.uint16], binning: int, saturation_adu: int) -> NDArray[np.uint16]:
    """Sum blocks of pixels as camera drivers do, and clip the sums at the file's highest value."""
    if binning == 1:
        return frame
    height, width = (size // binning for size in frame.shape)
    squares = frame[: height * binning, : width * binning].reshape(height, binning, width, binning)
    clipped: NDArray[np.uint16] = np.minimum(squares.sum(axis=(1, 3), dtype=np.uint32), saturation_adu).astype(
        np.uint16
    )
    return clipped
