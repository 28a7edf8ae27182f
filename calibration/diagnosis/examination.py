"""The examination of a set of calibrated lights: all estimates together, before any of them is judged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.dust import DustResult, find_dust
from coldframe.calibration.diagnosis.estimating.estimates import Estimate
from coldframe.calibration.diagnosis.estimating.gain import Gain, excess_of_uncertainty, find_gain
from coldframe.calibration.diagnosis.estimating.lines import LinePattern, columns_of, find_pattern, rows_of
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures, LightMeter, colour_medians
from coldframe.calibration.diagnosis.estimating.motes import Motes, find_motes
from coldframe.calibration.diagnosis.estimating.pedestals import Pedestals, find_pedestals
from coldframe.calibration.diagnosis.estimating.sensor_pattern import SensorPattern, find_sensor_pattern
from coldframe.calibration.diagnosis.estimating.smooth_maps import ColourShape, colour_shape, glow_residual
from coldframe.calibration.diagnosis.estimating.star_ratios import Unevenness, find_unevenness
from coldframe.calibration.diagnosis.estimating.thermometer import HotResidual, find_residual, fraction_lacking
from coldframe.calibration.diagnosis.estimating.thinned_masters import Masters, scaled_hot
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.kernels.block_sums import BIN, BLOCKS, PIXELS, SCATTER
from coldframe.calibration.masters.reading import MasterPlanes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_MAPS = 24
"""Largest number of lights whose bins are kept; if there are more lights, evenly spaced ones are chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """All estimates for a set of lights; those that could not be made are None.

    Attributes
    ----------
    lights
        Number of lights.
    light
        Setup of the first light.
    masters
        The masters.
    sky_adu, noise_adu
        Mean level of the lights, and the noise of a pixel in one of them.
    negative
        Fraction of the pixels at or below zero.
    gain
        Electrons per ADU.
    pedestals
        Pedestals in lights and flats; None if they cannot be measured, for example because the gain is unknown.
    hot
        What remains of the dark's hot pixels in the lights.
    lacking
        Fraction of pixels that are hot in the lights but not in the dark.
    rows, columns
        Banding by row and by column.
    pattern
        Fixed pattern of the sensor.
    motes, dust
        Dust shadows in the flat, and how those in the lights differ from them.
    glow
        Fraction of the dark's glow that remains in the lights, and the largest fraction found for a mirror image of the
        glow.
    colour
        Variation of colour across the field.
    unevenness
        Variation of stellar flux across the field.
    dark_fraction, flat_fraction
        Variance that the error of the dark, or of the flat, adds to a light, relative to the light's own variance.
    """

    lights: int
    light: FrameSetup
    masters: Masters
    sky_adu: float
    noise_adu: float
    negative: float
    gain: Gain | None
    pedestals: Pedestals | None
    hot: HotResidual | None
    lacking: float | None
    rows: LinePattern
    columns: LinePattern
    pattern: SensorPattern
    motes: Motes
    dust: DustResult
    glow: tuple[Estimate, float] | None
    colour: ColourShape | None
    unevenness: Unevenness | None
    dark_fraction: float
    flat_fraction: float

    @property
    def stack_noise_adu(self) -> float:
        """Noise of a pixel in the mean of all lights, excluding the errors of the masters."""
        return self.noise_adu / sqrt(self.lights)


