"""The hardware of one telescope, as one value."""

from dataclasses import dataclass

from coldframe.devices.auxiliary import Auxiliary
from coldframe.devices.camera import Camera
from coldframe.devices.connection import Connection
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel

Device = Camera | FlatPanel | FilterWheel | Auxiliary


@dataclass(frozen=True, slots=True)
class Rig:
    """A camera and what stands in front of it; `connection` is what they are reached through, where that can grow."""

    camera: Camera
    panel: FlatPanel | None = None
    wheel: FilterWheel | None = None
    connection: Connection | None = None
    auxiliaries: tuple[Auxiliary, ...] = ()

    async def connect(self) -> None:
        """Connect all of it.

        Raises
        ------
        DeviceError
            A device is not there: better known before the night than in the middle of it.
        """
        for device in self.devices:
            await device.connect()

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices that there are."""
        parts = (self.camera, self.panel, self.wheel, *self.auxiliaries)
        return tuple(device for device in parts if device is not None)
