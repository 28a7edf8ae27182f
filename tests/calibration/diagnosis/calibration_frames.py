"""The calibration frames of a simulated night, with the fault that is in them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.masters.master_frame import MasterFrame, master_name
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind, ReadoutSettings
from tests.calibration.diagnosis import headers, rig
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.night import Night
from tests.calibration.diagnosis.rig import Hot, Mote, Sensor, Vignette
from tests.calibration.diagnosis.sets import FULL_ADU, Masters, RawSet, flat_stack, planes_of, smoothed
from tests.calibration.diagnosis.sky import F32, stream

SKY_COLOUR = {"R": 0.85, "G": 1.0, "B": 0.7}
LAMP_COLOUR = {"R": 0.75, "G": 1.0, "B": 0.55}

_MINUTES_OF_DAY = 14 * 60
"""Start of the calibration frames, after the evening."""


def colour_plane(size: tuple[int, int], mosaic: str | None, levels: Mapping[str, float]) -> F32 | np.float32:
    """Return the level of each pixel's colour; 1 for a mono camera."""
    if mosaic is None:
        return np.float32(1)
    cell = np.array([levels[colour] for colour in mosaic], np.float32).reshape(2, 2)
    return np.tile(cell, (size[0] // 2, size[1] // 2))


@dataclass(frozen=True)
class Optics:
    """What light passes on its way to the sensor."""

    vignette: Vignette
    motes: tuple[Mote, ...]

    def passed(self, size: tuple[int, int]) -> F32:
        """Return the fraction of the light that arrives, by pixel."""
        passed = self.vignette.passed(size)
        passed *= rig.shadows(self.motes, size)
        return passed


def clean_optics(night: Night) -> Optics:
    """Return the optics in front of the lights of a clean night."""
    random = stream(night.seed, "optics")
    height, width = night.size
    middle = random.uniform(0.45, 0.55, 2)
    vignette = Vignette(night.vignetting, float(middle[0]) * height, float(middle[1]) * width)
    on_filter = rig.drawn_motes(
        stream(night.seed, "filter"), night.filter_motes, night.size, on_filter=True, obstruction=night.obstruction
    )
    on_sensor = rig.drawn_motes(
        stream(night.seed, "window"), night.sensor_motes, night.size, on_filter=False, obstruction=night.obstruction
    )
    return Optics(vignette, (*on_filter, *on_sensor))


def single_mote(night: Night, fault: Fault) -> Mote:
    """Return the new or the gone mote, well inside the field."""
    random = stream(night.seed, "single mote")
    y, x = random.uniform(0.15, 0.85) * night.size[0], random.uniform(0.15, 0.85) * night.size[1]
    obstruction = night.obstruction if fault.diameter_px > 16 else 0.0
    return Mote(y, x, fault.diameter_px, fault.strength, obstruction, on_filter=False)


def optics_of_lights(night: Night, fault: Fault) -> Optics:
    """Return the optics in front of the lights."""
    optics = clean_optics(night)
    size = night.size
    if fault.name == "new-mote":
        return replace(optics, motes=(*optics.motes, single_mote(night, fault)))
    if fault.name == "focus":
        return replace(optics, motes=tuple(mote.grown(fault.strength) for mote in optics.motes))
    if fault.name == "dust-shift":
        dy, dx = fault.strength * sin(radians(fault.angle_deg)), fault.strength * cos(radians(fault.angle_deg))
        return replace(optics, motes=tuple(_if_moving(mote, fault, mote.moved(dy, dx)) for mote in optics.motes))
    if fault.name == "dust-rotation":
        motes = tuple(_if_moving(mote, fault, mote.turned(fault.strength, size)) for mote in optics.motes)
        y, x = rig.turned((optics.vignette.y, optics.vignette.x), fault.strength, size)
        vignette = replace(optics.vignette, y=y, x=x) if fault.form == "all" else optics.vignette
        return Optics(vignette, motes)
    return optics


def _if_moving(mote: Mote, fault: Fault, moved: Mote) -> Mote:
    return moved if mote.on_filter or fault.form != "filter" else mote


def optics_of_flats(night: Night, fault: Fault) -> Optics:
    """Return the optics in front of the flats."""
    optics = clean_optics(night)
    if fault.name == "gone-mote":
        return replace(optics, motes=(*optics.motes, single_mote(night, fault)))
    if fault.name == "other-filter":
        random = stream(night.seed, "other filter")
        others = rig.drawn_motes(random, night.filter_motes, night.size, on_filter=True, obstruction=night.obstruction)
        stays = tuple(mote for mote in optics.motes if not mote.on_filter)
        vignette = replace(optics.vignette, loss=optics.vignette.loss * random.uniform(0.93, 1.07))
        return Optics(vignette, (*others, *stays))
    return optics


def sensor_of(night: Night, fault: Fault) -> Sensor:
    """Return the camera."""
    size, g = night.size, night.e_per_adu
    correlation = 0.985 if fault.name == "other-filter" else night.response_correlation
    response, flat_response = rig.pixel_responses(night.seed, size, night.response_scatter, correlation)
    hot = rig.drawn_hot(stream(night.seed, "hot"), size[0] * size[1], night.hot_fraction, night.flickering)
    return Sensor(
        rig.bias_plane(night.seed, size, night.bias_adu, night.bias_pixel_adu, night.bias_line_adu),
        rig.current_plane(stream(night.seed, "current"), size, night.current_adu * g),
        rig.glow_plane(stream(night.seed, "glow"), size, night.glow_adu * g),
        hot,
        response,
        flat_response,
    )


@dataclass(frozen=True)
class CalibrationFrames:
    """The raw calibration frames of a night.

    Attributes
    ----------
    bias, dark, dark_flat, flat
        The sets.
    dew
        Opacity of the spots on the first flat; None without dew.
    odd_level
        Relative excess of the level of the fourth flat.
    """

    bias: RawSet
    dark: RawSet
    dark_flat: RawSet
    flat: RawSet
    dew: F32 | None
    odd_level: float

    def raw(self, night: Night, kind: FrameKind, number: int) -> NDArray[np.uint16]:
        """Return a raw frame by its number; it is none of those that are in the master."""
        random = stream(night.seed, "raw", kind.value, number)
        if kind is not FrameKind.FLAT:
            return {FrameKind.BIAS: self.bias, FrameKind.DARK: self.dark, FrameKind.DARK_FLAT: self.dark_flat}[
                kind
            ].frame(random)
        # The panel varies by a thousandth from frame to frame.
        factor: Any = np.float32(1 + random.normal(0, 0.001) + (self.odd_level if number == 3 else 0))
        if self.dew is not None:
            # The mean of the set has half of the first frame's opacity.
            factor *= 1 - self.dew * np.float32(max(0.0, 1 - number / max(night.flats - 1, 1)) - 0.5)
        signal = self.flat.mean_adu - self.dark_flat.mean_adu
        changed = replace(self.flat, mean_adu=self.dark_flat.mean_adu + signal * factor)
        return changed.frame(random)


def dark_charge(night: Night, sensor: Sensor, fraction: float, warmer_c: float) -> F32:
    """Return the charge without light, of steady pixels and of flickering ones in their low state, electrons.

    Parameters
    ----------
    night, sensor
        Night and camera.
    fraction
        Exposure in units of the lights' exposure.
    warmer_c
        Difference from the lights' temperature.
    """
    exponent = np.float32(np.log(2) * warmer_c / night.doubling_c)
    charge: F32 = sensor.current_e * np.float32(np.exp(exponent) * fraction)
    hot = sensor.hot.current_e * np.exp(sensor.hot.steepness * exponent) * np.float32(fraction)
    charge.reshape(-1)[sensor.hot.place] += hot
    return charge


def lines(seed: int, name: str, number: int, rms_adu: float) -> F32:
    """Return a fixed pattern of lines with exactly this rms and a mean of 0."""
    pattern = stream(seed, name).standard_normal(number).astype(np.float32)
    pattern -= pattern.mean()
    pattern *= np.float32(rms_adu / pattern.std())
    return pattern


def _aged(night: Night, hot: Hot, fraction: float) -> Hot:
    """Return hot pixels of which a fraction has moved to other places."""
    random = stream(night.seed, "old dark")
    moved = random.random(hot.place.size) < fraction
    place = np.where(moved, random.integers(0, night.size[0] * night.size[1], hot.place.size), hot.place)
    _, unique = np.unique(place, return_index=True)
    return Hot(place[unique], hot.current_e[unique], hot.flicker_e[unique], hot.steepness[unique])


def _dark_set(night: Night, sensor: Sensor, fraction: float, fault: Fault | None, passed: F32) -> RawSet:
    """Return darks of a fraction of the lights' exposure, with a fault of the darks."""
    fault = fault or Fault(name="none", kind="")
    g, read_noise = night.e_per_adu, night.read_noise_adu
    glow_growth = fraction ** (fault.power if fault.name == "dark-scaled" else 1.0)
    if fault.name == "old-dark":
        sensor = replace(sensor, hot=_aged(night, sensor.hot, fault.strength))
    if fault.name == "gain":
        g = g * fault.strength
    charge = dark_charge(night, sensor, fraction, fault.of("dark-temperature"))
    charge += sensor.glow_e * np.float32(glow_growth * (fault.strength if fault.name == "glow" else 1))
    if fault.name == "dark-leak":
        if fault.form == "flat":
            charge += passed * np.float32(fault.strength * night.e_per_adu)
        else:
            plane = rig.uneven(night.size, 1.0, fault.angle_deg, "plane") - 0.5
            charge += plane * np.float32(fault.strength * night.e_per_adu)
    variance = charge / np.float32(g**2)
    if fault.name == "gain":
        # The pattern and the noise of the readout are electrons to a half.
        pattern = sensor.bias_adu - np.float32(night.bias_adu)
        level = np.float32(night.bias_adu) + pattern / np.float32(fault.strength)
        read_noise = read_noise / fault.strength
    else:
        level = sensor.bias_adu
    variance += np.float32(read_noise**2)
    mean = charge
    mean /= np.float32(g)
    mean += level
    if fault.name == "fixed-rows":
        mean += lines(night.seed, "fixed", night.size[0], fault.strength)[:, None]
    if fault.name == "fixed-columns":
        mean += lines(night.seed, "fixed", night.size[1], fault.strength)
    flickers = sensor.hot.flicker_e > 0
    high = sensor.hot.flicker_e[flickers] * np.float32(fraction / g)
    return RawSet(mean, variance, night.row_noise_adu, night.jitter_adu, sensor.hot.place[flickers], high)


def _flat_set(night: Night, sensor: Sensor, fault: Fault, dark_flat: RawSet, dew: F32 | None) -> RawSet:
    signal = optics_of_flats(night, fault).passed(night.size)
    signal *= sensor.flat_response
    if fault.name == "uneven-flat":
        signal *= rig.uneven(night.size, fault.strength, fault.angle_deg, fault.form)
    if dew is not None:
        signal *= 1 - dew / 2
    signal *= colour_plane(night.size, night.mosaic, LAMP_COLOUR)
    if fault.name == "colour" and night.mosaic is not None:
        shape = rig.uneven(night.size, fault.strength, fault.angle_deg, fault.form) - 1
        signal *= 1 + shape * colour_plane(night.size, night.mosaic, {"R": 0.5, "G": 0.0, "B": -0.5})
    middle = signal[night.size[0] // 4 : -night.size[0] // 4 : 3, night.size[1] // 4 : -night.size[1] // 4 : 3]
    brightest = float(np.median(middle)) if night.mosaic is None else float(np.quantile(middle, 0.75))
    level_adu = night.flat_adu
    if fault.name == "saturated-flat":
        limit = float(np.quantile(signal[::3, ::3], 1 - fault.strength))
        level_adu = (FULL_ADU - night.bias_adu) * brightest / limit
    signal *= np.float32(level_adu / brightest)
    variance = signal / np.float32(night.e_per_adu)
    variance += dark_flat.variance_adu2
    signal += dark_flat.mean_adu
    return RawSet(signal, variance, night.row_noise_adu, night.jitter_adu, dark_flat.flickering, dark_flat.flicker_adu)


def calibration_frames(night: Night, fault: Fault, sensor: Sensor, passed: F32) -> CalibrationFrames:
    """Return the raw calibration frames of a night.

    Parameters
    ----------
    night, fault
        Night and fault.
    sensor
        The camera.
    passed
        Relative response to light of the lights, with a mean of 1.
    """
    stretch = fault.strength if fault.name in {"dark-exposure", "dark-scaled"} else 1.0
    short = night.flat_exposure_s / night.exposure_s
    dark_flat = _dark_set(night, sensor, short, None, passed)
    if fault.name == "flat-pedestal":
        dark_flat.mean_adu[:] += np.float32(fault.strength * night.flat_adu)
    dew = None
    if fault.name == "dew":
        dew = np.float32(fault.strength) * rig.spots(stream(night.seed, "dew"), night.size)
    zeros = np.full(night.size, night.read_noise_adu**2, np.float32)
    none_flicker = np.empty(0, np.intp), np.empty(0, np.float32)
    return CalibrationFrames(
        RawSet(sensor.bias_adu, zeros, night.row_noise_adu, night.jitter_adu, *none_flicker),
        _dark_set(night, sensor, stretch, fault, passed),
        dark_flat,
        _flat_set(night, sensor, fault, dark_flat, dew),
        dew,
        fault.of("odd-frame"),
    )


def made_masters(night: Night, fault: Fault, sets: CalibrationFrames) -> Masters:
    """Return the masters of the calibration frames, made as coldframe makes them, or spoiled as the fault says."""
    darks = int(fault.strength) if fault.name == "few-darks" else night.darks
    flats = int(fault.strength) if fault.name == "few-flats" else night.flats
    bias = _master(night, fault, FrameKind.BIAS, sets.bias.combined(stream(night.seed, "biases"), night.biases))
    dark_stack = sets.dark.combined(stream(night.seed, "darks"), darks)
    if fault.name == "dark-without-hot":
        _remove_hot(dark_stack)
    if fault.name == "light-pedestal":
        dark_stack.mean[:] -= np.float32(fault.strength) * bias.stack.mean
    dark = _master(night, fault, FrameKind.DARK, dark_stack)
    short = sets.dark_flat.combined(stream(night.seed, "dark flats"), night.dark_flats)
    dark_flat = _master(night, fault, FrameKind.DARK_FLAT, short)
    raw_flats = sets.flat.combined(stream(night.seed, "flats"), flats)
    taken: MasterFrame | None = dark_flat
    if fault.name == "unsubtracted-flat":
        taken = None
        nothing = np.zeros(night.size, np.float32)
        stack, masked = flat_stack(raw_flats, nothing, nothing, night.mosaic)
    else:
        taken = bias if fault.name == "flat-pedestal" else dark_flat
        stack, masked = flat_stack(raw_flats, taken.stack.mean, taken.stack.uncertainty, night.mosaic)
    if fault.name == "smoothed-flat":
        stack = replace(stack, mean=smoothed(stack.mean, fault.strength, fault.form))
    if fault.name == "channel-level" and night.mosaic is not None:
        wrong = {"R": 1 + fault.strength, "G": 1.0, "B": 1 - fault.strength}
        levels = colour_plane(night.size, night.mosaic, wrong)
        stack = replace(stack, mean=stack.mean * levels, uncertainty=stack.uncertainty * levels)
    flat = _master(night, fault, FrameKind.FLAT, stack)
    flat = replace(flat, masked=masked, subtracted=None if taken is None else master_name(taken))
    stretched = fault.name == "dark-scaled"
    return Masters(
        planes_of(dark),
        planes_of(bias),
        planes_of(flat),
        planes_of(dark_flat),
        1 / fault.strength if stretched else 1.0,
        (dark, bias, flat, dark_flat),
    )


def _remove_hot(stack: Stack) -> None:
    """Replace hot pixels of a master dark by the level of the others, and their noise too."""
    middle = float(np.median(stack.mean[::3, ::3]))
    spread = 1.4826 * float(np.median(np.abs(stack.mean[::3, ::3] - middle)))
    usual = float(np.median(stack.uncertainty[::3, ::3]))
    hot = np.nonzero(stack.mean > middle + max(8 * spread, 20))
    random = np.random.default_rng(hot[0].size)
    stack.mean[hot] = middle + spread * random.standard_normal(hot[0].size)
    stack.uncertainty[hot] = usual


def _master(night: Night, fault: Fault, kind: FrameKind, stack: Stack) -> MasterFrame:
    exposure_s = {
        FrameKind.BIAS: 0.0,
        FrameKind.DARK: night.exposure_s,
        FrameKind.FLAT: night.flat_exposure_s,
        FrameKind.DARK_FLAT: night.flat_exposure_s,
    }[kind]
    sensor_c, gain, focus, rotation_deg = night.sensor_c, night.gain, night.focus, night.rotation_deg
    filter_name = night.filter_name if kind in {FrameKind.FLAT, FrameKind.DARK_FLAT} else None
    if kind is FrameKind.DARK and fault.told:
        if fault.name in {"dark-exposure", "dark-scaled"}:
            exposure_s *= fault.strength
        sensor_c += fault.of("dark-temperature")
        gain += 20 if fault.name == "gain" else 0
    if kind is FrameKind.FLAT and fault.told:
        focus += 150 if fault.name == "focus" else 0
        rotation_deg = round((rotation_deg + fault.of("dust-rotation")) % 360, 1)
        filter_name = "Ha" if fault.name == "other-filter" else filter_name
    cards = headers.header(
        night.program,
        kind,
        exposure_s=exposure_s,
        sensor_c=sensor_c,
        setpoint_c=night.sensor_c,
        gain=gain,
        offset=night.offset,
        e_per_adu=round(night.e_per_adu * (1 + night.egain_error), 4),
        mosaic=night.mosaic,
        filter_name=filter_name,
        focus=focus,
        rotation_deg=rotation_deg,
        minutes=_MINUTES_OF_DAY,
    )
    started = headers.EVENING + timedelta(minutes=_MINUTES_OF_DAY)
    return MasterFrame(
        kind=kind,
        stack=stack,
        camera=headers.camera_name(night.program, night.mosaic),
        settings=ReadoutSettings(gain=float(gain), offset=float(night.offset)),
        exposure_s=exposure_s,
        sensor_c=sensor_c,
        setpoint_c=night.sensor_c if night.program == "nina" else None,
        filter_name=filter_name,
        method=Clipping(),
        inputs=tuple(f"{kind.value}_{number:04d}.fits" for number in range(stack.frames)),
        first_at=started,
        last_at=started + timedelta(minutes=stack.frames * (exposure_s + 3) / 60),
        header=cards,
        sensor_range_c=(sensor_c - 0.1, sensor_c + 0.1),
    )
