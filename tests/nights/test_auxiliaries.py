"""Nights with a lamp next to the telescope, which is off for dark frames and on again at the end of every night."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import MasterWritten, NightEnded
from coldframe.capture.events.values import NightOutcome
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.errors import DeviceLostError
from coldframe.devices.rig import Rig
from tests.nights.nights import run_night
from tests.nights.test_lost_devices import reasons
from tests.nights.test_troubled_nights import SMALL, Wrapped, short

pytestmark = pytest.mark.looptime


class Heater:
    """A dew heater with a lamp."""

    name = "Heater"

    def __init__(self) -> None:
        self.is_on, self.is_gone, self._wanted_off = True, False, False

    @property
    def is_ready(self) -> bool:
        return not self.is_gone and not (self._wanted_off and self.is_on)

    async def ensure_ready(self) -> None:
        if self.is_gone:
            raise DeviceLostError(self.name, "is away")
        self.is_on &= not self._wanted_off

    async def connect(self) -> None:
        await self.ensure_ready()

    async def switch_off(self) -> None:
        self._wanted_off = True
        await self.ensure_ready()

    async def restore(self) -> None:
        self._wanted_off = False
        await self.ensure_ready()
        self.is_on = True


class Watching(Wrapped):
    """A camera that looks whether the lamp is off; at its third dark the lamp goes on by itself, or goes away."""

    def __init__(self, inner: Camera, heater: Heater, *, goes_away: bool) -> None:
        super().__init__(inner)
        self._heater, self._goes_away, self.darks = heater, goes_away, 0
        self.lit: list[FrameKind] = []

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        if self._heater.is_on:
            self.lit.append(kind)
        frame: Frame = await self.inner.expose(kind, exposure_s)
        self.darks += kind is FrameKind.DARK
        if self.darks == 3 and kind is FrameKind.DARK:
            self._heater.is_on = True
            self._heater.is_gone = self._goes_away
        return frame


class Rigging:
    def __init__(self, heater: Heater, cameras: list[Watching], *, goes_away: bool) -> None:
        self._heater, self._cameras, self._goes_away = heater, cameras, goes_away

    def __call__(self, rig: Rig) -> Rig:
        self._cameras.append(Watching(rig.camera, self._heater, goes_away=self._goes_away))
        camera: Camera = self._cameras[0]
        return replace(rig, camera=camera, auxiliaries=(self._heater,))


async def test_it_is_off_for_every_frame_without_light_and_on_at_the_end(tmp_path: Path) -> None:
    heater, cameras = Heater(), list[Watching]()
    night = await run_night(short(), SMALL, tmp_path, Rigging(heater, cameras, goes_away=False))
    assert night.outcome is NightOutcome.COMPLETE
    assert cameras[0].lit == []
    assert heater.is_on
    assert len([reason for reason in reasons(tmp_path) if "Heater was lost or changed" in reason]) == 1
    assert len(night.of(MasterWritten)) == len(short().sets)


async def test_darks_are_not_shot_beside_one_that_does_not_answer(tmp_path: Path) -> None:
    heater, cameras = Heater(), list[Watching]()
    night = await run_night(short(), SMALL, tmp_path, Rigging(heater, cameras, goes_away=True))
    assert night.outcome is NightOutcome.INCOMPLETE
    assert "MasterDark_" not in " ".join(Path(made.path).name for made in night.of(MasterWritten))
    assert "Heater did not return to its earlier state" in night.of(NightEnded)[0].summary


async def test_it_is_on_again_after_a_night_that_was_cancelled(tmp_path: Path) -> None:
    heater, cameras = Heater(), list[Watching]()
    night = asyncio.create_task(run_night(short(), SMALL, tmp_path, Rigging(heater, cameras, goes_away=False)))
    await asyncio.sleep(40)
    assert not heater.is_on
    night.cancel()
    with pytest.raises(asyncio.CancelledError):
        await night
    assert heater.is_on
