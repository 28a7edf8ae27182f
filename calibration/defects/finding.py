"""The search for a sensor's defective pixels in its master dark, flat and bias.

docs/defects.md explains the thresholds and their sources.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntFlag
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import BandedMaster, MasterPlanes, for_each_band, kept_scatter
from coldframe.calibration.measuring.local_levels import BLOCK, LocalLevels
from coldframe.calibration.threads import parallel_map
from coldframe.errors import ColdframeError

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

FEWEST_FRAMES = 10
"""Minimum number of frames for finding unstable pixels; with fewer frames, the scatter is too uncertain."""

_ROWS_AT_ONCE = 128
_FEWEST_FOR_SLOPE = 30
_LEAST_NOISE_ADU = 0.5
"""Lowest noise that can be measured despite the rounding to whole ADU."""


class Defect(IntFlag):
    """Kinds of defects; the bits of a defect map."""

    HOT = 1
    COLD = 2
    BRIGHT = 4
    UNSTABLE = 8
    BIAS = 16
    COLUMN = 32
    ROW = 64

    @property
    def label(self) -> str:
        """Name of the defect, such as "hot"."""
        return str(self.name).lower()

    @property
    def meaning(self) -> str:
        """Explanation in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    Defect.HOT: "dark current far above the neighbours'",
    Defect.COLD: "response to light far below the neighbours'",
    Defect.BRIGHT: "response to light far above the neighbours'",
    Defect.UNSTABLE: "scatters too much from frame to frame",
    Defect.BIAS: "bias level far from the neighbours'",
    Defect.COLUMN: "within a bad column",
    Defect.ROW: "within a bad row",
}

OF_DARK = Defect.HOT | Defect.UNSTABLE
OF_BIAS = Defect.BIAS | Defect.UNSTABLE
OF_FLAT = Defect.COLD | Defect.BRIGHT
OF_LINES = Defect.COLUMN | Defect.ROW


class NotJudgeableError(ColdframeError):
    """Masters do not match each other, or lack data that a threshold needs; the message states the reason."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds for defects.

    Attributes
    ----------
    sigma
        Deviation of dark current or bias from the neighbours, in units of their spread; the deviation must also exceed
        the noise of one frame.
    hot_e_per_s
        Excess of the dark current over that of the neighbours, in electrons per second; None to use `sigma` instead.
    cold_response, bright_response
        Response to illumination, as a fraction of the response of neighbours of the same colour.
    flicker
        Noise of individual frames as a multiple of the expected noise.
    rejected_fraction
        Fraction of the frames in which the pixel's value was clipped.
    false_alarm
        Probability that a pixel is classified as unstable because of noise alone.
    line_pixels
        Minimum number of defects in a bad column or row; on small sensors, a quarter of the line is enough.
    line_gap
        Maximum number of good pixels between two defects of a bad column or row.
    line_density
        Minimum density of defects in a bad column or row, relative to their density in the whole frame.
    """

    sigma: float = 8.0
    hot_e_per_s: float | None = None
    cold_response: float = 0.8
    bright_response: float = 1.2
    flicker: float = 2.0
    rejected_fraction: float = 0.1
    false_alarm: float = 1e-6
    line_pixels: int = 50
    line_gap: int = 30
    line_density: float = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Defects:
    """Defects of a sensor.

    Attributes
    ----------
    bits
        Bits of `Defect` for each pixel, 0 for good pixels: uint8, shape (height, width).
    judged
        Kinds that were examined.
    """

    bits: NDArray[np.uint8]
    judged: Defect

    @property
    def counts(self) -> dict[Defect, int]:
        """Number of pixels of each kind that was examined."""
        return {kind: int(np.count_nonzero(self.bits & kind)) for kind in Defect if kind in self.judged}

    @property
    def bad(self) -> Mask:
        """Pixels with any defect; bool, shape (height, width)."""
        return np.asarray(self.bits != 0)

    def lines(self, kind: Defect) -> int:
        """Return the number of columns or rows that contain a bad stretch."""
        axis = 0 if kind is Defect.COLUMN else 1
        return int(np.count_nonzero((self.bits & kind).any(axis=axis)))


