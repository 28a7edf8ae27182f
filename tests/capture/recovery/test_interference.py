"""Foreign changes to the camera's settings, and steps of the system clock."""

import time
from pathlib import Path

import pytest

from coldframe.capture.recovery.clock_jump import KEYWORD, clock_checked
from coldframe.capture.recovery.interference import changed, reclaim
from coldframe.capture.session.retry_budget import ContestedError
from coldframe.config.frames import FrameKind, ReadoutSettings
from tests.capture.scene import scene

pytestmark = pytest.mark.looptime

OURS = ReadoutSettings(gain=150, offset=50)
FOREIGN = ReadoutSettings(gain=10.5, offset=50)


def test_only_the_settings_that_differ_are_named() -> None:
    assert changed(OURS, FOREIGN) == "gain is 10.5 instead of 150"
    assert changed(OURS, OURS) == ""


async def test_settings_are_restored_twice_then_the_night_gives_up(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    for _ in range(2):
        reclaim(seen.context, OURS, FOREIGN)
    question = "is another program using the camera? The settings are being restored"
    assert seen.notices == [f"Coldframe Camera: gain is 10.5 instead of 150: {question}"] * 2
    with pytest.raises(ContestedError, match=r"gain is 10\.5 instead of 150"):
        reclaim(seen.context, OURS, FOREIGN)


async def test_a_step_of_the_clock_is_announced_once_and_recorded_in_each_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = await scene(tmp_path)
    frame = await seen.context.rig.camera.expose(FrameKind.BIAS, 0.001)
    assert KEYWORD not in clock_checked(seen.context, frame).header
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() - 7200.0)
    stepped = [clock_checked(seen.context, frame) for _ in range(2)]
    assert [each.header[KEYWORD] for each in stepped] == [pytest.approx(-7200, abs=1)] * 2
    assert len([text for text in seen.notices if "clock was changed by -7200 s" in text]) == 1
