"""Sets of calibration frames: raw frames, and masters as coldframe would make them, without drawing every frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.masters.flat_recipe import FlatRecipe
from coldframe.calibration.masters.frame_variance import frame_variance
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.calibration.stacking.uncertainty import trial_samples
from tests.calibration.diagnosis.rig import FLICKER_DUTY
from tests.calibration.diagnosis.sky import F32

FULL_ADU = 65535
_TRIAL_LEVEL, _TRIAL_SIGMA = 32768, 2000

_LIMITS = np.linspace(-4, 5, 181)
_ABOVE = np.array([1 - NormalDist().cdf(limit) for limit in _LIMITS])
_DENSITY = np.exp(-np.square(_LIMITS) / 2) / np.sqrt(2 * np.pi)
_LIMITED_MEANS = _LIMITS * _ABOVE - _DENSITY
_LIMITED_VARIANCES = 1 - _ABOVE - _LIMITS * _DENSITY + np.square(_LIMITS) * _ABOVE - np.square(_LIMITED_MEANS)
"""Mean and variance of normal values of which those above a limit are replaced by it."""


@dataclass(frozen=True)
class RawSet:
    """The frames of a set, as what is the same in all of them and how they vary.

    Attributes
    ----------
    mean_adu
        float32: expected value of each pixel, the low state of flickering ones.
    variance_adu2
        float32: variance of a frame in each pixel, without what the next three attributes add.
    row_adu, jitter_adu
        Scatter of the levels of rows, and of whole frames.
    flickering, flicker_adu
        Flat indices of flickering pixels, and how much higher their high state is.
    """

    mean_adu: F32
    variance_adu2: F32
    row_adu: float
    jitter_adu: float
    flickering: NDArray[np.intp]
    flicker_adu: F32

    def frame(self, random: np.random.Generator) -> NDArray[np.uint16]:
        """Return a raw frame."""
        shape = self.mean_adu.shape
        pixels = random.standard_normal(shape, dtype=np.float32)
        pixels *= np.sqrt(self.variance_adu2)
        pixels += self.mean_adu
        pixels += random.standard_normal((shape[0], 1), dtype=np.float32) * np.float32(self.row_adu)
        pixels += np.float32(random.normal(0, self.jitter_adu))
        high = random.random(self.flickering.size) < FLICKER_DUTY
        pixels.reshape(-1)[self.flickering[high]] += self.flicker_adu[high]
        return as_words(pixels)

    def combined(self, random: np.random.Generator, frames: int) -> Stack:
        """Return the stack of so many frames, with the errors and uncertainties that clipping leaves."""
        trial = _clipped(frames)
        shape = self.mean_adu.shape
        expected, variance = self._saturated()
        high = random.binomial(frames, FLICKER_DUTY, self.flickering.size).astype(np.float32) / frames
        # Rounding to whole ADU adds a twelfth.
        mean = np.sqrt(variance + np.float32(1 / 12))
        variance = variance + np.float32(1 / 12 + self.row_adu**2 + self.jitter_adu**2)
        variance.reshape(-1)[self.flickering] += self.flicker_adu**2 * high * (1 - high)
        sigma = np.sqrt(variance, out=variance)
        drawn = random.integers(0, trial.errors.size, shape, dtype=np.int32)
        # Row noise and jitter are part of the scatter in each pixel, but their error in the mean is the same in a row.
        mean *= trial.errors[drawn]
        mean += expected
        mean += random.standard_normal((shape[0], 1), dtype=np.float32) * np.float32(self.row_adu / frames**0.5)
        mean += np.float32(random.normal(0, self.jitter_adu / frames**0.5))
        mean.reshape(-1)[self.flickering] += self.flicker_adu * high
        return Stack(frames, np.minimum(mean, FULL_ADU), sigma * trial.uncertainties[drawn], trial.counts[drawn], 0)

    def _saturated(self) -> tuple[F32, F32]:
        """Return the means and the variances of values that end at the highest one."""
        reach = (FULL_ADU - self.mean_adu) / np.sqrt(self.variance_adu2)
        near = np.nonzero(reach < _LIMITS[-1])
        if not near[0].size:
            return self.mean_adu, self.variance_adu2
        mean, variance = self.mean_adu.copy(), self.variance_adu2.copy()
        limits, scale = reach[near], self.variance_adu2[near]
        below = np.interp(limits, _LIMITS, _LIMITED_MEANS)
        mean[near] = np.where(limits < _LIMITS[0], FULL_ADU, mean[near] + np.sqrt(scale) * below)
        variance[near] = scale * np.interp(limits, _LIMITS, _LIMITED_VARIANCES, left=0)
        return mean, variance


@dataclass(frozen=True)
class _Clipped:
    """Normal samples of unit variance that coldframe has clipped: errors of the mean, uncertainties, kept values."""

    errors: F32
    uncertainties: F32
    counts: NDArray[np.uint16]


@cache
def _clipped(frames: int) -> _Clipped:
    samples = trial_samples(frames)
    state = Accumulator((1, samples.shape[1]), frames)
    for number, row in enumerate(samples):
        state.add(row[None, :].copy(), str(number).encode())
    stack = state.combine(Clipping(), lambda pixels: (row[pixels] for row in samples))
    errors = (stack.mean.reshape(-1) - _TRIAL_LEVEL) / np.float32(_TRIAL_SIGMA)
    # Both signs are equally likely; so the mean error is exactly 0.
    errors = np.concatenate([errors, -errors]).astype(np.float32)
    uncertainties = np.tile(stack.uncertainty.reshape(-1) / np.float32(_TRIAL_SIGMA), 2).astype(np.float32)
    return _Clipped(errors, uncertainties, np.tile(stack.counts.reshape(-1), 2))


def as_words(pixels: F32) -> NDArray[np.uint16]:
    """Round to 16 bits, clipped at both ends; the argument is overwritten."""
    np.rint(pixels, out=pixels)
    np.clip(pixels, 0, FULL_ADU, out=pixels)
    return pixels.astype(np.uint16)


def flat_stack(
    flats: Stack, dark_mean: F32, dark_uncertainty: F32, mosaic: str | None
) -> tuple[Stack, NDArray[np.bool_]]:
    """Return the master of a stack of raw flats by coldframe's recipe, as if each frame had been scaled."""
    recipe = FlatRecipe(dark_mean, dark_uncertainty, mosaic)
    factors = recipe.scaler.factors(flats.mean)
    scale = np.tile(factors, (flats.mean.shape[0] // 2, flats.mean.shape[1] // 2))
    mean = flats.mean - dark_mean
    mean *= scale
    scaled = Stack(flats.frames, mean, flats.uncertainty * scale, flats.counts, 0)
    return recipe.response(scaled, [factors] * flats.frames)


def planes_of(master: MasterFrame) -> MasterPlanes:
    """Return what reading the file of a master would give."""
    height, width = master.stack.mean.shape
    header: dict[str, str | int | float | bool] = {"BITPIX": -32, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height}
    header |= {card.keyword: card.value for card in master.cards}
    uncertainty = np.nan_to_num(master.stack.uncertainty)
    counts = master.stack.counts.astype(np.float32)
    variance = frame_variance(uncertainty, counts, header, "CFVAR")
    return MasterPlanes(master.stack.mean, uncertainty, variance, master.masked, header, counts)


def smoothed(plane: F32, radius: float, form: str) -> F32:
    """Return a plane after a Gaussian blur, or a median filter of 2 radius + 1 pixels (`form="median"`)."""
    if form == "median":
        reach = int(radius)
        padded = np.pad(plane, reach, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
        bands = [np.median(windows[top : top + 50], axis=(2, 3)) for top in range(0, plane.shape[0], 50)]
        return np.concatenate(bands).astype(np.float32)
    pad = max(8, round(4 * radius))
    padded = np.pad(plane, pad, mode="reflect")
    rows, columns = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])
    weight = np.exp(-2 * (np.pi * radius) ** 2 * (rows**2 + columns**2)).astype(np.float32)
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * weight, padded.shape)
    return blurred[pad:-pad, pad:-pad].astype(np.float32)


@dataclass(frozen=True)
class Masters:
    """The masters of a night.

    Attributes
    ----------
    dark, bias, flat
        What calibrates the lights.
    dark_flat
        Master of the flats' exposure; None if there is none.
    dark_scale
        Exposure of the lights divided by that of the dark, if the dark has to be scaled; otherwise 1.
    frames
        The same masters with all that is needed to write them.
    """

    dark: MasterPlanes
    bias: MasterPlanes
    flat: MasterPlanes
    dark_flat: MasterPlanes | None
    dark_scale: float = 1.0
    frames: Sequence[MasterFrame] = field(default=(), repr=False)
