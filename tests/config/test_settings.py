from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.section import ContradictionError
from coldframe.config.settings import Settings
from coldframe.config.tables.cooling import CoolingSettings
from coldframe.config.tables.flats import FlatSettings
from coldframe.config.tables.night import StorageSettings
from coldframe.config.tables.rig import CameraSettings, ServerSettings
from coldframe.config.tables.sets import FrameSet

CAMERA = {"device": "Camera", "gain": 100.0, "setpoint_c": -10.0}
BIAS = {"kind": "bias", "count": 100}
FLAT = {"kind": "flat", "count": 25, "filter": "L"}
DARK_FLAT = {"kind": "dark-flat", "count": 25, "filter": "L"}


def settings(*sets: dict[str, Any], **tables: dict[str, Any]) -> Settings:
    rig = {"camera": CAMERA, "panel": {"device": "Panel"}, "wheel": {"device": "Wheel"}}
    return Settings.model_validate({**rig, **tables, "sets": list(sets)})


def contradictions(error: ValidationError) -> dict[tuple[str | int, ...], str]:
    found: dict[tuple[str | int, ...], str] = {}
    for details in error.errors():
        cause = details["ctx"]["error"]
        assert isinstance(cause, ContradictionError)
        found |= {(*details["loc"], *each.where): each.text for each in cause.contradictions}
    return found


def refused(*sets: dict[str, Any], **tables: dict[str, Any]) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(ValidationError) as caught:
        settings(*sets, **tables)
    return contradictions(caught.value)


def test_the_defaults_are_good_practice() -> None:
    plain = settings(BIAS)

    assert (plain.server.host, plain.server.port) == ("127.0.0.1", 7624)
    assert (plain.flats.target, plain.flats.band, plain.flats.preferred_exposure_s) == (0.40, (0.30, 0.50), (0.5, 3.0))
    assert plain.cooling.at_end == "warm"
    assert plain.panel is not None
    assert plain.panel.cover_for_flats == "closed"
    assert plain.storage.folder == Path.home() / "coldframe"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings(BIAS).camera.binning = 2  # type: ignore[misc]


def test_a_set_uses_the_cameras_readout_settings_by_default() -> None:
    camera = CameraSettings(device="Camera", gain=100, offset=50, binning=2, readout_mode="Normal", setpoint_c=-10)
    plain = FrameSet(kind=FrameKind.BIAS, count=1)
    own = FrameSet(kind=FrameKind.BIAS, count=1, gain=0, binning=1, readout_mode="HCG", setpoint_c=0)

    assert plain.readout(camera) == ReadoutSettings(gain=100, offset=50, binning=2, readout_mode="Normal")
    assert own.readout(camera) == ReadoutSettings(gain=0, offset=50, binning=1, readout_mode="HCG")
    assert plain.setpoint(camera) == -10
    assert own.setpoint(camera) == 0


def test_a_filter_can_have_its_own_flat_settings() -> None:
    flats = FlatSettings.model_validate({"filters": {"Ha": {"target": 0.35, "preferred_exposure_s": [1, 8]}}})

    assert flats.for_filter("L") == flats.for_filter(None) == flats
    assert flats.for_filter("Ha").target == 0.35
    assert flats.for_filter("Ha").preferred_exposure_s == (1, 8)
    assert flats.for_filter("Ha").band == flats.band


@pytest.mark.parametrize("kind", ["bias", "flat", "dark-flat"])
def test_only_darks_have_an_exposure(kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FrameSet.model_validate({"kind": kind, "count": 3, "exposure_s": 1.0})
    assert list(contradictions(caught.value)) == [("exposure_s",)]


def test_a_dark_needs_an_exposure_and_no_filter() -> None:
    found = refused({"kind": "dark", "count": 20, "filter": "L"})
    assert set(found) == {("sets", 0, "exposure_s"), ("sets", 0, "filter")}
    assert settings({"kind": "dark", "count": 20, "exposure_s": 300}).sets[0].exposure_s == 300


def test_a_set_of_lights_is_refused() -> None:
    with pytest.raises(ValidationError, match="kind"):
        FrameSet.model_validate({"kind": "light", "count": 3})


def test_flats_need_a_panel() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"camera": CAMERA, "sets": [BIAS, {"kind": "flat", "count": 20}]})
    assert list(contradictions(caught.value)) == [("sets", 1, "kind")]


def test_flats_need_something_to_subtract() -> None:
    assert "nothing to subtract" in refused(FLAT)["sets", 0, "kind"]
    assert "nothing to subtract" in refused(FLAT, {**BIAS, "gain": 0})["sets", 0, "kind"]
    settings(FLAT, BIAS)
    settings(FLAT, DARK_FLAT)


@pytest.mark.parametrize(("pedestal", "fitting", "other"), [("bias", BIAS, DARK_FLAT), ("dark-flat", DARK_FLAT, BIAS)])
def test_frames_to_subtract_from_flats_must_be_shot(
    pedestal: str, fitting: dict[str, object], other: dict[str, object]
) -> None:
    rig = {"camera": CAMERA, "panel": {"device": "Panel"}, "flats": {"pedestal": pedestal}}
    Settings.model_validate({**rig, "sets": [FLAT, fitting]})
    with pytest.raises(ValidationError, match=f'flats.pedestal = "{pedestal}"'):
        Settings.model_validate({**rig, "sets": [FLAT, other]})


