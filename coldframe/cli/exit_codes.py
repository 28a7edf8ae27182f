"""The exit codes of all commands."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a command."""

    DONE = 0
    INCOMPLETE = 1
    BAD_INPUT = 2
    ABORTED = 3
    NOT_SAFE = 4
    INTERRUPTED = 130
