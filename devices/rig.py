"""All devices of one telescope."""

from dataclasses import dataclass, replace

from coldframe.devices.auxiliary import Auxiliary
from coldframe.devices.camera import Camera
from coldframe.devices.connection import Connection
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel, PanelState
from coldframe.devices.rotator import Rotator

Device = Camera | FlatPanel | FilterWheel | Rotator | Auxiliary


@dataclass(frozen=True, slots=True)
class Rig:
    """A camera, the other devices of its telescope, and the connection to their server, if any.

    Attributes
    ----------
    cover
        A cover that is not part of the panel.
    rotator
        The rotator, if coldframe may turn it.
    """

    camera: Camera
    panel: FlatPanel | None = None
    wheel: FilterWheel | None = None
    connection: Connection | None = None
    auxiliaries: tuple[Auxiliary, ...] = ()
    cover: FlatPanel | None = None
    rotator: Rotator | None = None

    async def connect(self) -> None:
        """Connect all devices.

        Raises
        ------
        DeviceError
            If a device cannot be connected.
        """
        for device in self.devices:
            await device.connect()

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices of the rig."""
        parts = (self.camera, self.panel, self.cover, self.wheel, self.rotator, *self.auxiliaries)
        return tuple(device for device in parts if device is not None)

    @property
    def covering(self) -> FlatPanel | None:
        """The device that covers the telescope: a separate cover if there is one, otherwise a panel with a cover."""
        if self.cover is not None:
            return self.cover
        return self.panel if self.panel is not None and self.panel.has_cover else None

    def panel_state(self) -> PanelState | None:
        """Return the last reported states of the lamp and of the cover; None if the rig has neither panel nor cover."""
        shown = self.panel or self.cover
        if shown is None:
            return None
        return shown.state() if self.covering is None else replace(shown.state(), cover=self.covering.state().cover)
