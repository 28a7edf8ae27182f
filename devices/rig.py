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
    def devices(self) -> tuple[Camera | FlatPanel | FilterWheel, ...]:
        """All devices that there are."""
        return tuple(device for device in (self.camera, self.panel, self.wheel) if device is not None)

    async def ensure_ready(self) -> None:
        """Bring back what has been away, as it was last told to be.

        Raises
        ------
        DeviceError
            A device is not there.
        """
        for device in self.devices:
            await device.ensure_ready()

    @property
    def unready(self) -> tuple[str, ...]:
        """Names of the devices that are away, or do not stand as they were last told to."""
        return tuple(device.name for device in self.devices if not device.is_ready)
