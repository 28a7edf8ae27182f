"""The titles of steps, and moving a step to a different setpoint."""

from coldframe.capture.steps import (
    CoolStep,
    NoiseTarget,
    ShootStep,
    SkyMasterStep,
    SkyStep,
    Step,
    TuneStep,
    WarmStep,
    replace_setpoint,
)
from coldframe.config.counts import GOOD_PRACTICE, WITH_GLOW, NoiseGoal
from coldframe.config.frames import FrameKind, ReadoutSettings

READOUT = ReadoutSettings(gain=100)


def flat(name: str, setpoint_c: float | None = -10.0) -> ShootStep:
    return ShootStep(FrameKind.FLAT, 20, name, None, READOUT, setpoint_c)


def test_titles_name_kind_filter_and_exposure() -> None:
    dark_flat = ShootStep(FrameKind.DARK_FLAT, 20, "Ha", None, READOUT, None)
    dark = ShootStep(FrameKind.DARK, 30, None, 300.0, READOUT, -10.0)
    sky = SkyStep((flat("L"), flat("Ha")), dark_flats=2)
    steps: list[Step] = [
        CoolStep(-10.0),
        TuneStep("Ha", READOUT, None),
        dark_flat,
        dark,
        sky,
        SkyMasterStep(flat("L")),
        WarmStep(15),
    ]
    assert [step.title for step in steps] == [
        "cool to -10 C", "tune flat Ha", "dark flat Ha", "dark 300 s", "sky flats L Ha", "combine flat L", "warm up",
    ]  # fmt: skip


def test_the_flats_of_a_sky_step_share_readout_and_setpoint() -> None:
    sky = SkyStep((flat("L"), flat("Ha")), dark_flats=2)
    assert (sky.count, sky.readout, sky.setpoint_c) == (40, READOUT, -10.0)


def test_only_steps_at_the_old_setpoint_move_to_the_new_one() -> None:
    assert replace_setpoint(flat("L"), -10.0, 0.0) == flat("L", 0.0)
    assert replace_setpoint(flat("L"), -5.0, 0.0) == flat("L")
    assert replace_setpoint(flat("L").tuning, -10.0, 0.0) == flat("L", 0.0).tuning
    assert replace_setpoint(SkyStep((flat("L"),), 1), -10.0, 0.0) == SkyStep((flat("L", 0.0),), 1)
    assert replace_setpoint(SkyMasterStep(flat("L")), -10.0, 0.0) == SkyMasterStep(flat("L", 0.0))
    assert replace_setpoint(CoolStep(-10.0), -10.0, 0.0) == CoolStep(-10.0)


def test_glow_may_raise_only_the_default_bounds_of_darks() -> None:
    default = NoiseTarget(NoiseGoal(0.02), *GOOD_PRACTICE[FrameKind.DARK])
    assert (default.has_default_dark_bounds, default.most) == (True, WITH_GLOW[1])
    own = NoiseTarget(NoiseGoal(0.02), 10, 30)
    assert (own.has_default_dark_bounds, own.most) == (False, 30)
