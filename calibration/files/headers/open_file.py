"""Reading of parts of a file. Files are never mapped to memory.

If a disk fails while mapped memory is being read, or another program has shortened the file, the kernel ends the
process with SIGBUS (mmap(2)), and a rig would stay as it is. A failed read is an exception.
"""

import os
import weakref
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.stamp import Stamp
from coldframe.calibration.files.regular import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OpenFile:
    """A regular file that is open for reading, until `close` or as long as this object exists.

    Several threads may read at once.

    Parameters
    ----------
    path
        The file.
    name
        The file that messages name; None for `path`.

    Attributes
    ----------
    size
        Number of bytes when the file was opened.

    Raises
    ------
    FrameFileError
        If the file is not a regular file, or cannot be opened.
    """

    def __init__(self, path: Path, name: Path | None = None) -> None:
        self._name = path if name is None else name
        try:
            with open_regular(path) as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise self._fault(error) from error
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self.size = self.stamp().size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing it again has no effect."""
        self._close()

    def stamp(self) -> Stamp:
        """Return the stamp of the open file; its path may lead to a different file by now.

        Raises
        ------
        FrameFileError
            If the file system does not answer.
        """
        try:
            return Stamp.of_status(os.fstat(self._descriptor))
        except OSError as error:
            raise self._fault(error) from error

    def fill(self, array: "NDArray[Any]", start: int) -> None:
        """Fill a contiguous array with the bytes from the position `start`.

        Raises
        ------
        FrameFileError
            If the file cannot be read, or ends before the array is full.
        """
        filled = self._preadv(array.data, start)
        while filled < array.nbytes:
            count = self._preadv(array.view("u1").data.cast("B")[filled:], start + filled)
            if not count:
                raise FrameFileError(self._name, "the file became shorter while it was being read")
            filled += count

    def read(self, start: int, length: int) -> bytes:
        """Return up to `length` bytes from the position `start`; fewer only at the end of the file.

        Raises
        ------
        FrameFileError
            If the file cannot be read.
        """
        buffer, filled = memoryview(bytearray(max(0, min(length, self.size - start)))), 0
        while filled < len(buffer) and (count := self._preadv(buffer[filled:], start + filled)):
            filled += count
        return bytes(buffer[:filled])

    def _preadv(self, buffer: memoryview, start: int) -> int:
        try:
            return os.preadv(self._descriptor, [buffer], start)
        except OSError as error:
            raise self._fault(error) from error

    def _fault(self, error: OSError) -> FrameFileError:
        return FrameFileError(self._name, error.strerror or str(error))
