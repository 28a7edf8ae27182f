"""Faults of a cooler and its thermometer; row numbers refer to the fault matrix in docs/faults.md."""

import asyncio
from dataclasses import replace
from random import Random
from typing import ClassVar

from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Camera, Frame, Limits, Thermals
from coldframe.devices.errors import DeviceTimeoutError
from coldframe.simulators.faults.striking import FaultyCamera, now_s
from coldframe.simulators.optics import Telescope

SENSIBLE_C = Limits(-120.0, 80.0)
"""Range of temperatures that count as plausible readings, in degrees Celsius."""


class FaultyCooler(FaultyCamera):
    """A camera whose frames carry the temperature and setpoint that its driver reports."""

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Expose, and put the reported temperature and setpoint into the frame."""
        frame = await self.inner.expose(kind, exposure_s)
        reported = self.thermals()
        is_sensible = reported.sensor_c is not None and SENSIBLE_C.contains(reported.sensor_c)
        return replace(frame, sensor_c=reported.sensor_c if is_sensible else None, setpoint_c=reported.setpoint_c)


class UnpluggedCooler(FaultyCooler):
    """The cooler's power supply fails, and the driver reports full power (row 1)."""

    rows = (1,)
    first = (1, 15)
    lasting = 1.0

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._is_dead = False
        self._wanted_c: float | None = None

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Lose the power supply before an exposure."""
        if self.hardware.cooler is not None and self.strikes.strike():
            self._is_dead = True
            self.hardware.cooler.switch_off()
        return await super().expose(kind, exposure_s)

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Accept a setpoint, which has no effect once the power supply has failed."""
        self._wanted_c = setpoint_c
        if not self._is_dead:
            await self.inner.set_setpoint(setpoint_c)

    async def cooler_off(self) -> None:
        """Switch the cooler off."""
        self._wanted_c = None
        await self.inner.cooler_off()

    def thermals(self) -> Thermals:
        """Report full power."""
        reported = self.inner.thermals()
        if not self._is_dead or self._wanted_c is None:
            return reported
        return replace(reported, setpoint_c=self._wanted_c, cooler_on=True, power_percent=100.0)


class TooCold(FaultyCooler):
    """The cooler goes below its setpoint and stays there for a while (row 2)."""

    rows = (2,)
    first = (1, 3)
    times = (1, 2)

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._lasts_s = random.uniform(20, 90)
        self._wanted_c: float | None = None
        self._until_s = 0.0

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Regulate to a lower setpoint."""
        self._wanted_c = None
        await self.inner.set_setpoint(setpoint_c)
        if self.hardware.cooler is not None and self.strikes.strike():
            self._wanted_c, self._until_s = setpoint_c, now_s() + self._lasts_s
            self.hardware.cooler.cool_to(setpoint_c - 1.5)

    async def cooler_off(self) -> None:
        """Switch the cooler off."""
        self._wanted_c = None
        await self.inner.cooler_off()

    def thermals(self) -> Thermals:
        """Report the commanded setpoint, and regulate to this setpoint again after a while."""
        reported = self.inner.thermals()
        if self._wanted_c is None or self.hardware.cooler is None:
            return reported
        if now_s() >= self._until_s:
            self.hardware.cooler.cool_to(self._wanted_c)
        return replace(reported, setpoint_c=self._wanted_c)


class DriftingSensor(FaultyCooler):
    """The temperature jumps during an exposure (row 3)."""

    rows = (3,)
    first = (1, 3)

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._jump_c = random.choice([-2.5, 1.5, 3.0])

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Change the temperature during a dark."""
        if self.hardware.cooler is None or kind is not FrameKind.DARK or not self.strikes.strike():
            return await self.inner.expose(kind, exposure_s)
        exposing = asyncio.ensure_future(self.inner.expose(kind, exposure_s))
        try:
            await asyncio.wait([exposing], timeout=exposure_s / 2)
            self.hardware.cooler.sensor_c += self._jump_c
            return await exposing
        finally:
            exposing.cancel()
            await asyncio.wait([exposing])


class SilentThermometer(FaultyCooler):
    """The reported temperature freezes while the sensor slowly drifts from the setpoint (row 4)."""

    rows = (4,)
    lasting = 1.0

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self.silent_since_s: float | None = None
        self._last: Thermals | None = None

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Freeze the reading before an exposure."""
        if self.hardware.cooler is not None and self.strikes.strike() and self._last is None:
            self._last, self.silent_since_s = self.inner.thermals(), now_s()
        return await super().expose(kind, exposure_s)

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Accept a setpoint, but regulate to a warmer one once the reading is frozen."""
        await self.inner.set_setpoint(setpoint_c)
        if self._last is not None and self.hardware.cooler is not None:
            self._last = replace(self._last, setpoint_c=setpoint_c)
            self.hardware.cooler.cool_to(setpoint_c + 3)

    async def cooler_off(self) -> None:
        """Switch the cooler off."""
        await self.inner.cooler_off()
        if self._last is not None:
            self._last = replace(self._last, setpoint_c=None, cooler_on=False)

    def thermals(self) -> Thermals:
        """Return the frozen reading."""
        return self._last or self.inner.thermals()


class NonsenseReading(FaultyCooler):
    """The thermometer reports impossible temperatures (row 5)."""

    rows = (5,)
    first = (1, 120)
    times = (1, 200)
    lasting = 0.2
    choices_c: ClassVar[tuple[float | None, ...]] = (-273.15, -300.0, 1e9, float("nan"), None)

    def __init__(self, inner: Camera, hardware: Telescope, random: Random) -> None:
        super().__init__(inner, hardware, random)
        self._nonsense_c = random.choice(self.choices_c)

    def thermals(self) -> Thermals:
        """Return an impossible temperature."""
        reported = self.inner.thermals()
        return replace(reported, sensor_c=self._nonsense_c) if self.strikes.strike() else reported


class CoolerStaysOn(FaultyCamera):
    """The cooler stays on although the driver accepted the command to switch it off (row 7)."""

    rows = (7,)
    first = (1, 1)
    times = (1, 1)
    lasting = 0.7

    async def cooler_off(self) -> None:
        """Accept the command, but leave the cooler on."""
        if self.hardware.cooler is None or self.hardware.cooler.setpoint_c is None or not self.strikes.strike():
            await self.inner.cooler_off()


class StubbornCooler(FaultyCamera):
    """The camera does not answer commands to its cooler (rows 1, 7)."""

    rows = (1, 7)
    first = (1, 6)
    times = (1, 3)

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Set the setpoint, or time out."""
        await self._answer()
        await self.inner.set_setpoint(setpoint_c)

    async def cooler_off(self) -> None:
        """Switch the cooler off, or time out."""
        await self._answer()
        await self.inner.cooler_off()

    async def _answer(self) -> None:
        if self.strikes.strike():
            await asyncio.sleep(10.0)
            raise DeviceTimeoutError(self.name, "did not answer a command to its cooler within 10 s")


COOLER_FAULTS: tuple[type[FaultyCamera], ...] = (
    UnpluggedCooler,
    TooCold,
    DriftingSensor,
    SilentThermometer,
    NonsenseReading,
    CoolerStaysOn,
    StubbornCooler,
)