def dark_defects(
    dark: BandedMaster, bias: BandedMaster | None, limits: Limits, e_per_adu: float | None = None
) -> Defects:
    """Find hot and unstable pixels.

    Parameters
    ----------
    dark
        A master dark; its uncertainty and counts reveal unstable pixels.
    bias
        Master bias to subtract, so that its pattern is not mistaken for dark current; None if there is none.
    limits
        Thresholds.
    e_per_adu
        Gain for `Limits.hot_e_per_s`, in electrons per ADU; None to use EGAIN in the header of the dark.

    Raises
    ------
    NotJudgeableError
        If the masters differ in size, or the header lacks values for a threshold in electrons per second.
    """
    if bias is not None and bias.mean.shape != dark.mean.shape:
        raise NotJudgeableError(f"the master dark has {_size(dark)}, but the master bias has {_size(bias)}")
    current = dark.mean if bias is None else dark.mean - bias.mean
    ordinary, scatter = LocalLevels(current, shared=True), _Scatter.of(dark, limits)
    # The first call measures the levels or spreads of all blocks in several threads; this takes most of the time.
    for measure in [ordinary.spread] if scatter is None else [ordinary.spread, scatter.ordinary.level]:
        measure(slice(0, 1))
    hot_adu = None if limits.hot_e_per_s is None else limits.hot_e_per_s * _adu_s_per_e(dark, e_per_adu)

    def search(rows: slice) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        least = _threshold(ordinary, scatter, rows, limits) if hot_adu is None else np.float32(hot_adu)
        is_hot = current[rows] - ordinary.level(rows) > least
        is_suspect = np.zeros(0, np.bool_) if scatter is None else scatter.is_unstable(rows)
        first = rows.start * current.shape[1]
        return first + np.flatnonzero(is_hot), first + np.flatnonzero(is_suspect)

    found = list(parallel_map(search, _bands(current.shape)))
    hot, suspects = (np.concatenate(each) for each in zip(*found, strict=True))
    bits = np.zeros(current.shape, np.uint8)
    flat = bits.reshape(-1)
    flat[hot] = Defect.HOT
    if scatter is None:
        return Defects(bits, Defect.HOT)

    def excess(pixels: NDArray[np.intp]) -> F32:
        return np.asarray(current.reshape(-1)[pixels] - ordinary.level_at(*np.unravel_index(pixels, current.shape)))

    slope = _shot_noise_slope(scatter, hot, excess(hot))
    shot = np.maximum(excess(suspects), 0) * np.float32(slope or 0)
    unstable = suspects[scatter.are_unstable(suspects, shot)]
    flat[unstable if slope is not None else np.setdiff1d(unstable, hot)] |= np.uint8(Defect.UNSTABLE)
    return Defects(bits, OF_DARK)


def bias_defects(bias: BandedMaster, limits: Limits) -> Defects:
    """Find pixels whose bias level is wrong or unstable."""
    ordinary, scatter = LocalLevels(bias.mean), _Scatter.of(bias, limits)
    bits = np.zeros(bias.mean.shape, np.uint8)
    for rows in _bands(bits.shape):
        off = np.abs(bias.mean[rows] - ordinary.level(rows)) > _threshold(ordinary, scatter, rows, limits)
        bits[rows][off] = Defect.BIAS
        if scatter is not None:
            bits[rows][scatter.is_unstable(rows)] |= np.uint8(Defect.UNSTABLE)
    return Defects(bits, Defect.BIAS if scatter is None else OF_BIAS)


