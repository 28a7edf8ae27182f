"""A lamp for flats that the user switches by hand."""

from coldframe.devices.camera import Limits
from coldframe.devices.flat_panel import PanelState


class ManualPanel:
    """A lamp, an illuminated wall or a panel without a cable. Implements `FlatPanel`.

    Its methods do nothing: capture asks the user to switch the lamp, and the camera shows whether it is lit.

    Attributes
    ----------
    name
        Name in messages, and key under which learned values of the panel are stored.
    seen_lit
        Whether the last frame showed the lamp lit.
    brightness_limits, has_light, has_cover
        This panel has a lamp, but neither a brightness control nor a cover.
    is_ready
        Always true: there is no connection to lose.
    """

    brightness_limits: Limits | None = None
    has_light = True
    has_cover = False
    is_ready = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen_lit = False

    def state(self) -> PanelState:
        """Return whether the last frame showed the lamp lit."""
        return PanelState(lit=self.seen_lit, brightness=None, cover=None)

    async def ensure_ready(self) -> None:
        """Do nothing: there is no connection."""

    async def connect(self) -> None:
        """Do nothing: there is no connection."""

    async def light_on(self, brightness: int | None = None) -> None:
        """Do nothing: the user switches the lamp on."""

    async def light_off(self) -> None:
        """Do nothing: the user switches the lamp off."""

    async def open_cover(self) -> None:
        """Do nothing: there is no cover."""

    async def close_cover(self) -> None:
        """Do nothing: there is no cover."""
