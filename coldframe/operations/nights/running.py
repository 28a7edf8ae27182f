"""The run of a night: connect the rig, plan the night, and run it with its observers."""

import asyncio
import errno
from collections.abc import Coroutine
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome, Origin, Severity
from coldframe.capture.host.rig_lock import rig_locked
from coldframe.capture.host.systemd import ServiceWatch
from coldframe.capture.monitoring.watching.server import WatchServer
from coldframe.capture.night.assembly import AssembledNight, NightFiles, assembled_night, open_night_files
from coldframe.capture.night.end_of_night import end_of_night
from coldframe.capture.night.resuming import angle_before_night, later_nights, unfinished_night
from coldframe.capture.planning.disk_space import free_bytes, require_room, require_writable
from coldframe.capture.planning.lights_for_rig import RigSnapshot
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.preflight import require_fit
from coldframe.capture.rig.safe_state import SafeState
from coldframe.capture.session.hooks import Hooks
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.stray_frames import StrayFrames
from coldframe.capture.threads import LONG_WORK_S, DaemonThreads, DiskHangsError, in_thread, in_thread_within
from coldframe.config.settings import Settings
from coldframe.devices.indi.rig import indi_rig
from coldframe.devices.rig import Rig
from coldframe.errors import ColdframeError
from coldframe.operations.nights.audience import Audience
from coldframe.operations.nights.covered import UNCOVERED, must_be_covered
from coldframe.operations.nights.end_signals import on_end_signals
from coldframe.operations.nights.morning_report import report_after
from coldframe.operations.nights.night_log import NightLog
from coldframe.operations.nights.remote_subscribers import RemoteSubscribers
from coldframe.operations.nights.request import NOTHING_TO_SHOOT, NightPlan, NightRequest, plan_for
from coldframe.operations.nights.simulated_server import simulated_server


class NotCoveredError(ColdframeError):
    """The user stated that the telescope is not covered, and no device of the rig can cover it."""


QUIET_PATIENCE_S = 10.0
"""Maximum wait for a lost device before the run begins; during the run, the wait is longer."""

LATER_NIGHT = (
    "{} is unfinished and has a later date, because the clock was wrong then or is wrong now: it is not resumed. To "
    "resume it, end this run and rename the folder to the date of this evening"
)


class RigNotSafeError(ColdframeError):
    """The rig is not in the safe state, and no night is running: run ``coldframe safe``, or check the rig yourself."""


OPEN_SERVER = (
    "the INDI server {} is on another machine: INDI has neither passwords nor encryption, so anyone who can reach it "
    "can move your hardware. Reach it through ssh or WireGuard"
)


class NightRun(NamedTuple):
    """The result of a run.

    Attributes
    ----------
    outcome
        Outcome of the night; None if there was nothing to shoot.
    folder
        Folder of the night; None if there was nothing to shoot.
    is_safe
        True if the rig is in the safe state, or was not used.
    hook_failures
        Messages of the hooks that failed.
    """

    outcome: NightOutcome | None = None
    folder: Path | None = None
    is_safe: bool = True
    hook_failures: tuple[str, ...] = ()


async def until_signalled(run: Coroutine[Any, Any, NightRun], service: ServiceWatch) -> NightRun:
    """Run a night to the end. A signal ends it with the rig in the safe state; a second one skips the warm-up."""
    # A disk that hangs must not keep the process from ending.
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    running = asyncio.create_task(run, name="run")
    on_end_signals(running.cancel)
    try:
        async with service.notified():
            return await running
    except asyncio.CancelledError:
        return NightRun(NightOutcome.INTERRUPTED)


