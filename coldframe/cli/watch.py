"""`coldframe watch`: show the dashboard of a run in another process or on another machine."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from coldframe.capture.monitoring.dashboard.controls import Controls
from coldframe.capture.monitoring.dashboard.keyboard import Keyboard
from coldframe.capture.monitoring.dashboard.layout import summary
from coldframe.capture.monitoring.dashboard.terminal import Dashboard
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.telemetry.remote import RemoteSource
from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.watching.messages import Answer, Command
from coldframe.capture.monitoring.watching.source import NightSource, Update
from coldframe.capture.monitoring.watching.watched_night import WatchedNight
from coldframe.capture.threads import DaemonThreads
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_for_messages, load_settings
from coldframe.devices.mqtt.client import BrokerSetupError, read_access
from coldframe.operations.nights.end_signals import on_end_signals


def watch_remote(config: Path | None) -> ExitCode:
    """Show the run that publishes to the configured MQTT broker, until the dashboard is closed."""
    if not _can_draw():
        return ExitCode.BAD_INPUT
    path = config or find_config()
    try:
        settings = load_for_messages(path)
        if settings.mqtt is None:
            print(f"{path} has no [mqtt] table with the broker: see coldframe explain mqtt", file=sys.stderr)
            return ExitCode.BAD_INPUT
        rig = settings.mqtt.rig or settings.camera.device
        source = RemoteSource(settings.mqtt, read_access(settings.mqtt), rig)
        asyncio.run(_until_closed(Watch(source, None)))
    except (ConfigError, BrokerSetupError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.DONE


def _can_draw() -> bool:
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return True
    print("watch needs an interactive terminal; programs can read events from coldframe run --json", file=sys.stderr)
    return False


def watch_night(config: Path | None, folder: Path | None) -> ExitCode:
    """Show the run that stores its night in a folder, until the dashboard is closed."""
    if not _can_draw():
        return ExitCode.BAD_INPUT
    try:
        storage = folder or load_settings(config or find_config()).storage.folder
        asyncio.run(_until_closed(Watch(LocalSource(storage), storage)))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or 'coldframe'}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.DONE


async def _until_closed(watching: "Watch") -> None:
    """Watch until a key or a signal closes the dashboard; both restore the terminal."""
    # A disk that hangs must not keep the process from ending.
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    task = asyncio.create_task(watching.run(), name="watch")
    on_end_signals(task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


class Watch:
    """The dashboard of a night that another process runs.

    Parameters
    ----------
    source
        Source of the events.
    storage
        Folder of nights on this machine; the last night in it is shown while there is no run. None if there is no such
        folder.
    """

    def __init__(self, source: NightSource, storage: Path | None) -> None:
        self._source = source
        self._night = WatchedNight(storage)
        self._controls = Controls(self._send, self._close, allows_commands=False, note=self._night.note)
        self._dashboard = Dashboard(sys.stdout.fileno(), controls=self._controls, farewell=farewell)
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Show the night until the dashboard is closed."""
        async with AsyncExitStack() as resources:
            await resources.enter_async_context(self._dashboard)
            if sys.stdin is not None:
                await resources.enter_async_context(Keyboard(sys.stdin.fileno(), self._dashboard.press))
            following = asyncio.create_task(self._follow(), name="following")
            closed = asyncio.create_task(self._closed.wait(), name="closed")
            try:
                await asyncio.wait([following, closed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (following, closed):
                    task.cancel()
                await asyncio.wait([following, closed])
            if not following.cancelled():
                following.result()

    async def _follow(self) -> None:
        async with aclosing(self._source.updates()) as updates:
            async for update in updates:
                await self._take(update)

    async def _take(self, update: Update) -> None:
        if isinstance(update, Answer):
            self._dashboard.show_message(update.text)
            return
        await self._night.take(update)
        self._controls.note, self._controls.allows_commands = self._night.note, self._night.refusal is None
        self._dashboard.show(self._night.state)

    def _send(self, command: Command) -> str | None:
        return self._night.refusal or self._source.send(command)

    def _close(self) -> None:
        self._closed.set()


def farewell(state: DashboardState) -> RenderableType:
    """Return the text to leave on the screen: the summary of a finished night, or the command that shows the night."""
    if state.ended is not None:
        return summary(state)
    if state.lost_at is not None:
        return Text("the night was left unfinished; for its state, run: coldframe report")
    return Text("" if state.night is None else "the night continues; to watch it again, run: coldframe watch")
