"""Run a command for `hooks` in a separate process, which ends all processes of the command when it receives SIGTERM.

A process of the command can leave the command's process group and outlive its parent. The hook process therefore adopts
such orphans, so that all processes of the command remain its descendants. It imports only the standard library, so it
starts within milliseconds.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36
"""Option of prctl(2), from linux/prctl.h, with which a process adopts the orphans among its descendants."""

PERIOD_S = 0.02


class TerminatedError(Exception):
    """The process received SIGTERM."""


def main() -> None:
    """Run the command, and write a description of its failure to standard output.

    The arguments of the process are the grace time in seconds and the command. The output of the command goes to
    standard error. The description is empty if the command succeeded.
    """
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, terminate)
    try:
        sys.stdout.write(failure_of(command))
    except TerminatedError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_descendants(grace_s)


def terminate(_number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM by raising an error in the main thread."""
    raise TerminatedError


def failure_of(command: list[str]) -> str:
    """Run a command, and return a description of its failure, or an empty string if it succeeded."""
    try:
        process = subprocess.Popen(command, stdout=sys.stderr)
    except (OSError, ValueError) as error:
        return f"cannot be run ({getattr(error, 'strerror', None) or error})"
    while (ended := os.wait())[0] != process.pid:
        pass  # an adopted process has ended
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    if process.returncode < 0:
        return f"was ended by signal {-process.returncode}"
    return f"failed with exit status {process.returncode}" if process.returncode else ""


def end_descendants(grace_s: float) -> None:
    """Send SIGTERM to all descendants. After the grace time, send SIGKILL to all descendants that there are by then.

    Processes that were started after SIGTERM may be cleaning up, so they are not killed before the grace time ends
    either. SIGKILL does not end a process that is waiting for a disk, so the wait after SIGKILL is bounded as well.
    """
    # SIGCHLD stays pending while it is blocked, so a child that ends between the check and the wait is not missed.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    send(signal.SIGTERM, descendants())
    ends_s = time.monotonic() + grace_s
    while has_children() and (left_s := ends_s - time.monotonic()) > 0:
        signal.sigtimedwait({signal.SIGCHLD}, left_s)
    ends_s = time.monotonic() + grace_s
    while has_children() and time.monotonic() < ends_s:
        send(signal.SIGKILL, descendants())
        signal.sigtimedwait({signal.SIGCHLD}, PERIOD_S)


def send(number: signal.Signals, processes: set[int]) -> None:
    """Send a signal to processes, some of which may have ended."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def has_children() -> bool:
    """Reap the children that have ended, and return whether any children remain."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def descendants() -> set[int]:
    """Return the process ids of the children of this process, of their children, and so on."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # the process has ended
                # The name of the program, in parentheses, can contain any characters (proc_pid_stat(5)).
                parents[int(folder.name)] = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
    found, generation = set[int](), {os.getpid()}
    while generation:
        generation = {process for process, parent in parents.items() if parent in generation} - found
        found |= generation
    return found


if __name__ == "__main__":
    main()
