"""Nights in real time, with a light on a real MQTT broker as the flat panel of a simulated camera."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    Notice,
    PanelChanged,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, Severity, StepOutcome
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.config.tables.mqtt_panel import Family, MqttPanelSettings
from coldframe.devices.mqtt.panel import MqttPanel
from coldframe.devices.rig import Rig
from coldframe.simulators.devices import SimulatedFlatPanel
from coldframe.simulators.mqtt_light import Habits, SimulatedMqttLight
from tests.mosquitto import Mosquitto, needs_mosquitto
from tests.nights.nights import NightRun, run_night, tiny

pytestmark = needs_mosquitto

TOPIC = "wled/panel"


def quick_rig() -> SimulatedRig:
    rig = tiny(load_rig("small"))
    panel = rig.panel.model_copy(update={"cover_travel_s": None})
    return rig.model_copy(update={"panel": panel})


def quick_night(flats_count: int = 3) -> Settings:
    """Return a night of some seconds: no cooling, few frames, one filter."""
    settings = load_settings(example_night("small"))
    counts = {"bias": 3, "dark": 3, "flat": flats_count, "dark-flat": 3}
    sets = tuple(
        each.model_copy(update={"count": counts[each.kind.value], "exposure_s": each.exposure_s and 0.3})
        for each in settings.sets
        if each.filter in {None, "L"}
    )
    camera = settings.camera.model_copy(update={"setpoint_c": None})
    cooling = settings.cooling.model_copy(update={"at_end": "off"})
    flats = settings.flats.model_copy(update={"preferred_exposure_s": (0.1, 0.3)})
    return settings.model_copy(update={"sets": sets, "camera": camera, "cooling": cooling, "flats": flats})


class MqttNight:
    """A night whose flat panel is a light on the broker."""

    def __init__(self, broker: Mosquitto, family: Family, habits: Habits | None = None) -> None:
        self._table = {"port": broker.port, "family": family, "topic": TOPIC, "answer_deadline_s": 30.0}
        self._broker = broker
        self._family = family
        self.habits = habits or Habits()
        self.light: SimulatedMqttLight | None = None

    async def run(
        self, folder: Path, on_event: Callable[[Event], None] = lambda _: None, night: Settings | None = None
    ) -> NightRun:
        panel = MqttPanel("the light", MqttPanelSettings.model_validate(self._table))

        def with_light(rig: Rig) -> Rig:
            assert isinstance(rig.panel, SimulatedFlatPanel)
            lamp = rig.panel.hardware
            self.light = SimulatedMqttLight(self._broker.settings, self._family, TOPIC, lamp, self.habits)
            self._light_task = asyncio.create_task(self.light.run())
            return replace(rig, panel=panel)

        async with panel:
            try:
                return await run_night(night or quick_night(), quick_rig(), folder, with_light, hear=on_event)
            finally:
                self._light_task.cancel()
                await asyncio.wait([self._light_task])


def is_flat(event: Event) -> bool:
    return isinstance(event, FrameAccepted) and Path(event.path).name.startswith("flat")


def failures(run: NightRun) -> list[str]:
    return [ended.reason for ended in run.of(StepEnded) if ended.outcome is StepOutcome.FAILED]


@pytest.mark.deep
@pytest.mark.parametrize("family", ["wled", "tasmota", "esphome", "zigbee2mqtt"])
async def test_whole_night_with_a_light_on_a_broker(tmp_path: Path, family: Family) -> None:
    async with Mosquitto(tmp_path) as broker:
        run = await MqttNight(broker, family).run(tmp_path)
    assert run.outcome is NightOutcome.COMPLETE, failures(run)
    assert len(run.of(MasterWritten)) == 4
    assert run.of(FrameRejected) == []
    assert {changed.lit for changed in run.of(PanelChanged)} == {True, False}


async def test_light_that_reports_on_but_stays_dark_is_detected_by_the_camera(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        run = await MqttNight(broker, "tasmota", Habits(is_stuck=True)).run(tmp_path)
    assert run.outcome is NightOutcome.INCOMPLETE
    assert any("lamp does not respond" in reason for reason in failures(run))
    assert len(run.of(MasterWritten)) == 2


@pytest.mark.deep
async def test_light_that_reports_off_but_stays_on_is_detected_by_the_camera(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        run = await MqttNight(broker, "zigbee2mqtt", Habits(burns_on=True)).run(tmp_path)
    assert run.outcome is NightOutcome.INCOMPLETE
    assert any("there is light although the lamp is off" in reason for reason in failures(run)), failures(run)
    assert not any("MasterDarkFlat_" in event.path for event in run.of(MasterWritten))


@pytest.mark.deep
async def test_restarted_broker_costs_no_flats(tmp_path: Path) -> None:
    restarts: list[asyncio.Task[None]] = []
    async with Mosquitto(tmp_path) as broker:

        async def restart() -> None:
            broker.kill()
            await asyncio.sleep(2.0)
            broker.start()

        def stop_once(event: Event) -> None:
            if is_flat(event) and not restarts:
                restarts.append(asyncio.create_task(restart()))

        run = await MqttNight(broker, "wled").run(tmp_path, stop_once, quick_night(12))
    assert run.outcome is NightOutcome.COMPLETE, failures(run)
    assert [task.exception() for task in restarts] == [None]
    texts = [notice.text for notice in run.of(Notice) if notice.severity is not Severity.INFO]
    assert any("the light" in text or "MQTT broker" in text for text in texts), texts
    assert len([event for event in run.events if is_flat(event)]) == 12
