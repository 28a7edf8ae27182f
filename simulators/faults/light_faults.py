"""Faults of lamp, cover and wheel, and unwanted light; row numbers refer to the fault matrix in docs/faults.md."""

import asyncio
from dataclasses import replace
from random import Random

from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import CoverState, FlatPanel, PanelState
from coldframe.simulators.faults.striking import FaultyCamera, FaultyPanel, FaultyWheel, now_s
from coldframe.simulators.optics import Telescope


class DeadPanel(FaultyPanel):
    """The lamp does not light up, but is reported as lit (row 27)."""

    rows = (27,)
    first = (1, 2)
    lasting = 0.4

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._claimed: int | None = None

    def state(self) -> PanelState:
        """Report that the lamp is lit."""
        reported = self.inner.state()
        return reported if self._claimed is None else replace(reported, lit=True, brightness=self._claimed)

    async def light_on(self, brightness: int | None = None) -> None:
        """Accept the command, but leave the lamp off."""
        if self.strikes.strike():
            await self.inner.light_off()
            self._claimed = brightness or 0
        else:
            self._claimed = None
            await self.inner.light_on(brightness)

    async def light_off(self) -> None:
        """Switch the lamp off."""
        self._claimed = None
        await self.inner.light_off()


class BurningLamp(FaultyPanel):
    """The lamp does not go out, but is reported as off (row 28)."""

    rows = (28,)
    first = (1, 5)
    times = (1, 4)
    lasting = 0.2

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._burns = False

    def state(self) -> PanelState:
        """Report that the lamp is off."""
        reported = self.inner.state()
        return replace(reported, lit=False) if self._burns else reported

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the lamp on."""
        self._burns = False
        await self.inner.light_on(brightness)

    async def light_off(self) -> None:
        """Leave the lamp on."""
        # The fault occurs only if the lamp is lit.
        if self.hardware.panel.lit and self.strikes.strike():
            self._burns = True
        else:
            self._burns = False
            await self.inner.light_off()


class StubbornLamp(FaultyPanel):
    """The panel does not answer the command to switch its lamp off (row 28)."""

    rows = (28,)
    first = (1, 8)
    times = (1, 4)
    lasting = 0.1

    async def light_off(self) -> None:
        """Switch the lamp off, or time out."""
        if self.strikes.strike():
            await asyncio.sleep(10.0)
            raise DeviceTimeoutError(self.name, "did not switch its lamp off within 10 s")
        await self.inner.light_off()


class InvertedPanel(FaultyPanel):
    """The lamp's switch is inverted (row 29)."""

    rows = (29,)
    first = (1, 1)
    lasting = 1.0

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._claims_light = False
        self._brightness = random.randint(40, 255)

    def state(self) -> PanelState:
        """Report the commanded state."""
        return replace(self.inner.state(), lit=self._claims_light)

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the lamp off."""
        self.strikes.strike()
        self._claims_light, self._brightness = True, self._brightness if brightness is None else brightness
        await self.inner.light_off()

    async def light_off(self) -> None:
        """Switch the lamp on."""
        self.strikes.strike()
        self._claims_light = False
        await self.inner.light_on(self._brightness)


class IgnoredBrightness(FaultyPanel):
    """Commands do not change the brightness (row 30)."""

    rows = (30,)
    first = (1, 1)
    lasting = 1.0

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._stays_at = random.randint(20, 255)
        self._claimed: int | None = None

    def state(self) -> PanelState:
        """Report the commanded brightness."""
        reported = self.inner.state()
        return reported if self._claimed is None else replace(reported, brightness=self._claimed)

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the lamp on at its fixed brightness."""
        self._claimed = brightness
        if brightness != self._stays_at:
            self.strikes.strike()
        await self.inner.light_on(self._stays_at)


class OpenCover(FaultyPanel):
    """A cover that is open at the beginning of the night."""

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        if inner.has_cover:
            hardware.panel.move_cover(now_s() - 1000.0, closed=False)


