"""Simulated nights by which the diagnosis of calibrated lights is judged: whole nights with no fault, or with one.

`draw` draws a night from a seed, `faults` has the faults, and `simulate` returns raw lights and the masters that
calibrate them. Every component draws from a stream of its own: the same night with another fault has the same stars,
the same noise and the same pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.lights.arithmetic import scaled_subtraction
from coldframe.calibration.masters.master_frame import master_name, write_master
from coldframe.config.frames import FrameKind
from tests.calibration.diagnosis import faults, headers, sky
from tests.calibration.diagnosis.calibration_frames import (
    SKY_COLOUR,
    CalibrationFrames,
    calibration_frames,
    clean_optics,
    colour_plane,
    dark_charge,
    made_masters,
    optics_of_lights,
    sensor_of,
)
from tests.calibration.diagnosis.faults import Fault, none
from tests.calibration.diagnosis.headers import Header
from tests.calibration.diagnosis.night import Night, draw
from tests.calibration.diagnosis.rig import FLICKER_DUTY, Sensor
from tests.calibration.diagnosis.sets import Masters, as_words
from tests.calibration.diagnosis.sky import F32, Pointing, Stars, stream

__all__ = ["Fault", "Masters", "Night", "Simulated", "calibrated", "draw", "faults", "none", "simulate", "write"]

FEWEST_ELECTRONS = 50
"""Charges below this are drawn from the Poisson distribution itself, larger ones from the normal one."""

_PAUSE_MINUTES = 0.1
_FLIP_MINUTES = 5.0


@dataclass(frozen=True)
class Simulated:
    """A simulated night.

    Attributes
    ----------
    night, fault
        What was simulated.
    lights
        Raw lights, uint16.
    headers
        Header of each light.
    masters
        The masters that calibrate them.
    pointings
        True pointing of each light.
    sky_adu
        True level of the sky in the middle of each light, ADU in the brightest colour.
    frames
        The raw calibration frames that the masters stand for.
    """

    night: Night
    fault: Fault
    lights: list[NDArray[np.uint16]] = field(repr=False)
    headers: list[Header] = field(repr=False)
    masters: Masters = field(repr=False)
    pointings: list[Pointing] = field(repr=False)
    sky_adu: list[float] = field(repr=False)
    frames: CalibrationFrames = field(repr=False)

    def raw(self, kind: FrameKind, count: int) -> Iterator[NDArray[np.uint16]]:
        """Yield raw calibration frames of the night's rig; they are not those in the masters."""
        for number in range(count):
            yield self.frames.raw(self.night, kind, number)


def simulate(night: Night, fault: Fault | None = None) -> Simulated:
    """Return the raw lights and the masters of a night with a fault."""
    fault = fault or none()
    camera = _Camera.of(night, fault)
    frames = calibration_frames(night, fault, camera.sensor, camera.after)
    lights = [camera.light(number) for number in range(night.lights)]
    said = [_header(night, number, camera.pointings[number]) for number in range(night.lights)]
    masters = made_masters(night, fault, frames)
    return Simulated(night, fault, lights, said, masters, camera.pointings, _sky_levels(night), frames)


