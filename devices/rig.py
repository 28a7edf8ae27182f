"""All devices of one telescope."""

from dataclasses import dataclass

from coldframe.devices.auxiliary import Auxiliary
from coldframe.devices.camera import Camera
from coldframe.devices.connection import Connection
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel

Device = Camera | FlatPanel | FilterWheel | Auxiliary


@dataclass(frozen=True, slots=True)
class Rig:
    """A camera, the other devices of its telescope, and the connection to their server if there is a server."""

    camera: Camera
    panel: FlatPanel | None = None
    wheel: FilterWheel | None = None
    connection: Connection | None = None
    auxiliaries: tuple[Auxiliary, ...] = ()

    async def connect(self) -> None:
        """Connect all devices.

        Raises
        ------
        DeviceError
            If a device is missing.
        """
        for device in self.devices:
            await device.connect()

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices of the rig."""
        parts = (self.camera, self.panel, self.wheel, *self.auxiliaries)
        return tuple(device for device in parts if device is not None)
