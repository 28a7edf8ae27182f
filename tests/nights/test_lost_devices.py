"""Nights on which a device disappears. coldframe waits for the device, and frames shot meanwhile do not count."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import (
    FrameAccepted,
    MasterWritten,
    Notice,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.errors import DeviceLostError
from coldframe.devices.flat_panel import FlatPanel
from tests.nights.nights import run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, Wrapped, short

pytestmark = pytest.mark.looptime


class GoneFor(Wrapped):
    """A camera that is lost at its `at`-th exposure, or at its first setpoint for 0, for some seconds."""

    def __init__(self, inner: Camera, at: int, seconds: float) -> None:
        super().__init__(inner)
        self._at, self._seconds, self._exposures, self._back_at_s = at, seconds, 0, -1.0

    def _require_presence(self) -> None:
        if asyncio.get_running_loop().time() < self._back_at_s:
            raise DeviceLostError(self.inner.name, "is away")

    def _count(self, number: int) -> None:
        if number == self._at and self._back_at_s < 0:
            self._back_at_s = asyncio.get_running_loop().time() + self._seconds
        self._require_presence()

    @property
    def is_ready(self) -> bool:
        return asyncio.get_running_loop().time() >= self._back_at_s

    async def ensure_ready(self) -> None:
        self._require_presence()

    async def set_setpoint(self, setpoint_c: float) -> None:
        self._count(0)
        await self.inner.set_setpoint(setpoint_c)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self._exposures += 1
        self._count(self._exposures)
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


@pytest.mark.parametrize("at", [0, 1, 9, 25], ids=["cooling", "first", "bias", "later"])
async def test_a_device_that_returns_within_minutes_costs_only_time(tmp_path: Path, at: int) -> None:
    rigged = Rigged(camera=lambda camera: GoneFor(camera, at, 200.0))
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.COMPLETE
    assert len(night.of(MasterWritten)) == len(short().sets)
    assert any("is away" in notice.text for notice in night.of(Notice))
    rigged.assert_safe()


async def test_a_device_that_stays_away_costs_its_set(tmp_path: Path) -> None:
    rigged = Rigged(camera=lambda camera: GoneFor(camera, 9, 400.0))
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert StepOutcome.FAILED in [ended.outcome for ended in night.of(StepEnded)]
    assert len(night.of(MasterWritten)) >= 1
    rigged.assert_safe()


class Meddled(Wrapped):
    """A panel that another program changes during one exposure of flats."""

    def __init__(self, inner: FlatPanel) -> None:
        super().__init__(inner)
        self.is_ready = True
        self.restored = 0

    async def ensure_ready(self) -> None:
        self.restored += not self.is_ready
        self.is_ready = True


class MeddlingCamera(Wrapped):
    def __init__(self, inner: Camera, panel: list[Any]) -> None:
        super().__init__(inner)
        self._panel, self._flats = panel, 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        if kind is FrameKind.FLAT:
            self._flats += 1
            self._panel[0].is_ready = self._flats != 6
        return frame


async def test_a_frame_during_which_the_rig_changed_is_quarantined(tmp_path: Path) -> None:
    panels: list[Any] = []

    def meddled(panel: FlatPanel) -> Any:
        panels.append(Meddled(panel))
        return panels[0]

    night = await run_night(
        short(), SMALL, tmp_path, Rigged(camera=lambda camera: MeddlingCamera(camera, panels), panel=meddled)
    )
    assert night.outcome is NightOutcome.COMPLETE
    assert panels[0].restored == 1
    assert [reason for reason in reasons(tmp_path) if "was lost or changed" in reason]
    assert len(night.of(FrameAccepted)) == len({accepted.path for accepted in night.of(FrameAccepted)})


def reasons(folder: Path) -> list[str]:
    return [json.loads(path.read_text())["reason"] for path in folder.rglob("quarantine/*.json")]
