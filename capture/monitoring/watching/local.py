"""Watch a run on this machine over its local socket."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.watching.address import is_trusted, peer_user, watch_address
from coldframe.capture.monitoring.watching.messages import (
    LONGEST_MESSAGE_BYTES,
    Answer,
    Command,
    Hello,
    Live,
    Message,
    MessageError,
    decode_message,
    encode_command,
)
from coldframe.capture.monitoring.watching.source import Attached, Detached, Silent, Update

POLL_S = 0.5
"""Time between attempts to find a run."""

HANDSHAKE_S = 10.0
"""Maximum time that a run may take to send all events so far."""

SILENCE_S = 120.0
"""Time without messages after which a run counts as silent.

A run publishes a temperature every second, even for cameras without a thermometer, during long exposures and while it
is paused. Only while it waits for a device between two steps can it remain silent for longer.
"""

REPEAT_S = 60.0
"""Time between repetitions of `Detached` while no run is attached."""

NO_RUN = "no run found"
INCOMPATIBLE = "the run uses a different version of coldframe"


class LocalSource:
    """A source that follows the run that stores its nights in a given folder.

    Parameters
    ----------
    storage
        The folder that contains the folders of the nights.
    """

    def __init__(self, storage: Path) -> None:
        self._address = watch_address(storage)
        self._writer: asyncio.StreamWriter | None = None

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Yield updates indefinitely. When a run is lost, search for the next run."""
        loop = asyncio.get_running_loop()
        reported: str | None = None
        repeated, again_s = NO_RUN, 0.0
        while True:
            reason, is_here = NO_RUN, True
            try:
                reader, writer = await self._connect()
            except ConnectionRefusedError:
                is_here = False
            except OSError as error:
                reason = str(error)
            else:
                try:
                    async for update in self._updates_from(reader, writer):
                        reported = None
                        yield update
                    reason = "the run is gone"
                except (OSError, TimeoutError):
                    reason = "the run does not answer"
                except (MessageError, ValueError):
                    reason = INCOMPATIBLE
                finally:
                    self._writer = None
                    writer.close()
            # Keep reporting why the run was lost, because this is more useful than "no run found".
            if reason != reported and (reported is None or is_here):
                repeated, again_s = reason, loop.time()
            reported = reason
            if loop.time() >= again_s:
                again_s = loop.time() + REPEAT_S
                yield Detached(repeated)
            await asyncio.sleep(POLL_S)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self._address, limit=LONGEST_MESSAGE_BYTES)
        if not is_trusted(peer_user(writer.get_extra_info("socket"))):
            writer.close()
            raise PermissionError("a program of a different user answers in place of the run; it is ignored")
        return reader, writer

    async def _updates_from(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncGenerator[Update, None]:
        async with asyncio.timeout(HANDSHAKE_S):
            attached = await self._attach(reader)
        if attached is None:
            return
        self._writer = writer
        yield attached
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await _next(reader)
            except TimeoutError:
                yield Silent()
                continue
            if message is None:
                return
            if isinstance(message, Event | Answer):
                yield message

    async def _attach(self, reader: asyncio.StreamReader) -> Attached | None:
        events = list[Event]()
        if not (line := await reader.readline()):
            return None
        hello = decode_message(line)
        if not isinstance(hello, Hello):
            raise MessageError("the first message is not a greeting")
        while (message := await _next(reader)) is not None:
            if isinstance(message, Event):
                events.append(message)
            elif isinstance(message, Live):
                return Attached(tuple(events), hello.allows_commands)
        return None

    def send(self, command: Command) -> str | None:
        """Send a command. Return None if an answer is to follow, or the reason why the command cannot be sent."""
        if self._writer is None:
            return "not attached to a run"
        with suppress(OSError):
            self._writer.write(f"{encode_command(command)}\n".encode("ascii"))
        return None


async def _next(reader: asyncio.StreamReader) -> Message | None:
    """Return the next message that this version can decode, or None at the end of the stream."""
    while line := await reader.readline():
        try:
            return decode_message(line)
        except MessageError:
            continue
    return None
