"""Commands and states of each family."""

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.config.tables.mqtt_panel import Family, MqttPanelSettings
from coldframe.devices.mqtt.dialects import UNKNOWN, Dialect, LightReport, dialect_of

TOPICS: dict[Family, str] = {
    "wled": "wled/panel",
    "tasmota": "panel",
    "esphome": "dome/light/panel",
    "zigbee2mqtt": "zigbee2mqtt/panel",
    "json": "shelf/lamp",
}


def dialect(family: Family, **overrides: str) -> Dialect:
    return dialect_of(MqttPanelSettings.model_validate({"family": family, "topic": TOPICS[family], **overrides}))


def commands(family: Family, brightness: int | None) -> list[tuple[str, str]]:
    return [(command.topic, command.payload) for command in dialect(family).on(brightness, 1)]


def test_wled_gets_one_message_without_transition_effect_or_night_light() -> None:
    ((topic, payload),) = commands("wled", 128)
    assert topic == "wled/panel/api"
    found = json.loads(payload)
    assert (found["on"], found["bri"], found["transition"], found["seg"]["fx"]) == (True, 128, 0, 0)
    assert found["nl"] == {"on": False}


def test_successive_commands_to_wled_differ_so_that_it_answers_each() -> None:
    wled = dialect("wled")
    assert wled.off(1) != wled.off(2)


def test_tasmota_gets_its_brightness_before_it_is_switched_on() -> None:
    assert commands("tasmota", 40) == [
        ("cmnd/panel/Fade", "0"),
        ("cmnd/panel/Scheme", "0"),
        ("cmnd/panel/Dimmer", "40"),
        ("cmnd/panel/POWER", "ON"),
    ]


def test_esphome_gets_effect_and_transition_in_separate_messages() -> None:
    found = [json.loads(payload) for _, payload in commands("esphome", 200)]
    assert found == [{"effect": "None"}, {"state": "ON", "brightness": 200, "transition": 0}]
    assert [topic for topic, _ in commands("esphome", 200)] == ["dome/light/panel/command"] * 2


def test_other_json_lights_get_one_message() -> None:
    for family in ("zigbee2mqtt", "json"):
        ((topic, payload),) = commands(family, 200)
        assert topic == f"{TOPICS[family]}/set"
        assert json.loads(payload) == {"state": "ON", "brightness": 200, "transition": 0}


def test_light_that_can_only_be_switched_gets_no_brightness() -> None:
    payloads = [payload for family in TOPICS for _, payload in commands(family, None)]
    assert not any("bri" in payload for payload in payloads)
    assert len(commands("tasmota", None)) == 3


@pytest.mark.parametrize(
    ("family", "topic", "payload", "report"),
    [
        ("wled", "wled/panel/g", "128", LightReport(lit=True, brightness=128)),
        ("wled", "wled/panel/g", "0", LightReport(lit=False)),
        ("wled", "wled/panel/status", "online", LightReport(online=True)),
        ("tasmota", "stat/panel/RESULT", '{"POWER":"ON","Dimmer":40}', LightReport(lit=True, brightness=40)),
        ("tasmota", "stat/panel/RESULT", '{"POWER1":"OFF"}', LightReport(lit=False)),
        ("tasmota", "tele/panel/STATE", '{"POWER":"OFF","Dimmer":7}', LightReport(lit=False, brightness=7)),
        ("tasmota", "tele/panel/LWT", "Offline", LightReport(online=False)),
        ("esphome", "dome/light/panel/state", '{"state":"ON","brightness":9}', LightReport(lit=True, brightness=9)),
        ("esphome", "dome/status", "offline", LightReport(online=False)),
        ("zigbee2mqtt", "zigbee2mqtt/panel", '{"brightness":215.4}', LightReport(brightness=215)),
        ("zigbee2mqtt", "zigbee2mqtt/panel", '{"state":"OFF","linkquality":70}', LightReport(lit=False)),
        ("zigbee2mqtt", "zigbee2mqtt/panel/availability", '{"state":"online"}', LightReport(online=True)),
        ("zigbee2mqtt", "zigbee2mqtt/panel/availability", "offline", LightReport(online=False)),
    ],
)
def test_states_are_parsed(family: Family, topic: str, payload: str, report: LightReport) -> None:
    assert topic in dialect(family).topics
    assert dialect(family).parse(topic, payload.encode()) == report


def test_topics_can_be_configured() -> None:
    other = dialect("json", state_topic="a/b", availability_topic="c/d", command_topic="e/f")
    assert other.topics == ("a/b", "c/d")
    assert other.off(1)[0].topic == "e/f"
    assert dialect("tasmota", command_topic="dome/cmnd/panel").off(1)[-1].topic == "dome/cmnd/panel/POWER"


GARBAGE = [b"", b"\xff\xfe", b"{", b"[" * 20_000, b'{"state": 7}', b"null", b"-5", b"1e400", b"NaN", b'{"POWER": []}']
GARBAGE += [b'{"brightness": true}', b'{"brightness": NaN}', b'{"brightness": 1e99}', b'{"Dimmer": -1}', b"9" * 6000]


@pytest.mark.parametrize(("family", "payload"), list(product(TOPICS, GARBAGE)))
def test_invalid_payloads_say_nothing(family: Family, payload: bytes) -> None:
    for topic in dialect(family).topics:
        assert dialect(family).parse(topic, payload) == UNKNOWN


@given(st.sampled_from(list(TOPICS)), st.binary(max_size=60) | st.text(alphabet='{}":0123ONF,state', max_size=60))
def test_any_payload_is_parsed_to_a_valid_brightness_or_none(family: Family, payload: bytes | str) -> None:
    for topic in dialect(family).topics:
        found = dialect(family).parse(topic, payload if isinstance(payload, bytes) else payload.encode())
        assert found.brightness is None or 0 <= found.brightness <= 65535
