"""A flat panel, a dust cap, or a combination of both, on an INDI server."""

from dataclasses import dataclass

from coldframe.devices.camera import Limits
from coldframe.devices.errors import NotSupportedError, SettingRefusedError
from coldframe.devices.flat_panel import CoverState, PanelState
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink

ROUNDING = 0.02
"""Maximum difference, as a fraction of full brightness, between the commanded brightness and the one reported by panels
that round it."""


@dataclass(frozen=True, slots=True)
class PanelFeatures:
    """The capabilities of a panel, stored because its driver may be disconnected."""

    has_light: bool
    has_cover: bool
    brightness_limits: Limits | None


class IndiFlatPanel(IndiDevice):
    """A panel with INDI's light box or dust cap interface, or both. Implements `FlatPanel`.

    Parameters
    ----------
    cover_deadline_s
        Maximum time that the cover may take to open or close, in seconds.
    """

    def __init__(self, link: IndiLink, name: str, cover_deadline_s: float = 60.0) -> None:
        super().__init__(link, name)
        self._cover_deadline_s = cover_deadline_s
        self._known: PanelFeatures | None = None
        self._wanted_lit: bool | None = None
        self._wanted_brightness: int | None = None
        self._wanted_cover: CoverState | None = None

    async def set_up(self) -> None:
        """Read the panel's capabilities, and restore the last commanded states of its lamp and cover."""
        self._known = self._reported()
        if self._wanted_lit is False:
            await self._switch_off()
        if self._wanted_cover is not None:
            await self._bring_cover(self._wanted_cover)
        if self._wanted_lit is True:
            await self._switch_on()

    @property
    def is_ready(self) -> bool:
        """True while the last set-up is valid, and the lamp and the cover are in their last commanded states."""
        if not super().is_ready:
            return False
        state = self.state()
        return (
            self._wanted_lit in {None, state.lit}
            and (self._wanted_lit is not True or self._is_as_bright_as_wanted(state.brightness))
            and self._wanted_cover in {None, state.cover}
        )

    def _is_as_bright_as_wanted(self, shown: int | None) -> bool:
        """Return True if the brightness is as commanded, within the rounding of panels with coarse steps."""
        wanted, limits = self._wanted_brightness, self.brightness_limits
        if wanted is None:
            return True
        rounding = ROUNDING * limits.maximum if limits is not None else 0.0
        return shown is not None and abs(shown - wanted) <= max(1.0, rounding)

    def _reported(self) -> PanelFeatures:
        """Return the capabilities.

        Include a lamp or a cover whose control is now missing but was present before, so that commands to it fail.
        """
        known = self._known
        return PanelFeatures(
            has_light=self.has(dialects.LIGHT_ON) or (known is not None and known.has_light),
            has_cover=self.has(dialects.COVER_CLOSE) or (known is not None and known.has_cover),
            brightness_limits=self.limits(dialects.LIGHT_BRIGHTNESS),
        )

    @property
    def _features(self) -> PanelFeatures:
        return self._known or self._reported()

    @property
    def brightness_limits(self) -> Limits | None:
        """Range of the brightness in the panel's own steps; None if the lamp can only be switched on and off."""
        return self._features.brightness_limits

    @property
    def has_light(self) -> bool:
        """False for a dust cap without a lamp."""
        return self._features.has_light

    @property
    def has_cover(self) -> bool:
        """True if the device can open and close a cover."""
        return self._features.has_cover

    def state(self) -> PanelState:
        """Return the state that the driver last reported."""
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
        """Switch the lamp on, then set its brightness; some panels (Wanderer) always switch on at full brightness.

        Raises
        ------
        DeviceError
            If the panel has no lamp, or does not carry out the command in time.
        """
        self._wanted_lit = None
        await self.ensure_ready()
        self._wanted_lit, self._wanted_brightness = True, brightness
        await self._switch_on()

    async def _switch_on(self) -> None:
        await self.set(dialects.LIGHT_ON, value=True)
        if self._wanted_brightness is not None:
            await self.set(dialects.LIGHT_BRIGHTNESS, self._wanted_brightness)

    async def light_off(self) -> None:
        """Switch the lamp off; do nothing if the panel has no lamp.

        Raises
        ------
        DeviceError
            If the panel does not carry out the command in time.
        """
        self._wanted_lit = False if self.has_light else None
        await self.ensure_driver()  # without set-up, because the lamp must be switched off even if set-up fails
        await self._switch_off()

    async def _switch_off(self) -> None:
        if not self.has_light:
            return
        try:
            await self.set(dialects.LIGHT_OFF, value=True)
        except SettingRefusedError:
            # Flip-Flat and similar panels refuse every command to the lamp, even "off", while the cover is open.
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
