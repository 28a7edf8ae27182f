"""The messages of an operation, collected for the caller."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.counted import counted
from coldframe.errors import ColdframeError
from coldframe.operations.reports import reason_of


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was not used.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    reason : str
        Why it was not used.
    """

    path: Path
    reason: str


class NothingDoneError(ColdframeError):
    """None of the files could be used.

    Attributes
    ----------
    left_out : tuple of LeftOut
        The files, each with the reason.
    """

    def __init__(self, left_out: Sequence[LeftOut]) -> None:
        first = left_out[0]
        more = "" if len(left_out) == 1 else f" (and {counted(len(left_out) - 1, 'more file')})"
        named = first.reason if str(first.path) in first.reason else f"{first.path}: {first.reason}"
        super().__init__(f"no file could be used: {named}{more}")
        self.left_out = tuple(left_out)

    def __reduce__(self) -> tuple[type["NothingDoneError"], tuple[tuple[LeftOut, ...]]]:
        # By default, pickle rebuilds an exception from its message.
        return type(self), (self.left_out,)


@dataclass(slots=True)
class Collected:
    """The collected messages of an operation; see `coldframe.operations.reports.Reports`."""

    messages: list[str] = field(default_factory=list)
    files: list[LeftOut] = field(default_factory=list)

    def line(self, text: str) -> None:
        """Collect part of the result."""
        self.messages.append(text)

    def notice(self, text: str) -> None:
        """Collect something that may need attention."""
        self.messages.append(text)

    def left_out(self, errors: Sequence[FrameFileError]) -> None:
        """Collect files that are left out, each with the reason."""
        self.files += [LeftOut(Path(error.path), error.what) for error in errors]

    def refused(self, paths: Sequence[Path], error: Exception, more: str = "") -> None:
        """Collect files that cannot be used because of the same error."""
        reason = reason_of(error) + more
        self.files += [LeftOut(path, reason) for path in paths]
