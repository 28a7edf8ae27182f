"""Plans that are refused before the first exposure."""

from dataclasses import replace
from typing import Any

import pytest

from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.preflight import UnfitPlanError, require_fit
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.tables.sets import FrameSet
from coldframe.devices.camera import CameraFeatures, Limits, ShutterTimes

FEATURES = CameraFeatures(
    width=960,
    height=640,
    bit_depth=16,
    exposure_s=Limits(0.001, 3600),
    gain=Limits(0, 300),
    offset=Limits(0, 240),
    maximum_binning=4,
    setpoint_c=Limits(-30, 40),
)
FILTERS = ("L", "R", "G", "B", "Ha")


def night(**camera: Any) -> Settings:
    settings = load_settings(example_night("small"))
    return settings.model_copy(update={"camera": settings.camera.model_copy(update=camera)})


def is_fit(settings: Settings) -> bool:
    try:
        require_fit(plan_night(settings), FEATURES, FILTERS)
    except UnfitPlanError:
        return False
    return True


def test_a_plan_that_fits_passes() -> None:
    assert is_fit(night())
    assert is_fit(night(gain=300.0))
    assert not is_fit(night(gain=300.5))


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ({"gain": 500.0}, "gain 500 is out of range: the camera accepts 0 to 300"),
        ({"offset": 900.0}, "offset 900"),
        ({"binning": 8}, "binning 8 is too large: the camera bins up to 4"),
        ({"setpoint_c": -80.0}, "setpoint_c -80 is out of range: the camera accepts -30 to 40"),
        ({"readout_mode": "Turbo"}, "readout_mode 'Turbo'"),
    ],
)
def test_each_thing_the_camera_cannot_do_is_reported_once(camera: dict[str, Any], said: str) -> None:
    with pytest.raises(UnfitPlanError) as error:
        require_fit(plan_night(night(**camera)), FEATURES, FILTERS)
    assert str(error.value).count(said) == 1


def test_a_fixed_gain_fits_only_its_own_value() -> None:
    fixed = replace(FEATURES, gain=Limits(0.82, 0.82))
    require_fit(plan_night(night(gain=0.82)), fixed, FILTERS)
    with pytest.raises(UnfitPlanError, match=r"gain 100 cannot be set: the camera has a fixed value of 0\.82"):
        require_fit(plan_night(night(gain=100.0)), fixed, FILTERS)


def test_a_filter_missing_in_the_wheel_is_named() -> None:
    with pytest.raises(UnfitPlanError, match="filter 'Ha' is not in the wheel, which has L, R"):
        require_fit(plan_night(night()), FEATURES, ("L", "R"))


@pytest.mark.parametrize(
    ("exposure_s", "said"),
    [
        (0.33, None),
        (45.0, None),
        (0.4, "exposure_s 0.4 is not a shutter time of the camera; the nearest are 0.3333 and 0.5 s"),
    ],
)
def test_an_exposure_that_the_shutter_lacks_is_named_with_the_nearest(exposure_s: float, said: str | None) -> None:
    dslr = replace(FEATURES, shutter=ShutterTimes((1 / 4000, 1 / 3, 0.5, 30.0), bulb_from_s=1.0))
    dark = FrameSet.model_validate({"kind": "dark", "exposure_s": exposure_s, "count": 5})
    steps = plan_night(night().model_copy(update={"sets": (dark,)}))
    if said is None:
        require_fit(steps, dslr, FILTERS)
        return
    with pytest.raises(UnfitPlanError) as caught:
        require_fit(steps, dslr, FILTERS)
    assert str(caught.value) == said
