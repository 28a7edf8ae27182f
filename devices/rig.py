"""The hardware of one telescope, as one value."""

from dataclasses import dataclass

from coldframe.devices.camera import Camera
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel


@dataclass(frozen=True, slots=True)
class Rig:
    """A camera and what stands in front of it."""

    camera: Camera
    panel: FlatPanel | None = None
    wheel: FilterWheel | None = None
