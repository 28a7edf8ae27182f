"""Add frames one by one to a stack that is being built, and finish it. All functions block, so call them in threads."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import fmean
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.raws.frames import read_night_pixels, values_at
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.masters.flat_recipe import FlatRecipe
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping, half_step
from coldframe.calibration.stacking.pixel_state import scatter_corrections
from coldframe.calibration.stacking.rounding import with_rounding
from coldframe.calibration.stacking.stack import Stack
from coldframe.capture.pipeline.accepted_frames import AcceptedFrame


class FinishedStack(NamedTuple):
    """The pixels of a master.

    Attributes
    ----------
    stack
        Mean, uncertainty and counts, in ADU; for flats, relative to a mean of 1.
    masked
        Mask of a flat's pixels that have no signal, bool, shape (height, width); None for other kinds of frames.
    method
        Method by which the frames were combined.
    overscan
        Overscan that was subtracted from each frame before combining; None if no overscan was subtracted.
    """

    stack: Stack
    masked: NDArray[np.bool_] | None
    method: Clipping
    overscan: Overscan | None


class FrameStack(Protocol):
    """A stack of frames of one kind that grows frame by frame."""

    @property
    def frames(self) -> int:
        """Number of frames in the stack."""
        ...

    def fold(self, pixels: NDArray[np.uint16], exposure_s: float, digest: bytes) -> NDArray[np.uint16]:
        """Add a frame, and return its pixels as they are stacked, in a buffer that the next frame may reuse.

        The caller must not change the given pixels afterwards, because the stack may still hold them; see
        `Accumulator.hold`.

        Raises
        ------
        NoSignalError
            If a flat shows no light.
        """
        ...

    def noise_adu(self) -> float | None:
        """Return the typical noise of the master so far, in ADU, or None for fewer than two frames."""
        ...

    def finish(self, frames: Sequence[AcceptedFrame]) -> FinishedStack:
        """Combine the frames. Some of their pixels are read again from the files. The stack cannot be used afterwards.

        Raises
        ------
        FrameFileError
            If a file cannot be read.
        """
        ...


class DarkStack:
    """A stack of frames that were shot in the dark. The overscan can be subtracted from them.

    Parameters
    ----------
    planned_frames
        Largest number of frames that may be added.
    overscan
        Overscan to subtract from each frame; None to subtract no overscan.
    """

    def __init__(self, planned_frames: int, overscan: Overscan | None) -> None:
        self._planned_frames = planned_frames
        self._overscan = overscan
        self._accumulator: Accumulator | None = None
        self._clipping = Clipping()
        # Remainders from rounding the overscan of each frame.
        self._rests: list[NDArray[np.int32]] = []

    @property
    def frames(self) -> int:
        """Number of frames in the stack."""
        return 0 if self._accumulator is None else self._accumulator.frames

    def fold(self, pixels: NDArray[np.uint16], _exposure_s: float, digest: bytes) -> NDArray[np.uint16]:
        """Add a frame; see `FrameStack`."""
        raw = pixels
        if self._overscan is not None:
            pixels, rest = self._overscan.correct_words(raw)
            self._rests.append(rest)
        if self._accumulator is None:
            self._accumulator = _accumulator_for(pixels, self._planned_frames)
            # The pixels of frames with coarse steps, such as 12-bit data scaled to 16 bits, may vary by less than a
            # step. The step is measured in the raw frame, because subtracting the overscan shifts each line and
            # thereby hides the step.
            self._clipping = Clipping(sigma_floor_adu=half_step(raw))
        self._accumulator.hold(pixels, digest)
        return pixels

    def noise_adu(self) -> float | None:
        """Return the noise so far; see `FrameStack`."""
        return None if self._accumulator is None else self._accumulator.noise_adu()

    def combined(self, frames: Sequence[AcceptedFrame]) -> tuple[Stack, Overscan | None]:
        """Return the stack of the frames so far, and the overscan. Further frames can be added afterwards."""
        assert self._accumulator is not None
        stack = self._accumulator.combine(self._clipping, partial(self._reread, frames))
        return self._restored(stack), self._overscan

    def finish(self, frames: Sequence[AcceptedFrame]) -> FinishedStack:
        """Combine the frames; see `FrameStack`."""
        assert self._accumulator is not None
        stack = self._accumulator.finish(self._clipping, partial(self._reread, frames))
        return FinishedStack(self._restored(stack), None, self._clipping, self._overscan)

    def _restored(self, stack: Stack) -> Stack:
        stack = with_rounding(stack, self._clipping.step_adu, scatter_corrections(stack.frames, self._clipping))
        return stack if self._overscan is None else self._overscan.restored(stack, self._rests)

    def _reread(self, frames: Sequence[AcceptedFrame], places: NDArray[np.intp]) -> Iterator[NDArray[np.uint16]]:
        for path in (each.path for each in frames):
            if self._overscan is None:
                yield values_at(path, places)
            else:
                yield self._overscan.correct_words(read_night_pixels(path))[0].reshape(-1)[places]


class FlatStack:
    """A stack of flats on a common scale.

    Parameters
    ----------
    planned_frames
        Largest number of frames that may be added.
    recipe_at
        Function that returns the recipe for an exposure in seconds. Twilight flats of different exposures need
        different darks.
    """

    def __init__(self, planned_frames: int, recipe_at: Callable[[float], FlatRecipe]) -> None:
        self._planned_frames = planned_frames
        self._recipe_at = recipe_at
        self._accumulator: Accumulator | None = None
        self._factors: list[NDArray[np.float32]] = []

    @property
    def frames(self) -> int:
        """Number of frames in the stack."""
        return 0 if self._accumulator is None else self._accumulator.frames

    def fold(self, pixels: NDArray[np.uint16], exposure_s: float, digest: bytes) -> NDArray[np.uint16]:
        """Add a frame; see `FrameStack`."""
        flat = self._recipe_at(exposure_s).scaled(pixels)
        if self._accumulator is None:
            self._accumulator = _accumulator_for(flat.pixels, self._planned_frames)
        self._accumulator.hold(flat.pixels.copy(), digest)  # the next frame reuses the buffer
        self._factors.append(flat.factors)
        return flat.pixels

    def noise_adu(self) -> float | None:
        """Return the noise so far; see `FrameStack`."""
        return None if self._accumulator is None else self._accumulator.noise_adu()

    def finish(self, frames: Sequence[AcceptedFrame]) -> FinishedStack:
        """Combine the frames; see `FrameStack`."""
        assert self._accumulator is not None
        clipping = Clipping()
        stack = self._accumulator.finish(clipping, partial(self._reread, frames))
        recipe = self._recipe_at(fmean(each.exposure_s for each in frames))
        stack, masked = recipe.response(stack, self._factors)
        return FinishedStack(stack, masked, clipping, recipe.overscan)

    def _reread(self, frames: Sequence[AcceptedFrame], places: NDArray[np.intp]) -> Iterator[NDArray[np.uint16]]:
        for each in frames:
            flat = self._recipe_at(each.exposure_s).scaled(read_night_pixels(each.path))
            yield flat.pixels.reshape(-1)[places]


def _accumulator_for(pixels: NDArray[np.uint16], planned_frames: int) -> Accumulator:
    height, width = pixels.shape
    return Accumulator((height, width), planned_frames)
