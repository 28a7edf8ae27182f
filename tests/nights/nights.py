"""Whole nights over simulated devices, under virtual time."""

import asyncio
import gc
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.night.assembly import assembled_night, open_night_files
from coldframe.capture.night.resuming import unfinished_night
from coldframe.capture.planning.light_words import LightWords
from coldframe.capture.session.steering import Steering
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.devices.rig import Rig
from coldframe.simulators.devices import simulated_rig

E = TypeVar("E", bound=Event)
T = TypeVar("T")
P = ParamSpec("P")
START = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)


@dataclass(frozen=True, repr=False)  # asyncio.Runner formats the result with the handler of Ctrl-C, events included
class NightRun:
    """The outcome, events and folder of a night."""

    outcome: NightOutcome
    events: list[Event]
    folder: Path

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def tiny(rig: SimulatedRig) -> SimulatedRig:
    """Return the rig with a small sensor, with which a night takes only seconds."""
    sensor = rig.sensor.model_copy(update={"width": 160, "height": 120})
    return rig.model_copy(update={"sensor": sensor})


class Inline(ThreadPoolExecutor):
    """An executor that runs work in the calling thread, because a thread's duration is random under virtual time."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # like an executor
            future.set_exception(error)
        return future


def files_in(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


async def run_night(
    settings: Settings,
    simulated: SimulatedRig,
    folder: Path,
    meddle: Callable[[Rig], Rig] = lambda rig: rig,
    deadline: datetime | None = None,
    *,
    hear: Callable[[Event], None] = lambda _: None,
    steer: Callable[[Steering, EventStream], None] = lambda _steering, _events: None,
    words: LightWords | None = None,
    lights: Mapping[Path, FrameSetup] | None = None,
) -> NightRun:
    """Run a night over simulated devices, or resume a night that an earlier run left unfinished in the folder.

    `meddle` may replace devices, `steer` may make requests, and `hear` is called with each event. The
    frames take over `words`, and the night verifies `lights`.
    """
    asyncio.get_running_loop().set_default_executor(Inline())
    clock, events, seen = NightClock(START), EventStream(), list[Event]()
    events.subscribe(seen.append)
    events.subscribe(hear)
    frames_before = 10 * len(files_in(folder, "20*/**/*.fits"))
    rig = meddle(simulated_rig(simulated.model_copy(update={"frames_before": frames_before}), clock.now))
    await rig.connect()
    unfinished = unfinished_night(folder, clock.now(), rig.camera.name)
    files = open_night_files(folder, unfinished, settings, clock.now())
    async with assembled_night(
        settings, rig, files, events, clock, deadline=deadline, words=words, lights=lights
    ) as assembled:
        steer(assembled.steering, events)
        outcome = await assembled.night.run()
    _leave_modules_out_of_collections()
    return NightRun(outcome, seen, files.folder.path)


@cache
def _leave_modules_out_of_collections() -> None:
    """Make the garbage collections after each set faster. After a process's first night, its modules are loaded."""
    gc.collect()
    gc.freeze()
