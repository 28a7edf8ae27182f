"""Whole nights over simulated devices, under virtual time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from coldframe.capture.clock import NightClock
from coldframe.capture.events import Event, EventStream, NightOutcome
from coldframe.capture.learned_flats import LearnedFlats
from coldframe.capture.night import Night
from coldframe.capture.night_folder import NightFolder
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.devices.rig import Rig
from coldframe.simulators.devices import simulated_rig

E = TypeVar("E", bound=Event)
T = TypeVar("T")
P = ParamSpec("P")
START = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)


@dataclass(frozen=True)
class NightRun:
    """What a night left behind."""

    outcome: NightOutcome
    events: list[Event]
    folder: Path

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def tiny(rig: SimulatedRig) -> SimulatedRig:
    """Return the rig with a sensor so small that its nights take seconds; all else as it is."""
    sensor = rig.sensor.model_copy(update={"width": 160, "height": 120})
    return rig.model_copy(update={"sensor": sensor})


class Inline(ThreadPoolExecutor):
    """Does blocking work on the spot: under virtual time a thread's real duration would be chance."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # as the thread would hand it over
            future.set_exception(error)
        return future


async def run_night(
    settings: Settings,
    simulated: SimulatedRig,
    folder: Path,
    meddle: Callable[[Rig], Rig] = lambda rig: rig,
    deadline: datetime | None = None,
    *,
    hear: Callable[[Event], None] = lambda _: None,
) -> NightRun:
    """Run a night over simulated devices, which `meddle` may replace; `hear` is told of all that happens."""
    asyncio.get_running_loop().set_default_executor(Inline())
    clock, events, seen = NightClock(START), EventStream(), list[Event]()
    events.subscribe(seen.append)
    events.subscribe(hear)
    rig = meddle(simulated_rig(simulated, clock.now))
    await rig.connect()
    night_folder = NightFolder.create(folder, clock.now())
    learned = LearnedFlats.load(folder / "learned-flats.json")
    night = Night(settings, rig, folder=night_folder, learned=learned, events=events, clock=clock, deadline=deadline)
    outcome = await night.run()
    return NightRun(outcome, seen, night_folder.path)
