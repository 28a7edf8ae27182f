"""A quick look at lights while they are being calibrated: only the inexpensive tests.

These tests find pedestals, hot pixels, banding and pixels below zero. Dust, glow, colours and gradients require a
comparison of all lights with each other; see `examination`.
"""

from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.dust import Change, DustResult
from coldframe.calibration.diagnosis.estimating.gain import excess_of_uncertainty, find_gain
from coldframe.calibration.diagnosis.estimating.lines import columns_of, find_pattern, rows_of
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures, LightMeter, calibrated_signal
from coldframe.calibration.diagnosis.estimating.motes import Motes
from coldframe.calibration.diagnosis.estimating.pedestals import Pedestals, find_pedestals
from coldframe.calibration.diagnosis.estimating.sensor_pattern import SensorPattern
from coldframe.calibration.diagnosis.estimating.stars import BACKGROUND
from coldframe.calibration.diagnosis.estimating.thermometer import find_residual
from coldframe.calibration.diagnosis.estimating.thinned_masters import NO_PATTERN, Masters, dark_pattern, thinned
from coldframe.calibration.diagnosis.examination import Examination, without_maps
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.judging import dark_current, levels, noise
from coldframe.calibration.diagnosis.negative_pixels import negative_findings
from coldframe.calibration.diagnosis.untestable import knowledge_of, with_readout_noise, without_untestable
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.kernels.block_sums import BIN, BLOCKS, PIXELS, SCATTER
from coldframe.calibration.lights.arithmetic import COLOUR_PERIOD, Correction
from coldframe.calibration.masters.bands import gathered_rows
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import BandedMaster, MasterPlanes, sampled_master
from coldframe.calibration.memory import ThreadMemory
from coldframe.config.frames import FrameKind

F32 = NDArray[np.float32]

FEWEST_BLOCKS = 1000
"""Smallest total number of star-free blocks, over all lights, from which conclusions can be drawn."""

ENOUGH_PIXELS = 2_000_000
"""Approximate number of pixels to examine in each light; more pixels would take longer and hardly reduce the errors."""

MOST_PARTS = 8

_SMALLEST_SIDE = BACKGROUND * BIN
"""Smallest width and height of lights, in pixels: one block in which the background around stars is measured."""

_FEW = 64
"""Step between the rows and columns that are kept of masters whose pixels are hardly needed."""

_BAND_ROWS = _SMALLEST_SIDE
"""Number of rows in a band, chosen so that no block used to measure the background around stars contains rows of two
bands."""


