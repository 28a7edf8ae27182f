"""A flat panel, dust cap or both, behind INDI."""

from dataclasses import dataclass

from coldframe.devices.camera import Limits
from coldframe.devices.errors import NotSupportedError, SettingRefusedError
from coldframe.devices.flat_panel import CoverState, PanelState
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink

ROUNDING = 0.02
"""Of the whole range: within it, a brightness that a driver shows is the one that was ordered."""


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
        self._wanted_lit: bool | None = None
        self._wanted_brightness: int | None = None
        self._wanted_cover: CoverState | None = None

    async def set_up(self) -> None:
        """Learn what the panel has, and bring lamp and cover where they were last wanted."""
        self._known = self._told()
        if self._wanted_lit is False:
            await self._put_out()
        if self._wanted_cover is not None:
            await self._bring_cover(self._wanted_cover)
        if self._wanted_lit is True:
            await self._shine()

    @property
    def is_ready(self) -> bool:
        """True while the last set-up still stands, and lamp and cover are as they were last wanted."""
        if not super().is_ready:
            return False
        state = self.state()
        return (
            self._wanted_lit in {None, state.lit}
            and (self._wanted_lit is not True or self._is_as_bright_as_wanted(state.brightness))
            and self._wanted_cover in {None, state.cover}
        )

    def _is_as_bright_as_wanted(self, shown: int | None) -> bool:
        """Tell whether the brightness is as ordered, but for what panels make of it that know fewer steps."""
        wanted, limits = self._wanted_brightness, self.brightness_limits
        if wanted is None:
            return True
        rounding = ROUNDING * limits.maximum if limits is not None else 0.0
        return shown is not None and abs(shown - wanted) <= max(1.0, rounding)

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
        self._wanted_lit = None
        await self.ensure_ready()
        self._wanted_lit, self._wanted_brightness = True, brightness
        await self._shine()

    async def _shine(self) -> None:
        await self.set(dialects.LIGHT_ON, value=True)
        if self._wanted_brightness is not None:
            await self.set(dialects.LIGHT_BRIGHTNESS, self._wanted_brightness)

    async def light_off(self) -> None:
        """Switch the light off; nothing to do for a panel without one.

        Raises
        ------
        DeviceError
            The panel did not obey in time.
        """
        self._wanted_lit = False if self.has_light else None
        await self.ensure_driver()  # no more than that: whatever else is wrong with it, the lamp goes out
        await self._put_out()

    async def _put_out(self) -> None:
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
        await self._move_cover(CoverState.OPEN)

    async def close_cover(self) -> None:
        """Close the cover and wait until it is closed."""
        await self._move_cover(CoverState.CLOSED)

    async def _move_cover(self, goal: CoverState) -> None:
        self._wanted_cover = None
        await self.ensure_ready()
        if not self.has_cover:
            raise NotSupportedError(self.name, "has no cover")
        self._wanted_cover = goal
        await self._bring_cover(goal)

    async def _bring_cover(self, goal: CoverState) -> None:
        control = dialects.COVER_OPEN if goal is CoverState.OPEN else dialects.COVER_CLOSE
        if self._cover() != goal:
            await self.set(control, value=True, deadline_s=self._cover_deadline_s)
