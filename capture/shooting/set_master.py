"""The master of the set under way: frames go onto the disk and into it one by one. Blocks, so it is used in threads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.camera.photon_transfer import TILE_PIXELS, TileSeries
from coldframe.calibration.camera.study import StudiedSet
from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.frame_file import read_pixels
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.frames.overscan import Overscan, OverscanChoice, OverscanError, sections_of
from coldframe.calibration.masters.flat_pedestal import DarkMaster, PedestalTest, PedestalVerdict
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping, half_step
from coldframe.capture.shooting.set_inputs import DarkInputs, FlatInputs, SetInputs, SubtractedMaster
from coldframe.capture.shooting.set_size import SetSize
from coldframe.capture.shooting.studied_set import studied_set
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True)
class WrittenMaster:
    """A master that is on the disk, and what there is to tell of it."""

    path: Path
    pedestal: SubtractedMaster
    level: float
    frames: int
    noise: float
    rejected_fraction: float


@dataclass(slots=True)
class AcceptedFrames:
    """The frames that count, and what their master needs to know of them.

    Attributes
    ----------
    paths, sensor_c, levels_adu
        Of each.
    rests
        What rounding left of the level of its overscan; empty where no overscan is subtracted.
    factors
        By which it was scaled; empty but for flats.
    first
        The first frame, without its pixels.
    last_at
        Start of the last one.
    """

    paths: list[Path] = field(default_factory=list)
    sensor_c: list[float] = field(default_factory=list)
    levels_adu: list[float] = field(default_factory=list)
    rests: list[NDArray[np.int32]] = field(default_factory=list)
    factors: list[NDArray[np.float32]] = field(default_factory=list)
    first: Frame | None = None
    last_at: datetime | None = None


class SetMaster:
    """Saves and folds the frames of one set, and makes their master.

    Parameters
    ----------
    folder
        The night's.
    step
        The set.
    inputs
        What it takes over from the steps before it.
    size
        Follows the noise of the frames.
    cfa_pattern
        Of the camera's pixels as they are read; None for mono ones.
    """

    def __init__(
        self, folder: NightFolder, step: ShootStep, inputs: SetInputs, size: SetSize, cfa_pattern: str | None
    ) -> None:
        self.accepted = AcceptedFrames()
        self._folder = folder
        self._step = step
        self._inputs = inputs
        self._subtracted = inputs.subtracted if isinstance(inputs, FlatInputs) else None
        self._shot_before = inputs.shot_before if isinstance(inputs, DarkInputs) else 0
        self._size = size
        self._overscan = None if self._subtracted is None else self._subtracted.overscan
        self._flat = _flat_recipe(self._subtracted, cfa_pattern)
        self._accumulator: Accumulator | None = None
        self._clipping = Clipping()
        self._series = TileSeries()

    @property
    def frames(self) -> int:
        """Frames that count so far."""
        return len(self.accepted.paths)

    def begin(self, frame: Frame, method: OverscanChoice) -> str | None:
        """Find the overscan of frames like this one, the first; return why it is left alone, None where it is not."""
        if self._subtracted is not None or method == "none":
            return None
        try:
            sections = sections_of(frame.header, frame.pixels.shape)
        except OverscanError as error:
            return f"the overscan is left alone: {error}"
        self._overscan = None if sections is None else Overscan(sections, method)
        return None

    def add(self, frame: Frame, digest: bytes, level_adu: float) -> tuple[Path, float | None]:
        """Bring a frame onto the disk, then fold it; return its path and the noise so far, ADU.

        Raises
        ------
        NotDurableError
            It could not be brought onto the disk.
        """
        path = self._folder.save_frame(frame, self._step.filter, self._shot_before + self.frames + 1)
        return path, self.count(path, frame, digest, level_adu)

    def count(self, path: Path, frame: Frame, digest: bytes, level_adu: float) -> float | None:
        """Fold a frame that is on the disk; return the noise so far, ADU."""
        accepted = self.accepted
        noise_adu = self._fold(frame.pixels, digest)
        accepted.paths.append(path)
        accepted.levels_adu.append(level_adu)
        # Its header is wanted in the end, not its pixels.
        accepted.first = accepted.first or replace(frame, pixels=np.empty((0, 0), np.uint16))
        accepted.last_at = frame.started_at
        if frame.sensor_c is not None:
            accepted.sensor_c.append(frame.sensor_c)
        return noise_adu

    def compare(self, test: PedestalTest) -> PedestalVerdict:
        """Compare the dark flats so far with the bias."""
        assert self._accumulator is not None
        stack = self._accumulator.combine(self._clipping, self._reread)
        mean = stack.mean
        if self._overscan is not None:
            mean = on_pedestal(self._overscan.restored(stack, self.accepted.rests).mean, self._overscan)
        return test.verdict(DarkMaster(mean, stack.uncertainty, self._level_error_adu()))

    def studied(self) -> StudiedSet | None:
        """Return what the frames tell of the camera; None of frames too small for that."""
        accepted, inputs = self.accepted, self._inputs
        if self._series.frames == 0 or accepted.first is None:
            return None
        light = (self._step.filter, inputs.tuned.brightness) if isinstance(inputs, FlatInputs) else None
        sensor_c = fmean(accepted.sensor_c) if accepted.sensor_c else None
        return studied_set(accepted.first, sensor_c, light, self._series)

    def write(self) -> WrittenMaster:
        """Combine the frames, save the master, and look at it.

        Raises
        ------
        NotDurableError
            It could not be brought onto the disk.
        """
        accepted, subtracted = self.accepted, self._subtracted
        assert self._accumulator is not None
        assert accepted.first is not None
        assert accepted.last_at is not None
        stack = self._accumulator.finish(self._clipping, self._reread)
        masked = None
        if self._flat is not None:
            stack, masked = self._flat.response(stack, accepted.factors)
        elif self._overscan is not None:
            stack = self._overscan.restored(stack, accepted.rests)
        first = accepted.first
        master = MasterFrame(
            kind=self._step.kind,
            stack=stack,
            camera=first.camera,
            settings=first.settings,
            exposure_s=self._inputs.exposure_s,
            sensor_c=fmean(accepted.sensor_c) if accepted.sensor_c else None,
            setpoint_c=first.setpoint_c,
            filter_name=self._step.filter,
            method=self._clipping,
            inputs=tuple(path.name for path in accepted.paths),
            first_at=first.started_at,
            last_at=accepted.last_at,
            masked=masked,
            subtracted=subtracted.name if subtracted is not None else None,
            header=self._header(first),
            overscan=self._overscan,
            remarks=self._remarks(),
        )
        path = self._folder.save_master(master)
        pedestal = self._pedestal(path, master)
        return WrittenMaster(path, pedestal, master.level, stack.frames, master.noise, stack.rejected_fraction)

    def _fold(self, pixels: NDArray[np.uint16], digest: bytes) -> float | None:
        if min(pixels.shape) >= TILE_PIXELS:
            self._series.add(pixels)
        if self._accumulator is None:
            height, width = pixels.shape if self._overscan is None else self._overscan.sections.kept.shape
            self._accumulator = Accumulator((height, width), self._size.most)
        if self._flat is not None:
            pixels, factors = self._flat.scaled(pixels)
            self.accepted.factors.append(factors)
        elif self._overscan is not None:
            pixels, rest = self._overscan.correct_words(pixels)
            self.accepted.rests.append(rest)
        if self._flat is None and self._accumulator.frames == 0:
            self._clipping = Clipping(sigma_floor_adu=half_step(pixels))
        self._size.add(pixels)
        self._accumulator.add(pixels, digest)
        return self._accumulator.noise_adu()

    def _folded(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return what of a saved frame went into the accumulator: without overscan, flats on one scale."""
        if self._flat is not None:
            return self._flat.scaled(pixels).pixels
        return pixels if self._overscan is None else self._overscan.correct_words(pixels)[0]

    def _reread(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.uint16]]:
        """Yield some pixels of each frame as they went into the accumulator; of plain frames nothing else is read."""
        for path in self.accepted.paths:
            if self._flat is None and self._overscan is None:
                yield open_image(path, path.parent).values(places)
            else:
                yield self._folded(read_pixels(path)).reshape(-1)[places]

    def _remarks(self) -> tuple[Card, ...]:
        """Return cards for what was measured of flats."""
        if not isinstance(self._inputs, FlatInputs):
            return ()
        full_scale_adu, verdict = self._inputs.tuned.target.full_scale_adu, self._inputs.verdict
        cards = () if verdict is None else verdict.cards
        return (Card("CFSATUR", float(full_scale_adu), "[adu] level at which the flats saturate"), *cards)

    def _header(self, first: Frame) -> Mapping[str, HeaderValue]:
        """Return the driver's cards, with the measured gain where the pixels are in ADU and the driver tells none."""
        if isinstance(self._inputs, FlatInputs) or self._inputs.e_per_adu is None:
            return first.header
        return {"EGAIN": self._inputs.e_per_adu, **first.header}

    def _pedestal(self, path: Path, master: MasterFrame) -> SubtractedMaster:
        """Return the master as it is subtracted from flats."""
        stack, error_adu = master.stack, self._level_error_adu()
        if master.overscan is None:
            return SubtractedMaster(path.name, stack.mean, stack.uncertainty, master.level, None, error_adu)
        mean = on_pedestal(stack.mean, master.overscan)
        level = fmean(self.accepted.levels_adu)
        return SubtractedMaster(path.name, mean, stack.uncertainty, level, master.overscan, error_adu)

    def _level_error_adu(self) -> float:
        levels_adu = self.accepted.levels_adu
        return float(np.std(levels_adu) / np.sqrt(max(len(levels_adu) - 1, 1)))


def _flat_recipe(dark: SubtractedMaster | None, cfa_pattern: str | None) -> FlatRecipe | None:
    return None if dark is None else FlatRecipe(dark.mean, dark.uncertainty, cfa_pattern, dark.overscan)
