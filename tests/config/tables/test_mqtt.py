import tomllib

import pytest
from pydantic import ValidationError

from coldframe.config.tables.mqtt import MqttSettings
from coldframe.config.tables.notify import NotifySettings


def mqtt(text: str) -> MqttSettings:
    return MqttSettings.model_validate(tomllib.loads(text))


def test_commands_and_discovery_are_off_by_default() -> None:
    plain = mqtt("")
    assert (plain.commands, plain.home_assistant, plain.base_topic) == (False, False, "coldframe")


@pytest.mark.parametrize(
    "text",
    [
        'password = "secret"',
        'base_topic = "a/#"',
        'base_topic = "+"',
        'base_topic = "/a"',
        'base_topic = "a//b"',
        'base_topic = "$SYS"',
        'discovery_prefix = "a/"',
        'ca_file = "/etc/ca.pem"',
        "commands = 1",
    ],
)
def test_wrong_settings_are_refused_without_showing_secrets(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        mqtt(text)
    assert "secret" not in "".join(error["msg"] for error in refused.value.errors())


@pytest.mark.parametrize(
    "text", ["", 'urls = ["json://secret"]', 'urls_from = ["A", "A"]', 'urls_from = ["a b"]', 'urls_file = "x"']
)
def test_addresses_are_not_in_the_configuration(text: str) -> None:
    with pytest.raises(ValidationError):
        NotifySettings.model_validate(tomllib.loads(text))
