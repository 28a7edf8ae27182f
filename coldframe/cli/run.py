"""`coldframe run`: composes server, rig, night and whoever watches it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coldframe.capture.clock import NightClock
from coldframe.capture.dashboard.live import Dashboard
from coldframe.capture.events import EventStream, NightOutcome
from coldframe.capture.journal import Journal
from coldframe.capture.learned_flats import LearnedFlats
from coldframe.capture.log import JsonLog, LineLog, duration_text
from coldframe.capture.night import Night
from coldframe.capture.night_folder import NightFolder
from coldframe.capture.plan import ShootStep, estimate_s, plan_night
from coldframe.capture.preflight import UnfitPlanError, require_fit
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.simulated_server import simulated_server
from coldframe.config.examples import example_night
from coldframe.config.loading import ConfigError, find_config, load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import RigFileError
from coldframe.devices.errors import DeviceError
from coldframe.devices.indi.rig import indi_rig

EXIT_CODES = {
    NightOutcome.COMPLETE: ExitCode.DONE,
    NightOutcome.INCOMPLETE: ExitCode.INCOMPLETE,
    NightOutcome.ABORTED: ExitCode.ABORTED,
    NightOutcome.INTERRUPTED: ExitCode.INTERRUPTED,
}
SIMULATED_NIGHTS = Path("~/coldframe-simulated")
"""Never the folder of real nights: invented frames do not belong among them."""

LEARNED_FLATS = "learned-flats.json"


def show_plan(config: Path | None, simulate: str | None) -> ExitCode:
    """Print the plan of a night without touching anything."""
    try:
        settings = _load(config, simulate, None)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    Console().print(plan_table(settings))
    return ExitCode.DONE


def plan_table(settings: Settings) -> Table:
    """Return the steps of a night with their expected times."""
    steps = plan_night(settings)
    estimates = estimate_s(steps, settings)
    table = Table(
        title=f"Plan for {settings.camera.device}",
        title_justify="left",
        caption="not asked: server, devices, disk",
        caption_justify="left",
        show_footer=True,
    )
    table.add_column("step", footer="in all")
    table.add_column("frames", justify="right")
    table.add_column("about", justify="right", footer=duration_text(sum(estimates)))
    for step, estimate in zip(steps, estimates, strict=True):
        table.add_row(step.title, str(step.count) if isinstance(step, ShootStep) else "", duration_text(estimate))
    return table


def run_night(
    config: Path | None, simulate: str | None, folder: Path | None, *, wants_dashboard: bool, wants_json: bool
) -> ExitCode:
    """Run a night to its end. From its first step on every way out leaves the rig safe; before, nothing is touched."""
    try:
        settings = _load(config, simulate, folder)
        return asyncio.run(
            _until_signalled(_run(settings, simulate, wants_dashboard=wants_dashboard, wants_json=wants_json))
        )
    except (ConfigError, RigFileError, DeviceError, UnfitPlanError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or 'coldframe'}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except (KeyboardInterrupt, asyncio.CancelledError):
        return ExitCode.INTERRUPTED


def _load(config: Path | None, simulate: str | None, folder: Path | None) -> Settings:
    """Read the configuration; a simulated rig without one has an example night of its own."""
    path = config or (example_night(simulate) if simulate else find_config())
    settings = load_settings(path)
    if folder is None and simulate and not config:
        folder = SIMULATED_NIGHTS.expanduser()
    if folder is None:
        return settings
    return settings.model_copy(update={"storage": settings.storage.model_copy(update={"folder": folder.resolve()})})


async def _run(settings: Settings, simulate: str | None, *, wants_dashboard: bool, wants_json: bool) -> ExitCode:
    clock, events = NightClock(), EventStream()
    async with AsyncExitStack() as resources:
        if simulate is not None:
            server = await resources.enter_async_context(simulated_server(simulate))
            settings = settings.model_copy(update={"server": server})
        rig = await resources.enter_async_context(indi_rig(settings, clock.now))
        await rig.connect()
        require_fit(plan_night(settings), rig.camera.features, rig.wheel.filters if rig.wheel else None)
        folder = NightFolder.create(settings.storage.folder, clock.now())
        resources.enter_context(_log_to(folder.path / "coldframe.log"))
        journal = await resources.enter_async_context(Journal(folder.path / "journal.jsonl"))
        events.subscribe(journal)
        await resources.enter_async_context(_watched(events, wants_dashboard=wants_dashboard, wants_json=wants_json))
        learned = LearnedFlats.load(settings.storage.folder / LEARNED_FLATS)
        night = Night(settings, rig, folder=folder, learned=learned, events=events, clock=clock)
        try:
            return EXIT_CODES[await night.run()]
        finally:
            if journal.failure is not None:
                print(f"{folder.path}: the journal is not complete: {journal.failure}", file=sys.stderr)


async def _until_signalled(run: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """Run to the end; SIGINT, SIGTERM and SIGHUP end it in the safe state, a second one cuts the warm-up short."""
    running = asyncio.create_task(run, name="run")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        return ExitCode.INTERRUPTED


@asynccontextmanager
async def _watched(events: EventStream, *, wants_dashboard: bool, wants_json: bool) -> AsyncIterator[None]:
    """Show the events as JSON lines, on the dashboard where there is a terminal, or else as lines of text."""
    async with AsyncExitStack() as screen:
        if wants_json:
            events.subscribe(JsonLog(sys.stdout))
        elif wants_dashboard and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            try:
                events.subscribe(await screen.enter_async_context(Dashboard(sys.stdout.fileno())))
            except OSError:  # a terminal that may not be opened: lines still reach it
                events.subscribe(LineLog(sys.stdout))
        else:
            events.subscribe(LineLog(sys.stdout))
        yield


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Write the program's own log, and what the INDI library prints, to a file of the night."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("coldframe")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
