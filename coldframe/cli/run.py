"""`coldframe run`: composes server, rig, night and whoever watches it."""

import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import EventStream, NightOutcome, Notice, Severity, Subscriber
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.host.rig_lock import RigInUseError, rig_locked
from coldframe.capture.host.systemd import ServiceWatch
from coldframe.capture.monitoring.dashboard.controls import Controls
from coldframe.capture.monitoring.dashboard.keyboard import Keyboard
from coldframe.capture.monitoring.dashboard.terminal import Dashboard
from coldframe.capture.monitoring.notifications.sending import NotifySetupError
from coldframe.capture.monitoring.progress.narrator import JsonLog, LineLog
from coldframe.capture.monitoring.watching.messages import obey
from coldframe.capture.monitoring.watching.server import WatchServer
from coldframe.capture.night.end_of_night import end_of_night
from coldframe.capture.night.night import Night, planned_steps
from coldframe.capture.night.resuming import earlier_run, unfinished_night
from coldframe.capture.planning.disk_space import free_bytes, require_room
from coldframe.capture.planning.lights_for_rig import RigSnapshot
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.preflight import UnfitPlanError, require_fit
from coldframe.capture.planning.read_lights import NoLightsError
from coldframe.capture.rig.safe_state import SafeState
from coldframe.capture.session.hooks import HookFailedError, Hooks
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.journal import Journal
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.stray_frames import StrayFrames
from coldframe.capture.threads import in_thread
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.plan import NightPlan, NightRequest, plan_for
from coldframe.cli.remote_subscribers import RemoteSubscribers
from coldframe.cli.report import report_after
from coldframe.cli.simulated_server import simulated_server
from coldframe.config.loading import ConfigError
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import RigFileError
from coldframe.devices.errors import DeviceError
from coldframe.devices.indi.rig import indi_rig
from coldframe.devices.mqtt.client import BrokerSetupError
from coldframe.devices.rig import Rig

EXIT_CODES = {
    NightOutcome.COMPLETE: ExitCode.DONE,
    NightOutcome.INCOMPLETE: ExitCode.INCOMPLETE,
    NightOutcome.ABORTED: ExitCode.ABORTED,
    NightOutcome.INTERRUPTED: ExitCode.INTERRUPTED,
}
BAD_INPUT = (
    ConfigError,
    RigFileError,
    NoLightsError,
    HookFailedError,
    DeviceError,
    UnfitPlanError,
    RigInUseError,
    NotDurableError,
    BrokerSetupError,
    NotifySetupError,
)
LEARNED_FLATS = "learned-flats.json"
QUIET_PATIENCE_S = 10.0
"""How long a lost device is waited for before a run begins; it is waited for longer once it has begun."""

OPEN_SERVER = (
    "the INDI server {} is another machine's: INDI has neither passwords nor encryption, so whoever reaches it can "
    "move your hardware. Reach it through ssh or WireGuard"
)


def run_night(request: NightRequest, *, watch: bool, fresh: bool, wants_dashboard: bool, wants_json: bool) -> ExitCode:
    """Run a night to its end. From its first step on every way out leaves the rig safe; before, nothing is touched.

    Parameters
    ----------
    request
        Which night.
    watch
        Wait for the end of the night first; only with lights.
    fresh
        Begin anew, whatever an earlier run of this night has left.
    wants_dashboard, wants_json
        How it is told.
    """
    try:
        screen = _Screen(wants_dashboard=wants_dashboard, wants_json=wants_json)
        service = ServiceWatch()
        return asyncio.run(
            _until_signalled(_run(request, request.settings(), screen, service, watch=watch, fresh=fresh), service)
        )
    except BAD_INPUT as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or 'coldframe'}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except (KeyboardInterrupt, asyncio.CancelledError):
        return ExitCode.INTERRUPTED


