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
        await self.camera.connect()
        if self.panel is not None:
            await self.panel.connect()
        if self.wheel is not None:
            await self.wheel.connect()
