"""Bisection with lights in files: the same lights are calibrated with each combination of masters, and then examined.

Masters and lights are read again for each combination, so that memory use does not depend on the number of
combinations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.bisection import Comparison, Part, Terms, bisect
from coldframe.calibration.diagnosis.combinations import (
    Candidates,
    DarkWay,
    FlatWay,
    dark_ways,
    flat_ways,
    other_flat_ways,
)
from coldframe.calibration.diagnosis.estimating.thinned_masters import Masters, thinned, without_unlit
from coldframe.calibration.diagnosis.examination import examine
from coldframe.calibration.diagnosis.files import LightReading, LightSource, Watcher
from coldframe.calibration.diagnosis.header_evidence import stated_gain
from coldframe.calibration.diagnosis.master_files import adu_master, read_masters, relative_flat
from coldframe.calibration.diagnosis.untestable import knowledge_of, with_readout_noise, without_untestable
from coldframe.calibration.diagnosis.witnesses import DarkReference, RemainingDarks, dark_reference, terms_of
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.arithmetic import MismatchError, Subtraction, correction
from coldframe.calibration.lights.caveats import flat_level_adu
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.measuring.statistics import central_region

F32 = NDArray[np.float32]

WatcherOf = Callable[[Part, Part], Watcher | None]
"""A function that returns the watcher, if any, of the lights calibrated with the given ways to subtract and to divide.
"""


@dataclass(slots=True, eq=False)
class Bisected:
    """The result of a bisection.

    Attributes
    ----------
    comparison
        The scores of all combinations.
    read
        Lights that were read.
    refused
        Paths of the lights that could not be read, with the errors.
    """

    comparison: Comparison
    read: Sequence[LightSource] = ()
    refused: Sequence[tuple[Path, FrameFileError | MismatchError]] = ()


@dataclass(eq=False)
class LightBisection:
    """Bisects the calibration of one set of raw lights.

    Attributes
    ----------
    lights
        The lights.
    setup
        Setup of the first light, after overscan subtraction.
    candidates
        The masters that can be combined.
    overscan
        The overscan to subtract from the lights; None to keep the whole frame.
    e_per_adu
        Electrons per ADU; None to use EGAIN.
    extension
        The image to read from files with several images.
    watcher_of
        Function called for each combination, to obtain the watcher of the lights calibrated with it.
    advance
        Function called after each light of each combination.
    """

    lights: Sequence[LightSource]
    setup: FrameSetup
    candidates: Candidates
    overscan: Overscan | None = None
    e_per_adu: float | None = None
    extension: Extension | None = None
    watcher_of: WatcherOf = lambda _dark, _flat: None
    advance: Callable[[], None] = lambda: None
    _last: LightReading | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._darks = dark_ways(self.setup, self.candidates)
        self._flats = flat_ways(self.candidates)
        self._others = other_flat_ways(self.candidates)
        self._period = cfa_period(self.setup.mosaic)

    @property
    def combinations(self) -> int:
        """Number of combinations to measure; there are more if one of the further ways to divide proves to be best."""
        return len(self._darks) * len(self._flats) + len(self._others)

    def run(self) -> Bisected:
        """Measure all combinations and compare them.

        Raises
        ------
        FrameFileError
            If a master cannot be read, or if none of the lights can be read.
        MismatchError
            If masters and lights differ in size.
        """
        comparison = bisect(
            [each.part for each in self._darks],
            [each.part for each in self._flats],
            [each.part for each in self._others],
            self._measured,
        )
        assert self._last is not None
        return Bisected(comparison, self._last.read, self._last.refused)

    @cached_property
    def _references(self) -> list[DarkReference]:
        return [dark_reference(adu_master(dark.path), self._period) for dark in self.candidates.darks]

    @cached_property
    def _ways(self) -> tuple[Mapping[Part, DarkWay], Mapping[Part, FlatWay]]:
        return {each.part: each for each in self._darks}, {each.part: each for each in (*self._flats, *self._others)}

    def _measured(self, dark_part: Part, flat_part: Part) -> Terms:
        """Calibrate the lights with one combination and return the results of the witnesses."""
        dark_way, flat_way = self._ways[0][dark_part], self._ways[1][flat_part]
        dark, bias = (None if each is None else each.path for each in (dark_way.dark, dark_way.bias))
        recipe = LightRecipe(dark, bias, None, dark_way.scale, overscan=self.overscan)
        undivided = read_masters(recipe, (self.setup.height, self.setup.width)).thinned(self._period)
        masters = _divided(undivided, self._flat(flat_way))
        applied = undivided if flat_way.flat is None else masters
        watcher = self.watcher_of(dark_part, flat_part)
        reading = self._last = LightReading(recipe, applied, self.extension, watcher, self.advance)
        signals = reading.signals(self.lights)
        first = next(signals, None)
        if first is None:
            raise reading.refused[0][1]
        known = knowledge_of(masters, calibrated=False, hot_replaced=False)
        masters = replace(masters, planes=with_readout_noise(masters.planes, first, self._period))
        darks = self.candidates.darks
        number = None if dark_way.dark is None else darks.index(dark_way.dark)
        remaining = RemainingDarks(self._references, number, applied.planes.response, self._period)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # caused by lights without sky
            examined = examine(
                remaining.watched(chain([first], signals)),
                self.setup,
                masters,
                self.e_per_adu or stated_gain([(light.path, light.egain) for light in self.lights])[0],
                self._period,
            )
            return terms_of(without_untestable(examined, known), remaining)

    def _flat(self, way: FlatWay) -> MasterPlanes | None:
        """Return the flat for a way to divide; None if there are no flats.

        If the lights are not divided, the newest flat is returned, so that its pattern can be looked for in the lights.
        """
        if way.flat is None:
            return relative_flat(self.candidates.flats[0].path) if self.candidates.flats else None
        flat = relative_flat(way.flat.path)
        if way.replacement is None:
            return flat
        before = None if way.subtracted is None else adu_master(way.subtracted.path)
        return subtracted_again(flat, before, adu_master(way.replacement.path))


def _divided(undivided: Masters, flat: MasterPlanes | None) -> Masters:
    """Return the given masters, with a flat added."""
    if flat is None:
        return undivided
    planes = correction(Subtraction(undivided.planes.subtracted, undivided.planes.dark_variance), flat)
    return replace(undivided, planes=without_unlit(planes, flat.mean), flat=thinned(flat))


def subtracted_again(flat: MasterPlanes, before: MasterPlanes | None, after: MasterPlanes) -> MasterPlanes:
    """Return a master flat as if a different dark flat or bias had been subtracted from its frames.

    Parameters
    ----------
    flat
        A master flat from a monochrome sensor; its header must state the level of its frames.
    before
        The master that was subtracted; None if nothing was subtracted.
    after
        The master to subtract instead.

    Raises
    ------
    MismatchError
        If the masters differ in size, or if the header does not state the level.
    """
    level_adu = flat_level_adu(flat.header)
    if level_adu is None or after.mean.shape != flat.mean.shape:
        raise MismatchError("the flat does not state the level of its frames, or differs in size from its dark")
    adu_per_response = level_adu / float(np.median(flat.mean[central_region(flat.mean.shape)]))
    change = -after.mean if before is None else before.mean - after.mean
    changed = flat.mean + change / np.float32(adu_per_response)
    scale = np.float32(1 / changed.mean(dtype=np.float64))
    error = after.uncertainty / np.float32(adu_per_response)
    return replace(
        flat,
        mean=changed * scale,
        uncertainty=np.hypot(flat.uncertainty, error) * scale,
        frame_variance=flat.frame_variance * scale**2,
    )
