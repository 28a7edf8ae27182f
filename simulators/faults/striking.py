"""The calls that faults affect, and the base classes of faulty devices.

Each kind of fault is a class that wraps a simulated device and behaves like the device except for the fault. A seed
determines when and how often the fault occurs, and the fault counts its occurrences. Faults can also change the
hardware (`Telescope`), because the report of a driver and the true state may differ.
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
    """The calls that a fault affects.

    Attributes
    ----------
    first, times
        Number of the first affected call, and number of consecutive affected calls.
    calls, met
        Number of calls so far, and number of calls that the fault has affected.
    """

    first: int
    times: int
    calls: int = 0
    met: int = 0

    def strike(self) -> bool:
        """Count a call, and return True if the fault affects it."""
        self.calls += 1
        strikes = self.first <= self.calls < self.first + self.times
        self.met += strikes
        return strikes


class Fault:
    """A fault of a device.

    Parameters
    ----------
    hardware
        The true state of the telescope.
    random
        Random numbers that determine when and how the fault occurs.

    Attributes
    ----------
    rows
        Rows of the fault matrix in docs/faults.md that describe the fault.
    first, times
        Ranges from which the number of the first affected call and the number of affected calls are drawn.
    lasting
        Probability that the fault never ends.
    strikes
        The calls that the fault affects.
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
        """Number of calls that the fault has affected."""
        return self.strikes.met


def kind_of(fault: type[Fault]) -> str:
    """Return the name of a kind of fault, such as ``stuck-cover`` for ``StuckCover``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", fault.__name__).lower()


class InFrontOf(Fault, Generic[D]):
    """A fault that wraps a device and passes on all calls that it does not change."""

    def __init__(self, inner: D, hardware: Telescope, random: Random) -> None:
        super().__init__(hardware, random)
        self.inner = inner

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Return an attribute of the device behind the fault."""
            return getattr(self.inner, name)


if TYPE_CHECKING:
    CameraBase = Camera
    PanelBase = FlatPanel
    WheelBase = FilterWheel
else:
    # Only the type checker may see the protocols as base classes, because their methods would hide `__getattr__`.
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