async def run_requested(
    request: NightRequest,
    settings: Settings,
    audience: Audience,
    service: ServiceWatch,
    *,
    watch: bool = False,
    fresh: bool = False,
) -> NightRun:
    """Run a night to its end, including the hooks before and after it.

    No device moves before the first step of the night; from then on, the run brings the rig to the safe state, however
    it ends. If the caller is cancelled, the night ends with the rig in the safe state, and its result is returned.

    Parameters
    ----------
    request
        The requested night.
    settings
        Settings from `NightRequest.settings`.
    audience
        Receives the events and the messages.
    service
        Receives signs of progress, for the watchdog of systemd.
    watch
        True to wait for the end of the imaging session first; ignored unless the night is planned from lights.
    fresh
        True to start a new night even if an unfinished one could be resumed.

    Raises
    ------
    RigNotSafeError
        If the night did not begin, and the rig that a crashed run left behind is not safe.
    ColdframeError
        If the night could not begin.
    OSError
        If files cannot be read or written before the night.
    """
    remote = RemoteSubscribers.prepare(settings)
    clock = NightClock()
    asked = clock.now()
    waited: tuple[str, ...] = ()
    if watch and request.lights is not None:
        waiting = EventStream()
        waiting.subscribe(audience.lines())
        reason = await end_of_night(request.lights, settings.lights, settings.site, waiting, clock)
        waited = (f"lights finished: {reason}",)
    hooks = Hooks(settings.hooks, clock)
    # A simulated rig needs no lock, because no other run uses it.
    with nullcontext(()) if request.simulate is not None else rig_locked(settings.server) as abandoned:
        try:
            await hooks.before()
            run = _Run(request, audience, service, remote, hooks, clock, asked, waited, abandoned)
            ended = await run.shoot(settings, fresh=fresh)
        finally:
            await _run_after(hooks)
            for failure in hooks.failures:
                audience.notice(failure)
    return ended._replace(hook_failures=tuple(hooks.failures))


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: the request and its time, the observers, and notes about the wait and an earlier run that crashed."""

    request: NightRequest
    audience: Audience
    service: ServiceWatch
    remote: RemoteSubscribers
    hooks: Hooks
    clock: NightClock
    asked: datetime
    waited: tuple[str, ...]
    abandoned: tuple[str, ...]

    async def shoot(self, settings: Settings, *, fresh: bool) -> NightRun:
        """Connect the rig, plan the night and run it."""
        ended: NightRun | None = None
        try:
            async with AsyncExitStack() as resources:
                ended = await self._shoot(resources, settings, fresh=fresh)
        except Exception as error:
            if ended is None:
                raise
            # The night has ended, and its result must state whether the rig is safe.
            self.audience.notice(f"an error occurred after the end of the night: {error!r}")
        return ended

    async def _shoot(self, resources: AsyncExitStack, settings: Settings, *, fresh: bool) -> NightRun:
        if self.request.simulate is not None:
            server = await resources.enter_async_context(simulated_server(self.request.simulate))
            settings = settings.model_copy(update={"server": server})
        strays = StrayFrames(self.clock)
        rig = await resources.enter_async_context(indi_rig(settings, self.clock.now, strays.take))
        if self.abandoned:
            await self._safe_state(settings, rig).reach_but_cooler()  # even if this run then cannot begin
        assembled: AssembledNight | None = None
        try:
            assembled = await self._prepared(resources, settings, rig, strays, fresh=fresh)
        finally:
            if self.abandoned and assembled is None:
                await self._made_safe(settings, rig)
        return NightRun() if assembled is None else await self._run_to_its_end(assembled)

    def _safe_state(self, settings: Settings, rig: Rig) -> SafeState:
        """Return the safe state for a rig that a crashed run left behind; only the screen shows its messages."""
        events = EventStream()
        events.subscribe(self.audience.lines())
        return SafeState(settings, rig, events, self.clock, patience_s=QUIET_PATIENCE_S)

    async def _made_safe(self, settings: Settings, rig: Rig) -> None:
        """Put a rig that a crashed run left behind in the safe state, cooler included, because this run does not begin.

        Raises
        ------
        RigNotSafeError
            If a step failed.
        """
        if failures := await self._safe_state(settings, rig).reach():
            raise RigNotSafeError("the night did not begin, and the rig is not safe: " + " ".join(failures))

    async def _prepared(
        self, resources: AsyncExitStack, settings: Settings, rig: Rig, strays: StrayFrames, *, fresh: bool
    ) -> AssembledNight | None:
        """Connect the rig, and assemble the night; return None if there is nothing to shoot."""
        await rig.connect()
        unfinished = None if fresh or self.request.redo else await self._unfinished(settings, rig)
        snapshot = await rig_before_night(rig, unfinished)
        plan = await in_thread_within(LONG_WORK_S, plan_for, settings, self.request, snapshot)
        _report_plan(plan, self.request, settings, self.audience)
        if not plan.settings.sets:
            return None
        asks = self.request.simulate is None and must_be_covered(plan.settings, rig)
        if asks and not await self.audience.is_covered():
            raise NotCoveredError("cover the telescope, then start the night again")
        files = await self._files(plan.settings, rig, unfinished)
        return await self._assemble(resources, plan, rig, files, strays)

    async def _unfinished(self, settings: Settings, rig: Rig) -> NightFolder | None:
        """Return the folder of the night that this run resumes; None if it starts a new night."""
        storage, now, origin = settings.storage.folder, self.clock.now(), self._origin(settings, rig)
        return await in_thread_within(LONG_WORK_S, unfinished_night, storage, now, rig.camera.name, origin)

    async def _files(self, settings: Settings, rig: Rig, unfinished: NightFolder | None) -> NightFiles:
        """Check that the rig can carry out the plan and the disk has room, and only then open the night's folder."""
        steps, storage, started = plan_night(settings), settings.storage.folder, self.clock.now()
        rotator_deg = rig.rotator.limits_deg if rig.rotator else None
        require_fit(steps, rig.camera.features, rig.wheel.filters if rig.wheel else None, rotator_deg)
        await in_thread_within(LONG_WORK_S, require_writable, storage)
        origin = self._origin(settings, rig)
        there_bytes = await in_thread(free_bytes, storage)
        if unfinished is not None:
            there_bytes += await in_thread_within(LONG_WORK_S, unfinished.raw_bytes)
        require_room(steps, rig.camera.features, storage, there_bytes)
        return await in_thread_within(LONG_WORK_S, open_night_files, storage, unfinished, settings, started, origin)

    def _origin(self, settings: Settings, rig: Rig) -> Origin:
        """Return the origin by which later runs recognise the night: the rig, and whether only some sets are chosen."""
        server = f"{gethostname() if settings.server.is_local else settings.server.host.lower()}:{settings.server.port}"
        # The server of a simulated rig has a different port in each run.
        server = server if self.request.simulate is None else f"simulated {self.request.simulate}"
        return Origin(server, rig.camera.features.serial, is_partial=bool(self.request.choices))

    async def _assemble(
        self, resources: AsyncExitStack, plan: NightPlan, rig: Rig, files: NightFiles, strays: StrayFrames
    ) -> AssembledNight:
        """Assemble the night and open its observers; `resources` closes them in reverse order."""
        settings, folder, clock = plan.settings, files.folder, self.clock
        events = EventStream()
        events.subscribe(self.service.observe)
        events.subscribe_beats(self.service.beat)
        # The log is closed last, because the resources below may still log while they close.
        events.subscribe(resources.enter_context(NightLog(folder.path / "coldframe.log")))
        # The report reads the whole journal, so it is made after the journal and the screen are closed.
        resources.push_async_callback(self._report, folder)
        deadline = self.request.deadline(settings, self.asked, clock.now())
        words = None if plan.lights is None else plan.words
        lights = None if plan.lights is None else plan.lights.setups
        night = assembled_night(settings, rig, files, events, clock, deadline=deadline, words=words, lights=lights)
        assembled = await resources.enter_async_context(night)
        unwatched = await _watched(resources, settings, events, assembled.steering)
        await resources.enter_async_context(self.audience.shown(events, assembled.steering))
        # Notices published below reach the journal, the watchers and the screen.
        if unwatched is not None:
            events.publish(Notice(clock.now(), Severity.WARNING, unwatched))
        await self.remote.start(resources, events, clock, assembled.steering)
        # The hooks after the night run while all observers are open, because their results are also events.
        resources.push_async_callback(self._after, events)
        # Stray frames are quarantined until the end of the night; this resource is closed first.
        await resources.enter_async_context(strays.kept_in(folder, events))
        self.hooks.publish_results(events)
        if not settings.server.is_local:
            events.publish(Notice(clock.now(), Severity.WARNING, OPEN_SERVER.format(settings.server.host)))
        if must_be_covered(settings, rig):
            events.publish(Notice(clock.now(), Severity.WARNING, UNCOVERED))
        later = await in_thread(
            later_nights, folder.path.parent, clock.now(), rig.camera.name, self._origin(settings, rig)
        )
        for night_folder in later:
            events.publish(Notice(clock.now(), Severity.WARNING, LATER_NIGHT.format(night_folder.path)))
        for note in (*self.waited, *self.abandoned, *rig.camera.features.notes, *plan.notes):
            events.publish(Notice(clock.now(), Severity.INFO, note))
        return assembled

    async def _after(self, events: EventStream) -> None:
        await _run_after(self.hooks)
        self.hooks.publish_results(events)

    async def _report(self, folder: NightFolder) -> None:
        """Make the morning report."""
        try:
            await in_thread_within(LONG_WORK_S, report_after, folder.path, self.audience)
        except DiskHangsError as error:
            self.audience.notice(f"{folder.path}: the report was not written: {error}")
        except asyncio.CancelledError:
            pass  # a late Ctrl-C must not change the exit code of the night

    async def _run_to_its_end(self, assembled: AssembledNight) -> NightRun:
        night, journal = assembled.night, assembled.journal
        try:
            outcome = await night.run()
        except asyncio.CancelledError:
            outcome = NightOutcome.INTERRUPTED
        if journal.failure is not None:
            self.audience.notice(f"{journal.path}: the journal is not complete: {journal.failure}")
        return NightRun(outcome, journal.path.parent, is_safe=night.is_safe)


