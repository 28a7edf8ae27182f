"""The search for a sensor's defective pixels in its master dark, flat and bias.

docs/defects.md explains the thresholds and their sources.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.limits import Limits
from coldframe.calibration.defects.scatter import Pixels, Scatter
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import BandedMaster, MasterPlanes
from coldframe.calibration.measuring.local_levels import BLOCK, LocalLevels
from coldframe.calibration.threads import parallel_map
from coldframe.errors import ColdframeError

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

_ROWS_AT_ONCE = 32
_FEWEST_FOR_SLOPE = 30


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
    ordinary, scatter = LocalLevels(current, shared=True), Scatter.of(dark, limits)
    # The first call measures the levels or spreads of all blocks in several threads; this takes most of the time.
    for measure in [ordinary.spread] if scatter is None else [ordinary.spread, scatter.ordinary.level]:
        measure(slice(0, 1))
    hot_adu = None if limits.hot_e_per_s is None else limits.hot_e_per_s * _adu_s_per_e(dark, e_per_adu)

    def search(rows: slice) -> tuple[Pixels, Pixels]:
        least = _threshold(ordinary, scatter, rows, limits) if hot_adu is None else np.float32(hot_adu)
        is_hot = current[rows] - ordinary.level(rows) > least
        frames = None if scatter is None else scatter.master.kept_values(rows)
        hot = Pixels.marked(is_hot, rows, frames)
        if scatter is None or frames is None:
            return hot, hot
        return hot, Pixels.marked(scatter.is_unstable(rows, frames), rows, frames)

    hot, suspects = map(Pixels.joined, zip(*parallel_map(search, _bands(current.shape)), strict=True))
    bits = np.zeros(current.shape, np.uint8)
    flat = bits.reshape(-1)
    flat[hot.places] = Defect.HOT
    if scatter is None:
        return Defects(bits, Defect.HOT)

    def excess(pixels: NDArray[np.intp]) -> F32:
        return np.asarray(current.reshape(-1)[pixels] - ordinary.level_at(*np.unravel_index(pixels, current.shape)))

    slope = _shot_noise_slope(scatter, hot, excess(hot.places))
    shot = np.maximum(excess(suspects.places), 0) * np.float32(slope or 0)
    unstable = suspects.places[scatter.are_unstable(suspects, shot)]
    flat[unstable if slope is not None else np.setdiff1d(unstable, hot.places)] |= np.uint8(Defect.UNSTABLE)
    return Defects(bits, OF_DARK)


def bias_defects(bias: BandedMaster, limits: Limits) -> Defects:
    """Find pixels whose bias level is wrong or unstable."""
    ordinary, scatter = LocalLevels(bias.mean), Scatter.of(bias, limits)
    bits = np.zeros(bias.mean.shape, np.uint8)
    for rows in _bands(bits.shape):
        off = np.abs(bias.mean[rows] - ordinary.level(rows)) > _threshold(ordinary, scatter, rows, limits)
        bits[rows][off] = Defect.BIAS
        if scatter is not None:
            bits[rows][scatter.is_unstable(rows, scatter.master.kept_values(rows))] |= np.uint8(Defect.UNSTABLE)
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


def _threshold(ordinary: LocalLevels, scatter: Scatter | None, rows: slice, limits: Limits) -> F32:
    """Return the threshold for deviations from the neighbours: a multiple of their spread, at least a frame's noise."""
    spread = np.float32(limits.sigma) * ordinary.spread(rows)
    return spread if scatter is None else np.maximum(spread, np.sqrt(np.maximum(scatter.ordinary.level(rows), 0)))


def _shot_noise_slope(scatter: Scatter, hot: Pixels, excess: F32) -> float | None:
    """Return the variance per ADU of dark current, as the median over hot pixels; None if there are too few of them.

    The slope is measured and not derived from EGAIN, because some drivers report EGAIN for a scale that differs from
    the scale of the file. `excess` is the excess of the hot pixels over their neighbours.
    """
    if hot.places.size < _FEWEST_FOR_SLOPE:
        return None
    surplus = hot.frames.variance - scatter.level_at(hot)
    return max(float(np.median(surplus / excess)), 0.0)


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
