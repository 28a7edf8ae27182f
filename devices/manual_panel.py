"""A lamp for flats that the user switches by hand."""

from coldframe.devices.camera import Limits
from coldframe.devices.flat_panel import PanelState


class ManualPanel:
    """A lamp, an illuminated wall or a panel without a cable. Implements `FlatPanel`.

    Its commands do nothing. `coldframe.capture` asks the user to switch the lamp on or off, and takes a frame to
    see whether the lamp is lit.

    Attributes
    ----------
    name
        Name used in messages, and key under which the values learned for this panel are stored.
    seen_lit
        True if the last frame showed that the lamp was lit.
    brightness_limits, has_light, has_cover
        This panel has a lamp, but neither a brightness control nor a cover.
    is_ready
        Always True, because there is no connection that could be lost.
    """

    brightness_limits: Limits | None = None
    has_light = True
    has_cover = False
    is_ready = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen_lit = False

    def state(self) -> PanelState:
        """Return the state of the lamp as seen in the last frame."""
        return PanelState(lit=self.seen_lit, brightness=None, cover=None)

    async def ensure_ready(self) -> None:
        """Do nothing, because there is no connection."""

    async def connect(self) -> None:
        """Do nothing, because there is no connection."""

    async def light_on(self, brightness: int | None = None) -> None:
        """Do nothing, because the user switches the lamp on."""

    async def light_off(self) -> None:
        """Do nothing, because the user switches the lamp off."""

    async def open_cover(self) -> None:
        """Do nothing, because there is no cover."""

    async def close_cover(self) -> None:
        """Do nothing, because there is no cover."""
