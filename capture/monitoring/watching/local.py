"""A run on this machine, watched over its local socket."""

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
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update

LOOK_S = 0.5
"""Between two looks for a run."""

HANDSHAKE_S = 10.0
"""How long a run may take to tell all that has happened."""

NO_RUN = "no run here"
UNINTELLIGIBLE = "another version of coldframe runs here"


class LocalSource:
    """The run that stores into a folder.

    Parameters
    ----------
    storage
        The folder of the nights' folders.
    """

    def __init__(self, storage: Path) -> None:
        self._address = watch_address(storage)
        self._writer: asyncio.StreamWriter | None = None

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Yield what is new, without end; a run that is lost is looked for again."""
        told: str | None = None
        while True:
            reason, is_here = NO_RUN, True
            try:
                reader, writer = await self._connected()
            except ConnectionRefusedError:
                is_here = False
            except OSError as error:
                reason = str(error)
            else:
                try:
                    async for update in self._conversation(reader, writer):
                        told = None
                        yield update
                    reason = "the run is no longer there"
                except (OSError, TimeoutError):
                    reason = "the run does not answer"
                except (MessageError, ValueError):
                    reason = UNINTELLIGIBLE
                finally:
                    self._writer = None
                    writer.close()
            if reason != told:
                # What was learned when the run went away is not overwritten by finding none afterwards.
                if told is None or is_here:
                    yield Detached(reason)
                told = reason
            await asyncio.sleep(LOOK_S)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self._address, limit=LONGEST_MESSAGE_BYTES)
        if not is_trusted(peer_user(writer.get_extra_info("socket"))):
            writer.close()
            raise PermissionError("another user's program answers for the run; it is not listened to")
        return reader, writer

    async def _conversation(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncGenerator[Update, None]:
        async with asyncio.timeout(HANDSHAKE_S):
            attached = await self._attach(reader)
        if attached is None:
            return
        self._writer = writer
        yield attached
        while (message := await _next(reader)) is not None:
            if isinstance(message, Event | Answer):
                yield message

    async def _attach(self, reader: asyncio.StreamReader) -> Attached | None:
        events = list[Event]()
        if not (line := await reader.readline()):
            return None
        hello = decode_message(line)
        if not isinstance(hello, Hello):
            raise MessageError("no greeting")
        while (message := await _next(reader)) is not None:
            if isinstance(message, Event):
                events.append(message)
            elif isinstance(message, Live):
                return Attached(tuple(events), hello.allows_commands)
        return None

    def send(self, command: Command) -> str | None:
        """Send a command; return why that is not possible, None where an answer will come."""
        if self._writer is None:
            return "no run is attached"
        with suppress(OSError):
            self._writer.write(f"{encode_command(command)}\n".encode("ascii"))
        return None


async def _next(reader: asyncio.StreamReader) -> Message | None:
    """Return the next message that this version knows; None at the end."""
    while line := await reader.readline():
        try:
            return decode_message(line)
        except MessageError:
            continue
    return None
