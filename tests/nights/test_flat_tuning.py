"""Whole nights with flats from cameras and lamps that differ from what their drivers report."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.frame_file import read_frame, read_header
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    Event,
    FlatTested,
    FlatTuned,
    Notice,
    StepEnded,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome, StepOutcome, Topic
from coldframe.capture.night.assembly import assembled_night, open_night_files
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.devices.flat_panel import FlatPanel
from coldframe.devices.manual_panel import ManualPanel
from coldframe.simulators.devices import simulated_rig
from coldframe.simulators.sensor import Sensor
from tests.nights.nights import START, Inline, NightRun, run_night, tiny

pytestmark = pytest.mark.looptime


def small_night(**panel: object) -> Settings:
    settings = load_settings(example_night("small"))
    assert settings.panel is not None
    sets = tuple(each.model_copy(update={"count": min(each.planned_frames, 6)}) for each in settings.sets)
    return settings.model_copy(update={"sets": sets, "panel": settings.panel.model_copy(update=panel)})


def small_rig(*, panel: dict[str, object] | None = None, **sensor: object) -> SimulatedRig:
    rig = tiny(load_rig("small"))
    return rig.model_copy(
        update={
            "sensor": rig.sensor.model_copy(update=sensor),
            "panel": rig.panel.model_copy(update=panel or {}),
        }
    )


def flats(night: NightRun) -> list[np.ndarray[tuple[int, int], np.dtype[np.uint16]]]:
    return [read_frame(path)[0] for path in (night.folder / "flats").rglob("*.fits")]


@pytest.mark.parametrize("bits", [12, 14])
async def test_a_bit_depth_that_the_driver_does_not_report_is_found(bits: int, tmp_path: Path) -> None:
    rig = small_rig(bit_depth=bits, scaled_to_16_bit=False, e_per_adu=50000 / 2**bits, full_well_e=60000)
    night = await run_night(small_night(), rig, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert {tuned.full_scale_adu for tuned in night.of(FlatTuned)} == {2**bits - 1}
    assert {read_header(path)["CFSATUR"] for path in masters(night.folder, "Flat")} == {2**bits - 1}
    bias_adu = night.of(FlatTested)[0].bias_adu
    for frame in flats(night):
        assert 0.3 <= (np.median(frame[30:90, 40:120]) - bias_adu) / (2**bits - 1 - bias_adu) <= 0.5


async def test_a_full_well_below_the_converters_range_is_found(tmp_path: Path) -> None:
    e_per_adu = Sensor(small_rig().sensor, 1).e_per_adu(150)
    rig = small_rig(full_well_e=0.75 * 65535 * e_per_adu)
    night = await run_night(small_night(), rig, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    found = {tuned.full_scale_adu for tuned in night.of(FlatTuned)}
    assert all(full_scale_adu == pytest.approx(0.76 * 65535, rel=0.02) for full_scale_adu in found)
    bias_adu = night.of(FlatTested)[0].bias_adu
    for frame in flats(night):
        assert 0.3 <= (np.median(frame[30:90, 40:120]) - bias_adu) / (max(found) - bias_adu) <= 0.5


async def test_no_colour_is_too_bright_or_too_faint(tmp_path: Path) -> None:
    night = await run_night(small_night(), small_rig(cfa_pattern="GRBG"), tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    bias_adu = night.of(FlatTested)[0].bias_adu
    for frame in flats(night):
        levels = [np.median(frame[30 + y : 90 : 2, 40 + x : 120 : 2]) for y in (0, 1) for x in (0, 1)]
        fractions = (np.array(levels) - bias_adu) / (65535 - bias_adu)
        assert fractions.max() <= 0.5
        assert fractions.min() >= 0.15


@pytest.mark.parametrize("panel", [{"curve": "saturating"}, {"curve": "pwm", "pwm_steps": 16}, {"glow": 0.1}])
async def test_panels_of_any_response_are_tuned(panel: dict[str, object], tmp_path: Path) -> None:
    night = await run_night(small_night(), small_rig(panel=panel), tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    assert all(tuned.tests <= 5 for tuned in night.of(FlatTuned))


async def test_a_panel_without_light_costs_seconds_for_each_filter(tmp_path: Path) -> None:
    night = await run_night(small_night(), small_rig(panel={"full_e_per_s": 1e-6}), tmp_path)
    failed = [ended for ended in night.of(StepEnded) if ended.outcome is StepOutcome.FAILED]
    assert len(failed) == 2
    assert all("does not respond" in ended.reason for ended in failed)
    assert sum(tested.exposure_s for tested in night.of(FlatTested)) < 10


class LampUser:
    """Switches the simulated lamp half a minute after a request."""

    def __init__(self, lamp: FlatPanel) -> None:
        self._lamp = lamp
        self._tasks: list[asyncio.Task[None]] = []
        self.asked: list[str] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, Notice) and event.topic is Topic.LAMP_BY_HAND:
            word = "off" if self._lamp.state().lit else "on"
            assert f" {word}" in event.text
            self.asked.append(word)
            self._tasks.append(asyncio.create_task(self._switch(word)))

    async def _switch(self, word: str) -> None:
        await asyncio.sleep(30)
        await (self._lamp.light_on(100) if word == "on" else self._lamp.light_off())


async def night_by_hand(settings: Settings, folder: Path, *, is_there: bool) -> tuple[NightOutcome, list[str]]:
    asyncio.get_running_loop().set_default_executor(Inline())
    clock, events = NightClock(START), EventStream()
    rig = simulated_rig(small_rig(panel={"cover_travel_s": None}), clock.now)
    assert rig.panel is not None
    user = LampUser(rig.panel)
    if is_there:
        events.subscribe(user.hear)
    rig = replace(rig, panel=ManualPanel("the lamp"))
    await rig.connect()
    files = open_night_files(folder, None, settings, clock.now())
    async with assembled_night(settings, rig, files, events, clock) as assembled:
        return await assembled.night.run(), user.asked


def masters(folder: Path, kind: str) -> list[Path]:
    return list(folder.rglob(f"Master{kind}_*.fits"))


async def test_the_user_is_asked_to_switch_the_lamp_and_the_camera_checks_it(tmp_path: Path) -> None:
    settings = small_night(kind="manual", device="the lamp")
    outcome, asked = await night_by_hand(settings, tmp_path, is_there=True)
    assert outcome is NightOutcome.COMPLETE
    assert asked == ["on", "off", "on", "off"], "for any number of filters"
    assert len(masters(tmp_path, "Flat")) >= 2


async def test_without_the_user_the_night_continues_without_flats(tmp_path: Path) -> None:
    settings = small_night(kind="manual", device="the lamp", manual_deadline_s=300.0)
    outcome, _ = await night_by_hand(settings, tmp_path, is_there=False)
    assert outcome is NightOutcome.INCOMPLETE
    assert not masters(tmp_path, "Flat")
    assert masters(tmp_path, "Dark")
