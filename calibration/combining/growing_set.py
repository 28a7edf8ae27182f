"""Sets that grow: frames are added to a state on disk, from which the master of all frames so far is computed.

The state contains sums and extreme values of each pixel. Sets of flats cannot grow, because dust, focus and rotation
change from night to night, whereas bias and dark frames remain valid for months.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.combining.combine import NotOneSetError, StackingError
from coldframe.calibration.combining.frame_sets import FrameSet, RawFrame, sets_of
from coldframe.calibration.combining.state_file import (
    PLANNED_FRAMES,
    SavedFrame,
    SavedState,
    read_state,
    write_state,
)
from coldframe.calibration.files.frame_file import BZERO
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import UINT16_STORAGES, ImageFile, open_image, uint16_pixels
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.masters.flat_recipe import FlatRecipe
from coldframe.calibration.stacking.accumulator import Accumulator, RepeatedFrameError, WrongFrameError, pixel_digest
from coldframe.calibration.stacking.clipping import Clipping, half_step
from coldframe.calibration.stacking.methods import Mean, Method
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind

FRAMES_AT_ONCE = 8
"""Number of frames that are held in memory and added to the state together."""


class GrowingSet:
    """A set of frames and its state, which is updated as frames are added.

    Parameters
    ----------
    path
        The state's file; `save` creates it if it does not exist.
    unpacked_in
        Folder for copies of compressed files.

    Raises
    ------
    StateFileError
        If the file exists but cannot be used.
    """

    def __init__(self, path: Path, unpacked_in: Path) -> None:
        self.path = path
        self._unpacked_in = unpacked_in
        self._state = read_state(path) if path.exists() else None

    @property
    def frames(self) -> list[RawFrame]:
        """The frames in the state; their files may have been moved since they were added."""
        if self._state is None:
            return []
        return [_raw_frame(frame, self._state.accumulator.shape) for frame in self._state.frames]

    def require_fit(self, frames: Sequence[RawFrame], method: Method) -> None:
        """Raise an error if the frames or the method cannot be used with this state.

        Raises
        ------
        NotOneSetError
            If they cannot be used; the message states the reason.
        """
        if not isinstance(method, Clipping | Mean):
            raise NotOneSetError(
                f"a state keeps sums and extreme values, which do not suffice for this method ({method}): use --method"
                " mean, or sigma-clip with --center mean"
            )
        if any(frame.setup.kind is FrameKind.FLAT for frame in frames):
            raise NotOneSetError(
                "flats have no state: dust and focus change from night to night; combine them without a state"
            )
        known = self.frames
        if known and frames and len(sets_of([*known, *frames])) > 1:
            raise NotOneSetError(
                f"{self.path} contains {FrameSet(tuple(known))}; the files are"
                f" {'; '.join(map(str, sets_of(frames)))}. Each set needs its own state"
            )

    def add(self, frames: Sequence[RawFrame]) -> list[FrameFileError]:
        """Add frames to the state; return the faults of the frames that are left out, such as repeated frames.

        Raises
        ------
        NotOneSetError
            If the overscan of a frame was subtracted, if a frame has a different size, or if the state would contain
            too many frames.
        """
        if any(frame.rest is not None for frame in frames):
            raise NotOneSetError(
                "a state accepts only frames from which no overscan was subtracted: combine all of them without a"
                " state, or use --overscan none"
            )
        refused: list[FrameFileError] = []
        for first in range(0, len(frames), FRAMES_AT_ONCE):
            taken: dict[bytes, tuple[RawFrame, NDArray[np.uint16]]] = {}
            for frame in frames[first : first + FRAMES_AT_ONCE]:
                try:
                    _require_text(frame.image.path)
                    pixels = uint16_pixels(frame.image)
                    digest = pixel_digest(pixels)
                    self._refuse_known(frame.image.path, digest, taken)
                    taken[digest] = frame, pixels
                except FrameFileError as error:
                    refused.append(error)
            if taken:
                self._fold(taken)
        return refused

    def merge(self, other: "GrowingSet") -> None:
        """Merge another state into this state; the other state must contain different frames of the same set.

        Raises
        ------
        NotOneSetError
            If both states contain the same frame, or their sets differ.
        """
        theirs = other._state  # noqa: SLF001 - of the same class
        if theirs is None:
            raise NotOneSetError(f"{other.path}: this state does not exist")
        if self._state is None:
            raise NotOneSetError(f"{self.path}: this state does not exist, so {other.path} cannot be merged into it")
        self.require_fit(other.frames, Mean())
        try:
            self._state.accumulator.merge(theirs.accumulator)
        except (RepeatedFrameError, WrongFrameError) as error:
            raise NotOneSetError(f"{self.path} and {other.path}: {error}") from error
        self._state.frames += theirs.frames

    def save(self) -> None:
        """Write the state to disk; see `write_state`."""
        if self._state is not None:
            write_state(self.path, self._state)

    def stack(self, _images: Sequence[ImageFile], method: Method, _flat: FlatRecipe | None) -> tuple[Stack, None]:
        """Combine all frames of the state, and release its memory; this is a `Stacking` for frames other than flats.

        Raises
        ------
        StackingError
            If raw frames must be read again, because more values of a pixel are rejected than the state keeps, but a
            file is missing or has changed.
        """
        assert self._state is not None
        assert isinstance(method, Clipping | Mean)
        try:
            return self._state.accumulator.finish(method, self._reread), None
        except FrameFileError as error:
            raise StackingError(
                f"{error}. Some pixels of all frames must be read again: restore the file, or specify its new path on "
                "the command line"
            ) from error
        except WrongFrameError as error:
            raise StackingError(self._changed() or str(error)) from error

    def _refuse_known(self, path: Path, digest: bytes, taken: dict[bytes, tuple[RawFrame, NDArray[np.uint16]]]) -> None:
        if digest in taken:
            raise FrameFileError(
                path, f"it has the same pixels as {taken[digest][0].image.path}; each frame counts once"
            )
        known = [] if self._state is None else self._state.frames
        saved = next((frame for frame in known if frame.digest == digest.hex()), None)
        if saved is None:
            return
        if Path(saved.path) == path.resolve():
            raise FrameFileError(path, f"it is already in {self.path}; each frame counts once")
        # The file at the recorded path might now be a different frame: capture programs reuse the names of old frames.
        saved.path = str(path.resolve())
        raise FrameFileError(path, f"it is already in {self.path}; the state now records its new path")

    def _fold(self, taken: dict[bytes, tuple[RawFrame, NDArray[np.uint16]]]) -> None:
        if self._state is None:
            shape = next(iter(taken.values()))[1].shape
            self._state = SavedState(Accumulator((shape[0], shape[1]), PLANNED_FRAMES), [])
        try:
            self._state.accumulator.add_together([pixels for _, pixels in taken.values()], list(taken))
        except WrongFrameError as error:
            raise NotOneSetError(f"{self.path}: {error}") from error
        self._state.frames += [
            SavedFrame(
                digest=digest.hex(),
                path=str(frame.image.path.resolve()),
                kind=frame.setup.kind,
                half_step_adu=half_step(pixels),
                header=dict(frame.image.header),
            )
            for digest, (frame, pixels) in taken.items()
        ]

    def _reread(self, places: NDArray[np.intp]) -> Iterator[NDArray[np.uint16]]:
        assert self._state is not None
        for image in self._images():
            if image.storage not in UINT16_STORAGES or image.shape != self._state.accumulator.shape:
                raise FrameFileError(image.path, "it is no longer the frame that was added")
            yield image.values(places)

    def _images(self) -> Iterator[ImageFile]:
        assert self._state is not None
        for frame in self._state.frames:
            yield open_image(Path(frame.path), self._unpacked_in)

    def _changed(self) -> str | None:
        """Return a message about the first file that no longer contains the frame that was added; None if all do."""
        assert self._state is not None
        for frame, image in zip(self._state.frames, self._images(), strict=True):
            if pixel_digest(uint16_pixels(image)).hex() != frame.digest:
                return (
                    f"{image.path} is no longer the frame that was added to {self.path}. Some pixels of all frames "
                    "must be read again: specify the new path of that frame on the command line"
                )
        return None


def _require_text(path: Path) -> None:
    """Raise if the description of a state, which is JSON in UTF-8, cannot contain a path."""
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError as error:
        raise FrameFileError(
            path, "its path is not valid UTF-8, so a state cannot record it: rename the file"
        ) from error


def _raw_frame(frame: SavedFrame, shape: tuple[int, int]) -> RawFrame:
    """Return a frame of a state as a raw frame, without opening its file, which may have been moved."""
    path = Path(frame.path)
    setup = setup_of({**frame.header, "NAXIS1": shape[1], "NAXIS2": shape[0]})
    image = ImageFile(path, path, 0, shape, 16, BZERO, 1, frame.header)
    return RawFrame(image, replace(setup, kind=frame.kind), half_step_adu=frame.half_step_adu)
