"""Print the messages of an operation on the terminal."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from coldframe.calibration.files.headers.file_error import FrameFileError

_MOST_NAMED = 3


class Printed:
    """Results printed to standard output, and everything else to standard error; see `Reports`."""

    def line(self, text: str) -> None:
        """Print part of the result."""
        print(text)

    def notice(self, text: str) -> None:
        """Print a message that may need the user's attention."""
        print(text, file=sys.stderr)

    def left_out(self, errors: Sequence[FrameFileError]) -> None:
        """Print why files are left out; a reason that many files share is printed once."""
        by_reason: defaultdict[str, list[Path]] = defaultdict(list)
        for error in errors:
            by_reason[error.what].append(Path(error.path))
        for reason, paths in by_reason.items():
            if len(paths) <= _MOST_NAMED:
                for path in paths:
                    print(f"left out: {path}: {reason}", file=sys.stderr)
            else:
                named = ", ".join(map(str, paths[:_MOST_NAMED]))
                print(f"left out: {named} and {len(paths) - _MOST_NAMED} more: {reason}", file=sys.stderr)

    def refused(self, paths: Sequence[Path], error: Exception, more: str = "") -> None:
        """Print an error that concerns some files, in a line that names them."""
        from coldframe.operations.light_groups import fault_text  # noqa: PLC0415 - `combine` needs no lights

        print(fault_text(paths, error, more), file=sys.stderr)
