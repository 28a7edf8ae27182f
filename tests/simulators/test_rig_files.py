from pathlib import Path

import pytest

from coldframe.config.simulated_rig import RigFileError, load_rig, shipped_rigs, switched_on_now
from coldframe.simulators.panel import radiance

DEFAULT_WINDOW_S = (0.5, 3.0)


def test_the_documented_rigs_are_shipped() -> None:
    assert shipped_rigs() == ("ccd-overscan", "cooled-mono", "cooled-osc", "dslr", "rotator", "small", "uncooled")


@pytest.mark.parametrize("name", shipped_rigs())
def test_some_brightness_gives_a_flat_within_the_preferred_exposures(name: str) -> None:
    rig = load_rig(name)
    sensor, panel = rig.sensor, rig.panel
    e_per_adu = sensor.e_per_adu * 10 ** (-sensor.gain.default * sensor.gain.db_per_step / 20 if sensor.gain else 0)
    wanted_e = 0.4 * (sensor.saturation_adu / sensor.file_scale) * e_per_adu
    transmission = rig.wheel.filters[0].transmission if rig.wheel else 1.0
    exposures_s = [
        wanted_e / (panel.full_e_per_s * transmission * radiance(panel, brightness))
        for brightness in range(1, panel.brightness_maximum + 1)
    ]
    assert any(DEFAULT_WINDOW_S[0] < each < DEFAULT_WINDOW_S[1] for each in exposures_s)


def test_a_rig_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = (Path(__file__).parents[2] / "config" / "rigs" / "small.toml").read_text()
    path.write_text(text.replace("seed = 2207", "seed = 7"))
    assert load_rig(str(path)) == load_rig("small").model_copy(update={"seed": 7})


def test_all_mistakes_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    text = (Path(__file__).parents[2] / "config" / "rigs" / "small.toml").read_text()
    path.write_text(text.replace("width = 960", "widht = 960").replace("slot_s = 0.4", "slot_s = -1"))
    with pytest.raises(RigFileError) as caught:
        load_rig(str(path))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(str(path)) for line in lines)
    assert [key for key in ("sensor.width", "sensor.widht", "wheel.slot_s") if key in str(caught.value)] == [
        "sensor.width",
        "sensor.widht",
        "wheel.slot_s",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "neither a file nor a shipped rig"), (b"a = ", "not TOML"), (b"\xff", "cannot be read")],
)
def test_unusable_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "rig.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RigFileError, match=message):
        load_rig(str(path))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RigFileError, match="cannot be read"):
        load_rig(str(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "R"', 'name = "L"', "must differ"),
        ("maximum = 300, default = 100", "maximum = 50, default = 100", "above maximum"),
        ("width = 960", "width = 960\noverscan_columns = 960", "must be less than width"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (Path(__file__).parents[2] / "config" / "rigs" / "small.toml").read_text()
    path = tmp_path / "rig.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(RigFileError, match=message):
        load_rig(str(path))


def test_a_rig_that_is_switched_on_again_has_new_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldframe.config.simulated_rig.time.time_ns", lambda: 1_700_000_000 * 10**9)
    first = switched_on_now(load_rig("small"))
    monkeypatch.setattr("coldframe.config.simulated_rig.time.time_ns", lambda: 1_700_000_020 * 10**9)
    again = switched_on_now(load_rig("small"))
    fastest_per_s = 1 / (first.timing.shortest_exposure_s + 0.01)
    assert again.frames_before - first.frames_before > 20 * fastest_per_s
    assert switched_on_now(first) == first


def test_the_gain_of_the_dslr_reaches_its_highest_iso() -> None:
    rig = load_rig("dslr")
    assert rig.dslr is not None
    assert rig.sensor.gain is not None
    assert rig.gain_at(max(rig.dslr.iso)) <= rig.sensor.gain.maximum
