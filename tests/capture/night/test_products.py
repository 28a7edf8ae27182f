"""The results of earlier sets that later sets use, and the release of large masters."""

from dataclasses import replace

import numpy as np
import pytest

from coldframe.calibration.masters.flat_pedestal import PedestalVerdict, Subtract
from coldframe.capture.night.products import LARGEST_AFTERGLOW, NightProducts, is_for_flats
from coldframe.capture.shooting.set_inputs import ShotSet, SubtractedMaster
from coldframe.capture.steps import ShootStep, TuneStep
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.tuner.tuner import Tuned
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.tables.flats import FlatSettings

READOUT = ReadoutSettings(gain=100, offset=50)
TARGET = FlatTarget(500.0, 65_000.0)


def step(kind: FrameKind, name: str | None = None, count: int = 20, setpoint_c: float = -10.0) -> ShootStep:
    return ShootStep(kind, count, name, 2.0 if kind is FrameKind.DARK else None, READOUT, setpoint_c)


BIAS, DARK = step(FrameKind.BIAS), step(FrameKind.DARK)
FLAT, DARK_FLAT = step(FrameKind.FLAT, "L"), step(FrameKind.DARK_FLAT, "L")


def shot(name: str, verdict: PedestalVerdict | None = None) -> ShotSet:
    pixels = np.full((4, 4), 500.0, np.float32)
    master = SubtractedMaster(name, pixels, 0 * pixels, 500.0, None, 0.1)
    return ShotSet(
        master=master,
        frames=20,
        taken_over=0,
        shortfall=None,
        studied=None,
        verdict=verdict,
        leak=None,
        has_drifted=False,
    )


def tuned(exposure_s: float = 1.0, brightness: int = 100, signal_adu: float = 25_000.0) -> Tuned:
    return Tuned(exposure_s, brightness, signal_adu, TARGET, is_starved=False, tests=3, message="")


def verdict(subtract: Subtract) -> PedestalVerdict:
    return PedestalVerdict(subtract, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0, "")


def subtracted(products: NightProducts) -> str | None:
    inputs = products.flat_inputs(FLAT)
    return None if inputs is None else inputs.subtracted.name


def products(pedestal: str = "auto") -> NightProducts:
    made = NightProducts(FlatSettings.model_validate({"pedestal": pedestal}))
    made.tuned[FLAT.tuning] = tuned()
    return made


def test_without_a_master_to_subtract_there_are_no_flats() -> None:
    assert products().flat_inputs(FLAT) is None


@pytest.mark.parametrize(
    ("pedestal", "choice", "name"),
    [
        ("auto", None, "dark flat"),
        ("bias", None, "bias"),
        ("dark-flat", None, "dark flat"),
        ("auto", Subtract.BIAS, "bias"),
        ("auto", Subtract.DARK_FLAT, "dark flat"),
    ],
)
def test_dark_flats_are_subtracted_unless_the_bias_is_as_good(
    pedestal: str, choice: Subtract | None, name: str
) -> None:
    made = products(pedestal)
    made.keep(BIAS, shot("bias"), [DARK_FLAT, FLAT])
    made.keep(DARK_FLAT, shot("dark flat", verdict(choice) if choice else None), [FLAT])
    assert subtracted(made) == name


def test_masters_are_dropped_after_their_last_use() -> None:
    made = products()
    made.keep(BIAS, shot("bias"), [DARK_FLAT, FLAT])
    made.keep(DARK_FLAT, shot("dark flat"), [FLAT])
    other = step(FrameKind.FLAT, "Ha")
    made.keep(FLAT, shot("flat"), [other])
    assert subtracted(made) == "bias", "the flats of Ha need it"
    made.keep(other, shot("flat"), [DARK])
    assert subtracted(made) is None
    assert made.bias_level_adu(DARK) == 500.0, "a level is small"


def test_the_level_of_a_bias_holds_for_its_own_conditions() -> None:
    made = products()
    made.keep(BIAS, shot("bias"), [])
    assert made.bias_level_adu(FLAT.tuning) == 500.0
    assert made.bias_level_adu(replace(FLAT, setpoint_c=0.0)) is None


def test_tunings_hold_at_another_setpoint_and_do_not_replace_its_own() -> None:
    made = products()
    moved, own = replace(FLAT.tuning, setpoint_c=0.0), TuneStep("Ha", READOUT, 0.0)
    made.tuned[TuneStep("Ha", READOUT, -10.0)] = tuned(2.0)
    made.tuned[own] = tuned(3.0)
    made.move(-10.0, 0.0)
    assert made.tuned[moved] == made.tuned[FLAT.tuning]
    assert made.tuned[own].exposure_s == 3.0


def test_darks_are_shot_behind_the_clearest_filter_first_then_behind_the_densest() -> None:
    made = products()
    assert made.dark_inputs(DARK, 0.8, 900.0).filters is None, "one filter shows nothing"
    made.tuned[TuneStep("Ha", READOUT, -10.0)] = tuned(20.0)
    inputs = made.dark_inputs(DARK, 0.8, 900.0)
    assert (inputs.filters, inputs.exposure_s, inputs.ceiling_adu) == (("L", "Ha"), 2.0, 900.0)


def test_dark_flats_have_the_exposure_of_their_flats_and_hardly_any_light() -> None:
    inputs = products().dark_flat_inputs(DARK_FLAT, [DARK_FLAT, FLAT], None)
    assert inputs.exposure_s == 1.0
    assert inputs.ceiling_adu == 500.0 + LARGEST_AFTERGLOW * 25_000.0
    assert inputs.test is None, "there is no bias to compare them with"


@pytest.mark.parametrize(
    ("pedestal", "count", "is_tested"), [("auto", 20, True), ("bias", 20, False), ("auto", 3, False)]
)
def test_dark_flats_are_compared_with_the_bias_if_that_may_spare_frames(
    pedestal: str, count: int, *, is_tested: bool
) -> None:
    made = products(pedestal)
    made.keep(BIAS, shot("bias"), [DARK_FLAT, FLAT])
    inputs = made.dark_flat_inputs(replace(DARK_FLAT, count=count), [DARK_FLAT, FLAT], 0.8)
    assert (inputs.test is not None) is is_tested


def test_only_tunings_and_flats_are_for_flats() -> None:
    assert [is_for_flats(each) for each in (FLAT.tuning, FLAT, DARK_FLAT, BIAS, DARK)] == [
        True,
        True,
        False,
        False,
        False,
    ]
