"""The order of the steps of a night."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.planning.estimates import estimate_s
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.steps import ShootStep, Step, WarmStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.tables.sets import FrameSet


def settings(*sets: dict[str, Any], **camera: Any) -> Settings:
    return Settings.model_validate(
        {
            "camera": {"device": "C", "setpoint_c": -10.0, **camera},
            "panel": {"device": "P"},
            "wheel": {"device": "W"},
            "sets": [FrameSet.model_validate(each) for each in sets],
        }
    )


def titles(steps: tuple[Step, ...]) -> list[str]:
    return [step.title for step in steps]


BIAS = {"kind": FrameKind.BIAS, "count": 100}
L_FLAT = {"kind": FrameKind.FLAT, "count": 20, "filter": "L"}
L_DARK_FLAT = {"kind": FrameKind.DARK_FLAT, "count": 20, "filter": "L"}


def dark(exposure_s: float, **more: Any) -> dict[str, Any]:
    return {"kind": FrameKind.DARK, "count": 30, "exposure_s": exposure_s, **more}


def test_bias_then_flats_by_filter_then_darks_by_exposure() -> None:
    steps = plan_night(settings(dark(600.0), L_FLAT, dark(300.0), BIAS, L_DARK_FLAT))
    assert titles(steps) == [
        "cool to -10 C", "bias", "tune flat L", "dark flat L", "flat L", "dark 300 s", "dark 600 s", "warm up",
    ]  # fmt: skip


def test_twilight_shoots_all_filters_in_one_step_and_dark_flats_without_filter() -> None:
    sky = {"flats": {"source": "sky"}, "site": {"latitude_deg": 48.0, "longitude_deg": 11.0}, "panel": None}
    ha = {"filter": "Ha"}
    planned = settings(dark(300.0), L_FLAT, L_FLAT | ha, BIAS, L_DARK_FLAT, L_DARK_FLAT | ha).model_dump()
    steps = plan_night(Settings.model_validate({**planned, **sky}))
    assert titles(steps) == [
        "cool to -10 C", "bias", "sky flats L Ha", "dark flat", "dark flat", "combine flat L", "combine flat Ha",
        "dark 300 s", "warm up",
    ]  # fmt: skip
    assert all(seconds > 0 for seconds in estimate_s(steps, settings(BIAS)))


def test_twilight_flats_of_all_angles_come_before_dark_flats() -> None:
    sky = {"flats": {"source": "sky"}, "site": {"latitude_deg": 48.0, "longitude_deg": 11.0}, "panel": None}
    sets = [each | {"rotator_deg": deg} for deg in (30.0, 120.0) for each in (L_FLAT, L_DARK_FLAT)]
    planned = settings(BIAS).model_dump() | {"sets": [BIAS, *sets], "rotator": {"device": "R"}}
    steps = plan_night(Settings.model_validate({**planned, **sky}))
    assert titles(steps) == [
        "cool to -10 C", "bias", "sky flats L at 30 deg", "sky flats L at 120 deg", "dark flat at 30 deg",
        "combine flat L at 30 deg", "dark flat at 120 deg", "combine flat L at 120 deg", "warm up",
    ]  # fmt: skip


def test_sets_of_one_setpoint_stay_together() -> None:
    steps = plan_night(settings(dark(60.0), dark(60.0, setpoint_c=0.0), dark(120.0)))
    assert titles(steps) == ["cool to -10 C", "dark 60 s", "dark 120 s", "cool to 0 C", "dark 60 s", "warm up"]


def test_without_a_setpoint_the_sensor_is_neither_cooled_nor_warmed() -> None:
    steps = plan_night(settings(BIAS, setpoint_c=None))
    assert titles(steps) == ["bias"]


def test_a_cooler_that_should_hold_is_not_warmed() -> None:
    held = settings(BIAS)
    held = held.model_copy(update={"cooling": held.cooling.model_copy(update={"at_end": "hold"})})
    assert titles(plan_night(held)) == ["cool to -10 C", "bias"]


@given(st.permutations([BIAS, L_FLAT, L_DARK_FLAT, dark(60.0), dark(300.0), dark(60.0, setpoint_c=-5.0)]))
def test_every_set_is_shot_once_in_any_order_of_the_file(sets: list[dict[str, Any]]) -> None:
    planned = plan_night(settings(*sets))
    shot = [step for step in planned if isinstance(step, ShootStep)]
    assert len(shot) == len(sets)
    for flat in (step for step in shot if step.kind is FrameKind.FLAT):
        assert planned.index(flat.tuning) < planned.index(flat)
    assert sum(isinstance(step, WarmStep) for step in planned) == 1
    assert isinstance(planned[-1], WarmStep)