async def _run(
    request: NightRequest, settings: Settings, screen: "_Screen", service: ServiceWatch, *, watch: bool, fresh: bool
) -> ExitCode:
    """Wait where that is wanted, then shoot, with the hooks around it."""
    remote = RemoteSubscribers.prepare(settings)
    clock = NightClock()
    asked = clock.now()
    if watch and request.lights is not None:
        waiting = EventStream()
        waiting.subscribe(screen.lines())
        await end_of_night(request.lights, settings.lights, settings.site, waiting, clock)
    hooks = Hooks(settings.hooks, clock)
    # A simulated rig is this run's own.
    with nullcontext(()) if request.simulate is not None else rig_locked(settings.server) as abandoned:
        try:
            await hooks.before()
            code = await _shoot(
                request, settings, screen, hooks, clock, service, asked, remote, fresh=fresh, notes=abandoned
            )
        finally:
            await hooks.after()
            for failure in hooks.failures:
                print(failure, file=sys.stderr)
    return ExitCode.INCOMPLETE if hooks.failures and code is ExitCode.DONE else code


async def _shoot(
    request: NightRequest,
    settings: Settings,
    screen: "_Screen",
    hooks: Hooks,
    clock: NightClock,
    service: ServiceWatch,
    asked: datetime,
    remote: RemoteSubscribers,
    *,
    fresh: bool,
    notes: tuple[str, ...],
) -> ExitCode:
    events = EventStream()
    events.subscribe(service.observe)
    events.subscribe_beats(service.beat)
    async with AsyncExitStack() as resources:
        if request.simulate is not None:
            server = await resources.enter_async_context(simulated_server(request.simulate))
            settings = settings.model_copy(update={"server": server})
        strays = StrayFrames(clock)
        rig = await resources.enter_async_context(indi_rig(settings, clock.now, strays.take))
        if notes:
            await _quieted(settings, rig, screen, clock)
        await rig.connect()
        plan = await in_thread(plan_for, settings, request.lights, rig_now(rig))
        _tell_plan(plan, request, settings)
        if not plan.settings.sets:
            return ExitCode.DONE
        require_fit(plan_night(plan.settings), rig.camera.features, rig.wheel.filters if rig.wheel else None)
        steps, storage, started = plan_night(plan.settings), settings.storage.folder, clock.now()
        unfinished = None if fresh else await in_thread(unfinished_night, storage, started, rig.camera.name)
        there_bytes = await in_thread(free_bytes, storage) + (unfinished.raw_bytes() if unfinished else 0)
        require_room(steps, rig.camera.features, storage, there_bytes)
        folder, earlier = unfinished or NightFolder.create(storage, started), None
        if unfinished is not None:
            earlier = await in_thread(earlier_run, unfinished, planned_steps(steps, plan.settings))
        resources.enter_context(_log_to(folder.path / "coldframe.log"))
        # Ahead of journal and screen, so that it is made once both are closed.
        resources.push_async_callback(_report, folder, screen)
        journal = await resources.enter_async_context(Journal(folder.path / "journal.jsonl"))
        events.subscribe(journal)
        events.add_keeper(journal.kept)
        steering = Steering(events, clock)
        unwatched = await _watched(resources, settings, events, steering)
        await resources.enter_async_context(screen.shown(events, steering))
        if unwatched is not None:
            events.publish(Notice(clock.now(), Severity.WARNING, unwatched))
        await remote.start(resources, events, clock, steering)
        resources.push_async_callback(_after, hooks, events)
        await resources.enter_async_context(strays.kept_in(folder, events))
        hooks.tell(events)
        if not settings.server.is_local:
            events.publish(Notice(clock.now(), Severity.WARNING, OPEN_SERVER.format(settings.server.host)))
        for note in (*notes, *plan.notes):
            events.publish(Notice(clock.now(), Severity.INFO, note))
        learned = LearnedFlats.load(settings.storage.folder / LEARNED_FLATS)
        deadline = request.deadline(settings, asked, clock.now())
        night = Night(
            plan.settings,
            rig,
            folder=folder,
            learned=learned,
            events=events,
            clock=clock,
            deadline=deadline,
            earlier=earlier,
            steering=steering,
        )
        try:
            return EXIT_CODES[await night.run()]
        finally:
            if journal.failure is not None:
                print(f"{folder.path}: the journal is not complete: {journal.failure}", file=sys.stderr)


