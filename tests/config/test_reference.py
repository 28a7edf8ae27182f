import pytest

from coldframe.config.reference import Setting, Table, find, similar, tables
from coldframe.config.settings import Settings


def test_every_setting_is_found_by_its_path() -> None:
    paths = [setting.path for table in tables().values() for setting in table.settings().values()]
    assert len(paths) == len(set(paths)) > 100
    for path in paths:
        found = find(path)
        assert isinstance(found, Setting)
        assert found.path == path


def test_every_table_of_the_configuration_is_listed() -> None:
    assert {path.partition(".")[0] for path in tables()} == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("flats.target", "flats.target"),
        ("sets[2].count", "sets.count"),
        ("flats.filters.Ha.target", "flats.filters.NAME.target"),
        ('flats.filters."O III".band', "flats.filters.NAME.band"),
        ("panel.mqtt.topic", "panel.mqtt.topic"),
    ],
)
def test_a_setting_is_found_as_files_and_messages_spell_it(name: str, path: str) -> None:
    found = find(name)
    assert isinstance(found, Setting)
    assert found.path == path


@pytest.mark.parametrize(
    "name", ["flats", "[flats]", "panel.mqtt", "[[sets]]", "flats.filters.NAME", "flats.filters.Ha"]
)
def test_a_table_is_found_with_and_without_brackets(name: str) -> None:
    assert isinstance(find(name), Table)


@pytest.mark.parametrize("name", ["", "target", "flats.targte", "camera.device.x", "flats.foo.target", "flats."])
def test_unknown_names_are_not_found(name: str) -> None:
    assert find(name) is None


def test_the_nearest_names_are_suggested() -> None:
    assert similar("flats.targte")[0] == "flats.target"
    assert similar("Flats.Target")[0] == "flats.target"
    assert similar("gain") == ["camera.gain", "sets.gain"]
    assert similar("wombat") == []
