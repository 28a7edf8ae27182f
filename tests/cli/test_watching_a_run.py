"""A real run, watched and steered from another process over its local socket."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import ExposureStarted, NightEnded, NightPaused, NightStarted
from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.watching.messages import Answer, Command, Request
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update
from coldframe.config.examples import example_night
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.deep


def configuration(folder: Path) -> Path:
    """Write the example night of the small rig, with commands allowed; return its path."""
    text = example_night("small").read_text()
    tables = f'[watch]\nallow_commands = true\n\n[storage]\nfolder = "{folder / "nights"}"\n\n'
    path = folder / "night.toml"
    path.write_text(text.replace("[[sets]]", f"{tables}[[sets]]", 1))
    return path


async def start(config: Path) -> asyncio.subprocess.Process:
    arguments = ("-m", "coldframe", "run", "--simulate", "small", "--config", str(config), "--json")
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)


async def first(updates: AsyncGenerator[Update, None], kind: type[Update]) -> Update:
    async for update in updates:
        if isinstance(update, kind):
            return update
    raise AssertionError("the updates ended")


async def test_run_is_watched_steered_killed_and_followed_by_another(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    (tmp_path / "nights").mkdir()
    source = LocalSource(tmp_path / "nights")
    async with asyncio.timeout(2 * PATIENCE_S), aclosing(source.updates()) as updates:
        await first(updates, Detached)
        run = await start(config)
        try:
            await first(updates, Attached)
            await first(updates, ExposureStarted)
            async with aclosing(LocalSource(tmp_path / "nights").updates()) as late:
                attached = await first(late, Attached)
                assert isinstance(attached, Attached)
                assert isinstance(attached.events[0], NightStarted)
                assert any(isinstance(event, ExposureStarted) for event in attached.events)
            assert source.send(Command(Request.PAUSE)) is None
            await first(updates, NightPaused)
        finally:
            run.send_signal(signal.SIGKILL)
            await run.wait()
        assert isinstance(await first(updates, Detached), Detached)
        run = await start(config)
        try:
            await first(updates, Attached)
            await first(updates, ExposureStarted)
            source.send(Command(Request.ABORT))
            answer = await first(updates, Answer)
            assert answer == Answer("the night is ending, and the rig is being made safe")
            await first(updates, NightEnded)
            assert await run.wait() == 130
        finally:
            if run.returncode is None:
                os.kill(run.pid, signal.SIGKILL)
                await run.wait()
    # The second run resumes the night of the first, but is not paused as that was.
    (journal,) = (tmp_path / "nights").glob("*/journal.jsonl")
    kinds = [json.loads(line)["event"] for line in journal.read_text().splitlines()]
    assert [kinds.count(kind) for kind in ("night-started", "night-paused", "night-ended")] == [2, 1, 1]
