"""Setting the clock during the night changes no date, and the frames record the change."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from astropy.io import fits

from coldframe.capture.events.kinds import FrameAccepted, Notice
from coldframe.capture.events.values import NightOutcome
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Camera, Frame
from tests.nights.nights import START, NightRun, run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, Wrapped, short

pytestmark = pytest.mark.looptime


class Setting(Wrapped):
    """A camera at whose eighth exposure somebody sets the machine's clock."""

    def __init__(self, inner: Camera, step_s: float, patch: pytest.MonkeyPatch) -> None:
        super().__init__(inner)
        self._step_s, self._patch, self.exposures = step_s, patch, 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self.exposures += 1
        if self.exposures == 8:
            true, step_s = time.time, self._step_s
            self._patch.setattr(time, "time", lambda: true() + step_s)
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


async def night_with_step(folder: Path, step_s: float, patch: pytest.MonkeyPatch) -> NightRun:
    with patch.context() as here:
        return await run_night(short(), SMALL, folder, Rigged(camera=lambda camera: Setting(camera, step_s, here)))


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
async def test_the_night_goes_on_and_says_so_once(
    tmp_path: Path, step_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = await night_with_step(tmp_path, step_s, monkeypatch)
    assert night.outcome is NightOutcome.COMPLETE
    assert len([notice for notice in night.of(Notice) if f"was changed by {step_s:+.0f} s" in notice.text]) == 1
    assert all(START <= event.at < START + timedelta(hours=1) for event in night.events)
    flags = [fits.getheader(accepted.path).get("CFCLOCK") for accepted in night.of(FrameAccepted)]
    assert flags[0] is None
    assert {round(flag) for flag in flags[3:]} == {round(step_s)}


async def test_a_clock_that_is_not_set_is_not_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night = await night_with_step(tmp_path, 0.2, monkeypatch)
    assert not [notice for notice in night.of(Notice) if "clock" in notice.text]
    assert all("CFCLOCK" not in fits.getheader(accepted.path) for accepted in night.of(FrameAccepted))
