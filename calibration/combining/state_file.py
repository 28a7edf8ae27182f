"""Files that contain the running state of a set, so that the set can grow for months.

The running state consists of sums and extreme values of each pixel. A state file contains, in this order: a line that
names the format; the length of the description as a 64-bit number; the description in JSON (`_Description`); for each
band of pixels, the sums of squares (64 bits), the sums (32 bits), and the largest and the smallest values (16 bits);
and the SHA-256 of all preceding bytes. Numbers are little-endian. The description determines the size of the file, and
this size is checked before memory is allocated.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictBool, StrictInt, StrictStr, ValidationError

from coldframe.calibration.combining.combine import StackingError
from coldframe.calibration.files.durable import replace_durably, write_durably
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import MOST_FRAMES
from coldframe.calibration.stacking.pixel_state import PixelState
from coldframe.config.frames import FrameKind

MAGIC = b"coldframe running state 1\n"

PLANNED_FRAMES = 500
"""Number of frames for which the tails (the extreme values) of a state on disk are sized, because the final number of
frames is unknown."""

LONGEST_DESCRIPTION = 1 << 28
"""Largest size of the description, in bytes; it is sufficient for 32,767 frames with headers of 8 kB each."""

_USED = "it has changed since it was read, because another process is using it; start again"

_LENGTH_BYTES = 8
_DIGEST_BYTES = 32
_PIXEL_BYTES = 12 + 4 * 8

log = logging.getLogger(__name__)

HeaderText = dict[str, StrictBool | StrictInt | FiniteFloat | StrictStr]


class StateFileError(StackingError):
    """A file is not a readable state, or has changed since it was read.

    Attributes
    ----------
    path
        The file.
    what
        The fault.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path
        self.what = what


class SavedFrame(BaseModel):
    """A frame in a state.

    Attributes
    ----------
    digest
        Digest of the frame's pixels; see `pixel_digest`.
    path
        Absolute path of the frame's file.
    kind
        Kind of the frame.
    half_step_adu
        Half the step between neighbouring levels of the frame, ADU; see `half_step`.
    header
        Values of the cards in the frame's header.
    """

    model_config = ConfigDict(extra="forbid")

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    path: Annotated[str, Field(max_length=4096)]
    kind: FrameKind | None
    half_step_adu: Annotated[FiniteFloat, Field(ge=0, le=65535)]
    header: HeaderText


class _Description(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shape: tuple[Annotated[StrictInt, Field(ge=1, le=1 << 20)], Annotated[StrictInt, Field(ge=1, le=1 << 20)]]
    tails: Literal[8]
    frames: Annotated[list[SavedFrame], Field(min_length=1, max_length=MOST_FRAMES)]


@dataclass(slots=True)
class SavedState:
    """A running state and a list of its frames.

    Attributes
    ----------
    accumulator
        The state, with tails that are sized for `PLANNED_FRAMES`.
    frames
        The frames of the state, in the order in which they were added.
    stamp
        Identity of the file when it was last read or written; None for a state without a file.
    """

    accumulator: Accumulator
    frames: list[SavedFrame]
    stamp: tuple[int, int, int] | None = None


def read_state(path: Path) -> SavedState:
    """Read a state from disk.

    Raises
    ------
    StateFileError
        If the file cannot be read, is not a state, or has been damaged since it was written.
    """
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            read = _HashedFile(path, file)
            description = _described(path, read, status.st_size)
            digests = [bytes.fromhex(frame.digest) for frame in description.frames]
            accumulator = Accumulator.restored(description.shape, PLANNED_FRAMES, digests, read.band)
            read.check_digest()
    except OSError as error:
        raise StateFileError(path, error.strerror or str(error)) from error
    return SavedState(accumulator, description.frames, _stamp(status))


def write_state(path: Path, state: SavedState) -> None:
    """Write a state to disk; an old file is replaced only when the new one is complete.

    Raises
    ------
    StateFileError
        If the file has changed since it was read, because another process has added frames, or if another process is
        writing it.
    NotDurableError
        If the state could not be written, or if the state was not read from a file but a file exists at the path.
    """
    if state.stamp is None:
        write_durably(path, _pieces(state))
    else:
        with _locked(path):
            if _stamp(path.stat()) != state.stamp:
                raise StateFileError(path, _USED)
            replace_durably(path, _pieces(state))
    state.stamp = _stamp(path.stat())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a state file, so that no other process replaces the file between the check and the replacement.

    A process that locks the old file after its replacement notices that a different file is at the path.
    """
    try:
        file = open_regular(path)
    except OSError as error:
        raise StateFileError(path, _USED) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateFileError(path, "another process is writing it; start again") from error
        except OSError:
            log.debug("%s: its file system has no locks", path)
        yield


class _HashedFile:
    """A state file that is read from its beginning and hashed as it is read."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self._path = path
        self._file = file
        self._hash = hashlib.sha256()

    def fill(self, memory: memoryview) -> None:
        if self._file.readinto(memory) < len(memory):
            raise StateFileError(self._path, "truncated")
        self._hash.update(memory)

    def take(self, count: int) -> bytes:
        content = bytearray(count)
        self.fill(memoryview(content))
        return bytes(content)

    def band(self, state: PixelState) -> None:
        for plane in _planes(state):
            self.fill(plane)

    def check_digest(self) -> None:
        if self._file.read(_DIGEST_BYTES + 1) != self._hash.digest():
            raise StateFileError(self._path, "damaged: it has changed since it was written (SHA-256 differs)")


def _described(path: Path, file: _HashedFile, size: int) -> _Description:
    """Read the description, and check that the file has the size that the description implies."""
    start = len(MAGIC) + _LENGTH_BYTES
    if size < start or file.take(len(MAGIC)) != MAGIC:
        raise StateFileError(path, "this is not a running state of coldframe")
    length = int.from_bytes(file.take(_LENGTH_BYTES), "little")
    if length > min(size, LONGEST_DESCRIPTION):
        raise StateFileError(path, "damaged: its description is longer than the file")
    try:
        description = _Description.model_validate_json(file.take(length))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "description"
        raise StateFileError(path, f"damaged: {where}: {first['msg']}") from error
    if len({frame.digest for frame in description.frames}) < len(description.frames):
        raise StateFileError(path, "damaged: it contains a frame twice")
    height, width = description.shape
    needed = start + length + height * width * _PIXEL_BYTES + _DIGEST_BYTES
    if size != needed:
        raise StateFileError(
            path, f"truncated or damaged: {width} x {height} pixels need {needed} bytes, but the file has {size}"
        )
    return description


def _pieces(state: SavedState) -> Iterator[bytes | memoryview]:
    sum_of_all = hashlib.sha256()
    for piece in _content(state):
        sum_of_all.update(piece)
        yield piece
    yield sum_of_all.digest()


def _content(state: SavedState) -> Iterator[bytes | memoryview]:
    description = _Description(shape=state.accumulator.shape, tails=8, frames=state.frames).model_dump_json().encode()
    yield MAGIC
    yield len(description).to_bytes(_LENGTH_BYTES, "little")
    yield description
    for band in state.accumulator.bands:
        yield from _planes(band)


def _planes(state: PixelState) -> Iterator[memoryview]:
    for values in (state.squares, state.totals, state.high, state.low):
        yield values.data.cast("B")


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
