"""When a fault takes effect, and the bases of devices that have one.

Each kind of fault is a class that stands in front of a simulated device and behaves as it does, but for what the fault
changes. It draws when and how often it strikes from a seed, and counts how often it truly did. The hardware behind the
drivers (`Telescope`) stays within reach: what a driver claims and what is so are two things.
"""

import asyncio
import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from coldframe.devices.camera import Camera
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel
from coldframe.simulators.optics import Telescope

D = TypeVar("D")

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


class InFrontOf(Fault, Generic[D]):
    """A fault that stands in front of a device, and passes on everything that it does not change."""

    def __init__(self, inner: D, hardware: Telescope, random: Random) -> None:
        super().__init__(hardware, random)
        self.inner = inner

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Return an attribute of the device behind, for what the fault does not have itself."""
            return getattr(self.inner, name)


if TYPE_CHECKING:
    CameraBase = Camera
    PanelBase = FlatPanel
    WheelBase = FilterWheel
else:
    # Only the type checker may see the protocols as base classes: their methods would hide `__getattr__`.
    CameraBase = PanelBase = WheelBase = object


class FaultyCamera(InFrontOf[Camera], CameraBase):
    """A fault of a camera."""


class FaultyPanel(InFrontOf[FlatPanel], PanelBase):
    """A fault of a flat panel."""


class FaultyWheel(InFrontOf[FilterWheel], WheelBase):
    """A fault of a filter wheel."""


def now_s() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()