def examine(
    signals: Iterable[F32],
    light: FrameSetup,
    masters: Masters,
    stated_e_per_adu: float | None = None,
    period: int = 1,
) -> Examination:
    """Examine a set of calibrated lights.

    Parameters
    ----------
    signals
        The calibrated lights, one at a time: float32, shape (height, width), ADU, without a pedestal.
    light
        Setup of the first light.
    masters
        The masters used to calibrate the lights.
    stated_e_per_adu
        Electrons per ADU according to the header; it is checked against the scatter of the flat.
    period
        Distance between pixels of the same colour: 1, or 2 for a 2 x 2 filter array.

    Raises
    ------
    ValueError
        If there are no lights.
    """
    gain = find_gain(masters.flat, masters.dark, stated_e_per_adu, period)
    motes = find_motes(binned_flat(masters.planes.response, masters.planes.masked, period))
    meter = LightMeter(masters, period, motes.mask)
    lights = _measured(meter, signals)
    if not lights:
        raise ValueError("no lights")
    total = np.sum([light.tiles for light in lights], axis=0)
    noise = np.array([_noise_of(light.tiles) for light in lights])
    noise_adu = float(np.sqrt(np.mean(noise**2)))
    sky_adu = float(np.mean([light.sky_adu for light in lights]))
    kept = [light for light in lights if light.bins.size]
    pattern = find_sensor_pattern(kept)
    with_dark, with_flat = masters.dark is not None, masters.flat is not None
    return Examination(
        len(lights),
        light,
        masters,
        sky_adu,
        noise_adu,
        float(np.mean([light.negative for light in lights])),
        gain,
        None
        if gain is None or not total[..., BLOCKS].any()
        else find_pedestals(lights, gain, excess_of_uncertainty(masters.dark), excess_of_uncertainty(masters.flat)),
        find_residual(lights, scaled_hot(masters.pattern.hot, masters.dark_scale)),
        fraction_lacking(kept, masters.planes.subtracted, period) if with_dark and pattern.moves_stars else None,
        find_pattern(*rows_of(lights), noise, masters.pattern.rows, period),
        find_pattern(*columns_of(lights), noise, masters.pattern.columns, period),
        pattern,
        motes,
        find_dust(pattern, motes),
        glow_residual(lights, noise_adu) if with_dark else None,
        colour_shape(kept, [None if place is None else place.is_turned for place in pattern.places], noise_adu),
        find_unevenness(kept, pattern.places),
        _error_fraction(masters.dark, 1.0, noise_adu),
        _error_fraction(masters.flat, sky_adu, noise_adu) if with_flat else 0.0,
    )


def _measured(meter: LightMeter, signals: Iterable[F32]) -> list[LightMeasures]:
    """Measure lights; keep the maps of all lights or, if there are many, of every second or fourth light, and so on."""
    lights: list[LightMeasures] = []
    step = 1
    for number, signal in enumerate(signals):
        light = meter.measure(signal)
        lights.append(light if number % step == 0 else without_maps(light))
        if sum(each.bins.size > 0 for each in lights) > MOST_MAPS:
            step *= 2
            lights = [each if place % step == 0 else without_maps(each) for place, each in enumerate(lights)]
    return lights


def without_maps(light: LightMeasures) -> LightMeasures:
    """Return the measurements of a light without its bins and pixels, which take up most of the memory."""
    nothing = np.zeros((0, 0), np.float32)
    return replace(light, bins=nothing, middle=nothing, levels=None)


def binned_flat(response: F32, masked: Mask | None, period: int) -> F32:
    """Return the mean of each bin of a flat, with the colours scaled to a common level; NaN if a pixel is masked."""
    height, width = (size // BIN * BIN for size in response.shape)
    scales = 1 / colour_medians(response, period).reshape(period, period)
    bins = np.zeros((height // BIN, width // BIN), np.float32)
    for y in range(BIN):
        for x in range(BIN):
            bins += response[y:height:BIN, x:width:BIN] * np.float32(scales[y % period, x % period])
            if masked is not None:
                bins[masked[y:height:BIN, x:width:BIN]] = np.nan
    return np.asarray(bins / PIXELS, np.float32)


def _noise_of(tiles: F64) -> float:
    blocks = float(tiles[..., BLOCKS].sum())
    return float(np.sqrt(tiles[..., SCATTER].sum() / (PIXELS - 1) / blocks)) if blocks else float("nan")


def _error_fraction(master: MasterPlanes | None, level_adu: float, noise_adu: float) -> float:
    """Return the variance that the error of a master adds to a light, relative to the light's own variance."""
    if master is None:
        return 0.0
    sampled = np.square(master.uncertainty[::3, ::3].astype(np.float64))
    # Hot and flickering pixels are few, and their errors are not representative of the other pixels.
    typical = sampled[sampled <= np.quantile(sampled, 0.98)].mean()
    return float(typical) * excess_of_uncertainty(master) * level_adu**2 / noise_adu**2


def frames_of(master: MasterPlanes) -> int | None:
    """Return the number of frames combined into a master; None if unknown."""
    if master.counts is not None:
        return int(np.median(master.counts[::7, ::7]))
    return frames_stated(master.header)


def frames_stated(header: Mapping[str, HeaderValue]) -> int | None:
    """Return the number of frames stated in the header of a master; None if it is not stated."""
    stated = header.get("STACKCNT", header.get("NCOMBINE"))
    return stated if isinstance(stated, int) else None
