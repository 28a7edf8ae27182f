"""Run the user's commands before and after the night, without a shell, and end all their processes at the deadline."""

import asyncio
import logging
import os
import shlex
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import HookEnded
from coldframe.capture.events.stream import EventStream
from coldframe.capture.session import hook_process
from coldframe.capture.threads import to_its_end
from coldframe.config.tables.night import HookSettings
from coldframe.errors import ColdframeError

GRACE_S = 5.0
"""Time that a command has to exit after SIGTERM. After this time, it receives SIGKILL."""

LONGEST_OUTPUT = 4000
"""Maximum number of bytes that are kept from the end of a command's output."""

Command = tuple[str, ...]

log = logging.getLogger(__name__)


class HookFailedError(ColdframeError):
    """A command that must succeed before the night can start has failed."""


@dataclass(slots=True)
class Hooks:
    """The commands that run before and after one night.

    Attributes
    ----------
    settings
        The commands, and the deadline for each of them.
    clock
        Clock that supplies the times at which the commands ended.
    failures
        Messages about the failures of commands that were run after the night.
    """

    settings: HookSettings
    clock: NightClock
    failures: list[str] = field(init=False, default_factory=list)
    _after: list[Command] = field(init=False)
    _unpublished: list[HookEnded] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._after = list(self.settings.after)

    def publish_results(self, events: EventStream) -> None:
        """Publish and log the results that have not been published yet.

        Results are not published at once, because the first commands run before the journal exists.
        """
        for ended in self._unpublished:
            events.publish(ended)
            log.info("%s: %s\n%s", ended.command, ended.fault or "done", ended.output)
        self._unpublished.clear()

    async def before(self) -> None:
        """Run the commands that the user has set to be run before the night.

        Raises
        ------
        HookFailedError
            If a command failed. Later commands are not run.
        """
        for command in self.settings.before:
            ended = await self._run(command)
            if ended.fault:
                last_line = f" ({ended.output.splitlines()[-1]})" if ended.output else ""
                raise HookFailedError(
                    f"the command before the night ({ended.command}) {ended.fault}{last_line}; nothing was moved"
                )

    async def after(self) -> None:
        """Run the commands for the end of the night that have not been run yet.

        A cancellation takes effect only after these commands are done. One of them might close a roof, and this must
        happen even if the user presses Ctrl-C repeatedly.
        """
        await to_its_end(self._run_after(), "hooks after the night")

    async def _run_after(self) -> None:
        while self._after:
            ended = await self._run(self._after.pop(0))
            if ended.fault:
                self.failures.append(f"the command after the night ({ended.command}) {ended.fault}")

    async def _run(self, command: Command) -> HookEnded:
        fault, output = await run_bounded(command, self.settings.deadline_s)
        ended = HookEnded(self.clock.now(), shlex.join(command), fault, output)
        self._unpublished.append(ended)
        return ended


async def run_bounded(command: Command, deadline_s: float) -> tuple[str, str]:
    """Run the command. If it has not ended by the deadline, end it and all processes that it started.

    The command's output goes to a file and not to a pipe, because a process that the command leaves in the background
    would keep a pipe open.

    Parameters
    ----------
    command
        Program and arguments; no shell interprets them.
    deadline_s
        Time after which all processes of the command receive SIGTERM. SIGKILL follows `GRACE_S` later.

    Returns
    -------
    tuple
        Description of the failure (empty if the command succeeded), and the end of the output.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", hook_process.__file__, str(GRACE_S), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"cannot be run ({getattr(error, 'strerror', None) or error})", ""
        try:
            async with asyncio.timeout(deadline_s):
                failure, _ = await process.communicate()
        except TimeoutError:
            await _end(process)
            return f"did not end within {deadline_s:g} s", _tail(output)
        except asyncio.CancelledError:
            await _end(process)
            raise
        if process.returncode:
            return f"lost its supervising process, which ended unexpectedly ({process.returncode})", _tail(output)
        return failure.decode(errors="replace"), _tail(output)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End all processes of the command, and wait until they have ended, even if the caller is cancelled again."""
    with suppress(ProcessLookupError):
        process.terminate()
    await to_its_end(process.wait(), "end of a hook")


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(size - LONGEST_OUTPUT, 0))
    return output.read().decode(errors="replace").strip()
