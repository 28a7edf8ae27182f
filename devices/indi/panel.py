"""A flat panel, dust cap or both, behind INDI."""

from dataclasses import dataclass

from coldframe.devices.camera import Limits
from coldframe.devices.errors import NotSupportedError, SettingRefusedError
from coldframe.devices.flat_panel import CoverState, PanelState
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink


@dataclass(frozen=True, slots=True)
class PanelFeatures:
    """What a panel has, kept for the times in which its driver says nothing."""

    has_light: bool
    has_cover: bool
    brightness_limits: Limits | None


class IndiFlatPanel(IndiDevice):
    """Light box and dust cap interfaces of INDI, as one panel. Implements `FlatPanel`.

    Parameters
    ----------
    cover_deadline_s
        Longest time that the cover may take.
    """

    def __init__(self, link: IndiLink, name: str, cover_deadline_s: float = 60.0) -> None:
        super().__init__(link, name)
        self._cover_deadline_s = cover_deadline_s
        self._known: PanelFeatures | None = None

    async def set_up(self) -> None:
        """Learn what the panel has."""
        self._known = self._told()

    def _told(self) -> PanelFeatures:
        return PanelFeatures(
            has_light=self.has(dialects.LIGHT_ON),
            has_cover=self.has(dialects.COVER_CLOSE),
            brightness_limits=self.limits(dialects.LIGHT_BRIGHTNESS),
        )

    @property
    def _features(self) -> PanelFeatures:
        return self._known or self._told()

    @property
    def brightness_limits(self) -> Limits | None:
        """Range of the brightness in the panel's own steps; None where it can only be switched."""
        return self._features.brightness_limits

    @property
    def has_light(self) -> bool:
        """False for a dust cap without a lamp."""
        return self._features.has_light

    @property
    def has_cover(self) -> bool:
        """True where the device can open and close a cover."""
        return self._features.has_cover

    def state(self) -> PanelState:
        """Return what the driver last told."""
        brightness = self.number(dialects.LIGHT_BRIGHTNESS)
        return PanelState(
            lit=self.value(dialects.LIGHT_ON) is True,
            brightness=None if brightness is None else round(brightness),
            cover=self._cover() if self.has_cover else None,
        )

    def _cover(self) -> CoverState:
        found = dialects.find(self.link.mirror, self.name, dialects.COVER_CLOSE)
        if found is None or found[0].state == "alert":
            return CoverState.UNKNOWN
        prop, parked = found
        if prop.state == "busy":
            return CoverState.MOVING
        if prop.values[parked] is True:
            return CoverState.CLOSED
        return CoverState.OPEN if self.value(dialects.COVER_OPEN) is True else CoverState.UNKNOWN

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the light on, then set the brightness: some panels jump to full when switched on.

        Raises
        ------
        DeviceError
            The panel has no light, or did not obey in time.
        """
        await self.ensure_ready()
        await self.set(dialects.LIGHT_ON, value=True)
        if brightness is not None:
            await self.set(dialects.LIGHT_BRIGHTNESS, brightness)

    async def light_off(self) -> None:
        """Switch the light off; nothing to do for a panel without one.

        Raises
        ------
        DeviceError
            The panel did not obey in time.
        """
        await self.ensure_ready()
        if not self.has_light:
            return
        try:
            await self.set(dialects.LIGHT_OFF, value=True)
        except SettingRefusedError:
            # Flip-Flat and its kin refuse every order to the light, "off" too, while the cover is open.
            if self.value(dialects.LIGHT_OFF) is not True:
                raise

    async def open_cover(self) -> None:
        """Open the cover and wait until it is open."""
        await self._move_cover(dialects.COVER_OPEN, CoverState.OPEN)

    async def close_cover(self) -> None:
        """Close the cover and wait until it is closed."""
        await self._move_cover(dialects.COVER_CLOSE, CoverState.CLOSED)

    async def _move_cover(self, control: tuple[dialects.Spelling, ...], goal: CoverState) -> None:
        await self.ensure_ready()
        if not self.has_cover:
            raise NotSupportedError(self.name, "has no cover")
        if self._cover() != goal:
            await self.set(control, value=True, deadline_s=self._cover_deadline_s)
