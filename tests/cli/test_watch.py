"""`coldframe watch` is attached, resized, steered and closed in a real terminal (tmux). This process is the run."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    Event,
    ExposureStarted,
    FrameAccepted,
    MasterGrew,
    NightEnded,
    NightStarted,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome, PlannedStep, StepType
from coldframe.capture.monitoring.watching.server import WatchServer
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.journal import encode_event
from coldframe.config.frames import FrameKind
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: apt install tmux")

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
STEPS = tuple(
    PlannedStep(number, f"dark {number} s", FrameKind.DARK, None, 30, number, 99.0, StepType.SHOOT)
    for number in range(1, 13)
)
WATCH = f"{sys.executable} -m coldframe watch --folder {{folder}}; stty -a; exec sleep 600"
HEADS = ("Plan", "Rig", "Last frame", "Noise of the master", "Latest")


def night() -> list[Event]:
    """Return the events of a night in its third set."""
    events: list[Event] = [
        NightStarted(AT, "/nights/2026-11-22", "Camera", "Panel", "Wheel", 6248, 4176, STEPS),
        *(StepStarted(AT, number) for number in (1, 2, 3)),
    ]
    for index in range(1, 8):
        at = AT + timedelta(seconds=9 * index)
        picture = np.outer(np.arange(64), np.arange(96)).astype(np.uint8)
        statistics = FrameStatistics(500.0, 500.0, 500.0, 10.0, 400, 600, 0.0)
        events += [
            ExposureStarted(at, 3, FrameKind.DARK, 3.0),
            TemperatureRead(at, -10.0, -10.0, 40.0),
            FrameShown(at, f"dark 3 s {index}/30", picture, np.arange(128)),
            FrameAccepted(at, 3, index, f"/n/{index}.fits", 3.0, -10.0, statistics),
            MasterGrew(at, 3, index, 10.0 / index**0.5),
        ]
    return events


class Terminal:
    """A terminal of a tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / f"tmux-{secrets.token_hex(4)}"

    def tmux(self, *arguments: str) -> str:
        # Without the user's own configuration.
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout

    def open(self, size: tuple[int, int], command: str) -> None:
        self.tmux("new-session", "-d", "-s", "main", "-x", str(size[0]), "-y", str(size[1]), command)

    @property
    def screen(self) -> list[str]:
        return self.tmux("capture-pane", "-p", "-t", "main").split("\n")[:-1]

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "main", *keys)

    def resize(self, size: tuple[int, int]) -> None:
        self.tmux("resize-window", "-t", "main", "-x", str(size[0]), "-y", str(size[1]))

    @property
    def watcher(self) -> int:
        """Process id of `coldframe watch`."""
        shell = self.tmux("list-panes", "-t", "main", "-F", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    def close(self) -> None:
        subprocess.run(
            ["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, check=False, timeout=PATIENCE_S
        )


class Watched:
    """A run, and the terminal of its watcher."""

    def __init__(self, storage: Path, terminal: Terminal) -> None:
        self.storage = storage
        self.terminal = terminal
        self.events = EventStream()
        self.steering = Steering(self.events, NightClock())

    def serving(self, *, allows_commands: bool = True) -> WatchServer:
        return WatchServer(self.storage, self.events, self.steering, allows_commands=allows_commands)

    def watch(self, size: tuple[int, int] = (80, 24)) -> None:
        self.terminal.open(size, WATCH.format(folder=self.storage))

    def publish_night(self) -> None:
        for event in night():
            self.events.publish(event)

    async def until(self, condition: Callable[[str], bool]) -> str:
        """Wait until the text on the screen meets a condition, and return it."""
        text, deadline_s = "", time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            text = "\n".join(await asyncio.to_thread(lambda: self.terminal.screen))
            if condition(text):
                return text
            await asyncio.sleep(0.1)
        raise AssertionError(f"the screen never met the condition:\n{text}")

    async def sees(self, *words: str) -> str:
        return await self.until(lambda text: all(each in text for each in words))


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    for name in ("NO_COLOR", "TMUX", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    storage = tmp_path / "nights"
    storage.mkdir()
    terminal = Terminal(tmp_path)
    yield Watched(storage, terminal)
    terminal.close()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_whole_night_is_shown_at_each_size_without_overlaps(watched: Watched, size: tuple[int, int]) -> None:
    async with watched.serving():
        watched.publish_night()
        watched.watch(size)
        text = await watched.sees("dark 3 s", "7/30", "sensor -10.0", "ADU after 7", "? help", "p pause", "a abort")
        lines = text.split("\n")
        assert len(lines) == size[1]
        assert max(map(len, lines)) <= size[0]
        for head in HEADS:
            # Each heading with its rule, complete and once.
            assert len(re.findall(rf"─ {head}(:[^─]*)? ─────", text)) == 1


def is_whole(words: str, size: tuple[int, int], text: str) -> bool:
    """Return whether a screen is completely drawn for a size."""
    lines = text.split("\n")
    is_headed = lines[0].startswith(" ✔ All well") and "dark 3 s" in lines[2]
    return words in text and is_headed and len(lines) == size[1] and max(map(len, lines)) <= size[0]


async def test_every_view_is_drawn_completely_after_a_resize(watched: Watched) -> None:
    screens = ("plan", "tuning", "frame", "log")
    sizes = [(120, 40), (70, 12), (200, 50), (80, 24)]
    async with watched.serving():
        watched.publish_night()
        watched.watch()
        await watched.sees("7/30")
        for key, name, size in zip("2345", screens, sizes, strict=True):
            watched.terminal.press(key)
            watched.terminal.resize(size)
            await watched.until(partial(is_whole, f"[{name}]", size))
        watched.terminal.resize((30, 5))
        await watched.until(partial(is_whole, "All well", (30, 5)))
        watched.terminal.resize((80, 24))
        await watched.sees("[log]")
        watched.terminal.press("?")
        await watched.sees("Press any key to close this help")
        watched.terminal.press("1")
        assert "Press any key" not in await watched.sees("[log]", "All well")


async def test_night_is_steered_from_the_keyboard(watched: Watched) -> None:
    async def run() -> None:
        with watched.steering.taking_requests():
            await asyncio.sleep(600)

    async with watched.serving():
        night = asyncio.create_task(run())
        await asyncio.sleep(0)
        watched.publish_night()
        watched.watch()
        await watched.sees("p pause")
        watched.terminal.press("p")
        await watched.sees("aus", "paused after the running exposure")
        assert watched.steering.is_paused
        watched.terminal.press("p")
        await watched.sees("the night continues", "All well")
        watched.terminal.press("a")
        await watched.sees("End the night now")
        assert not night.cancelling()
        watched.terminal.press("y")
        await watched.sees("the night is ending, and the rig is being made safe")
        await asyncio.wait([night])
        assert night.cancelled()


async def test_pasted_text_ends_no_night(watched: Watched) -> None:
    with watched.steering.taking_requests():
        async with watched.serving():
            watched.publish_night()
            watched.watch()
            await watched.sees("p pause")
            watched.terminal.tmux("set-buffer", "pay as you like; paypay")
            watched.terminal.tmux("paste-buffer", "-t", "main")
            # A key that is read together with the paste, on a busy machine, is a part of it: so it is pressed again.
            async with asyncio.timeout(PATIENCE_S):
                while "[log]" not in "\n".join(watched.terminal.screen):
                    watched.terminal.press("5")
                    await asyncio.sleep(1)
            await watched.sees("[log]", "p pause")
            assert not watched.steering.is_paused
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()


async def test_watcher_without_permission_is_read_only(watched: Watched) -> None:
    async with watched.serving(allows_commands=False):
        watched.publish_night()
        watched.watch()
        text = await watched.sees("7/30", "q quit")
        assert "p pause" not in text
        watched.terminal.press("p")
        await watched.sees("read-only")


async def test_watcher_outlives_runs_and_shows_the_last_night_meanwhile(watched: Watched) -> None:
    folder = watched.storage / "2026-11-20"
    folder.mkdir()
    earlier = NightStarted(AT, str(folder), "Old Camera", None, None, 100, 80, STEPS)
    ended = NightEnded(AT, NightOutcome.COMPLETE, "all planned masters were made; the rig is safe")
    (folder / "journal.jsonl").write_text("".join(f"{encode_event(each)}\n" for each in (earlier, ended)))
    watched.watch()
    await watched.sees("Complete", "no run found; showing the last night, 2026-11-20")
    for _ in range(2):
        async with watched.serving():
            watched.publish_night()
            text = await watched.sees("7/30", "All well")
            assert "no run" not in text
        await watched.sees("showing the unfinished night 2026-11-22", "No contact since", "was running")


@pytest.mark.parametrize(
    "how",
    [
        "key",
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.deep),
        pytest.param(signal.SIGHUP, marks=pytest.mark.deep),
    ],
)
async def test_terminal_is_restored(watched: Watched, how: str | signal.Signals) -> None:
    async with watched.serving():
        watched.publish_night()
        watched.watch()
        await watched.sees("7/30")
        if isinstance(how, str):
            watched.terminal.press("q")
        else:
            os.kill(watched.terminal.watcher, how)
        text = await watched.sees("the night continues", "icanon")
        assert "-icanon" not in text
        assert "-echo " not in text
        assert "Plan" not in text


def test_missing_terminal_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "coldframe", "watch", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert "needs an interactive terminal" in done.stderr
