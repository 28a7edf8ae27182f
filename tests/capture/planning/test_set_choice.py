"""Choosing sets by kind and filter."""

from collections.abc import Sequence

import pytest

from coldframe.capture.planning.lights_for_rig import RigSnapshot
from coldframe.capture.planning.set_choice import (
    ChoiceError,
    SetChoices,
    is_cold,
    name_of,
    parsed_choices,
    without_setpoints,
)
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.tables.sets import FrameSet
from tests.capture.scene import small_night

SETTINGS = small_night()
BIAS = FrameSet(kind=FrameKind.BIAS, count=9)
DARKS = tuple(FrameSet(kind=FrameKind.DARK, count=9, exposure_s=each) for each in (60.0, 300.0))
HA = "H\u03b1"
FILTERS = ("L", HA, "OIII")
FLATS = tuple(FrameSet(kind=FrameKind.FLAT, count=9, filter=each) for each in FILTERS)
DARK_FLATS = tuple(FrameSet(kind=FrameKind.DARK_FLAT, count=9, filter=each) for each in FILTERS)
SETS = (BIAS, *DARKS, *FLATS, *DARK_FLATS)


def with_pedestal(pedestal: str) -> Settings:
    return small_night(flats={"pedestal": pedestal})


def chosen(
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    sets: Sequence[FrameSet] = SETS,
    settings: Settings = SETTINGS,
) -> list[str]:
    choices = SetChoices(parsed_choices("--only", only), parsed_choices("--skip", skip))
    return [" ".join(filter(None, [each.kind.value, name_of(each)])) for each in choices.of(sets, settings)]


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (["bias"], ["bias"]),
        (["darks"], ["dark 60", "dark 300"]),
        (["darks:300"], ["dark 300"]),
        (["dark:300", "Biases"], ["bias", "dark 300"]),
        (["flats:OIII"], ["flat OIII", "dark-flat OIII"]),
        (["flats:halpha,oiii"], [f"flat {HA}", "flat OIII", f"dark-flat {HA}", "dark-flat OIII"]),
        (["flats:L,darks:60,bias"], ["bias", "dark 60", "flat L", "dark-flat L"]),
        (["flats"], [f"{kind} {name}" for kind in ("flat", "dark-flat") for name in FILTERS]),
    ],
)
def test_only_the_named_sets_and_what_flats_need_remain(only: list[str], wanted: list[str]) -> None:
    assert chosen(only) == wanted


def test_flats_take_the_bias_if_they_have_no_dark_flats_or_do_not_subtract_them() -> None:
    assert chosen(["flats:L"], sets=(BIAS, *FLATS)) == ["bias", "flat L"]
    assert chosen(["flats:L"], ["dark-flats"]) == ["bias", "flat L"]
    assert chosen(["flats:L"], settings=with_pedestal("bias")) == ["bias", "flat L"]


def test_dark_flats_are_skipped_with_their_flats() -> None:
    assert chosen(skip=["flats:L,OIII", "darks"]) == ["bias", f"flat {HA}", f"dark-flat {HA}"]


def test_flats_take_a_bias_of_their_camera_settings_only() -> None:
    gain_0 = BIAS.model_copy(update={"gain": 0.0})
    sets = (gain_0, BIAS, FLATS[0])
    choices = SetChoices(parsed_choices("--only", ["flats"]))
    assert choices.of(sets, SETTINGS) == (BIAS, FLATS[0])


@pytest.mark.parametrize(
    ("only", "skip", "message"),
    [
        (["flts:Ha"], [], "--only flts:Ha: 'flts' is not a kind of set; choices: bias, darks, flats, dark-flats"),
        (["flats:L,R"], [], "--only flats:R: the plan has no such filter; choices: L, H\u03b1, OIII"),
        ([], ["darks:10"], "--skip darks:10: the plan has no such exposure; choices: 60, 300"),
        (["bias:L"], [], "--only bias:L: the plan has no such set; choices: bias, darks, flats, dark-flats"),
        (
            ["dark-flats:L"],
            [],
            "--only dark-flats:L: dark flats have the same exposure as their flats, so choose flats instead",
        ),
        (["darks"], ["darks"], "--only and --skip leave no set to shoot"),
        ([], ["bias,darks,flats,dark-flats"], "--only and --skip leave no set to shoot"),
        (["flats:L"], ["bias,dark-flats"], "--skip leaves neither dark flats nor bias frames for flats L"),
    ],
)
def test_an_impossible_choice_is_one_line_with_the_choices(only: list[str], skip: list[str], message: str) -> None:
    with pytest.raises(ChoiceError) as refused:
        chosen(only, skip)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("only", "is_only_flats"), [(["flats:L"], True), (["flats", "bias"], False), (["darks"], False), ([], False)]
)
def test_only_flats_need_no_cooling(only: list[str], *, is_only_flats: bool) -> None:
    assert SetChoices(parsed_choices("--only", only)).is_only_flats is is_only_flats


@pytest.mark.parametrize(
    ("cooler_on", "sensor_c", "cold"),
    [(True, 20.0, True), (False, -5.0, False), (None, 9.0, True), (None, 12.0, False), (None, None, True)],
)
def test_a_sensor_is_cold_if_its_cooler_is_on(
    cooler_on: bool | None,  # noqa: FBT001
    sensor_c: float | None,
    *,
    cold: bool,
) -> None:
    assert is_cold(RigSnapshot(cooler_on=cooler_on, sensor_c=sensor_c), SETTINGS) is cold


def test_sets_without_setpoints_leave_the_cooler_alone() -> None:
    cold = SETTINGS.model_copy(update={"sets": (BIAS.model_copy(update={"setpoint_c": 5.0}), BIAS)})
    settings = without_setpoints(cold)
    assert [each.setpoint(settings.camera) for each in settings.sets] == [None, None]