async def _quieted(settings: Settings, rig: Rig, screen: "_Screen", clock: NightClock) -> None:
    """Leave no lamp burning that a run which died has left, whatever becomes of this one: its plan may not fit."""
    events = EventStream()
    events.subscribe(screen.lines())
    await SafeState(settings, rig, events, clock, patience_s=QUIET_PATIENCE_S).reach_but_cooler()


async def _watched(
    resources: AsyncExitStack, settings: Settings, events: EventStream, steering: Steering
) -> str | None:
    """Let the night be watched from other processes; return why that is not possible, None where it is."""
    server = WatchServer(settings.storage.folder, events, steering, allows_commands=settings.watch.allow_commands)
    try:
        await resources.enter_async_context(server)
    except OSError as error:
        another = f"another run stores into {settings.storage.folder}, and that one is shown"
        why = another if error.errno == errno.EADDRINUSE else error.strerror or error
        return f"coldframe watch cannot attach to this run: {why}"
    return None


async def _after(hooks: Hooks, events: EventStream) -> None:
    """Run the commands after the night while journal and log are open."""
    await hooks.after()
    hooks.tell(events)


async def _report(folder: NightFolder, screen: "_Screen") -> None:
    """Make the morning report; whoever cancels meanwhile, what became of the night stands."""
    with suppress(asyncio.CancelledError):
        await in_thread(report_after, folder.path, screen.report_output)


def rig_now(rig: Rig) -> RigSnapshot:
    """Return what a connected rig tells of itself."""
    return RigSnapshot(
        filters=rig.wheel.filters if rig.wheel else None,
        in_beam=rig.wheel.current if rig.wheel else None,
        readout_modes=rig.camera.features.readout_modes,
        sensor_c=rig.camera.thermals().sensor_c,
    )


def _tell_plan(plan: NightPlan, request: NightRequest, configured: Settings) -> None:
    if plan.for_lights is None:
        return
    if not plan.settings.sets:
        print("nothing to shoot: the library has everything that these lights need", file=sys.stderr)
    elif configured.sets and (request.config is not None or not request.simulate):
        print(f"what the lights in {request.lights} need is shot, and no configured [[sets]]", file=sys.stderr)


async def _until_signalled(run: Coroutine[Any, Any, ExitCode], service: ServiceWatch) -> ExitCode:
    """Run to the end; SIGINT, SIGTERM and SIGHUP end it in the safe state, a second one cuts the warm-up short."""
    running = asyncio.create_task(run, name="run")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)
    try:
        async with service.told():
            return await running
    except asyncio.CancelledError:
        return ExitCode.INTERRUPTED


@dataclass(frozen=True, slots=True)
class _Screen:
    """How events are shown: as JSON lines, on the dashboard where there is a terminal, or else as lines of text."""

    wants_dashboard: bool
    wants_json: bool

    def lines(self) -> Subscriber:
        """Return what writes a line for each event."""
        return JsonLog(sys.stdout) if self.wants_json else LineLog(sys.stdout)

    @property
    def report_output(self) -> TextIO:
        """Where the report's path is told: never among JSON lines."""
        return sys.stderr if self.wants_json else sys.stdout

    @asynccontextmanager
    async def shown(self, events: EventStream, steering: Steering) -> AsyncIterator[None]:
        """Show events for the length of the block, and take requests from the keyboard of the dashboard."""
        async with AsyncExitStack() as screen:
            subscriber = self.lines()
            if not self.wants_json and self._has_terminal():
                with suppress(OSError):  # a terminal that may not be opened: lines still reach it
                    controls = Controls(partial(obey, steering))
                    dashboard = Dashboard(sys.stdout.fileno(), controls=controls)
                    subscriber = await screen.enter_async_context(dashboard)
                    if sys.stdin is not None:
                        await screen.enter_async_context(Keyboard(sys.stdin.fileno(), dashboard.press))
            events.subscribe(subscriber)
            yield

    def _has_terminal(self) -> bool:
        return self.wants_dashboard and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


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
