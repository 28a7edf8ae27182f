"""Every frame that the camera delivers is saved in a file, in sets and in twilight, regardless of later events."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from coldframe.calibration.files.frame_file import read_pixels
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.events.kinds import FrameAccepted, FrameRejected, StepEnded
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.pipeline.delivered_frames import NOT_JUDGED
from coldframe.capture.session.steering import Steering
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, TwilightModel
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceTimeoutError
from coldframe.devices.rig import Rig
from tests.nights.nights import NightRun, run_night
from tests.nights.test_sky_flats import DAWN, night_of, under
from tests.nights.test_temperatures import BIAS, DARKS, SMALL, told_by
from tests.nights.test_temperatures import night_of as night_of_sets

pytestmark = pytest.mark.looptime
TWILIGHT = TwilightModel(e_per_s=20, doubling_min=3.2)


@dataclass(frozen=True)
class Case:
    """A night in which one step shoots frames of a kind that no other step shoots."""

    kind: FrameKind
    settings: Settings
    rig: SimulatedRig


CASES = [
    pytest.param(Case(FrameKind.DARK, night_of_sets("small", BIAS, {**DARKS, "count": 8}), SMALL), id="set"),
    pytest.param(Case(FrameKind.FLAT, night_of(6, DAWN, dark_flats=1), under(TWILIGHT)), id="twilight"),
]


class Watched:
    """A camera that records the frames of one kind, and acts when it delivers one of them."""

    def __init__(self, kind: FrameKind, at: int, act: Callable[[], None] = lambda: None) -> None:
        self._kind, self._at, self._act = kind, at, act
        self.delivered: list[bytes] = []

    def __call__(self, rig: Rig) -> Rig:
        self.inner = rig.camera
        return replace(rig, camera=self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame = await self.inner.expose(kind, exposure_s)
        if kind is self._kind:
            self.delivered.append(pixel_digest(frame.pixels))
            if len(self.delivered) == self._at:
                frame = self.change(frame)
                self._act()
        return frame

    def change(self, frame: Frame) -> Frame:
        return frame


async def run(case: Case, camera: Watched, folder: Path, steer: Callable[[Steering], None] | None = None) -> NightRun:
    def begin(steering: Steering, _events: EventStream) -> None:
        if steer is not None:
            steer(steering)

    return await run_night(case.settings, case.rig, folder, camera, steer=begin)


def require_in_files(camera: Watched, kind: FrameKind, folder: Path) -> list[Path]:
    """Assert that each delivered frame is in exactly one file; return those in quarantine, which all have a reason."""
    paths = [path for path in folder.rglob(f"{kind}_*.fits") if path.parent.name != "masters"]
    found = Counter(pixel_digest(read_pixels(path)) for path in paths)
    assert found == Counter(camera.delivered)
    quarantined = [path for path in paths if path.parent.name == "quarantine"]
    assert all("reason" in path.with_suffix(".json").read_text("utf-8") for path in quarantined)
    return quarantined


def requesting(case: Case, at: int, request: Callable[[Steering], str]) -> tuple[Watched, Callable[[Steering], None]]:
    """Return a camera that makes a request when it delivers a frame, and a function that gives it the steering."""
    steered: list[Steering] = []

    def act() -> None:
        request(steered[0])

    return Watched(case.kind, at, act), steered.append


REQUESTS = [pytest.param(Steering.abort, id="abort"), pytest.param(Steering.skip, id="skip")]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("case", CASES)
async def test_a_frame_delivered_just_before_a_request_is_kept(
    case: Case, request_: Callable[[Steering], str], tmp_path: Path
) -> None:
    camera, steer = requesting(case, 5, request_)
    with suppress(asyncio.CancelledError):
        await run(case, camera, tmp_path, steer)
    assert len(camera.delivered) == 5, "nothing is exposed after the request"
    (quarantined,) = require_in_files(camera, case.kind, tmp_path)
    assert NOT_JUDGED in quarantined.with_suffix(".json").read_text("utf-8")


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("case", CASES)
async def test_frames_on_their_way_to_a_slow_disk_are_kept_before_a_request_is_obeyed(
    case: Case, request_: Callable[[Steering], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(work: Callable[..., Any], *args: Any) -> Any:
        await asyncio.sleep(7.0)
        return await in_thread(work, *args)

    for module in ("pipeline.delivered_frames", "shooting.set_frames", "twilight.sky_frames"):
        monkeypatch.setattr(f"coldframe.capture.{module}.in_thread", slowly)
    camera, steer = requesting(case, 6, request_)
    with suppress(asyncio.CancelledError):
        await run(case, camera, tmp_path, steer)
    assert len(require_in_files(camera, case.kind, tmp_path)) <= 1, "only the frame that was just delivered"


class Contested(Watched):
    """A camera whose gain another program changes for one frame, and whose driver fails to apply the next order."""

    failures = 0

    def change(self, frame: Frame) -> Frame:
        self.failures = 1
        return replace(frame, settings=ReadoutSettings(gain=10, offset=50))

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        if self.failures:
            self.failures -= 1
            raise DeviceTimeoutError(self.inner.name, "did not answer")
        return await self.inner.apply(settings)


@pytest.mark.parametrize("case", CASES)
async def test_a_frame_delivered_before_an_order_that_fails_is_in_quarantine(case: Case, tmp_path: Path) -> None:
    camera = Contested(case.kind, 5)
    night = await run(case, camera, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    (quarantined,) = require_in_files(camera, case.kind, tmp_path)
    assert "gain=10" in quarantined.with_suffix(".json").read_text("utf-8")
    assert [event.path for event in night.of(FrameRejected)] == [str(quarantined)]


async def test_twilight_flats_shot_with_a_dead_thermometer_do_not_count(tmp_path: Path) -> None:
    case = Case(FrameKind.FLAT, night_of(6, DAWN, dark_flats=1), under(TWILIGHT))
    healthy = await run(case, Watched(case.kind, 0), tmp_path / "healthy")
    flats = [event for event in healthy.of(FrameAccepted) if "/flats/" in event.path]
    dies_after_s = (flats[2].at - healthy.events[0].at).total_seconds()
    night = await run_night(case.settings, case.rig, tmp_path / "dead", told_by(dies_after_s))
    assert len([event for event in night.of(FrameAccepted) if "/flats/" in event.path]) < len(flats)
    rejected = night.of(FrameRejected)
    assert rejected
    assert all("even after polling the driver" in event.reason for event in rejected)
    assert any(event.outcome is StepOutcome.FAILED for event in night.of(StepEnded))