@dataclass(frozen=True)
class _Camera:
    """A camera that takes the lights.

    Attributes
    ----------
    night, fault
        Night and fault.
    sensor
        The camera's sensor.
    before, after
        Relative response to light before and after the fault.
    steady
        Charge without light, electrons.
    pointings
        Where each light looks.
    canvases, weights, margin
        Nebulae, the part of their light that each pixel's colour sees, and the pixels on each side of the field.
    stars
        Stars.
    """

    night: Night
    fault: Fault
    sensor: Sensor
    before: F32
    after: F32
    steady: F32
    pointings: list[Pointing]
    canvases: list[F32]
    weights: list[F32 | np.float32]
    margin: int
    stars: Stars

    @classmethod
    def of(cls, night: Night, fault: Fault) -> Self:
        """Return the camera of a night."""
        sensor = sensor_of(night, fault)
        pointings = _pointings(night)
        margin = int(max(abs(step) for pointing in pointings for step in pointing[:2])) + 2
        canvases, weights = _nebulae(night, margin)
        faintest_adu = 4 * night.noise_adu * night.fwhm_px
        return cls(
            night,
            fault,
            sensor,
            _response(night, sensor, none()),
            _response(night, sensor, fault),
            dark_charge(night, sensor, 1.0, 0.0) + sensor.glow_e,
            pointings,
            canvases,
            weights,
            margin,
            Stars.drawn(stream(night.seed, "stars"), night.stars, night.size, margin, faintest_adu),
        )

    def light(self, number: int) -> NDArray[np.uint16]:
        """Return a raw light."""
        night = self.night
        fault = self.fault if number >= self.fault.since else none()
        weather = stream(night.seed, "weather", number)
        charge = self._seen(number, weather)
        charge *= self.after if number >= self.fault.since else self.before
        charge *= np.float32(night.e_per_adu)
        if fault.name == "odd-even":
            charge[1::2] *= np.float32(1 + fault.strength * weather.uniform(0.7, 1.3))
        return self._exposed(number, charge, fault)

    def _seen(self, number: int, weather: np.random.Generator) -> F32:
        """Return what a light sees, ADU for a relative response of 1."""
        night, pointing = self.night, self.pointings[number]
        scene = _sky(night, number, pointing)
        scene *= colour_plane(night.size, night.mosaic, SKY_COLOUR)
        for canvas, weight in zip(self.canvases, self.weights, strict=True):
            scene += sky.seen(canvas, self.margin, night.size, pointing) * weight
        transparency: float | F32 = weather.uniform(0.95, 1.0)
        fwhm_px = night.fwhm_px * weather.uniform(0.92, 1.1)
        if number in _clouded(night):
            opacity = sky.thin_cloud(weather, night.size)
            # A cloud dims what is behind it, and is lit from below.
            scene *= 1 + opacity
            transparency = 1 - opacity
        self.stars.add_to(scene, pointing, fwhm_px, transparency)
        for _ in range(_trails(night).count(number)):
            sky.add_trail(weather, scene, fwhm_px)
        return scene

    def _exposed(self, number: int, charge: F32, fault: Fault) -> NDArray[np.uint16]:
        """Return the raw frame for the charge by light, in electrons; the charge is overwritten."""
        night, hot = self.night, self.sensor.hot
        random = stream(night.seed, "light", number)
        if night.temperature_drift_c:
            warmer_c = night.temperature_drift_c * number / max(night.lights - 1, 1)
            charge += dark_charge(night, self.sensor, 1.0, warmer_c)
            charge += self.sensor.glow_e
        else:
            charge += self.steady
        high = (hot.flicker_e > 0) & (random.random(hot.flicker_e.size) < FLICKER_DUTY)
        charge.reshape(-1)[hot.place[high]] += hot.flicker_e[high]
        few = np.nonzero(charge < FEWEST_ELECTRONS)
        drawn = random.poisson(charge[few])
        noise = random.standard_normal(night.size, dtype=np.float32)
        read_noise_e = np.float32(night.read_noise_adu * night.e_per_adu)
        readout = noise[few] * read_noise_e
        noise *= np.sqrt(charge + read_noise_e**2)
        charge += noise
        charge[few] = drawn + readout
        charge /= np.float32(night.e_per_adu)
        charge += self.sensor.bias_adu
        row_adu = float(np.hypot(night.row_noise_adu, fault.of("row-noise")))
        charge += random.standard_normal((night.size[0], 1), dtype=np.float32) * np.float32(row_adu)
        charge += np.float32(random.normal(0, night.jitter_adu) + fault.of("offset"))
        return as_words(charge)


def _response(night: Night, sensor: Sensor, fault: Fault) -> F32:
    """Return the relative response of the rig to the lights' light, with a mean of 1 for clean optics."""
    passed = optics_of_lights(night, fault).passed(night.size)
    passed *= sensor.response
    passed /= np.float32(clean_optics(night).passed(night.size).mean())
    return passed


def _pointings(night: Night) -> list[Pointing]:
    random = stream(night.seed, "dithers")
    steps = random.normal(0, night.dither_px, (night.lights, 2)).clip(-3 * night.dither_px, 3 * night.dither_px)
    steps[0] = 0
    first_after = night.lights // 2 + int(random.integers(0, 2)) if night.flip else night.lights
    return [Pointing(float(dy), float(dx), number >= first_after) for number, (dy, dx) in enumerate(steps)]


def _sky_levels(night: Night) -> list[float]:
    """Return the level of the sky in each light, without moonlight and clouds."""
    return [
        night.sky_adu * (1 + night.sky_drift * (number / max(night.lights - 1, 1) - 0.5))
        for number in range(night.lights)
    ]


