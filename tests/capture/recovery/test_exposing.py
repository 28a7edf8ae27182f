"""The preconditions of an exposure, and the checks for changes to the rig during the exposure."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import ExposureStarted
from coldframe.capture.events.values import ExposurePurpose
from coldframe.capture.recovery import disk_full
from coldframe.capture.recovery.exposing import expose_once, expose_with_retries
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError
from tests.capture.scene import scene
from tests.nights.test_troubled_nights import Wrapped

pytestmark = pytest.mark.looptime


class Slipping(Wrapped):
    """A panel that goes away during the first exposure, and comes back when it is asked for."""

    is_ready = True

    async def ensure_ready(self) -> None:
        self.is_ready = True


class Careless(Wrapped):
    """A camera during whose exposures something happens."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.mishaps: list[Any] = []

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        if self.mishaps:
            self.mishaps.pop(0)()
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


def timed_out() -> None:
    raise DeviceTimeoutError("Coldframe Camera", "sent no frame")


async def test_an_exposure_is_announced_and_gives_a_frame(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    frame = await expose_once(seen.context, 4, FrameKind.DARK, 2.0)
    assert (frame.kind, frame.exposure_s) == (FrameKind.DARK, 2.0)
    (started,) = seen.of(ExposureStarted)
    assert (started.step, started.kind, started.exposure_s) == (4, FrameKind.DARK, 2.0)


async def test_a_frame_during_which_a_device_went_away_is_quarantined(tmp_path: Path) -> None:
    seen = await scene(
        tmp_path, meddle=lambda rig: replace(rig, camera=Careless(rig.camera), panel=Slipping(rig.panel))
    )
    camera: Any = seen.context.rig.camera
    camera.mishaps.append(lambda: setattr(seen.panel, "is_ready", False))
    with pytest.raises(DeviceLostError, match="was lost or changed during an exposure"):
        await expose_once(seen.context, 1, FrameKind.FLAT, 0.5)
    assert len(list(seen.context.folder.path.glob("quarantine/*.fits"))) == 1


async def test_such_a_frame_is_shot_again(tmp_path: Path) -> None:
    seen = await scene(
        tmp_path, meddle=lambda rig: replace(rig, camera=Careless(rig.camera), panel=Slipping(rig.panel))
    )
    camera: Any = seen.context.rig.camera
    camera.mishaps += [lambda: setattr(seen.panel, "is_ready", False), timed_out]
    await expose_with_retries(seen.context, 1, FrameKind.FLAT, 0.5, purpose=ExposurePurpose.TUNING)
    assert len(seen.of(ExposureStarted)) == 3


async def test_an_exposure_waits_while_the_night_is_paused(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    with seen.context.steering.taking_requests():
        seen.context.steering.pause()
        asyncio.get_running_loop().call_later(100.0, seen.context.steering.resume)
        await expose_with_retries(seen.context, 1, FrameKind.BIAS, 0.001, purpose=ExposurePurpose.GAIN)
    (started,) = seen.of(ExposureStarted)
    assert (started.at - seen.events[0].at).total_seconds() == pytest.approx(100, abs=2)


async def test_an_exposure_waits_for_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = iter([0, 0, 0])
    monkeypatch.setattr(disk_full, "free_bytes", lambda _folder: next(checks, 1 << 40))
    seen = await scene(tmp_path)
    await expose_once(seen.context, 1, FrameKind.BIAS, 0.001)
    assert len([text for text in seen.notices if "exposing pauses" in text]) == 1
    assert seen.context.clock.elapsed_s() >= 3 * disk_full.CHECK_PERIOD_S
