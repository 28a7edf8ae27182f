"""When a fault takes effect, and the bases of devices that have one.

Each kind of fault is a class that stands in front of a simulated device and behaves as it does, but for what the fault
changes. It draws when and how often it strikes from a seed, and counts how often it truly did. The hardware behind the
drivers (`Telescope`) stays within reach: what a driver claims and what is so are two things.
"""

import asyncio
import re
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Camera, CameraFeatures, Frame, Limits, Thermals
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel, PanelState
from coldframe.simulators.optics import Telescope

FOR_EVER = 1_000_000


@dataclass(slots=True)
class Strikes:
    """The calls at which a fault takes effect.

    Attributes
    ----------
    first, times
        Number of the first such call, and how many there are, one after the other.
    calls, met
        How many calls there have been, and how many the fault has struck.
    """

    first: int
    times: int
    calls: int = 0
    met: int = 0

    def strike(self) -> bool:
        """Count a call, and tell whether the fault strikes it."""
        self.calls += 1
        strikes = self.first <= self.calls < self.first + self.times
        self.met += strikes
        return strikes


class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    hardware
        The telescope as it is.
    random
        Tells when and how.

    Attributes
    ----------
    rows
        Its rows in the fault matrix.
    first, times
        Between which the first call and the number of calls are drawn that it strikes.
    lasting
        How probably it stays for ever.
    strikes
        When it does.
    """

    rows: ClassVar[tuple[int, ...]]
    first: ClassVar[tuple[int, int]] = (1, 20)
    times: ClassVar[tuple[int, int]] = (1, 3)
    lasting: ClassVar[float] = 0.0

    def __init__(self, hardware: Telescope, random: Random) -> None:
        self.hardware = hardware
        self.random = random
        times = FOR_EVER if random.random() < self.lasting else random.randint(*self.times)
        self.strikes = Strikes(random.randint(*self.first), times)

    @property
    def met(self) -> int:
        """How often it took effect."""
        return self.strikes.met


def kind_of(fault: type[Fault]) -> str:
    """Return the name of a kind of fault: ``StuckCover`` is ``stuck-cover``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", fault.__name__).lower()


class FaultyCamera(Fault):
    """A camera in front of another one."""

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(hardware, random)
        self.inner = inner

    @property
    def name(self) -> str:
        """As the other."""
        return self.inner.name

    @property
    def features(self) -> CameraFeatures:
        """As the other."""
        return self.inner.features

    @property
    def is_ready(self) -> bool:
        """As the other."""
        return self.inner.is_ready

    async def reconnect(self) -> None:
        """Pass it on."""
        await self.inner.reconnect()

    async def ensure_ready(self) -> None:
        """As the other."""
        await self.inner.ensure_ready()

    async def connect(self) -> None:
        """As the other."""
        await self.inner.connect()

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """As the other."""
        return await self.inner.apply(settings)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """As the other."""
        return await self.inner.expose(kind, exposure_s)

    async def abort(self) -> None:
        """As the other."""
        await self.inner.abort()

    async def set_setpoint(self, setpoint_c: float) -> None:
        """As the other."""
        await self.inner.set_setpoint(setpoint_c)

    async def cooler_off(self) -> None:
        """As the other."""
        await self.inner.cooler_off()

    def thermals(self) -> Thermals:
        """As the other."""
        return self.inner.thermals()


class FaultyPanel(Fault):
    """A flat panel in front of another one."""

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(hardware, random)
        self.inner = inner

    @property
    def name(self) -> str:
        """As the other."""
        return self.inner.name

    @property
    def brightness_limits(self) -> Limits | None:
        """As the other."""
        return self.inner.brightness_limits

    @property
    def has_light(self) -> bool:
        """As the other."""
        return self.inner.has_light

    @property
    def has_cover(self) -> bool:
        """As the other."""
        return self.inner.has_cover

    @property
    def is_ready(self) -> bool:
        """As the other."""
        return self.inner.is_ready

    def state(self) -> PanelState:
        """As the other."""
        return self.inner.state()

    async def ensure_ready(self) -> None:
        """As the other."""
        await self.inner.ensure_ready()

    async def connect(self) -> None:
        """As the other."""
        await self.inner.connect()

    async def light_on(self, brightness: int | None = None) -> None:
        """As the other."""
        await self.inner.light_on(brightness)

    async def light_off(self) -> None:
        """As the other."""
        await self.inner.light_off()

    async def open_cover(self) -> None:
        """As the other."""
        await self.inner.open_cover()

    async def close_cover(self) -> None:
        """As the other."""
        await self.inner.close_cover()


class FaultyWheel(Fault):
    """A filter wheel in front of another one."""

    def __init__(self, inner: FilterWheel, hardware: Telescope, random: Random) -> None:
        super().__init__(hardware, random)
        self.inner = inner

    @property
    def name(self) -> str:
        """As the other."""
        return self.inner.name

    @property
    def filters(self) -> tuple[str, ...]:
        """As the other."""
        return self.inner.filters

    @property
    def current(self) -> str | None:
        """As the other."""
        return self.inner.current

    @property
    def is_ready(self) -> bool:
        """As the other."""
        return self.inner.is_ready

    async def ensure_ready(self) -> None:
        """As the other."""
        await self.inner.ensure_ready()

    async def connect(self) -> None:
        """As the other."""
        await self.inner.connect()

    async def select(self, name: str) -> None:
        """As the other."""
        await self.inner.select(name)


def now_s() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()
