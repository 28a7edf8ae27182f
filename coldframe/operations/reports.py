"""The messages of an operation, which commands print while it works, and which the Python API collects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from coldframe.calibration.files.headers.file_error import FrameFileError


def reason_of(error: Exception) -> str:
    """Return an error as a text, without the number of an error of the system."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


class Reports(Protocol):
    """A receiver of the messages of an operation."""

    def line(self, text: str) -> None:
        """Report a part of the result."""

    def notice(self, text: str) -> None:
        """Report something that may need attention."""

    def left_out(self, errors: Sequence[FrameFileError]) -> None:
        """Report files that are left out, each with the reason."""

    def refused(self, paths: Sequence[Path], error: Exception, more: str = "") -> None:
        """Report files that cannot be used because of the same error, and more about it."""
