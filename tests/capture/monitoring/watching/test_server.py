"""The socket of a run, with history, reconnecting, commands, and watchers that are slow or invalid."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, FilterChanged, NightPaused, NightStarted
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import PlannedStep, StepType
from coldframe.capture.monitoring.watching import local, server
from coldframe.capture.monitoring.watching.address import watch_address
from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.watching.messages import Answer, Command, Request
from coldframe.capture.monitoring.watching.server import MOST_WATCHERS, REFUSED, WatchServer
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update
from coldframe.capture.session.steering import Steering
from coldframe.config.frames import FrameKind
from tests.patience import PATIENCE_S

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
STEPS = (PlannedStep(1, "dark 60 s", FrameKind.DARK, None, 300, 60.0, 18_000.0, StepType.SHOOT),)
STARTED = NightStarted(AT, "/night", "Camera", None, None, 100, 80, STEPS)


class Run:
    """The events of a run, and their server."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.events = EventStream()
        self.steering = Steering(self.events, NightClock())

    @asynccontextmanager
    async def serving(self, *, allows_commands: bool = True, most_bytes: int = 4_000_000) -> AsyncIterator[WatchServer]:
        watch_server = WatchServer(
            self.storage, self.events, self.steering, allows_commands=allows_commands, most_bytes=most_bytes
        )
        async with watch_server:
            yield watch_server


@pytest.fixture
async def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@asynccontextmanager
async def watched(storage: Path) -> AsyncIterator[tuple[LocalSource, "asyncio.Queue[Update]"]]:
    """Collect the updates of a watcher."""
    source, received = LocalSource(storage), asyncio.Queue[Update]()

    async def follow() -> None:
        async with aclosing(source.updates()) as updates:
            async for update in updates:
                received.put_nowait(update)

    following = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield source, received
    finally:
        following.cancel()
        await asyncio.wait([following])


async def connect(storage: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(watch_address(storage), limit=1 << 20)


async def test_watcher_gets_the_history_at_once_and_then_each_event(run: Run) -> None:
    async with run.serving(), watched(run.storage) as (_, received):
        first = await received.get()
        assert first == Attached((), allows_commands=True)
        run.events.publish(STARTED)
        assert await received.get() == STARTED
        async with watched(run.storage) as (_, late):
            run.events.publish(FilterChanged(AT, "Ha"))
            assert await late.get() == Attached((STARTED, FilterChanged(AT, "Ha")), allows_commands=True)
            run.events.publish(FilterChanged(AT, "L"))
            assert await late.get() == FilterChanged(AT, "L")


async def test_runs_and_watchers_may_start_and_end_in_any_order(run: Run) -> None:
    async with watched(run.storage) as (_, received):
        assert await received.get() == Detached("no run found")
        for _ in range(3):
            async with run.serving():
                assert isinstance(await received.get(), Attached)
            assert await received.get() == Detached("the run is gone")
        assert received.empty()


async def test_history_includes_the_last_picture(run: Run) -> None:
    picture = np.arange(64 * 96).reshape(64, 96).astype(np.uint8)
    async with run.serving():
        run.events.publish(FrameShown(AT, "dark 1", picture, np.arange(128)))
        async with watched(run.storage) as (_, received):
            attached = await received.get()
            assert isinstance(attached, Attached)
            (shown,) = attached.events
            assert isinstance(shown, FrameShown)
            np.testing.assert_array_equal(shown.picture, picture)


async def test_commands_reach_the_night_and_are_answered(run: Run) -> None:
    async with run.serving(), watched(run.storage) as (source, received):
        await received.get()
        with run.steering.taking_requests():
            assert source.send(Command(Request.PAUSE)) is None
            assert isinstance(await received.get(), NightPaused)
            answer = await received.get()
            assert answer == Answer("paused after the running exposure; the cooler stays on")
            assert run.steering.is_paused
            source.send(Command(Request.SKIP, 7))
            assert await received.get() == Answer("there is no step 7")


async def test_commands_are_refused_where_they_are_not_allowed(run: Run) -> None:
    async with run.serving(allows_commands=False), watched(run.storage) as (source, received):
        assert await received.get() == Attached((), allows_commands=False)
        with run.steering.taking_requests():
            for request in Request:
                source.send(Command(request))
                assert await received.get() == Answer(REFUSED)
            assert not run.steering.is_paused


@pytest.mark.parametrize(
    "nonsense", [b"hello\n", b"\xff\xfe\x00\n", b"[]\n", b'{"do": "fly"}\n', b"x" * 5000, b"[" * 900 + b"\n", b"{}\n"]
)
async def test_invalid_line_disconnects_only_its_sender(run: Run, nonsense: bytes) -> None:
    async with run.serving() as watch_server, watched(run.storage) as (_, received):
        await received.get()
        reader, writer = await connect(run.storage)
        writer.write(nonsense)
        await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        run.events.publish(STARTED)
        assert await received.get() == STARTED
        assert watch_server.watchers == 1


async def test_stopped_watcher_is_disconnected_and_delays_no_other(run: Run) -> None:
    script = "import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1].encode().decode("
    script += "'unicode_escape'))\nprint(s.recv(10), flush=True)\ntime.sleep(600)"
    async with run.serving(most_bytes=300_000) as watch_server, watched(run.storage) as (_, received):
        await received.get()
        address = watch_address(run.storage).replace("\0", "\\x00")
        stopped = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, address, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert stopped.stdout is not None
            await asyncio.wait_for(stopped.stdout.readline(), PATIENCE_S)
            os.kill(stopped.pid, signal.SIGSTOP)
            assert watch_server.watchers == 2
            published = 0
            while watch_server.watchers == 2:
                run.events.publish(FilterChanged(AT + timedelta(seconds=published), "H" * 200))
                published += 1
                assert published < 20_000
                if published % 50 == 0:
                    await asyncio.sleep(0)
            for count in range(published):
                event = await received.get()
                assert isinstance(event, Event)
                assert event.at == AT + timedelta(seconds=count), "the other watcher misses nothing"
        finally:
            stopped.kill()
            await stopped.wait()


async def test_second_run_with_the_same_folder_is_an_error(run: Run) -> None:
    async with run.serving():
        with pytest.raises(OSError, match="in use"):
            async with run.serving():
                pass


async def test_other_users_are_disconnected(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run.serving() as watch_server:
        monkeypatch.setattr(server, "is_trusted", lambda _user: False)
        reader, writer = await connect(run.storage)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
        assert watch_server.watchers == 0


async def test_run_of_another_user_is_ignored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "is_trusted", lambda _user: False)
    async with run.serving(), watched(run.storage) as (_, received):
        update = await received.get()
        assert isinstance(update, Detached)
        assert "a different user" in update.reason


async def test_number_of_watchers_is_limited(run: Run) -> None:
    async with run.serving() as watch_server:
        connections = [await connect(run.storage) for _ in range(MOST_WATCHERS + 3)]
        for reader, _ in connections[:MOST_WATCHERS]:
            await reader.readline()
        assert await connections[-1][0].read() == b""
        assert watch_server.watchers == MOST_WATCHERS
        for _, writer in connections:
            writer.close()


async def test_another_program_at_the_socket_is_not_taken_for_a_run(tmp_path: Path) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\n\n")
        writer.close()

    imposter = await asyncio.start_unix_server(answer, watch_address(tmp_path))
    async with imposter, watched(tmp_path) as (_, received):
        assert await received.get() == Detached("the run uses a different version of coldframe")
