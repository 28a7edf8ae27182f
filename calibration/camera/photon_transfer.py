"""Photon transfer: measurement of the camera from the frames of a calibration night.

Two equally exposed frames differ only in their temporal noise: fixed patterns, dust and vignetting cancel. The variance
of the difference is twice the variance of the noise (J. Janesick, "Photon Transfer", SPIE Press 2007, chapters 5 and
11; EMVA standard 1288, release 4.0 linear, chapters 2 and 6). The variance in excess of that of a dark frame is due to
shot noise; in ADU^2, it equals the signal in ADU divided by the electrons per ADU.

The frames are sampled in tiles spread over the sensor. Because of vignetting and the colours of a filter array, each of
the four colour planes of each tile is a separate point on the photon transfer curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.statistics import SIGMA_PER_MAD

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

TILES = 16
"""Maximum number of tiles per axis; the 262,144 pixels of 256 tiles determine the variance of one pair to within 0.3
%."""

TILE_PIXELS = 32
"""Height and width of a tile."""

PIXELS_PER_POINT = TILE_PIXELS * TILE_PIXELS // 4

CLIP_SIGMA = 5.0
"""Deviations beyond this many sigma are outliers; one in 1.7 million normally distributed values exceeds this limit."""

FIT_ROUNDS = 4
"""Number of rounds of the fit; each round uses the weights and exclusions that result from the previous round."""

FITTED_RATIO = 0.7
"""Largest signal used in the measurement of the gain, relative to saturation. Above it, blooming and the
brighter-fatter effect bend the photon transfer curve."""

SATURATED_RATIO = 0.95
"""A tile is saturated if it has less than this fraction of its expected signal."""

LEAST_LIT = 0.1
"""A tile with less than this fraction of the median tile's signal is in the overscan or outside the image circle."""

LEAST_NOISE_STEPS = 0.5
"""Lowest noise, in ADC steps, that is not hidden by the rounding of the ADC."""

LINEAR_RANGE = (0.05, 0.95)
"""Range of signals in which linearity is measured, relative to saturation (EMVA 1288, 4.0 linear, section 6.7)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and its standard error, in the same unit."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class TileNoise:
    """Levels and temporal noise of one set of frames.

    Attributes
    ----------
    level_adu, variance_adu2
        Mean level and temporal pixel variance in each colour plane of each tile: float64, shape (4, tile rows, tile
        columns). The variance is NaN if the set has only one frame.
    variance_scatter
        Relative standard error of each variance.
    frames
        Number of frames in the set.
    step_adu
        Smallest step between values in the files, such as 16 for 12-bit values scaled to 16 bits.
    frame_levels_adu
        Median level of the tiles in each frame, in the order of the frames.
    """

    level_adu: F64
    variance_adu2: F64
    variance_scatter: float
    frames: int
    step_adu: int
    frame_levels_adu: tuple[float, ...] = ()


class TileSeries:
    """Accumulates the tiles of the frames of one set; the memory use does not grow with the number of frames.

    Each frame is subtracted from the next one. Successive differences share a frame, so n frames determine the variance
    as precisely as 2 (n - 1)^2 / (3 n - 4) independent pairs of values would (J. von Neumann et al. 1941, Ann. Math.
    Stat. 12, 153).

    From each difference, the mean of each tile is subtracted to remove the effect of a flickering lamp or a drifting
    offset. Then the mean of each row of a tile is subtracted to remove row noise and the banding that a pulsed lamp
    causes with a rolling shutter.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._total: F64 | None = None
        self._previous: F32 | None = None
        self._squares: F64 = np.zeros(())
        self._values: F64 = np.zeros(())
        self._bits = 0
        self._levels: list[float] = []

    def add(self, pixels: NDArray[np.uint16]) -> None:
        """Add the next frame.

        Parameters
        ----------
        pixels
            uint16, shape (height, width), at least 32 pixels on each side; all frames must have the same shape.

        Raises
        ------
        ValueError
            If the frame is too small, or its shape differs from that of the first frame.
        """
        tiles = sample_tiles(pixels)
        self._bits |= int(np.bitwise_or.reduce(tiles, axis=None))
        values = tiles.astype(np.float32)
        if self._total is None or self._previous is None:
            self._total = values.astype(np.float64)
        else:
            if values.shape != self._previous.shape:
                raise ValueError(f"the frame has shape {pixels.shape}, but the first frame has a different shape")
            self._total += values
            squares, counts = _squared_differences(values - self._previous)
            self._squares = self._squares + squares
            self._values = self._values + counts
        self._previous = values
        self._levels.append(float(np.median(values.mean(axis=(3, 4)))))
        self.frames += 1

    def noise(self) -> TileNoise:
        """Return the levels and the noise of the frames added so far.

        Raises
        ------
        ValueError
            If no frame has been added.
        """
        if self._total is None:
            raise ValueError("no frames to measure")
        layout = self._total.shape[:3]
        mean = (self._total / self.frames).reshape(-1, PIXELS_PER_POINT)
        levels = np.where(_clean(mean), mean, np.nan)
        variance, scatter = np.full(layout, np.nan), inf
        if self.frames > 1:
            variance = (self._squares / (2 * self._values)).reshape(layout)
            scatter = sqrt((3 * self.frames - 4) / PIXELS_PER_POINT) / (self.frames - 1)
        step = self._bits & -self._bits or 1
        levels_adu = np.nanmean(levels, axis=1).reshape(layout)
        return TileNoise(levels_adu, variance, scatter, self.frames, step, tuple(self._levels))