def examined_rows(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the rows to examine: all rows of a small sensor, evenly spaced bands of a large one.

    The bands are treated as if they were a smaller sensor. They span the frame from top to bottom, as vignetting and
    glow do, and they cover the same rows in every column.

    Parameters
    ----------
    shape
        Shape of the light, (height, width) in pixels.
    """
    parts = min(max(round(shape[0] * shape[1] / ENOUGH_PIXELS), 1), MOST_PARTS)
    if parts == 1 or shape[0] < parts * _BAND_ROWS:
        return np.arange(shape[0])
    bands = np.arange(parts // 2, shape[0] // _BAND_ROWS, parts)
    return (bands[:, None] * _BAND_ROWS + np.arange(_BAND_ROWS)).reshape(-1)


class MasterSummary:
    """The few properties of masters that a quick look needs, so that the masters themselves need not stay in memory.

    Parameters
    ----------
    period
        Distance between pixels of the same colour: 1, or 2 for a 2 x 2 filter array.
    """

    def __init__(self, period: int) -> None:
        self.period = period
        self.kept: dict[FrameKind, MasterPlanes] = {}
        self.pattern = NO_PATTERN

    @classmethod
    def for_lights(cls, light: FrameSetup) -> "MasterSummary | None":
        """Return an empty summary; None if the filter array or the size of the lights does not allow a quick look.

        Parameters
        ----------
        light
            Setup of the lights after their overscan has been subtracted.
        """
        try:
            period = cfa_period(light.mosaic)
        except ValueError:
            return None
        is_suitable = period <= COLOUR_PERIOD and min(light.width, light.height) >= _SMALLEST_SIDE
        return cls(period) if is_suitable else None

    def add(self, kind: FrameKind, master: BandedMaster) -> None:
        """Summarise a master."""
        if kind is FrameKind.DARK:
            rows = examined_rows(shape := master.mean.shape)
            errors = gathered_rows(shape, lambda band: master.band(band).uncertainty, rows)
            part = MasterPlanes(master.mean[rows], errors, errors, None, master.header)
            self.pattern = dark_pattern(part, self.period)
        self.kept[kind] = thinned(master)

    def masters(self, planes: Correction) -> Masters:
        """Return the masters, with planes that contain only the examined rows."""
        dark, bias, flat = (self.kept.get(kind) for kind in (FrameKind.DARK, FrameKind.BIAS, FrameKind.FLAT))
        return Masters(planes.band(examined_rows(planes.subtracted.shape)), dark, bias, flat, self.pattern)


class QuickLook:
    """A quick look at the lights of one set; the lights may be measured in any order and by several threads.

    Parameters
    ----------
    light
        Setup of the first light, after overscan subtraction.
    summary
        Summary of the masters; the masters in it are released from memory.
    planes
        The planes with which the lights are calibrated.
    stated_e_per_adu
        Electrons per ADU according to the header; None if not stated.
    memory
        Memory that may be overwritten when a light is measured; None for memory of its own.
    """

    def __init__(
        self,
        light: FrameSetup,
        summary: MasterSummary,
        planes: Correction,
        stated_e_per_adu: float | None,
        memory: ThreadMemory | None = None,
    ) -> None:
        self._light = light
        self._summary = summary
        self._masters = summary.masters(planes)
        self._known = knowledge_of(self._masters, calibrated=False, hot_replaced=False)
        self._gain = find_gain(self._masters.flat, self._masters.dark, stated_e_per_adu, summary.period)
        self._excess = excess_of_uncertainty(self._masters.dark), excess_of_uncertainty(self._masters.flat)
        self._masters = _without_unused(self._masters)
        summary.kept.clear()
        self._meter: LightMeter | None = None
        self._preparing = Lock()
        self._memory = memory or ThreadMemory()
        self._lights: dict[Path, LightMeasures] = {}

    def rows(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        """Return the rows that `measure` needs; see `examined_rows`."""
        return examined_rows(shape)

    def measure(self, light: Path, pixels: NDArray[np.uint16] | F32) -> None:
        """Measure the examined rows of a raw light: uint16, or float32 after subtraction of the overscan."""
        signal = calibrated_signal(
            pixels, self._masters.planes, self._memory.array(pixels.shape, np.float32), shared=False
        )
        self._lights[light] = without_maps(self._prepared(signal).measure(signal))

    def _prepared(self, signal: F32) -> LightMeter:
        with self._preparing:
            if self._meter is None:
                planes = with_readout_noise(self._masters.planes, signal, self._summary.period)
                masters = replace(self._masters, planes=planes)
                skipped = np.zeros((signal.shape[0] // BIN, signal.shape[1] // BIN), np.bool_)
                self._meter = LightMeter(masters, self._summary.period, skipped, shared=False)
            return self._meter

    def findings(self) -> list[Finding] | None:
        """Return the findings that matter, the most harmful first; None if the lights have too few pixels."""
        lights = [self._lights[path] for path in sorted(self._lights)]
        if not lights or sum(float(light.tiles[..., BLOCKS].sum()) for light in lights) < FEWEST_BLOCKS:
            return None
        examined = self._examined(lights)
        found = [
            *levels.pedestal_findings(examined),
            *dark_current.hot_pixel_findings(examined),
            *noise.line_findings(examined),
        ]
        found += negative_findings(examined, found)
        return sorted((each for each in found if each.matters), key=lambda each: each.harm, reverse=True)

    def _pedestals(self, lights: list[LightMeasures]) -> Pedestals | None:
        if self._gain is None:
            return None
        return find_pedestals(lights, self._gain, *self._excess)

    def _examined(self, lights: list[LightMeasures]) -> Examination:
        """Return the examination, without the estimates that a quick look omits."""
        tiles = [light.tiles for light in lights]
        scatter = np.array([each[..., SCATTER].sum() / max(each[..., BLOCKS].sum(), 1) for each in tiles])
        noise_adu = np.sqrt(scatter / (PIXELS - 1))
        pattern = self._summary.pattern
        nothing = np.zeros((0, 0), np.float32)
        examined = Examination(
            lights=len(lights),
            light=self._light,
            masters=self._masters,
            sky_adu=float(np.mean([light.sky_adu for light in lights])),
            noise_adu=float(np.sqrt(np.mean(scatter / (PIXELS - 1)))),
            negative=float(np.mean([light.negative for light in lights])),
            gain=self._gain,
            pedestals=self._pedestals(lights),
            hot=find_residual(lights, self._summary.pattern.hot),
            lacking=None,
            rows=find_pattern(*rows_of(lights), noise_adu, pattern.rows, self._summary.period),
            columns=find_pattern(*columns_of(lights), noise_adu, pattern.columns, self._summary.period),
            pattern=SensorPattern(nothing, nothing, (), is_dithered=False),
            motes=Motes(nothing, nothing > 0, np.zeros((0, 2)), np.zeros(0)),
            dust=DustResult(Change.NONE, 0.0),
            glow=None,
            colour=None,
            unevenness=None,
            dark_fraction=0.0,
            flat_fraction=0.0,
        )
        return without_untestable(examined, self._known)


def _without_unused(masters: Masters) -> Masters:
    """Return masters without unneeded pixels: those of the flat and, if there is no bias, those of the dark.

    The headers are still needed, as are the counts of the dark and a few pixels that show whether the uncertainty is
    known.
    """
    dark, flat = masters.dark, masters.flat
    if dark is not None and masters.bias is None:
        dark = replace(sampled_master(dark, _FEW), counts=dark.counts)
    return replace(
        masters,
        dark=dark,
        flat=None if flat is None else sampled_master(flat, _FEW),
    )