class StuckCover(OpenCover):
    """The cover does not move, and the driver reports the failure (row 31)."""

    rows = (31,)
    first = (1, 2)
    times = (1, 4)
    lasting = 0.2

    async def open_cover(self) -> None:
        """Open the cover, or time out."""
        await self._fail()
        await self.inner.open_cover()

    async def close_cover(self) -> None:
        """Close the cover, or time out."""
        await self._fail()
        await self.inner.close_cover()

    async def _fail(self) -> None:
        if self.strikes.strike():
            await asyncio.sleep(60.0)
            raise DeviceTimeoutError(self.name, "did not move its cover within 60 s")


class LyingCover(OpenCover):
    """The cover stays open, but is reported as closed (row 31)."""

    rows = (31,)
    first = (1, 1)
    times = (1, 4)
    lasting = 0.3

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._claims_closed = False

    def state(self) -> PanelState:
        """Report that the cover is closed."""
        reported = self.inner.state()
        return replace(reported, cover=CoverState.CLOSED) if self._claims_closed else reported

    async def open_cover(self) -> None:
        """Open the cover."""
        self._claims_closed = False
        await self.inner.open_cover()

    async def close_cover(self) -> None:
        """Leave the cover open."""
        self._claims_closed = self.inner.state().cover is CoverState.OPEN and self.strikes.strike()
        if not self._claims_closed:
            await self.inner.close_cover()


