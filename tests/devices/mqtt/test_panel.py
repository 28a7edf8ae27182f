"""The panel with a real broker and a simulated light of each family."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from coldframe.config.simulated_rig import load_rig
from coldframe.config.tables.mqtt_panel import FULL_BRIGHTNESS, Family, MqttPanelSettings
from coldframe.devices.errors import (
    DeviceLostError,
    DeviceTimeoutError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.flat_panel import FlatPanel, PanelState
from coldframe.devices.mqtt.client import Broker, connect, read_access
from coldframe.devices.mqtt.message import Message
from coldframe.devices.mqtt.panel import GREETING_S, MqttPanel
from coldframe.simulators.mqtt_light import Habits, SimulatedMqttLight
from coldframe.simulators.panel import Panel
from tests.devices.mqtt.test_dialects import TOPICS
from tests.mosquitto import Mosquitto, needs_mosquitto, without_mqtt_5
from tests.patience import until

pytestmark = needs_mosquitto

FAMILIES = ("wled", "tasmota", "esphome", "zigbee2mqtt")

CONFIRMED_S = 120.0
"""How long a light has to confirm a command; the longest deadline that the settings allow."""

UNCONFIRMED_S = 3.0
"""The same where the test expects no confirmation."""

SILENCE_S = 0.4
MARK = Message("mark", b"end")


@dataclass
class Scene:
    """A simulated light, its lamp, and the panel that commands it."""

    light: SimulatedMqttLight
    lamp: Panel
    panel: MqttPanel

    @property
    def true_brightness(self) -> int:
        """Brightness of the lamp, 0 to 255, whatever the light reports."""
        return self.lamp.brightness if self.lamp.lit else 0


def settings(
    broker: Mosquitto, family: Family, deadline_s: float = CONFIRMED_S, **more: str | int
) -> MqttPanelSettings:
    table = {"port": broker.port, "family": family, "topic": TOPICS[family], "answer_deadline_s": deadline_s, **more}
    return MqttPanelSettings.model_validate(table)


@asynccontextmanager
async def connected_light(
    broker: Mosquitto,
    family: Family,
    habits: Habits | None = None,
    *,
    deadline_s: float = CONFIRMED_S,
    greeting_s: float = GREETING_S,
    **more: str | int,
) -> AsyncIterator[Scene]:
    lamp = Panel(load_rig("small").panel)
    light = SimulatedMqttLight(broker.settings, family, TOPICS[family], lamp, habits)
    panel = MqttPanel("the panel", settings(broker, family, deadline_s, **more), greeting_s=greeting_s)
    async with light, panel:
        await until(light.is_connected.is_set)
        await panel.connect()
        yield Scene(light, lamp, panel)


async def until_mark(client: Broker) -> AsyncIterator[Message]:
    async for message in client.messages():
        if message == MARK:
            return
        yield message


@pytest.mark.parametrize("family", FAMILIES)
async def test_light_is_switched_on_dimmed_and_switched_off(broker: Mosquitto, family: Family) -> None:
    async with connected_light(broker, family) as scene:
        panel: FlatPanel = scene.panel
        half = FULL_BRIGHTNESS[family] // 2
        await panel.light_on(half)
        assert panel.state() == PanelState(lit=True, brightness=half, cover=None)
        assert scene.true_brightness == pytest.approx(127, abs=2)
        assert panel.is_ready
        await panel.light_on(1)
        assert 0 < scene.true_brightness < 5
        await panel.light_on(1)
        await panel.light_off()
        assert scene.true_brightness == 0
        assert not panel.state().lit
        await panel.light_off()
        assert panel.is_ready


@pytest.mark.parametrize("family", FAMILIES)
async def test_no_command_is_retained(broker: Mosquitto, family: Family) -> None:
    async with connected_light(broker, family) as scene:
        await scene.panel.light_on(50)
        await scene.panel.light_off()
        topics = {topic for topic, _, _ in scene.light.orders}
        assert not any(is_retained for _, _, is_retained in scene.light.orders)
    async with connect(read_access(broker.settings), client_id=None) as newcomer:
        await newcomer.subscribe(["#"])
        await newcomer.publish(MARK)  # retained messages come before it
        retained = {message.topic async for message in until_mark(newcomer)}
    assert retained
    assert not retained & topics


async def test_light_that_does_not_answer_is_an_error(broker: Mosquitto) -> None:
    async with connected_light(broker, "esphome", deadline_s=UNCONFIRMED_S) as scene:
        await scene.panel.light_off()
        scene.light.habits.is_deaf = True
        with pytest.raises(DeviceTimeoutError, match="3 s"):
            await scene.panel.light_on(20)
        assert not scene.panel.is_ready


async def test_missing_light_is_an_error_on_connecting(broker: Mosquitto) -> None:
    async with MqttPanel("the panel", settings(broker, "wled", UNCONFIRMED_S), greeting_s=SILENCE_S) as panel:
        with pytest.raises(DeviceTimeoutError, match="Is it powered"):
            await panel.connect()


async def test_another_brightness_does_not_confirm_the_command(broker: Mosquitto) -> None:
    async with connected_light(broker, "wled", Habits(brightest=100), deadline_s=UNCONFIRMED_S) as scene:
        with pytest.raises(DeviceTimeoutError, match="commanded to be on at 200, but reports on at 100"):
            await scene.panel.light_on(200)
        await scene.panel.light_on(60)
        assert scene.panel.is_ready


async def test_lost_command_is_sent_again(broker: Mosquitto) -> None:
    async with connected_light(broker, "tasmota", deadline_s=6.0) as scene:
        scene.light.habits.is_deaf = True
        switching = asyncio.create_task(scene.panel.light_on(30))
        received = len(scene.light.orders)
        await until(lambda: len(scene.light.orders) >= received + 4)
        scene.light.habits.is_deaf = False
        await switching
        assert scene.true_brightness > 0


async def test_retained_state_confirms_no_command(broker: Mosquitto) -> None:
    async with connect(read_access(broker.settings), client_id=None) as earlier:
        state = Message("dome/light/panel/state", b'{"state": "ON", "brightness": 77}', is_retained=True)
        await earlier.publish(state, confirmed=True)
        await earlier.publish(Message("dome/status", b"online", is_retained=True), confirmed=True)
        async with MqttPanel("the panel", settings(broker, "esphome", UNCONFIRMED_S)) as panel:
            await panel.connect()
            assert panel.state() == PanelState(lit=True, brightness=77, cover=None)
            with pytest.raises(DeviceTimeoutError, match="did not answer"):
                await panel.light_on(77)
            with pytest.raises(DeviceTimeoutError, match="did not answer"):
                await panel.light_off()


@pytest.mark.parametrize("family", FAMILIES)
async def test_light_switched_by_another_client_is_restored(broker: Mosquitto, family: Family) -> None:
    async with connected_light(broker, family) as scene:
        await scene.panel.light_on(40)
        await scene.light.switch(lit=False)
        await until(lambda: not scene.panel.is_ready)
        await scene.panel.ensure_ready()
        assert scene.true_brightness > 0
        await scene.light.switch(lit=True, brightness=90)
        await until(lambda: not scene.panel.is_ready)
        await scene.panel.ensure_ready()
        assert scene.panel.state().brightness == 40
        await scene.panel.light_off()
        await scene.light.switch(lit=True)
        await until(lambda: not scene.panel.is_ready)
        await scene.panel.ensure_ready()
        assert scene.true_brightness == 0


@pytest.mark.parametrize("family", ["tasmota", "zigbee2mqtt"])
async def test_light_without_power_is_lost_and_restored_when_it_is_back(broker: Mosquitto, family: Family) -> None:
    async with connected_light(broker, family, greeting_s=2.0) as scene:
        await scene.panel.light_on(40)
        await scene.light.lose_power()
        await until(lambda: not scene.panel.is_ready)
        with pytest.raises(DeviceLostError, match="is offline"):
            await scene.panel.ensure_ready()
        async with scene.light:
            await until(scene.light.is_connected.is_set)
            assert not scene.panel.is_ready
            await scene.panel.ensure_ready()
            assert scene.panel.is_ready
            assert scene.true_brightness > 0


async def test_restarted_broker_is_reconnected_to_and_the_light_restored(broker: Mosquitto) -> None:
    async with connected_light(broker, "wled") as scene:
        await scene.panel.light_on(40)
        scene.light.is_connected.clear()
        broker.kill()
        await until(lambda: not scene.panel.is_ready)
        broker.start()
        await until(scene.light.is_connected.is_set)
        await scene.panel.ensure_ready()
        assert scene.panel.is_ready
        await scene.panel.light_off()
        assert scene.true_brightness == 0


async def test_broker_lost_while_waiting_for_a_confirmation_is_an_error(broker: Mosquitto) -> None:
    async with connected_light(broker, "wled", deadline_s=CONFIRMED_S) as scene:
        scene.light.habits.is_deaf = True
        switching = asyncio.create_task(scene.panel.light_on(40))
        received = len(scene.light.orders)
        await until(lambda: len(scene.light.orders) > received)
        broker.kill()
        with pytest.raises(
            DeviceLostError, match=r"^the panel: lost the connection to the MQTT broker|did not acknowledge"
        ):
            await switching


@pytest.mark.parametrize("family", ["wled"])
async def test_end_of_a_fade_is_waited_for(broker: Mosquitto, family: Family) -> None:
    async with connected_light(broker, family, Habits(fade_s=0.3)) as scene:
        await scene.panel.light_on(60)
        assert scene.panel.state().brightness == 60
        assert scene.light.brightness == 60
        await scene.panel.light_off()
        assert scene.true_brightness == 0


@pytest.mark.parametrize("family", FAMILIES)
async def test_invalid_states_are_ignored(broker: Mosquitto, family: Family) -> None:
    async with connected_light(broker, family, Habits(is_chatty=True)) as scene:
        await scene.panel.light_on(60)
        await scene.panel.light_off()
        assert scene.panel.is_ready


async def test_light_without_brightness_can_only_be_switched(broker: Mosquitto) -> None:
    async with connected_light(broker, "tasmota", brightness_maximum=0) as scene:
        assert scene.panel.brightness_limits is None
        await scene.panel.light_on()
        assert scene.true_brightness == 255
        with pytest.raises(NotSupportedError):
            await scene.panel.light_on(50)


async def test_impossible_commands_are_refused_without_being_sent(broker: Mosquitto) -> None:
    async with connected_light(broker, "tasmota") as scene:
        received = len(scene.light.orders)
        for brightness in (0, 101):
            with pytest.raises(SettingRefusedError, match="outside the range 1 to 100"):
                await scene.panel.light_on(brightness)
        with pytest.raises(NotSupportedError, match="no cover"):
            await scene.panel.close_cover()
        assert len(scene.light.orders) == received


async def test_silent_light_is_switched_off_to_find_out_whether_it_is_there(broker: Mosquitto) -> None:
    lamp = Panel(load_rig("small").panel)
    topics: dict[str, str | int] = {"command_topic": "zigbee2mqtt/panel/set", "state_topic": "zigbee2mqtt/panel"}
    light = SimulatedMqttLight(broker.settings, "zigbee2mqtt", "zigbee2mqtt/panel", lamp)
    async with light, connect(read_access(broker.settings), client_id=None) as bystander:
        await bystander.subscribe(["zigbee2mqtt/panel"])
        messages = bystander.messages()
        await until(light.is_connected.is_set)
        await light.switch(lit=True)
        for _ in range(4):  # its states on connecting and on being switched
            await anext(messages)
        async with MqttPanel(
            "the panel", settings(broker, "json", CONFIRMED_S, **topics), greeting_s=SILENCE_S
        ) as panel:
            await panel.connect()
            assert not lamp.lit
            await panel.light_on(254)
            assert lamp.brightness == 255


async def test_broker_without_mqtt_5_is_supported(broker: Mosquitto) -> None:
    async with without_mqtt_5(broker) as port, connected_light(broker, "wled", port=port) as scene:
        await scene.panel.light_on(40)
        await scene.panel.light_off()
        assert scene.true_brightness == 0
        assert len(scene.light.orders) == 2


@pytest.mark.deep
async def test_hung_broker_is_an_error_and_reconnected_to_later(broker: Mosquitto) -> None:
    async with connected_light(broker, "tasmota") as scene:
        broker.freeze()
        with pytest.raises(DeviceLostError, match="did not acknowledge a command"):
            await scene.panel.light_on(30)
        broker.thaw()
        await until(lambda: not scene.panel.is_ready)
        await scene.panel.light_on(30)
        assert scene.panel.is_ready
        assert scene.true_brightness > 0
