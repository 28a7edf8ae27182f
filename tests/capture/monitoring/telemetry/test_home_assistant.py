"""The discovery document follows the fields that Home Assistant documents for devices."""

from datetime import UTC, datetime, timedelta

import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from jsonschema import ValidationError

from coldframe.capture.monitoring.telemetry.commands import CommandGate
from coldframe.capture.monitoring.telemetry.documents import to_json
from coldframe.capture.monitoring.telemetry.home_assistant import HomeAssistant
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics
from tests.capture.monitoring.telemetry.schemas import check, schema


def home(*, takes_commands: bool = True, rig: str = "Small Refractor") -> HomeAssistant:
    return HomeAssistant("homeassistant", rig, Topics("coldframe/small_refractor"), takes_commands)


@pytest.mark.parametrize("takes_commands", [True, False])
@pytest.mark.parametrize("rig", ["Small Refractor", "Größe #+/2", "x"])
def test_device_follows_the_documented_schema(rig: str, *, takes_commands: bool) -> None:
    assert check("home-assistant", home(takes_commands=takes_commands, rig=rig).document())


def test_topic_matches_those_of_home_assistant() -> None:
    assert home().topic == "homeassistant/device/coldframe_small_refractor/config"
    assert home(rig="#/+").topic == "homeassistant/device/coldframe_rig/config"
    assert home().birth_topic == "homeassistant/status"


def test_device_has_all_sensors_and_buttons() -> None:
    parts = check("home-assistant", home().document())["cmps"]
    assert {"phase", "progress", "eta", "temperature", "cooler", "level", "problems", "problem", "lost"} <= set(parts)
    assert {key for key, part in parts.items() if part["p"] == "button"} == {"pause", "resume", "skip", "abort", "run"}
    ids = [part["unique_id"] for part in parts.values()]
    assert len(set(ids)) == len(ids)


def rendered(template: str, **names: object) -> str:
    """Render a template as Home Assistant does, which uses Jinja."""
    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False).from_string(template).render(**names)


@pytest.mark.parametrize("state", schema("state")["examples"] + [{**schema("state")["examples"][0], "step": None}])
def test_every_template_finds_its_field(state: dict[str, object]) -> None:
    parts = check("home-assistant", home().document())["cmps"]
    values = {
        key: rendered(part["value_template"], value_json=state, value="online")
        for key, part in parts.items()
        if "value_template" in part
    }
    assert values["phase"] == state["phase"]
    assert values["temperature"] == str(state["sensor_c"])
    assert values["step"] == ("flat Ha" if state["step"] else "None"), "Home Assistant shows None as unknown"
    assert (values["problem"], values["paused"], values["lost"]) == ("ON", "OFF", "OFF")
    assert datetime.fromisoformat(values["eta"]).tzinfo is not None


@pytest.mark.parametrize(
    ("presence", "sensors", "buttons", "lost"),
    [
        (Presence.ONLINE, "online", "online", "OFF"),
        (Presence.ENDED, "online", "offline", "OFF"),
        (Presence.OFFLINE, "offline", "offline", "ON"),
    ],
)
def test_availability_follows_the_status(presence: Presence, sensors: str, buttons: str, lost: str) -> None:
    document = check("home-assistant", home().document())
    (shared,) = document["availability"]
    (button,) = document["cmps"]["pause"]["availability"]
    assert rendered(shared["value_template"], value=str(presence)) == sensors
    assert rendered(button["value_template"], value=str(presence)) == buttons
    assert rendered(document["cmps"]["lost"]["value_template"], value=str(presence)) == lost


@pytest.mark.parametrize("verb", ["pause", "resume", "skip", "abort", "run"])
def test_button_sends_a_valid_command(verb: str) -> None:
    button = check("home-assistant", home().document())["cmps"][verb]
    now = datetime.now(UTC)
    sent = rendered(button["command_template"], value="PRESS", now=lambda: now, utcnow=lambda: now, timedelta=timedelta)
    check("command", sent)
    assert CommandGate().admit(sent.encode(), now, is_retained=False).verb == verb


def test_start_button_is_available_while_the_listener_is_online() -> None:
    button = check("home-assistant", home().document())["cmps"]["run"]
    assert button["name"] == "Start calibration"
    assert button["availability"] == [{"topic": "coldframe/small_refractor/listener"}], "its payloads need no template"
    assert set(schema("listener")["enum"]) == {"online", "offline"}


def test_buttons_are_removed_if_commands_are_not_allowed() -> None:
    parts = check("home-assistant", home(takes_commands=False).document())["cmps"]
    assert [part for part in parts.values() if part["p"] == "button"] == [{"p": "button"}] * 5


def test_schema_is_strict() -> None:
    document = check("home-assistant", home().document())
    for broken in (
        {**document, "more": 1},
        {**document, "o": {}},
        {**document, "dev": {"name": "x"}},
        {**document, "cmps": {"phase": {"p": "sensor", "value_template": "x"}}},
        {**document, "cmps": {"phase": {"unique_id": "x", "value_template": "x"}}},
    ):
        with pytest.raises(ValidationError):
            check("home-assistant", to_json(broken))
