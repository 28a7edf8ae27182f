"""A run that resumes a night plans with the rotator angle before the night, not with that of the crash."""

from pathlib import Path

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import NightStarted
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.storage.journal import encode_event
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.simulated_rig import RotatorModel
from coldframe.operations.nights.running import rig_before_night
from coldframe.simulators.devices import simulated_rig
from tests.nights.nights import START
from tests.nights.test_troubled_nights import SMALL

pytestmark = pytest.mark.looptime

LEFT_DEG, FOUND_DEG = 120.0, 30.0


async def test_a_resumed_run_plans_with_the_angle_before_the_night(tmp_path: Path) -> None:
    rig = simulated_rig(SMALL.model_copy(update={"rotator": RotatorModel(found_deg=LEFT_DEG)}), NightClock(START).now)
    assert (await rig_before_night(rig, None)).rotator_deg == LEFT_DEG
    folder = NightFolder.create(tmp_path, START)
    events = (
        NightStarted(START, str(folder.path), rig.camera.name, None, None, 100, 100, ()),
        RotatorTurned(START, None, FOUND_DEG),
    )
    (folder.path / "journal.jsonl").write_text("".join(encode_event(each) + "\n" for each in events))
    assert (await rig_before_night(rig, folder)).rotator_deg == FOUND_DEG
    assert rig.rotator is not None
    await rig.rotator.restore()
    assert rig.rotator.angle_deg == FOUND_DEG
