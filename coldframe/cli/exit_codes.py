"""What the exit status of a command says."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status, the same for every command."""

    DONE = 0
    INCOMPLETE = 1
    BAD_INPUT = 2
    ABORTED = 3
    INTERRUPTED = 130