def _nebulae(night: Night, margin: int) -> tuple[list[F32], list[F32 | np.float32]]:
    """Return the nebulae, a red one and for a colour camera a blue one, and how bright each looks to each pixel."""
    if night.nebula_fill == 0 or night.nebula_adu == 0:
        return [], []
    # The canvas repeats itself, so it is larger than what is seen.
    height, width = (sky.smooth_length(round(1.25 * length) + 2 * margin) for length in night.size)
    colours = [{"R": 1.0, "G": 0.35, "B": 0.2}, {"R": 0.1, "G": 0.7, "B": 0.9}]
    used = colours if night.mosaic else colours[:1]
    canvases = [
        sky.nebula(
            stream(night.seed, "nebula", number),
            (height, width),
            fill=night.nebula_fill,
            bright_adu=night.nebula_adu,
            filaments=night.filaments,
            fwhm_px=night.fwhm_px,
        )
        for number in range(len(used))
    ]
    return canvases, [colour_plane(night.size, night.mosaic, colour) for colour in used]


def _sky(night: Night, number: int, pointing: Pointing) -> F32:
    """Return the empty sky of a light, with gradients that turn, and turn over at a meridian flip."""
    part = number / max(night.lights - 1, 1)
    turn = night.gradient_turn_deg * (part - 0.5) + (180 if pointing.flipped else 0)
    level_adu = _sky_levels(night)[number]
    scene = sky.background(night.size, level_adu, night.gradient, night.gradient_deg + turn)
    if night.moon > 0:
        moonlight_adu = night.moon * part * night.sky_adu
        scene += sky.background(night.size, moonlight_adu, 0.12, night.moon_deg + 0.6 * turn)
    return scene


def _clouded(night: Night) -> list[int]:
    random = stream(night.seed, "clouds")
    return [int(number) for number in random.permutation(night.lights)[: night.clouded]]


def _trails(night: Night) -> list[int]:
    random = stream(night.seed, "trails")
    return [int(number) for number in random.integers(0, night.lights, night.trails)]


def _header(night: Night, number: int, pointing: Pointing) -> Header:
    random = stream(night.seed, "thermometer", number)
    drift_c = night.temperature_drift_c * number / max(night.lights - 1, 1)
    return headers.header(
        night.program,
        FrameKind.LIGHT,
        exposure_s=night.exposure_s,
        sensor_c=night.sensor_c + drift_c + random.uniform(-0.1, 0.1),
        setpoint_c=None if night.temperature_drift_c else night.sensor_c,
        gain=night.gain,
        offset=night.offset,
        e_per_adu=round(night.e_per_adu * (1 + night.egain_error), 4),
        mosaic=night.mosaic,
        filter_name=night.filter_name,
        focus=night.focus,
        rotation_deg=night.rotation_deg,
        minutes=number * (night.exposure_s / 60 + _PAUSE_MINUTES) + (_FLIP_MINUTES if pointing.flipped else 0),
        west=pointing.flipped,
    )


def subtracted(masters: Masters) -> F32:
    """Return the plane that the masters subtract from the lights, ADU."""
    if masters.dark_scale == 1:
        return masters.dark.mean
    return scaled_subtraction(masters.bias, masters.dark, masters.dark_scale, despite_glow=True).subtracted


def calibrated(simulated: Simulated) -> Iterator[F32]:
    """Yield the lights as the masters calibrate them, ADU."""
    dark, flat = subtracted(simulated.masters), simulated.masters.flat.mean
    for light in simulated.lights:
        yield (light - dark) / flat


def write(simulated: Simulated, folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the raw lights into `lights` and the masters into `masters` of a folder; return their paths."""
    for name in ("lights", "masters"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    encoder = FrameEncoder()
    lights = [folder / "lights" / f"light_{number:04d}.fits" for number in range(len(simulated.lights))]
    for path, pixels, said in zip(lights, simulated.lights, simulated.headers, strict=True):
        write_durably(path, encoder.encode(pixels, [Card(keyword, value) for keyword, value in said.items()]))
    made = [(folder / "masters" / master_name(master), master) for master in simulated.masters.frames]
    for path, master in made:
        write_master(path, master)
    return lights, [path for path, _ in made]
