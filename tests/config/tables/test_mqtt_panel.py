from pathlib import Path

import pytest

from coldframe.config.loading import ConfigError, load_for_safe_state, load_settings
from coldframe.config.settings import Settings

REST = """
[camera]
device = "CCD"
[[sets]]
kind = "bias"
count = 3
"""
LIGHT = """
[panel]
device = "the light"
kind = "mqtt"
[panel.mqtt]
host = "broker.lan"
family = "tasmota"
topic = "panel/"
"""


def loaded(folder: Path, text: str) -> Settings:
    file = folder / "coldframe.toml"
    file.write_text(text + REST, encoding="utf-8")
    return load_settings(file)


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_a_lamp_needs_only_its_family_and_topic(tmp_path: Path) -> None:
    panel = loaded(tmp_path, LIGHT).panel
    assert panel is not None
    assert panel.mqtt is not None
    assert (panel.mqtt.topic, panel.mqtt.full_brightness, panel.mqtt.address) == ("panel", 100, "broker.lan:1883")
    assert load_for_safe_state(tmp_path / "coldframe.toml").panel == panel


def test_full_brightness_can_be_set(tmp_path: Path) -> None:
    panel = loaded(tmp_path, LIGHT + "brightness_maximum = 0\n").panel
    assert panel is not None
    assert panel.mqtt is not None
    assert panel.mqtt.full_brightness == 0


def test_the_table_needs_the_kind(tmp_path: Path) -> None:
    assert "panel.mqtt: missing; a panel of this kind" in problems(tmp_path, LIGHT.split("[panel.mqtt]", maxsplit=1)[0])
    said = problems(tmp_path, LIGHT.replace('kind = "mqtt"', 'kind = "indi"'))
    assert 'coldframe.toml:5: panel.mqtt: found a table with kind = "indi"' in said


@pytest.mark.parametrize("topic", ["", "a/+/b", "#", "$SYS", "/panel", "a\\u0000b", "x" * 201])
def test_only_the_topic_of_one_lamp_is_accepted(tmp_path: Path, topic: str) -> None:
    assert "panel.mqtt.topic: found" in problems(tmp_path, LIGHT.replace("panel/", topic))


def test_mistakes_are_reported_with_their_lines(tmp_path: Path) -> None:
    text = LIGHT.replace('"tasmota"', '"hue"') + 'password = "secret"\n'
    said = problems(tmp_path, text)
    assert 'coldframe.toml:7: panel.mqtt.family: found "hue"; allowed: "wled", "tasmota"' in said
    assert 'panel.mqtt.password: found an unknown key; did you mean "password_file"?' in said
    assert "secret" not in said


def test_certificates_need_tls(tmp_path: Path) -> None:
    said = problems(tmp_path, LIGHT + 'ca_file = "/etc/ca.pem"\n')
    assert "panel.mqtt.ca_file: found without TLS; allowed: only with tls = true" in said
