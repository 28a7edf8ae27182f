"""Nights with a device that fails repeatedly. Sets that do not need the device continue without long delays."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import (
    FrameAccepted,
    HookEnded,
    MasterWritten,
    NightEnded,
    Notice,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.recovery import power_cycle
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import Settings
from coldframe.config.tables.night import HookSettings
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError
from coldframe.devices.rig import Rig
from tests.nights.nights import NightRun, run_night
from tests.nights.test_lost_devices import reasons
from tests.nights.test_troubled_nights import SMALL, Rigged, Wrapped, short

pytestmark = pytest.mark.looptime


class LostFrom(Wrapped):
    """A panel or wheel that is lost for good once `is_gone` is set."""

    is_gone = False

    def _require_presence(self) -> None:
        if self.is_gone:
            raise DeviceLostError(self.inner.name, "is away")

    @property
    def is_ready(self) -> bool:
        return not self.is_gone

    async def ensure_ready(self) -> None:
        self._require_presence()

    async def select(self, name: str) -> None:
        self._require_presence()
        await self.inner.select(name)

    async def light_on(self, brightness: int | None = None) -> None:
        self._require_presence()
        await self.inner.light_on(brightness)

    async def light_off(self) -> None:
        self._require_presence()
        await self.inner.light_off()


class Losing(Wrapped):
    """A camera at whose `at`-th frame of a kind another device is lost."""

    def __init__(self, inner: Camera, device: LostFrom, kind: FrameKind, at: int) -> None:
        super().__init__(inner)
        self._device, self._kind, self._left = device, kind, at

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        self._left -= kind is self._kind
        self._device.is_gone |= self._left == 0
        return frame


def losing(part: str, kind: FrameKind, at: int) -> Any:
    def meddled(rig: Rig) -> Rig:
        device: Any = LostFrom(getattr(rig, part))
        camera: Any = Losing(rig.camera, device, kind, at)
        return replace(rig, camera=camera, **{part: device})

    return meddled


def lasted_min(night: NightRun) -> float:
    return (night.events[-1].at - night.events[0].at).total_seconds() / 60


def made(night: NightRun) -> list[str]:
    return sorted(Path(master.path).name.split("_")[0] for master in night.of(MasterWritten))


async def test_a_lost_wheel_costs_only_the_flats(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path, losing("wheel", FrameKind.BIAS, 4))
    assert night.outcome is NightOutcome.INCOMPLETE
    assert made(night) == ["MasterBias", "MasterDark"]
    assert any("do not need this device continue" in notice.text for notice in night.of(Notice))
    assert sum(reason.endswith("(for 5 min)") for reason in failures(night)) == 0, "it was waited for once"
    assert lasted_min(night) < 15


async def test_a_panel_lost_while_dark_costs_no_darks(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path, losing("panel", FrameKind.BIAS, 4))
    assert made(night) == ["MasterBias", "MasterDark"]
    assert lasted_min(night) < 15


async def test_a_panel_lost_while_lit_costs_the_darks(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path, losing("panel", FrameKind.FLAT, 4))
    assert made(night) == ["MasterBias"]
    assert lasted_min(night) < 20


def failures(night: NightRun) -> list[str]:
    return [ended.reason for ended in night.of(StepEnded) if ended.outcome is StepOutcome.FAILED]


class Hanging(Wrapped):
    """A camera that hangs from an exposure on, until it has been power-cycled (a file was written) often enough."""

    def __init__(self, inner: Camera, switched: Path, times: int) -> None:
        super().__init__(inner)
        self._switched, self._times, self.exposures, self.timeouts = switched, times, 0, 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self.exposures += 1
        switched = len(self._switched.read_text()) if self._switched.exists() else 0
        if self.exposures > 6 and switched < self._times:
            self.timeouts += 1
            raise DeviceTimeoutError(self.inner.name, "sent no frame")
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


def with_power_cycle(switched: Path, settings: Settings) -> Settings:
    command = (sys.executable, "-c", f"open({str(switched)!r}, 'a').write('x'); print('power is back')")
    hooks = HookSettings(power_cycle=command)
    return settings.model_copy(update={"hooks": hooks})


async def run_hanging(folder: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> tuple[NightRun, Hanging]:
    async def run_now(command: tuple[str, ...], deadline_s: float) -> tuple[str, str]:
        del deadline_s  # virtual time and a real process do not go together
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return "", output.decode().strip()

    monkeypatch.setattr(power_cycle, "run_bounded", run_now)
    cameras: list[Hanging] = []

    def hanging(camera: Camera) -> Hanging:
        cameras.append(Hanging(camera, folder / "switched", times))
        return cameras[0]

    settings = with_power_cycle(folder / "switched", short())
    return await run_night(settings, SMALL, folder, Rigged(camera=hanging)), cameras[0]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_camera_that_hangs_is_power_cycled_and_the_night_goes_on(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night, camera = await run_hanging(tmp_path, times, monkeypatch)
    assert night.outcome is NightOutcome.COMPLETE
    assert [hook.output for hook in night.of(HookEnded)] == ["power is back"] * times
    assert camera.timeouts == 5 + 3 * (times - 1)


async def test_a_camera_is_power_cycled_twice_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night, camera = await run_hanging(tmp_path, 99, monkeypatch)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert len(night.of(HookEnded)) == 2
    assert camera.timeouts < 25, "with an open breaker there is one try for each set"


class Meddling(Wrapped):
    """A camera whose gain another program changes at some of its biases."""

    def __init__(self, inner: Camera, at: set[int]) -> None:
        super().__init__(inner)
        self._at, self.biases = at, 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self.biases += kind is FrameKind.BIAS
        if kind is FrameKind.BIAS and self.biases in self._at:
            await self.inner.apply(ReadoutSettings(gain=10, offset=50))
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


async def test_settings_changed_by_another_program_are_restored_twice(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path, Rigged(camera=lambda camera: Meddling(camera, {6, 9})))
    assert night.outcome is NightOutcome.COMPLETE
    assert len([reason for reason in reasons(tmp_path) if "gain=10" in reason]) == 2


async def test_the_third_foreign_change_ends_the_night_in_the_safe_state_and_is_named(tmp_path: Path) -> None:
    rigged = Rigged(camera=lambda camera: Meddling(camera, {6, 8, 10}))
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.ABORTED
    (ended,) = night.of(NightEnded)
    assert "gain is 10 instead of 150" in ended.summary
    assert len(reasons(tmp_path)) >= 3
    assert all("gain10" not in accepted.path for accepted in night.of(FrameAccepted))
    rigged.assert_safe()
