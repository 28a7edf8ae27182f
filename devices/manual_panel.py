"""A light for flats that a person switches: nothing can be sent to it."""

from coldframe.devices.camera import Limits
from coldframe.devices.flat_panel import PanelState


class ManualPanel:
    """A lamp, a lit wall or a panel without a cable, as `coldframe.devices.flat_panel.FlatPanel` describes one.

    Its methods ask for nothing; whether it is lit is what the camera saw last.

    Attributes
    ----------
    name
        For people, and for what is learned of it.
    seen_lit
        What the pixels told last.
    brightness_limits, has_light, has_cover
        It can be lit, and that is all.
    is_ready
        It cannot be lost.
    """

    brightness_limits: Limits | None = None
    has_light = True
    has_cover = False
    is_ready = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen_lit = False

    def state(self) -> PanelState:
        """Return whether it was seen to be lit."""
        return PanelState(lit=self.seen_lit, brightness=None, cover=None)

    async def ensure_ready(self) -> None:
        """Do nothing: it is always there."""

    async def connect(self) -> None:
        """Do nothing: it is always there."""

    async def light_on(self, brightness: int | None = None) -> None:
        """Do nothing: a person does."""

    async def light_off(self) -> None:
        """Do nothing: a person does."""

    async def open_cover(self) -> None:
        """Do nothing: it has none."""

    async def close_cover(self) -> None:
        """Do nothing: it has none."""