async def _run_after(hooks: Hooks) -> None:
    """Run the hooks after the night."""
    with suppress(asyncio.CancelledError):  # the hooks have finished; the exit code reports how the night ended
        await hooks.after()


async def _watched(
    resources: AsyncExitStack, settings: Settings, events: EventStream, steering: Steering
) -> str | None:
    """Open the socket for `coldframe watch`; return None, or the reason if the socket cannot be opened."""
    server = WatchServer(settings.storage.folder, events, steering, allows_commands=settings.watch.allow_commands)
    try:
        await resources.enter_async_context(server)
    except OSError as error:
        another = f"another run stores its night in {settings.storage.folder}, and coldframe watch shows that run"
        why = another if error.errno == errno.EADDRINUSE else error.strerror or error
        return f"coldframe watch cannot attach to this run: {why}"
    return None


async def rig_before_night(rig: Rig, unfinished: NightFolder | None) -> RigSnapshot:
    """Return the state of a connected rig, with the rotator angle from before the first run of the resumed night."""
    if rig.rotator is not None and unfinished is not None:
        found_deg = await in_thread_within(LONG_WORK_S, angle_before_night, unfinished)
        if found_deg is not None:
            rig.rotator.found_at(found_deg)
    return rig_now(rig)


def rig_now(rig: Rig) -> RigSnapshot:
    """Return the state of a connected rig, with the rotator angle from before the night."""
    thermals, limits_deg = rig.camera.thermals(), rig.rotator.limits_deg if rig.rotator else None
    return RigSnapshot(
        filters=rig.wheel.filters if rig.wheel else None,
        in_beam=rig.wheel.current if rig.wheel else None,
        readout_modes=rig.camera.features.readout_modes,
        sensor_c=thermals.sensor_c,
        cooler_on=thermals.cooler_on,
        rotator_deg=_angle_before_night(rig),
        rotator_limits_deg=None if limits_deg is None else (limits_deg.minimum, limits_deg.maximum),
    )


def _angle_before_night(rig: Rig) -> float | None:
    if rig.rotator is None:
        return None
    return rig.rotator.angle_deg if rig.rotator.found_deg is None else rig.rotator.found_deg


def _report_plan(plan: NightPlan, request: NightRequest, configured: Settings, audience: Audience) -> None:
    if plan.for_lights is None:
        return
    if not plan.settings.sets:
        audience.notice(NOTHING_TO_SHOOT)
    elif configured.sets and (request.config is not None or not request.simulate):
        audience.notice(f"ignoring the configured [[sets]]: the lights in {request.lights} determine what is shot")