def sample_tiles(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the tiles of a frame, each split into the four colour planes of a 2x2 filter array.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).

    Returns
    -------
    NDArray[np.uint16]
        Shape (4, tile rows, tile columns, 16, 16).

    Raises
    ------
    ValueError
        If the frame is smaller than a tile.
    """
    rows, columns = (_tile_positions(size) for size in pixels.shape)
    half = TILE_PIXELS // 2
    tiles = pixels[rows[:, None], columns[None, :]].reshape(len(rows) // TILE_PIXELS, half, 2, -1, half, 2)
    planes: NDArray[np.uint16] = np.ascontiguousarray(tiles.transpose(2, 5, 0, 3, 1, 4))
    return planes.reshape(4, *planes.shape[2:])


def _tile_positions(size: int) -> NDArray[np.intp]:
    """Return the rows or columns of the tiles; a tile is centred in each of up to 16 equal sections of the axis."""
    tiles = min(TILES, size // TILE_PIXELS)
    if tiles == 0:
        raise ValueError(f"photon transfer needs frames of at least {TILE_PIXELS} pixels on each side, not {size}")
    middles = ((np.arange(tiles) + 0.5) * (size / tiles)).astype(np.intp)
    starts = (middles - TILE_PIXELS // 2) // 2 * 2
    return (starts[:, None] + np.arange(TILE_PIXELS)[None, :]).reshape(-1)


def _clean(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return a mask of values within `CLIP_SIGMA` of their row's median; sigma is derived from absolute deviations."""
    deviations = np.abs(values - _medians(values))
    # If most values are equal (noise below the step between values), a value one step away is not an outlier.
    sigma = np.maximum(SIGMA_PER_MAD * _medians(deviations), _step(deviations) / CLIP_SIGMA * 2)
    clean: NDArray[np.bool_] = deviations <= CLIP_SIGMA * sigma
    return clean


