"""Send the events of a run to watchers on this machine. A slow watcher never delays the night."""

import asyncio
import logging
from pathlib import Path
from types import TracebackType
from typing import Self

from coldframe.capture.events.kinds import Event
from coldframe.capture.events.stream import EventStream
from coldframe.capture.monitoring.watching.address import is_trusted, peer_user, watch_address
from coldframe.capture.monitoring.watching.history import History
from coldframe.capture.monitoring.watching.messages import (
    LONGEST_COMMAND_BYTES,
    Hello,
    MessageError,
    decode_command,
    encode_answer,
    encode_hello,
    encode_live,
    obey,
)
from coldframe.capture.session.steering import Steering

log = logging.getLogger(__name__)

MOST_WATCHERS = 16

MOST_BYTES = 4_000_000
"""Maximum backlog, in bytes, before a watcher is disconnected.

It must exceed the size of the history, which is sent all at once when a watcher attaches, because a slow link needs
time to transmit the history.
"""

REFUSED = "refused: the run's configuration lacks allow_commands = true in [watch]"


class WatchServer:
    """An asynchronous context manager that serves a night's events on a local socket. Enter it before the first event.

    Parameters
    ----------
    storage
        The folder that contains the night's folder. Watchers use it to find the run.
    events
        The events to send.
    steering
        Object that carries out the commands of watchers.
    allows_commands
        Whether watchers may send commands.
    most_bytes
        See `MOST_BYTES`.

    Raises
    ------
    OSError
        On entry, if another run uses the same storage folder, or if the system does not support abstract sockets.
    """

    def __init__(
        self,
        storage: Path,
        events: EventStream,
        steering: Steering,
        *,
        allows_commands: bool,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._address = watch_address(storage)
        self._events = events
        self._steering = steering
        self._allows_commands = allows_commands
        self._most_bytes = most_bytes
        self._history = History()
        self._watchers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def watchers(self) -> int:
        """Number of attached watchers."""
        return len(self._watchers)

    async def __aenter__(self) -> Self:
        """Open the socket."""
        self._server = await asyncio.start_unix_server(self._welcome, self._address, limit=LONGEST_COMMAND_BYTES)
        self._events.subscribe(self._publish)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect all watchers. Data that they have not read by then is lost."""
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def _publish(self, event: Event) -> None:
        line = self._history.add(event)
        for watcher in tuple(self._watchers):
            self._send(watcher, line)

    def _send(self, watcher: asyncio.StreamWriter, *lines: str) -> None:
        """Send lines, and disconnect the watcher if its backlog is too large."""
        transport = watcher.transport
        if transport.is_closing():
            self._watchers.discard(watcher)
            return
        transport.write("".join(f"{line}\n" for line in lines).encode("ascii"))
        if transport.get_write_buffer_size() > self._most_bytes:
            log.info("disconnected a watcher that stopped reading")
            self._watchers.discard(watcher)
            transport.abort()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            if len(self._watchers) < MOST_WATCHERS and is_trusted(peer_user(writer.get_extra_info("socket"))):
                await self._serve(reader, writer)
        except (OSError, ValueError) as error:  # ValueError: a line that is too long
            log.info("disconnected a watcher: %s", error)
        except asyncio.CancelledError:
            pass  # the run has ended; only `__aexit__` waits for this task
        finally:
            self._serving.discard(task)
            self._watchers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = encode_hello(Hello(self._allows_commands))
        self._watchers.add(writer)
        self._send(writer, hello, *self._history.lines(), encode_live())
        while line := await reader.readline():
            try:
                command = decode_command(line)
            except MessageError as error:
                log.info("disconnected a watcher: %s", error)
                return
            answer = obey(self._steering, command) if self._allows_commands else REFUSED
            log.info("a watcher sent %s: %s", command.request, answer)
            self._send(writer, encode_answer(answer))
