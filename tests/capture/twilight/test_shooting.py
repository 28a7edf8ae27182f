"""The flats of one twilight on a simulated rig, and what ends them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import ExposureStarted, FrameAccepted
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.planning.sun import altitude_deg
from coldframe.capture.session.context import StepFailedError, StepSkippedError
from coldframe.capture.session.skipping import skippable
from coldframe.capture.steps import ShootStep, SkyStep
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.capture.twilight.shooting import SkyShooting
from coldframe.capture.twilight.sun_phase import LATEST_DEG
from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import TwilightModel
from coldframe.config.tables.night import SiteSettings
from coldframe.devices.camera import Frame
from coldframe.devices.flat_panel import CoverState
from coldframe.devices.rig import Rig
from tests.capture.contexts import READOUT
from tests.capture.scene import SMALL, Scene, delivering, scene, small_night
from tests.nights.nights import START

pytestmark = pytest.mark.looptime

# At 03:30 UTC on 22 November 2026, when the scene begins, the sun is at -11.5 deg there, and rises.
SITE = SiteSettings(latitude_deg=28.3, longitude_deg=31.5)
DAWN = TwilightModel(e_per_s=20, doubling_min=3.2)
BIAS_ADU = 520.0


def flats_through(*filters: str, count: int = 6) -> SkyStep:
    flats = tuple(ShootStep(FrameKind.FLAT, count, name, None, READOUT, None) for name in filters)
    return SkyStep(flats, dark_flats=0)


async def under(
    folder: Path, sky: TwilightModel = DAWN, meddle: Callable[[Rig], Rig] = lambda rig: rig, **night: Any
) -> Scene:
    """Return a scene under a sky of twilight."""
    settings = small_night(flats={"source": "sky"}).model_copy(update={"site": SITE})
    return await scene(folder, settings, meddle, simulated=SMALL.model_copy(update={"twilight": sky}), **night)


def shooting(seen: Scene, step: SkyStep) -> SkyShooting:
    learned = LearnedFlats(seen.context.folder.path / "learned.json")
    return SkyShooting(seen.context, learned, 1, step, BIAS_ADU)


def good(sky: SkyShooting) -> dict[str | None, int]:
    return {name: len(each.accepted) for name, each in sky.frames.sets.items()}


async def test_twilight_flats_end_when_each_filter_has_its_flats(tmp_path: Path) -> None:
    seen = await under(tmp_path)
    sky = shooting(seen, flats_through("Ha", "L"))
    assert await sky.run() is None
    assert good(sky) == {"Ha": 6, "L": 6}
    assert [event.index for event in seen.of(FrameAccepted)] == list(range(1, 13))
    assert ["_L" in path.name for path in seen.accepted] == 6 * [True] + 6 * [False], "L is too bright first"
    levels_adu = [event.statistics.level_adu - BIAS_ADU for event in seen.of(FrameAccepted)]
    assert all(0.3 < level_adu / (65535 - BIAS_ADU) < 0.5 for level_adu in levels_adu)
    assert seen.panel.state().cover is CoverState.OPEN
    assert not seen.panel.state().lit


async def test_a_filter_for_which_the_sky_is_too_bright_is_given_up(tmp_path: Path) -> None:
    seen = await under(tmp_path, DAWN.model_copy(update={"e_per_s": 4e4}))
    sky = shooting(seen, flats_through("Ha", "L"))
    assert str(await sky.run()).startswith("L: the sky is too bright")
    assert good(sky) == {"Ha": 6, "L": 0}


async def test_a_sky_that_stays_dark_ends_with_twilight(tmp_path: Path) -> None:
    seen = await under(tmp_path, TwilightModel(e_per_s=0.01, doubling_min=600.0))
    sky = shooting(seen, flats_through("L"))
    assert await sky.run() == "twilight is over with 0 of 6 flats"
    assert seen.frames_in("flats") == []
    assert altitude_deg(seen.context.clock.now(), SITE) == pytest.approx(LATEST_DEG, abs=0.3)


async def test_a_deadline_during_the_wait_for_the_sky_ends_the_flats(tmp_path: Path) -> None:
    seen = await under(tmp_path, deadline=START + timedelta(minutes=5))
    sky = shooting(seen, flats_through("Ha"))
    with pytest.raises(StepFailedError, match="the time is up"):
        await sky.run()
    assert good(sky) == {"Ha": 0}
    assert any(text.startswith("waiting for the sky: Ha") for text in seen.notices)


async def test_a_frame_delivered_before_a_skip_is_kept(tmp_path: Path) -> None:
    delivered: list[Frame] = []

    def deliver(frame: Frame, number: int) -> Frame:
        delivered.append(frame)
        if number == 5:
            seen.context.steering.skip()
        return frame

    seen = await under(tmp_path, meddle=delivering(deliver))
    sky = shooting(seen, flats_through("L"))
    with seen.running(1), pytest.raises(StepSkippedError, match="by request"):
        async with skippable(seen.context, 1):
            await sky.run()
    assert len(delivered) == 5
    assert len(seen.frames_in("flats")) == sky.frames.count == 5 - len(seen.frames_in("tuning"))
    assert sky.frames.count > 0
    assert seen.frames_in("quarantine") == []


async def test_flats_of_an_earlier_run_count_with_any_exposure(tmp_path: Path) -> None:
    seen = await under(tmp_path)
    await shooting(seen, flats_through("L")).run()
    assert len({event.exposure_s for event in seen.of(FrameAccepted)}) > 1
    resumed = Scene(replace(seen.context, saved=SavedFrames(seen.context.folder, seen.accepted)), seen.events)
    seen.events.clear()
    sky = shooting(resumed, flats_through("L"))
    assert await sky.run() is None
    assert good(sky) == {"L": 6}
    assert seen.of(ExposureStarted) == []
    assert all(event.is_taken_over for event in seen.of(FrameAccepted))