def _medians(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the median of each row, shape (rows, 1). NumPy sorts short rows faster than it partitions them."""
    size = values.shape[1]
    middle = np.sort(values, axis=1)[:, (size - 1) // 2 : size // 2 + 1]
    medians: NDArray[np.floating] = middle.mean(axis=1, keepdims=True)
    return medians


def _step(deviations: NDArray[np.floating]) -> float:
    positive = deviations[deviations > 0]
    return float(positive.min()) if positive.size else 1.0


def _squared_differences(difference: F32) -> tuple[F64, F64]:
    """Remove the means of tiles and rows; return the sum of squares and the degrees of freedom of each point."""
    planes, down, across, rows, columns = difference.shape
    points = difference.reshape(planes * down * across, rows * columns)
    clean = _clean(points)
    kept = clean.sum(axis=1)
    points = points - (np.where(clean, points, 0).sum(axis=1) / kept).astype(np.float32)[:, None]
    cleaned = np.where(clean, points, 0).reshape(difference.shape)
    row_level = cleaned.mean(axis=(2, 4), keepdims=True)
    residual = np.where(clean, (points.reshape(difference.shape) - row_level).reshape(points.shape), 0)
    freedom = (kept - 1) * (1 - 1 / (across * columns))
    return np.einsum("ij,ij->i", residual, residual, dtype=np.float64), freedom


def read_noise_adu(dark: TileNoise) -> Measured:
    """Return the temporal noise of a pixel in the shortest dark frames, excluding the rounding noise of the ADC.

    A uniform step d adds a variance of d^2 / 12 (Sheppard's correction, EMVA 1288, equation 8) if the noise is above
    `LEAST_NOISE_STEPS`. Below that limit, the scatter depends on where the level lies between two steps, and the noise
    cannot be derived from it. Above the limit, a slight dependence remains. It is included in the error, as the first
    term of the Fourier series of the rounding error (B. Widrow and I. Kollar, Quantization Noise, 2008, chapter 4).

    Parameters
    ----------
    dark
        Tiles of two or more bias frames.

    Raises
    ------
    ValueError
        If no tile has a usable variance, or the tiles disagree.
    """
    finite = np.isfinite(dark.variance_adu2)
    variances = dark.variance_adu2[finite]
    if not variances.size:
        raise ValueError("no part of the bias frames has measurable noise")
    near = np.abs(variances - np.median(variances)) <= CLIP_SIGMA * dark.variance_scatter * np.median(variances)
    if not near.any():
        raise ValueError("the noise of the bias frames varies across the frame")
    variance = float(variances[near].mean())
    error = dark.variance_scatter * variance / sqrt(near.sum())
    noise = sqrt(max(variance - dark.step_adu**2 / 12, 0.0))
    steps_squared = (noise / dark.step_adu) ** 2
    rounding = dark.step_adu**2 * (4 * steps_squared + 1 / pi**2) * exp(-2 * pi**2 * steps_squared)
    error = hypot(error, rounding)
    return Measured(noise, error / (2 * noise) if noise else sqrt(error))


def electrons_per_adu(pairs: Sequence[tuple[TileNoise, TileNoise]], saturation_signal_adu: float = inf) -> Measured:
    """Return the gain in electrons per ADU: signal divided by shot-noise variance, both in excess of the dark.

    A line of variance against signal is fitted through the point of the dark frames; the gain is the reciprocal of its
    slope (EMVA 1288, section 6.6). The weights are computed from the line, because weights from the measured variances
    would favour points that happen to be low.

    Parameters
    ----------
    pairs
        Sets of flats, each with the corresponding set of dark frames; two or more frames per set.
    saturation_signal_adu
        Signal at saturation; only signals clearly below it are used.

    Raises
    ------
    ValueError
        If there is no measurable shot noise.
    """
    signal = np.concatenate([(lit.level_adu - dark.level_adu).ravel() for lit, dark in pairs])
    excess = np.concatenate([(lit.variance_adu2 - dark.variance_adu2).ravel() for lit, dark in pairs])
    scatter = np.repeat([lit.variance_scatter for lit, _ in pairs], pairs[0][0].level_adu.size)
    dark_variance = np.concatenate([dark.variance_adu2.ravel() for _, dark in pairs])
    dark_error = np.concatenate([dark.variance_scatter * dark.variance_adu2.ravel() for _, dark in pairs])
    usable = np.isfinite(excess) & (signal > 0) & (signal < FITTED_RATIO * saturation_signal_adu)
    if not usable.any() or float(excess[usable].sum()) <= 0:
        raise ValueError("these flats have no measurable shot noise: they are too dark, or saturated")
    signal, excess, scatter, dark_variance, dark_error = (
        each[usable] for each in (signal, excess, scatter, dark_variance, dark_error)
    )
    slope, sigma, weights = float(excess.sum() / signal.sum()), 1.0, np.ones_like(signal)
    for _ in range(FIT_ROUNDS):
        weights = 1 / ((scatter * (slope * signal + dark_variance)) ** 2 + dark_error**2)
        deviations = np.abs(excess - slope * signal) * np.sqrt(weights)
        # The point of a tile that includes the edge of the overscan or a failing column does not lie on the line.
        sigma = max(1.0, SIGMA_PER_MAD * float(np.median(deviations)))
        weights *= deviations <= CLIP_SIGMA * sigma
        slope = float((weights * signal * excess).sum() / (weights * signal**2).sum())
    error = sigma / sqrt(float((weights * signal**2).sum()))
    return Measured(1 / slope, error / slope**2)


def dark_current_e_per_s(dark: TileNoise, shorter: TileNoise, longer_by_s: float, e_per_adu: Measured) -> Measured:
    """Return the dark current of pixels that are neither hot nor affected by amplifier glow.

    Parameters
    ----------
    dark, shorter
        Tiles of two sets of dark frames at the same temperature; the shorter set can consist of bias frames.
    longer_by_s
        Difference between the exposures, in seconds.
    e_per_adu
        Gain in electrons per ADU.
    """
    signal = (dark.level_adu - shorter.level_adu) * e_per_adu.value / longer_by_s
    # Glow affects some tiles, mainly near the corner where it originates, but most tiles agree. Therefore, the values
    # are averaged around the centre of the shortest interval that contains half of them.
    ordered = np.sort(signal.ravel())
    half = ordered.size // 2
    start = int(np.argmin(ordered[half:] - ordered[: ordered.size - half]))
    low, high = float(ordered[start]), float(ordered[start + half])
    # Half of a normal sample lies within 0.6745 sigma of the centre, and nearly all of it within three times that
    # distance.
    near = np.where((signal >= 2 * low - high) & (signal <= 2 * high - low), signal, np.nan)
    value = float(np.nanmean(near))
    # Noise common to a row affects all tiles in the row equally, so only rows of tiles are independent.
    _, down, across = near.shape
    by_rows = near.reshape(2, 2, down, across).transpose(0, 2, 1, 3).reshape(2 * down, 2 * across)
    in_rows = [float(np.nanmean(row)) for row in by_rows if np.isfinite(row).any()]
    statistical = float(np.std(in_rows)) / sqrt(max(len(in_rows) - 1, 1))
    return Measured(value, hypot(statistical, value * e_per_adu.error / e_per_adu.value))


def saturation_adu(lit: TileNoise, reference: TileNoise, dark: TileNoise, ratio: float) -> Measured | None:
    """Return the level at which pixels clip, or None if no tile is saturated.

    Parameters
    ----------
    lit
        Tiles of flats in which part of the sensor may be saturated.
    reference
        Tiles of flats well below saturation.
    dark
        Tiles of dark frames.
    ratio
        Exposure of `lit` divided by the exposure of `reference`.
    """
    seen = reference.level_adu - dark.level_adu
    saturated = lit.level_adu - dark.level_adu < SATURATED_RATIO * ratio * seen
    levels = lit.level_adu[saturated & (seen > LEAST_LIT * np.median(seen))]
    if not levels.size:
        return None
    level = float(np.median(levels))
    return Measured(level, max(lit.step_adu / 2, SIGMA_PER_MAD * float(np.median(np.abs(levels - level)))))


def bright_signal_adu(lit: TileNoise, reference: TileNoise, dark: TileNoise) -> float:
    """Return the median signal of the tiles that form the brighter half of the reference.

    These tiles saturate together, so their signal shows whether the set is saturated.
    """
    seen = reference.level_adu - dark.level_adu
    return float(np.median((lit.level_adu - dark.level_adu)[seen >= np.median(seen)]))


def nonlinearity(exposures_s: Sequence[float], signals_adu: Sequence[float], saturation_signal_adu: float) -> F64:
    """Return the relative deviations of the signals from a linear fit of signal to exposure.

    The fit minimises the relative deviations (EMVA 1288, section 6.7). The line need not pass through zero, because
    shutters have a dead time.

    Parameters
    ----------
    exposures_s, signals_adu
        Exposures and signals of flats with the same illumination.
    saturation_signal_adu
        Signal at saturation; only signals from 5 to 95 % of it are used.

    Returns
    -------
    NDArray[np.float64]
        One deviation per signal; NaN for signals that are not used, and for all signals if fewer than three are used.
    """
    exposures, signals = np.asarray(exposures_s, np.float64), np.asarray(signals_adu, np.float64)
    low, high = (part * saturation_signal_adu for part in LINEAR_RANGE)
    deviations = np.full(signals.size, np.nan)
    counting = (signals >= low) & (signals <= high)
    if counting.sum() > 2:  # noqa: PLR2004 - a line through two points has no deviations
        slope, zero = np.polyfit(exposures[counting], signals[counting], 1, w=1 / signals[counting])
        line = slope * exposures[counting] + zero
        deviations[counting] = signals[counting] / line - 1
    return deviations


def ladder_error(signals_adu: Sequence[tuple[float, float]]) -> float:
    """Return the relative error of the mean signals of a series of exposures that rises and then falls in steps.

    Averaging the two directions cancels a linear drift of the illumination. The error is estimated from the relative
    differences between the two directions, after subtracting the part that is proportional to the time between them.

    Parameters
    ----------
    signals_adu
        Signals, ADU, of each step on the way up and on the way down, from the faintest step to the brightest; at least
        two steps.
    """
    up, down = np.asarray(signals_adu, np.float64).T
    differences = 2 * (down - up) / (down + up)
    # The frames of the brightest step are consecutive; two frames lie between the two frames of the next step, and so
    # on.
    apart = 2.0 * np.arange(differences.size)[::-1] + 1
    rest = differences - apart * (apart @ differences) / (apart @ apart)
    return float(sqrt(rest @ rest / (differences.size - 1)) / 2)


def doubling_temperature_c(sensor_c: Sequence[float], dark_e_per_s: Sequence[float]) -> float | None:
    """Return the temperature difference that doubles the dark current.

    The result is None if no two temperatures are at least 3 C apart, or if the dark current does not rise with
    temperature. Over the range of a cooler, the logarithm of the dark current is practically linear in temperature
    (Janesick 2007, chapter 11: dark current is proportional to T^1.5 exp(-Eg / 2 k T)).
    """
    known = [(each_c, rate) for each_c, rate in zip(sensor_c, dark_e_per_s, strict=True) if rate > 0]
    if not known or max(known)[0] - min(known)[0] < 3:  # noqa: PLR2004 - as documented
        return None
    temperatures, rates = zip(*known, strict=True)
    slope = float(np.polyfit(temperatures, np.log2(rates), 1)[0])
    return 1 / slope if slope > 0 else None
