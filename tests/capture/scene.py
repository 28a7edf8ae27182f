"""A night's context over a simulated rig, for direct tests of capture's packages. Use it under virtual time."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, FrameAccepted, Notice, StepStarted
from coldframe.capture.events.stream import EventStream
from coldframe.capture.night.assembly import night_context, open_night_files
from coldframe.capture.session.context import NightContext
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.devices.camera import Frame
from coldframe.devices.flat_panel import FlatPanel
from coldframe.devices.rig import Rig
from coldframe.simulators.devices import simulated_rig
from tests.nights.nights import START, Inline, tiny

E = TypeVar("E", bound=Event)
SMALL = tiny(load_rig("small"))


@dataclass
class Scene:
    """A context, and the events that were published in it."""

    context: NightContext
    events: list[Event] = field(default_factory=list)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def notices(self) -> list[str]:
        return [notice.text for notice in self.of(Notice)]

    @property
    def panel(self) -> FlatPanel:
        assert self.context.rig.panel is not None
        return self.context.rig.panel

    @property
    def accepted(self) -> list[Path]:
        """Files of the accepted frames."""
        return [Path(event.path) for event in self.of(FrameAccepted)]

    def frames_in(self, folder: str) -> list[str]:
        """Return the names of the frames below a folder of the night."""
        return sorted(path.name for path in (self.context.folder.path / folder).rglob("*.fits"))

    @contextmanager
    def running(self, number: int) -> Iterator[None]:
        """Take the user's requests for the given step, as a night does, while the block runs."""
        with self.context.steering.taking_requests():
            self.context.publish(StepStarted(self.context.clock.now(), number))
            yield

    def skip_at(self, kind: type[E], at: int) -> None:
        """Ask to skip the running step as soon as it has published `at` events of one kind."""

        def observe(event: Event) -> None:
            if isinstance(event, kind) and len(self.of(kind)) == at:
                asyncio.get_running_loop().call_soon(self.context.steering.skip)

        self.context.events.subscribe(observe)


class Delivering:
    """A camera whose frames pass through `deliver`, which gets each frame and its number, counted from 1."""

    def __init__(self, inner: Any, deliver: Callable[[Frame, int], Frame]) -> None:
        self._inner, self._deliver = inner, deliver
        self.exposures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def set_setpoint(self, setpoint_c: float) -> None:
        await self._inner.set_setpoint(setpoint_c)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame = await self._inner.expose(kind, exposure_s)
        self.exposures += 1
        return self._deliver(frame, self.exposures)


def delivering(deliver: Callable[[Frame, int], Frame]) -> Callable[[Rig], Rig]:
    """Return a change to a rig that passes the camera's frames through a function."""
    return lambda rig: replace(rig, camera=Delivering(rig.camera, deliver))


def small_night(**tables: dict[str, Any]) -> Settings:
    """Return the small rig's night with some settings changed, table by table."""
    settings = load_settings(example_night("small"))
    changed = {name: getattr(settings, name).model_copy(update=values) for name, values in tables.items()}
    return settings.model_copy(update=changed)


async def scene(
    folder: Path,
    settings: Settings | None = None,
    meddle: Callable[[Rig], Rig] = lambda rig: rig,
    *,
    simulated: SimulatedRig = SMALL,
    deadline: datetime | None = None,
) -> Scene:
    """Return the context of a night on a connected rig. `meddle` may replace some of its devices."""
    asyncio.get_running_loop().set_default_executor(Inline())
    settings = settings or small_night()
    clock, stream, seen = NightClock(START), EventStream(), list[Event]()
    stream.subscribe(seen.append)
    rig = meddle(simulated_rig(simulated, clock.now))
    await rig.connect()
    files = open_night_files(folder, None, settings, clock.now())
    return Scene(night_context(settings, rig, files, stream, clock, deadline=deadline), seen)
