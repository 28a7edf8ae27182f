"""A simulated rig with faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from coldframe.devices.rig import Rig
from coldframe.simulators.devices import rig_of
from coldframe.simulators.faults.camera_faults import CAMERA_FAULTS
from coldframe.simulators.faults.cooler_faults import COOLER_FAULTS
from coldframe.simulators.faults.light_faults import LIGHT_FAULTS, PANEL_FAULTS, WHEEL_FAULTS
from coldframe.simulators.faults.striking import Fault, FaultyCamera, FaultyPanel, FaultyWheel, kind_of
from coldframe.simulators.optics import Telescope

_ALL: tuple[type[Fault], ...] = (*CAMERA_FAULTS, *COOLER_FAULTS, *LIGHT_FAULTS, *PANEL_FAULTS, *WHEEL_FAULTS)
FAULTS = {kind_of(fault): fault for fault in _ALL}
"""All kinds of device faults, by name."""


@dataclass(frozen=True, slots=True)
class FaultyRig:
    """A rig and its faults, by kind."""

    rig: Rig
    faults: dict[str, Fault]


def faulty_rig(hardware: Telescope, now: Callable[[], datetime], kinds: Sequence[str], seed: int) -> FaultyRig:
    """Build the devices of a rig with faults. Call this function within the event loop that will run them.

    Parameters
    ----------
    hardware
        The telescope behind the drivers.
    now
        Clock for `Frame.started_at`, in UTC.
    kinds
        Keys of `FAULTS`, with the innermost fault first. Faults of missing devices are ignored.
    seed
        Seed for the faults. Each kind of fault has its own random numbers, so that it does not depend on the other
        kinds.
    """
    plain = rig_of(hardware, now)
    camera, panel, wheel = plain.camera, plain.panel, plain.wheel
    faults: dict[str, Fault] = {}
    for kind in kinds:
        fault, random = FAULTS[kind], Random(f"{seed} {kind}")  # noqa: S311  no secret
        if issubclass(fault, FaultyCamera):
            faults[kind] = camera = fault(camera, hardware, random)
        elif issubclass(fault, FaultyPanel) and panel is not None:
            faults[kind] = panel = fault(panel, hardware, random)
        elif issubclass(fault, FaultyWheel) and wheel is not None:
            faults[kind] = wheel = fault(wheel, hardware, random)
    return FaultyRig(Rig(camera, panel, wheel), faults)
