"""The messages of a running operation. Commands print them; the Python API collects them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from coldframe.calibration.files.headers.file_error import FrameFileError


def reason_of(error: Exception) -> str:
    """Return the text of an error, without the number of an operating-system error."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


class Reports(Protocol):
    """Receives the messages of an operation."""

    def line(self, text: str) -> None:
        """Report part of the result."""

    def notice(self, text: str) -> None:
        """Report something that may need attention."""

    def left_out(self, errors: Sequence[FrameFileError]) -> None:
        """Report files that are left out, each with the reason."""

    def refused(self, paths: Sequence[Path], error: Exception, more: str = "") -> None:
        """Report files that cannot be used because of the same error; append `more` to its text."""