@pytest.mark.parametrize("difference", [{"filter": "R"}, {"gain": 0}, {"binning": 2}, {"setpoint_c": 0}])
def test_dark_flats_need_matching_flats(difference: dict[str, object]) -> None:
    assert list(refused(BIAS, FLAT, {**DARK_FLAT, **difference})) == [("sets", 2, "kind")]


def test_a_set_with_the_cameras_values_spelled_out_matches() -> None:
    spelt_out = settings(FLAT, {**DARK_FLAT, "gain": 100, "setpoint_c": -10, "binning": 1})
    assert [each.gain for each in spelt_out.sets] == [None, 100]


def test_with_a_wheel_each_flat_names_a_filter() -> None:
    found = refused(BIAS, {"kind": "flat", "count": 20})
    assert list(found) == [("sets", 1, "filter")]


def test_filters_must_be_in_the_wheels_names() -> None:
    wheel = {"device": "Wheel", "names": ["R", "G"]}
    assert "allowed: R, G" in refused(BIAS, FLAT, wheel=wheel)["sets", 1, "filter"]


def test_flat_settings_of_a_filter_that_is_never_shot_are_refused() -> None:
    flats = {"filters": {"ha": {"target": 0.4}}}
    assert "allowed: L" in refused(BIAS, FLAT, flats=flats)["flats", "filters", "ha"]


def test_a_repeated_set_is_refused() -> None:
    found = refused(BIAS, FLAT, {**BIAS, "count": 5, "gain": 100})
    assert list(found) == [("sets", 2)]
    assert "number 1" in found["sets", 2]
    settings(BIAS, {**BIAS, "gain": 0})


def test_the_target_must_be_within_the_band() -> None:
    with pytest.raises(ValidationError) as caught:
        FlatSettings.model_validate({"target": 0.6, "filters": {"Ha": {"target": 0.4}, "L": {"target": 0.2}}})
    assert set(contradictions(caught.value)) == {("target",), ("filters", "L", "target")}


def test_preferred_exposures_must_be_within_the_limits() -> None:
    with pytest.raises(ValidationError) as caught:
        FlatSettings(exposure_limits_s=(1.0, 2.0))
    assert list(contradictions(caught.value)) == [("preferred_exposure_s",)]


def test_a_dwell_must_end_before_the_deadline() -> None:
    with pytest.raises(ValidationError, match="allowed: less than deadline_s"):
        CoolingSettings(dwell_s=60, deadline_s=60)


def test_an_empty_text_disables_the_unix_socket() -> None:
    assert ServerSettings.model_validate({"unix_socket": ""}).unix_socket is None


@pytest.mark.parametrize(("host", "local"), [("localhost", True), ("::1", True), ("observatory", False)])
def test_the_loopback_is_local(host: str, local: bool) -> None:  # noqa: FBT001  a parametrised expectation
    assert ServerSettings(host=host).is_local is local


@pytest.mark.parametrize("folder", ["frames", "~nobody-of-this-name/frames", "/frames\0"])
def test_a_relative_folder_is_refused(folder: str) -> None:
    with pytest.raises(ValidationError, match="a path"):
        StorageSettings(folder=Path(folder))


@pytest.mark.parametrize(
    "wrong",
    [{"gain": "100"}, {"gain": float("nan")}, {"binning": True}, {"binning": 1.5}, {"device": " "}, {"device": "a\nb"}],
)
def test_values_of_another_type_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CameraSettings.model_validate({**CAMERA, **wrong})


def test_the_sky_needs_a_site_and_no_panel() -> None:
    sky = {"source": "sky"}
    with pytest.raises(ValidationError) as caught:
        settings({"kind": "bias", "count": 10}, {**DARK_FLAT, "kind": "flat"}, flats=sky)
    (text,) = contradictions(caught.value).values()
    assert "[site]" in text
    site = {"latitude_deg": 48.0, "longitude_deg": 11.0}
    rig = {"camera": CAMERA, "wheel": {"device": "Wheel"}, "flats": sky, "site": site}
    sets = [{"kind": "bias", "count": 10}, {**DARK_FLAT, "kind": "flat"}]
    assert Settings.model_validate({**rig, "sets": sets}).panel is None


ROTATOR = {"rotator": {"device": "Rotator"}}


def test_a_rotator_angle_needs_a_rotator_and_light() -> None:
    turned = {"rotator_deg": 100.0}
    where = [("sets", number, "rotator_deg") for number in (1, 2)]
    found = refused(BIAS, {**FLAT, **turned}, {**DARK_FLAT, **turned})
    assert list(found) == where
    assert "with a [rotator] table" in found[where[0]]
    assert list(refused({**BIAS, **turned}, **ROTATOR)) == [("sets", 0, "rotator_deg")]


def test_flats_of_each_angle_need_their_own_dark_flats_and_all_flats_an_angle() -> None:
    one, other = {"rotator_deg": 100.0}, {"rotator_deg": 200.0}
    both = settings({**FLAT, **one}, {**DARK_FLAT, **one}, {**FLAT, **other}, {**DARK_FLAT, **other}, **ROTATOR)
    assert [each.rotator_deg for each in both.sets] == [100, 100, 200, 200]
    assert ("sets", 1, "kind") in refused({**FLAT, **one}, {**DARK_FLAT, **other}, **ROTATOR)
    mixed = refused(BIAS, {**FLAT, **one}, {**FLAT, "filter": "R"}, **ROTATOR)
    assert list(mixed) == [("sets", 2, "rotator_deg")]
    assert "each flat set needs one" in mixed["sets", 2, "rotator_deg"]