class UnpluggedPanel(FaultyPanel):
    """The panel disappears during a command, with its lamp off, and returns after a while (rows 12, 13, 14)."""

    rows = (12, 13, 14)
    first = (1, 6)
    times = (1, 2)

    def __init__(self, inner: FlatPanel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._away_s = random.choice([3.0, 20.0, 100.0, 250.0, 400.0])
        self._back_at_s: float | None = None
        self._wanted: int | None = None

    @property
    def is_ready(self) -> bool:
        """False from the disappearance until the last commanded state of the lamp has been restored."""
        return self._back_at_s is None and self.inner.is_ready

    async def ensure_ready(self) -> None:
        """Restore the lamp once the panel is back."""
        if self._back_at_s is None:
            return
        if now_s() < self._back_at_s:
            raise DeviceLostError(self.name, "is disconnected", "Check its cable")
        self._back_at_s = None
        if self._wanted is not None:
            await self.inner.light_on(self._wanted)

    async def light_on(self, brightness: int | None = None) -> None:
        """Disappear, or switch the lamp on."""
        await self._strike()
        await self.inner.light_on(brightness)
        self._wanted = self.inner.state().brightness

    async def light_off(self) -> None:
        """Disappear, or switch the lamp off."""
        self._wanted = None
        await self._strike()
        await self.inner.light_off()

    async def open_cover(self) -> None:
        """Open the cover, or fail while the panel is disconnected."""
        await self.ensure_ready()
        await self.inner.open_cover()

    async def close_cover(self) -> None:
        """Close the cover, or fail while the panel is disconnected."""
        await self.ensure_ready()
        await self.inner.close_cover()

    async def _strike(self) -> None:
        await self.ensure_ready()
        if self.strikes.strike():
            await self.inner.light_off()
            self._back_at_s = now_s() + self._away_s
            raise DeviceLostError(self.name, "disappeared", "Check its cable")


class StuckWheel(FaultyWheel):
    """The wheel reports a filter that is not in the beam: it did not turn, or turned too far (row 36)."""

    rows = (36,)
    first = (1, 1)
    times = (3, 4)
    lasting = 0.9

    def __init__(self, inner: FilterWheel, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._claimed: str | None = None
        self._stays = random.random() < 0.5  # noqa: PLR2004  every second turn

    @property
    def current(self) -> str | None:
        """The commanded filter, which the wheel reports."""
        return self._claimed or self.inner.current

    async def select(self, name: str) -> None:
        """Leave the wheel in its slot, or turn it one slot too far."""
        self._claimed = None
        if name == self.inner.current or not self.strikes.strike():
            await self.inner.select(name)
            return
        if not self._stays:
            names = self.filters
            await self.inner.select(names[(names.index(name) + 1) % len(names)])
        self._claimed = name


class LateWheel(FaultyWheel):
    """The wheel does not reach its filter (row 35)."""

    rows = (35,)
    first = (1, 2)
    lasting = 0.2

    async def select(self, name: str) -> None:
        """Turn to a filter, or time out."""
        if self.strikes.strike():
            await asyncio.sleep(60.0)
            raise DeviceTimeoutError(self.name, f"did not turn to {name} within 60 s")
        await self.inner.select(name)


class UnsteadyLight(FaultyCamera):
    """The panel's light changes from exposure to exposure, so that tuning does not converge (row 37)."""

    rows = (37,)
    first = (1, 4)
    times = (4, 30)

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._model = hardware.panel.model

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Change the panel's light, then expose."""
        factor = 1.0
        if kind is FrameKind.FLAT and self.strikes.strike():
            factor = self.random.uniform(0.05, 1.0)
        full_e_per_s = factor * self._model.full_e_per_s
        self.hardware.panel.model = self._model.model_copy(update={"full_e_per_s": full_e_per_s})
        return await self.inner.expose(kind, exposure_s)


class FlickeringLamp(FaultyCamera):
    """The lamp flickers, and a rolling shutter turns the flicker into bands (row 38)."""

    rows = (38,)
    first = (1, 1)
    lasting = 1.0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose with a flickering lamp."""
        rig = self.hardware.rig
        flicker = {"flicker_depth": 0.4, "flicker_hz": 123.0, "line_s": 0.0005}
        self.hardware.rig = rig.model_copy(update={"faults": rig.faults.model_copy(update=flicker)})
        if self.hardware.light_e_per_s(now_s()) > 0:
            self.strikes.strike()
        return await self.inner.expose(kind, exposure_s)


class LightLeak(FaultyCamera):
    """Light leaks past the closed cover on one side, as at dawn or with an open door (rows 33, 34)."""

    rows = (33, 34)
    first = (1, 4)
    times = (1, 20)
    lasting = 0.3

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._leak: dict[str, object] = {
            "leak_e_per_s": 10 ** random.uniform(-1, 3),
            "leak_side": random.choice(["left", "right", "top", "bottom"]),
        }

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Admit light during some darks."""
        is_lit = kind is FrameKind.DARK and self.strikes.strike()
        rig, leak = self.hardware.rig, self._leak if is_lit else {"leak_e_per_s": 0.0}
        self.hardware.rig = rig.model_copy(update={"faults": rig.faults.model_copy(update=leak)})
        return await self.inner.expose(kind, exposure_s)


class StrayLight(FaultyCamera):
    """A lamp near the telescope is on during some darks, and illuminates the sensor evenly (row 39)."""

    rows = (39,)
    first = (1, 3)
    times = (1, 5)
    lasting = 0.2

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._e_per_s = 10 ** random.uniform(1.5, 4)
        self._without = hardware.rig.stray_e_per_s

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Switch the lamp on for some darks."""
        is_lit = kind is FrameKind.DARK and self.strikes.strike()
        stray = {"stray_e_per_s": self._e_per_s if is_lit else self._without}
        self.hardware.rig = self.hardware.rig.model_copy(update=stray)
        return await self.inner.expose(kind, exposure_s)


PANEL_FAULTS: tuple[type[FaultyPanel], ...] = (
    DeadPanel,
    BurningLamp,
    StubbornLamp,
    InvertedPanel,
    IgnoredBrightness,
    StuckCover,
    LyingCover,
    UnpluggedPanel,
)
WHEEL_FAULTS: tuple[type[FaultyWheel], ...] = (StuckWheel, LateWheel)
LIGHT_FAULTS: tuple[type[FaultyCamera], ...] = (UnsteadyLight, FlickeringLamp, LightLeak, StrayLight)
