import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.section import Section
from coldframe.config.settings import Settings
from coldframe.config.starters.full import full_config
from coldframe.config.starters.rig_survey import RigSurvey
from coldframe.config.starters.short import starter_config
from coldframe.config.tables.rig import RotatorSettings

COMPLETE = RigSurvey(
    host="127.0.0.1",
    port=7624,
    camera="ZWO CCD ASI2600MM Pro",
    gain=(0, 570),
    gain_now=100.0,
    offset=(0, 240),
    offset_now=50.0,
    setpoint_c=(-40, 30),
    readout_modes=("Normal", "Low noise"),
    readout_mode="Low noise",
    panel="Flip-Flat",
    brightness=(0, 255),
    has_cover=True,
    wheel="EFW",
    filters=("L", "Ha"),
)
TABLES = {"filters", "mqtt"}
"""Settings that are tables; the file has only examples of them."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("starter") / "coldframe.toml"


MOST_LINES = 40
"""Length of the short configuration for any common rig, with up to eight filters."""


def loaded(path: Path, survey: RigSurvey, write: Callable[[RigSurvey], str] = starter_config) -> Settings:
    path.write_text(write(survey), encoding="utf-8")
    return load_settings(path)


EIGHT = ("L", "R", "G", "B", "Ha", "OIII", "SII", "")


@pytest.mark.parametrize(
    "survey",
    [
        replace(COMPLETE, host="observatory", other_cameras=("Guider",), filters=EIGHT),
        replace(COMPLETE, host="observatory", has_cover=False, cover="Dust Cap", filters=EIGHT),
        replace(COMPLETE, host="observatory", has_cover=False, cover="Dust Cap", wheel=None, filters=()),
    ],
)
def test_the_starter_is_short(survey: RigSurvey) -> None:
    assert len(starter_config(survey).splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "survey",
    [
        COMPLETE,
        replace(COMPLETE, host="observatory", has_cover=False, cover="Dust Cap", filters=EIGHT),
        replace(COMPLETE, wheel=None, filters=()),
        RigSurvey(host="127.0.0.1", port=7624, camera="CCD"),
    ],
)
def test_the_short_and_the_full_configuration_mean_the_same(path: Path, survey: RigSurvey) -> None:
    assert loaded(path, survey) == loaded(path, survey, full_config)


def test_the_starter_has_the_surveyed_devices_and_good_practice(path: Path) -> None:
    found = loaded(path, COMPLETE)

    assert (found.camera.device, found.camera.gain, found.camera.offset) == ("ZWO CCD ASI2600MM Pro", 100, 50)
    assert (found.camera.readout_mode, found.camera.setpoint_c) == ("Low noise", -10)
    assert found.wheel is not None
    assert found.wheel.names is None
    assert [(each.kind, each.filter, each.count, each.exposure_s) for each in found.sets] == [
        ("bias", None, 100, None),
        ("dark", None, 30, 300.0),
        ("flat", "L", 25, None),
        ("dark-flat", "L", 25, None),
        ("flat", "Ha", 25, None),
        ("dark-flat", "Ha", 25, None),
    ]


def test_a_set_can_be_appended_to_a_starter_without_filters(path: Path) -> None:
    text = starter_config(replace(COMPLETE, wheel=None, filters=()))
    path.write_text(text + '\n[[sets]]\nkind = "dark"\nexposure_s = 60.0\ncount = 20\n', encoding="utf-8")
    kinds = [each.kind for each in load_settings(path).sets]
    assert kinds == ["bias", "dark", "flat", "dark-flat", "dark"]


@pytest.mark.parametrize("count", [8, 9, 12])
def test_a_wheel_with_many_filters_still_gives_a_short_configuration(tmp_path: Path, count: int) -> None:
    names = tuple(f"Band {number}" for number in range(1, count + 1))
    survey = replace(COMPLETE, filters=names)
    assert len(starter_config(survey).splitlines()) <= MOST_LINES
    flats = [each.filter for each in loaded(tmp_path / "config.toml", survey).sets if each.kind is FrameKind.FLAT]
    assert flats == list(names)


@pytest.mark.parametrize(("limits_c", "wanted"), [((-40, 30), (-5, 0, 5, 10)), ((-20, 5), (-5, 0, 5)), (None, ())])
def test_a_cooler_gets_warmer_setpoints_for_warm_nights(
    path: Path, limits_c: tuple[float, float] | None, wanted: tuple[float, ...]
) -> None:
    assert loaded(path, replace(COMPLETE, setpoint_c=limits_c)).cooling.fallback_c == wanted


def test_every_setting_is_explained() -> None:
    unwrapped = " ".join(full_config(COMPLETE).replace("\n#", "").split())
    tables = ["server", "camera", "panel", "wheel", "cooling", "flats", "storage", "lights", "hooks", "watch"]
    for table in tables:
        section = type(getattr(loaded_tables(), table))
        assert issubclass(section, Section)
        for name, field in section.model_fields.items():
            assert f"{name} =" in unwrapped or name in TABLES
            assert field.description is not None
            assert field.description in unwrapped or name in TABLES


def loaded_tables() -> Settings:
    return Settings.model_validate(tomllib.loads(full_config(COMPLETE)))


def test_commented_defaults_are_the_defaults(path: Path) -> None:
    tables, _, sets = full_config(COMPLETE).partition("# [flats.filters")
    _, _, sets = sets.partition("\n\n")
    path.write_text(re.sub(r"^# (?=\w+ = )", "", tables, flags=re.MULTILINE) + "\n" + sets, encoding="utf-8")

    assert "\nsettle_s = 2.0\n" in path.read_text(encoding="utf-8")
    assert load_settings(path) == loaded_tables()


def test_a_bare_camera_gets_no_flats(path: Path) -> None:
    bare = loaded(path, RigSurvey(host="observatory", port=7000, camera="CCD"))

    assert (bare.server.host, bare.server.port) == ("observatory", 7000)
    assert bare.camera.setpoint_c is None
    assert [each.kind for each in bare.sets] == ["bias", "dark"]


def test_filters_without_distinct_names_are_numbered(path: Path) -> None:
    wheel = loaded(path, replace(COMPLETE, filters=("L", "", "Ha", "Ha"))).wheel
    assert wheel is not None
    assert wheel.names == ("L", "Filter 2", "Filter 3", "Filter 4")


def test_a_wheel_without_names_gets_numbers_to_replace(path: Path) -> None:
    unnamed = replace(COMPLETE, filters=("", "", ""))
    wheel = loaded(path, unnamed).wheel
    assert wheel is not None
    assert wheel.names == ("Filter 1", "Filter 2", "Filter 3")
    assert "replace the numbers with your filters" in starter_config(unnamed)
    assert "names" not in starter_config(COMPLETE).partition("[wheel]")[2].partition("[")[0]
    assert "Replace the numbered names with your own" in " ".join(full_config(unnamed).replace("\n#", "").split())


def test_a_fixed_gain_is_explained_and_not_set(path: Path) -> None:
    fixed = replace(COMPLETE, gain=(0.82, 0.82), gain_now=0.82)
    assert loaded(path, fixed).camera.gain is None
    assert "The gain of this camera is fixed at 0.82." in " ".join(full_config(fixed).replace("\n#", "").split())


def test_other_cameras_are_named_with_the_option_that_chooses_them() -> None:
    text = " ".join(full_config(replace(COMPLETE, other_cameras=("Guider",))).replace("\n#", "").split())
    assert 'other cameras: ["Guider"]' in text
    assert "coldframe init --camera" in text
    assert "# or Guider" in starter_config(replace(COMPLETE, other_cameras=("Guider",)))


def test_a_cover_beside_the_panel_gets_a_table(path: Path) -> None:
    found = loaded(path, replace(COMPLETE, has_cover=False, cover="Dust Cap"))
    assert found.cover is not None
    assert (found.cover.device, found.cover_for_flats, found.cover_at_end) == ("Dust Cap", "open", "closed")


@pytest.mark.parametrize("write", [starter_config, full_config])
def test_a_rotator_is_turned_only_after_its_table_is_enabled(path: Path, write: Callable[[RigSurvey], str]) -> None:
    survey = replace(COMPLETE, rotator="Falcon", rotator_deg=(0, 360))
    text = write(survey)
    assert "A rotator was found" in text
    assert loaded(path, survey, write).rotator is None
    enabled = text.replace("# [rotator]", "[rotator]").replace('# device = "Falcon"', 'device = "Falcon"')
    path.write_text(enabled, encoding="utf-8")
    assert load_settings(path).rotator == RotatorSettings(device="Falcon")


def test_the_full_configuration_states_the_angles_of_a_rotator() -> None:
    text = full_config(replace(COMPLETE, rotator="Falcon", rotator_deg=(0, 360)))
    assert "A rotator was found: Falcon. It accepts 0 to 360 degrees." in text


def test_the_setpoint_is_within_the_coolers_range(path: Path) -> None:
    assert loaded(path, replace(COMPLETE, setpoint_c=(-5, 20))).camera.setpoint_c == -5


NAMES = st.text(min_size=1, max_size=63).filter(lambda text: text.isprintable() and bool(text.strip()))
RANGES = st.none() | st.tuples(st.floats(), st.floats())
SURVEYS = st.builds(
    RigSurvey,
    host=NAMES,
    port=st.integers(1, 65535),
    camera=NAMES,
    gain=RANGES,
    gain_now=st.none() | st.floats(),
    offset=RANGES,
    offset_now=st.none() | st.floats(),
    setpoint_c=RANGES,
    readout_modes=st.lists(st.text(max_size=70), max_size=3).map(tuple),
    readout_mode=st.none() | st.text(max_size=70),
    panel=st.none() | NAMES,
    brightness=RANGES,
    has_cover=st.booleans(),
    wheel=st.none() | NAMES,
    cover=st.none() | NAMES.map(lambda name: f"{name[:50]} cover"),
    filters=st.lists(st.text(max_size=70) | st.sampled_from(["L", "Filter 1"]), max_size=8).map(tuple),
)


@given(SURVEYS)
@settings(deadline=None)
def test_any_survey_gives_a_configuration_that_loads(path: Path, survey: RigSurvey) -> None:
    found = loaded(path, survey)
    assert loaded(path, survey, full_config) == found

    assert found.camera.device == survey.camera
    assert (found.panel.device if found.panel else None) == survey.panel
    assert found.wheel is None or found.wheel.device == survey.wheel


@pytest.mark.parametrize("write", [starter_config, full_config])
def test_the_gain_of_a_dslr_is_called_its_iso_value(write: Callable[[RigSurvey], str]) -> None:
    survey = RigSurvey(host="127.0.0.1", port=7624, camera="Canon", gain=(100, 6400), gain_is_iso=True, gain_now=800.0)
    text = " ".join(re.sub("^# ", "", line) for line in write(survey).splitlines())
    assert re.search("the ISO value of (your|the) lights[:,] 100 to 6400", text)
