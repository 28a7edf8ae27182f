"""A simulated rig on which things go wrong."""

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
"""All kinds of faults of devices, by their names."""


@dataclass(frozen=True, slots=True)
class FaultyRig:
    """A rig, and the faults that it has, by their kinds."""

    rig: Rig
    faults: dict[str, Fault]


def faulty_rig(hardware: Telescope, now: Callable[[], datetime], kinds: Sequence[str], seed: int) -> FaultyRig:
    """Build the devices of a rig with faults; call it within the loop that will run them.

    Parameters
    ----------
    hardware
        The telescope behind the drivers.
    now
        Tells the time of day in UTC.
    kinds
        Keys of `FAULTS`, the innermost first; those of devices that there are not are left out.
    seed
        Tells when each strikes. What a kind does depends on no other.
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
