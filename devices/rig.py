"""The hardware of one telescope, as one value."""

from dataclasses import dataclass

from coldframe.devices.camera import Camera
from coldframe.devices.connection import Connection
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel

Device = Camera | FlatPanel | FilterWheel


@dataclass(frozen=True, slots=True)
class Rig:
    """A camera and what stands in front of it; `connection` is what they are reached through, where that can grow."""

    camera: Camera
    panel: FlatPanel | None = None
    wheel: FilterWheel | None = None
    connection: Connection | None = None

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
        return tuple(device for device in (self.camera, self.panel, self.wheel) if device is not None)