def flat_defects(flat: MasterPlanes, mosaic: str | None, limits: Limits) -> Defects:
    """Find pixels whose response to illumination differs too much from that of their neighbours.

    Parameters
    ----------
    flat
        A master flat.
    mosaic
        Colour filter array (`FrameSetup.mosaic`); only pixels of the same colour are compared.
    limits
        Thresholds.

    Raises
    ------
    NotJudgeableError
        If the colour filter array does not repeat over squares of pixels.
    """
    try:
        period = cfa_period(mosaic)
    except ValueError as error:
        raise NotJudgeableError(str(error)) from error
    bits = np.zeros(flat.mean.shape, np.uint8)
    for row, column in np.ndindex(period, period):
        phase = (slice(row, None, period), slice(column, None, period))
        bits[phase] = _response_defects(flat.mean[phase], max(BLOCK // period, BLOCK // 2), limits)
    if flat.masked is not None:
        bits[flat.masked] = Defect.COLD
    return Defects(bits, OF_FLAT)


def _response_defects(response: F32, block: int, limits: Limits) -> NDArray[np.uint8]:
    ordinary = LocalLevels(response, block)
    bits = np.zeros(response.shape, np.uint8)
    for rows in _bands(response.shape):
        level, spread = ordinary.level(rows), limits.sigma * ordinary.spread(rows)
        bits[rows][response[rows] < np.minimum(limits.cold_response * level, level - spread)] = Defect.COLD
        bits[rows][response[rows] > np.maximum(limits.bright_response * level, level + spread)] = Defect.BRIGHT
    return bits


def merged(parts: Iterable[Defects], limits: Limits) -> Defects:
    """Combine the defects found in several masters, and find bad columns and rows.

    A bad stretch of a column contains at least `Limits.line_pixels` defects, with gaps of at most `Limits.line_gap`
    good pixels, and its density of defects is more than `Limits.line_density` times that of the whole frame.

    Raises
    ------
    NotJudgeableError
        If the masters differ in size.
    """
    first, *others = parts
    bits, judged = first.bits.copy(), first.judged | OF_LINES
    for part in others:
        if part.bits.shape != bits.shape:
            raise NotJudgeableError(f"the masters differ in size: {_text(bits.shape)} and {_text(part.bits.shape)}")
        bits |= part.bits
        judged |= part.judged
    bad = bits != 0
    for column, start, stop in _bad_lines(bad.T, limits):
        bits[start:stop, column] |= np.uint8(Defect.COLUMN)
    for row, start, stop in _bad_lines(bad, limits):
        bits[row, start:stop] |= np.uint8(Defect.ROW)
    return Defects(bits, judged)


def _bad_lines(bad: Mask, limits: Limits) -> Iterator[tuple[int, int, int]]:
    """Yield each bad stretch of a row: the row number, the first column, and the column after the last."""
    line, place = np.nonzero(bad)
    if not line.size:
        return
    breaks = np.flatnonzero((np.diff(line) != 0) | (np.diff(place) > limits.line_gap + 1)) + 1
    starts, stops = np.append(0, breaks), np.append(breaks, line.size)
    least = min(limits.line_pixels, max(bad.shape[1] // 4, 2))
    length = place[stops - 1] - place[starts] + 1
    density = limits.line_density * line.size / bad.size
    for number in np.flatnonzero((stops - starts >= least) & (stops - starts > density * length)):
        first, last = starts[number], stops[number] - 1
        yield int(line[first]), int(place[first]), int(place[last]) + 1


class _Scatter:
    """The scatter of the frames of a master, and the limits beyond which noise cannot explain it."""

    def __init__(self, variance: F32, counts: F32, frames: int, limits: Limits) -> None:
        self.variance = variance
        self.ordinary = LocalLevels(self.variance, shared=True)
        self._factor = max(limits.flicker**2, largest_variance_ratio(frames - 1, limits.false_alarm))
        self._counts = counts
        by_chance = _rejections_by_chance(counts, frames, limits.false_alarm)
        self._fewest_kept = frames - max(limits.rejected_fraction * frames, by_chance)

    @classmethod
    def of(cls, master: BandedMaster, limits: Limits) -> Self | None:
        """Return the scatter of a master's frames, or None if it is unknown or there are too few frames."""
        if not master.has_counts:
            return None
        variance, counts = np.empty(master.mean.shape, np.float32), np.empty(master.mean.shape, np.float32)
        scatters = []

        def take(rows: slice, band: MasterPlanes) -> None:
            variance[rows], counts[rows] = kept_scatter(band), band.counts
            scatters.append(band.frame_variance.any())

        for_each_band(master, take)
        frames = _frames(master.header, counts)
        return cls(variance, counts, frames, limits) if any(scatters) and frames >= FEWEST_FRAMES else None

    def is_unstable(self, rows: slice) -> Mask:
        """Return a mask of the unstable pixels in a band of rows."""
        expected = np.maximum(self.ordinary.level(rows), np.float32(_LEAST_NOISE_ADU**2))
        return self._exceeds(self.variance[rows], self._counts[rows], expected)

    def are_unstable(self, pixels: NDArray[np.intp], shot: F32) -> Mask:
        """Return which of the given pixels are unstable even with the variance `shot` from their dark current."""
        expected = np.maximum(self.level_at(pixels), np.float32(_LEAST_NOISE_ADU**2)) + shot
        return self._exceeds(self.variance.reshape(-1)[pixels], self._counts.reshape(-1)[pixels], expected)

    def level_at(self, pixels: NDArray[np.intp]) -> F32:
        """Return the variance of ordinary pixels around each of the given pixels."""
        return self.ordinary.level_at(*np.unravel_index(pixels, self.variance.shape))

    def _exceeds(self, variance: F32, counts: F32, expected: F32) -> Mask:
        found: Mask = variance > np.float32(self._factor) * expected
        return found | (counts < self._fewest_kept)


def _threshold(ordinary: LocalLevels, scatter: _Scatter | None, rows: slice, limits: Limits) -> F32:
    """Return the threshold for deviations from the neighbours: a multiple of their spread, at least a frame's noise."""
    spread = np.float32(limits.sigma) * ordinary.spread(rows)
    return spread if scatter is None else np.maximum(spread, np.sqrt(np.maximum(scatter.ordinary.level(rows), 0)))


def _shot_noise_slope(scatter: _Scatter, hot: NDArray[np.intp], excess: F32) -> float | None:
    """Return the variance per ADU of dark current, as the median over hot pixels; None if there are too few of them.

    The slope is measured and not derived from EGAIN, because some drivers report EGAIN for a scale that differs from
    the scale of the file. `hot` contains the indices of hot pixels, and `excess` their excess over the neighbours.
    """
    if hot.size < _FEWEST_FOR_SLOPE:
        return None
    surplus = scatter.variance.reshape(-1)[hot] - scatter.level_at(hot)
    return max(float(np.median(surplus / excess)), 0.0)


def _frames(header: Mapping[str, HeaderValue], counts: F32) -> int:
    stated = header.get("NCOMBINE", header.get("STACKCNT"))
    return max(stated if isinstance(stated, int) else 0, int(counts.max()), 2)


def largest_variance_ratio(degrees: int, probability: float) -> float:
    """Return the ratio of sample variance to true variance that normal noise exceeds with the given probability.

    This is the quantile of chi-square divided by its degrees of freedom, in the cube-root approximation of Wilson and
    Hilferty (1931, PNAS 17, 684). The approximation is accurate to 3 % for at least 9 degrees of freedom and
    probabilities down to 1e-8.
    """
    part = 2 / (9 * degrees)
    return float((1 - part + NormalDist().inv_cdf(1 - probability) * math.sqrt(part)) ** 3)


def _rejections_by_chance(counts: F32, frames: int, probability: float) -> float:
    """Return the number of clipped values that is exceeded in a pixel by chance with the given small probability.

    A pixel whose sample is narrow by chance loses several values at once, so the distribution has a longer tail than a
    Poisson distribution. The tail falls geometrically, by the ratio of pixels with three or more clipped values to
    pixels with two or more, and is extrapolated with this ratio.
    """
    twice, thrice = (max(float(np.count_nonzero(counts <= frames - number)), 1) for number in (2, 3))
    if thrice >= twice:
        return math.inf
    return 2 + math.log(counts.size * probability / twice) / math.log(thrice / twice)


def _adu_s_per_e(dark: BandedMaster, e_per_adu: float | None) -> float:
    """Return the factor that converts electrons per second to ADU in a dark."""
    exposure_s, egain = dark.header.get("EXPTIME"), dark.header.get("EGAIN") if e_per_adu is None else e_per_adu
    if not _positive(exposure_s) or not _positive(egain):
        raise NotJudgeableError(
            "a threshold in electrons per second needs EXPTIME and EGAIN in the master dark's header; the gain can be"
            " given as an option instead"
        )
    assert isinstance(exposure_s, int | float)
    assert isinstance(egain, int | float)
    return exposure_s / egain


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    for top in range(0, shape[0], _ROWS_AT_ONCE):
        yield slice(top, min(top + _ROWS_AT_ONCE, shape[0]))


def _size(master: BandedMaster) -> str:
    return _text(master.mean.shape)


def _text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"
