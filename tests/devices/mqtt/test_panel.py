"""The panel over a real broker, with a simulated light of each family at the other end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from coldframe.config.simulated_rig import load_rig
from coldframe.config.tables.mqtt_panel import FULL_BRIGHTNESS, Family, MqttPanelSettings
from coldframe.devices.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.flat_panel import FlatPanel, PanelState
from coldframe.devices.mqtt.client import Broker, access, connected
from coldframe.devices.mqtt.message import Message
from coldframe.devices.mqtt.panel import MqttPanel
from coldframe.simulators.mqtt_light import Habits, SimulatedMqttLight
from coldframe.simulators.panel import Panel
from tests.devices.mqtt.broker import Mosquitto, needs_mosquitto, without_mqtt_5
from tests.devices.mqtt.test_dialects import TOPICS

pytestmark = needs_mosquitto

FAMILIES = ("wled", "tasmota", "esphome", "zigbee2mqtt")
PATIENCE_S = 15.0
MARK = Message("mark", b"that is all")


@dataclass
class Scene:
    """A light, what is seen of it, and the panel that it is to coldframe."""

    light: SimulatedMqttLight
    lamp: Panel
    panel: MqttPanel

    @property
    def shine(self) -> int:
        """How bright the lamp really is, of 255."""
        return self.lamp.brightness if self.lamp.lit else 0


def settings(broker: Mosquitto, family: Family, deadline_s: float = 3.0, **more: str | int) -> MqttPanelSettings:
    table = {"port": broker.port, "family": family, "topic": TOPICS[family], "answer_deadline_s": deadline_s, **more}
    return MqttPanelSettings.model_validate(table)


@asynccontextmanager
async def scene(
    broker: Mosquitto, family: Family, habits: Habits | None = None, deadline_s: float = 3.0, **more: str | int
) -> AsyncIterator[Scene]:
    lamp = Panel(load_rig("small").panel)
    light = SimulatedMqttLight(broker.settings, family, TOPICS[family], lamp, habits)
    async with light, MqttPanel("the panel", settings(broker, family, deadline_s, **more)) as panel:
        await until(light.is_connected.is_set)
        await panel.connect()
        yield Scene(light, lamp, panel)


async def until_mark(client: Broker) -> AsyncIterator[Message]:
    async for message in client.messages():
        if message == MARK:
            return
        yield message


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not seen():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("family", FAMILIES)
async def test_it_is_lit_dimmed_and_put_out_and_confirms_each(broker: Mosquitto, family: Family) -> None:
    async with scene(broker, family) as seen:
        panel: FlatPanel = seen.panel
        half = FULL_BRIGHTNESS[family] // 2
        await panel.light_on(half)
        assert panel.state() == PanelState(lit=True, brightness=half, cover=None)
        assert seen.shine == pytest.approx(127, abs=2)
        assert panel.is_ready
        await panel.light_on(1)
        assert 0 < seen.shine < 5
        await panel.light_on(1)
        await panel.light_off()
        assert seen.shine == 0
        assert not panel.state().lit
        await panel.light_off()
        assert panel.is_ready


@pytest.mark.parametrize("family", FAMILIES)
async def test_no_order_is_kept_by_the_broker(broker: Mosquitto, family: Family) -> None:
    async with scene(broker, family) as seen:
        await seen.panel.light_on(50)
        await seen.panel.light_off()
        topics = {topic for topic, _, _ in seen.light.orders}
        assert not any(is_kept for _, _, is_kept in seen.light.orders)
    async with connected(access(broker.settings), name=None) as newcomer:
        await newcomer.subscribe(["#"])
        await newcomer.publish(MARK)  # what is kept comes before
        kept = {message.topic async for message in until_mark(newcomer)}
    assert kept
    assert not kept & topics


async def test_a_light_that_says_nothing_is_told(broker: Mosquitto) -> None:
    async with scene(broker, "esphome", deadline_s=1.0) as seen:
        await seen.panel.light_off()
        seen.light.habits.is_deaf = True
        with pytest.raises(DeviceTimeoutError, match="1 s"):
            await seen.panel.light_on(20)
        assert not seen.panel.is_ready


async def test_a_light_that_is_not_there_is_told_before_the_night(broker: Mosquitto) -> None:
    async with MqttPanel("the panel", settings(broker, "wled", 1.0)) as panel:
        with pytest.raises(DeviceTimeoutError, match="Is it powered"):
            await panel.connect()


async def test_another_brightness_than_ordered_is_no_confirmation(broker: Mosquitto) -> None:
    async with scene(broker, "wled", Habits(brightest=100), deadline_s=1.0) as seen:
        with pytest.raises(DeviceTimeoutError, match="told to be on at 200, but tells that it is on at 100"):
            await seen.panel.light_on(200)
        await seen.panel.light_on(60)
        assert seen.panel.is_ready


async def test_an_order_that_got_lost_is_given_again(broker: Mosquitto) -> None:
    async with scene(broker, "tasmota") as seen:
        seen.light.habits.is_deaf = True
        lighting = asyncio.create_task(seen.panel.light_on(30))
        await asyncio.sleep(0.5)
        seen.light.habits.is_deaf = False
        await lighting
        assert seen.shine > 0


async def test_what_the_broker_kept_from_earlier_confirms_nothing(broker: Mosquitto) -> None:
    async with connected(access(broker.settings), name=None) as earlier:
        state = Message("dome/light/panel/state", b'{"state": "ON", "brightness": 77}', is_retained=True)
        await earlier.publish(state, confirmed=True)
        await earlier.publish(Message("dome/status", b"online", is_retained=True), confirmed=True)
        async with MqttPanel("the panel", settings(broker, "esphome", 1.0)) as panel:
            await panel.connect()
            assert panel.state() == PanelState(lit=True, brightness=77, cover=None)
            with pytest.raises(DeviceTimeoutError, match="did not answer"):
                await panel.light_on(77)
            with pytest.raises(DeviceTimeoutError, match="did not answer"):
                await panel.light_off()


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_light_that_somebody_switches_is_noticed_and_restored(broker: Mosquitto, family: Family) -> None:
    async with scene(broker, family) as seen:
        await seen.panel.light_on(40)
        await seen.light.switch(lit=False)
        await until(lambda: not seen.panel.is_ready)
        await seen.panel.ensure_ready()
        assert seen.shine > 0
        await seen.light.switch(lit=True, brightness=90)
        await until(lambda: not seen.panel.is_ready)
        await seen.panel.ensure_ready()
        assert seen.panel.state().brightness == 40
        await seen.panel.light_off()
        await seen.light.switch(lit=True)
        await until(lambda: not seen.panel.is_ready)
        await seen.panel.ensure_ready()
        assert seen.shine == 0


@pytest.mark.parametrize("family", ["tasmota", "zigbee2mqtt"])
async def test_a_light_that_loses_its_power_is_lost_and_comes_back_lit(broker: Mosquitto, family: Family) -> None:
    async with scene(broker, family, deadline_s=1.0) as seen:
        await seen.panel.light_on(40)
        await seen.light.lose_power()
        await until(lambda: not seen.panel.is_ready)
        with pytest.raises(DeviceLostError, match="is offline"):
            await seen.panel.ensure_ready()
        async with seen.light:
            await until(seen.light.is_connected.is_set)
            assert not seen.panel.is_ready
            await seen.panel.ensure_ready()
            assert seen.panel.is_ready
            assert seen.shine > 0


async def test_a_broker_that_is_killed_and_started_again_while_the_light_burns(broker: Mosquitto) -> None:
    async with scene(broker, "wled", deadline_s=6.0) as seen:
        await seen.panel.light_on(40)
        seen.light.is_connected.clear()
        await broker.kill()
        await until(lambda: not seen.panel.is_ready)
        await broker.start()
        await until(seen.light.is_connected.is_set)
        await seen.panel.ensure_ready()
        assert seen.panel.is_ready
        await seen.panel.light_off()
        assert seen.shine == 0


async def test_a_broker_that_goes_while_an_order_is_waited_for(broker: Mosquitto) -> None:
    async with scene(broker, "wled", deadline_s=10.0) as seen:
        seen.light.habits.is_deaf = True
        lighting = asyncio.create_task(seen.panel.light_on(40))
        await asyncio.sleep(0.3)
        await broker.kill()
        with pytest.raises(DeviceLostError, match="went away"):
            await lighting


@pytest.mark.parametrize("family", ["wled"])
async def test_a_light_that_fades_is_waited_for(broker: Mosquitto, family: Family) -> None:
    async with scene(broker, family, Habits(fade_s=0.3)) as seen:
        await seen.panel.light_on(60)
        assert seen.panel.state().brightness == 60
        assert seen.light.brightness == 60
        await seen.panel.light_off()
        assert seen.shine == 0


@pytest.mark.parametrize("family", FAMILIES)
async def test_garbage_among_the_states_is_passed_over(broker: Mosquitto, family: Family) -> None:
    async with scene(broker, family, Habits(is_chatty=True)) as seen:
        await seen.panel.light_on(60)
        await seen.panel.light_off()
        assert seen.panel.is_ready


async def test_a_light_that_can_only_be_switched(broker: Mosquitto) -> None:
    async with scene(broker, "tasmota", brightness_maximum=0) as seen:
        assert seen.panel.brightness_limits is None
        await seen.panel.light_on()
        assert seen.shine == 255
        with pytest.raises(NotSupportedError):
            await seen.panel.light_on(50)


async def test_what_it_cannot_do_is_refused_before_it_is_ordered(broker: Mosquitto) -> None:
    async with scene(broker, "tasmota") as seen:
        given = len(seen.light.orders)
        for brightness in (0, 101):
            with pytest.raises(SettingRefusedError, match="outside 1 to 100"):
                await seen.panel.light_on(brightness)
        with pytest.raises(NotSupportedError, match="no cover"):
            await seen.panel.close_cover()
        assert len(seen.light.orders) == given


async def test_a_light_of_another_make_that_keeps_to_itself_is_put_out_to_hear_of_it(broker: Mosquitto) -> None:
    lamp = Panel(load_rig("small").panel)
    topics: dict[str, str | int] = {"command_topic": "zigbee2mqtt/panel/set", "state_topic": "zigbee2mqtt/panel"}
    light = SimulatedMqttLight(broker.settings, "zigbee2mqtt", "zigbee2mqtt/panel", lamp)
    async with light, connected(access(broker.settings), name=None) as bystander:
        await bystander.subscribe(["zigbee2mqtt/panel"])
        told = bystander.messages()
        await until(light.is_connected.is_set)
        await light.switch(lit=True)
        for _ in range(4):  # what it told at its birth and at its button is over
            await anext(told)
        async with MqttPanel("the panel", settings(broker, "json", 3.0, **topics)) as panel:
            await panel.connect()
            assert not lamp.lit
            await panel.light_on(254)
            assert lamp.brightness == 255


async def test_without_a_broker_it_is_told_where_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldframe.devices.mqtt.session.CONNECT_DEADLINE_S", 0.5)
    nowhere = Mosquitto(tmp_path)
    async with MqttPanel("the panel", settings(nowhere, "wled")) as panel:
        with pytest.raises(DeviceLostError, match=rf"127.0.0.1:{nowhere.port}: no connection .*refused"):
            await panel._session.wait_connected(0.5)


async def test_a_broker_that_accepts_and_never_answers_is_given_up_and_found_again(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldframe.devices.mqtt.client.ANSWER_S", 0.3)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    await broker.kill()
    silent = await asyncio.start_server(say_nothing, "127.0.0.1", broker.port)
    async with MqttPanel("the panel", settings(broker, "wled")) as panel:
        with pytest.raises(DeviceLostError, match="timed out"):
            await panel._session.wait_connected(1.5)
        silent.close()
        await broker.start()
        await panel._session.wait_connected(PATIENCE_S)


async def test_a_password_is_needed_where_the_broker_wants_one(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    making = await asyncio.create_subprocess_exec("mosquitto_passwd", "-c", "-b", str(passwords), "dome", "secret")
    assert await making.wait() == 0
    secret = tmp_path / "secret"
    secret.write_text("wrong\n", encoding="utf-8")
    rules = ("allow_anonymous false", f"password_file {passwords}", "user root")
    async with Mosquitto(tmp_path, *rules) as broker:
        as_user = settings(broker, "wled", user="dome", password_file=str(secret))
        async with MqttPanel("the panel", as_user) as panel:
            with pytest.raises(DeviceLostError, match="does not let this user in"):
                await panel._session.wait_connected(1.0)
            secret.write_text("secret\n", encoding="utf-8")
            await panel._session.wait_connected(PATIENCE_S)


async def made_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that is its own authority, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    making = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await making.wait() == 0
    return certificate, key


# The library leaves a socket whose handshake failed to the garbage collector, which takes it at once.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_tls_checks_who_the_broker_is(tmp_path: Path) -> None:
    certificate, key = await made_certificate(tmp_path, "broker")
    rules = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}", "user root")
    async with Mosquitto(tmp_path, *rules) as broker:
        plain = settings(broker, "wled")
        async with MqttPanel("the panel", plain.model_copy(update={"tls": True})) as panel:
            with pytest.raises(DeviceLostError, match=r"(?i)certificate"):
                await panel._session.wait_connected(0.5)
        async with MqttPanel("the panel", plain.model_copy(update={"tls": True, "ca_file": certificate})) as panel:
            await panel._session.wait_connected(PATIENCE_S)


async def test_a_certificate_proves_to_the_broker_who_we_are(tmp_path: Path) -> None:
    certificate, key = await made_certificate(tmp_path, "broker")
    own_certificate, own_key = await made_certificate(tmp_path, "dome")
    rules = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}", "user root")
    async with Mosquitto(tmp_path, *rules, f"cafile {own_certificate}", "require_certificate true") as broker:
        nobody = settings(broker, "wled").model_copy(update={"tls": True, "ca_file": certificate})
        async with MqttPanel("the panel", nobody) as panel:
            with pytest.raises(DeviceLostError, match="no connection"):
                await panel._session.wait_connected(1.0)
        dome = nobody.model_copy(update={"client_certificate": own_certificate, "client_key": own_key})
        async with MqttPanel("the panel", dome) as panel:
            await panel._session.wait_connected(PATIENCE_S)


async def test_a_broker_that_knows_no_mqtt_5_will_do(broker: Mosquitto) -> None:
    async with without_mqtt_5(broker) as port, scene(broker, "wled", port=port) as seen:
        await seen.panel.light_on(40)
        await seen.panel.light_off()
        assert seen.shine == 0
        assert len(seen.light.orders) == 2


@pytest.mark.deep
async def test_a_broker_that_hangs_is_given_up_and_found_again(broker: Mosquitto) -> None:
    async with scene(broker, "tasmota") as seen:
        broker.freeze()
        with pytest.raises(DeviceLostError, match="did not take an order"):
            await seen.panel.light_on(30)
        broker.thaw()
        await until(lambda: not seen.panel.is_ready)
        await seen.panel.light_on(30)
        assert seen.panel.is_ready
        assert seen.shine > 0


async def test_a_password_that_cannot_be_read_keeps_nothing_else_from_being_made_safe(broker: Mosquitto) -> None:
    as_user = settings(broker, "wled", user="dome", password_file="/nowhere/password")
    async with MqttPanel("the panel", as_user) as panel:
        with pytest.raises(DeviceError, match="cannot be read: No such file"):
            await panel._session.wait_connected(0.5)
