"""The ways out for lights that lack a master."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from coldframe.calibration.frames.setup import FrameSetup, OpticalTrain
from coldframe.calibration.lights.recipe import Subtract, recipe_for, ways_out
from coldframe.config.frames import FrameKind, ReadoutSettings

LIGHT = FrameSetup(
    kind=FrameKind.LIGHT,
    camera="Camera",
    width=120,
    height=80,
    readout=ReadoutSettings(gain=100, offset=50),
    exposure_s=300.0,
    temperature_c=-10.0,
    cooled=True,
    filter_name="L",
    mosaic="RGGB",
    row_order="TOP-DOWN",
    train=OpticalTrain(),
    taken_at=datetime(2026, 11, 22, 4, tzinfo=UTC),
)
BIAS = replace(LIGHT, kind=FrameKind.BIAS, exposure_s=0.0, filter_name=None)
DARK = replace(LIGHT, kind=FrameKind.DARK, filter_name=None)
HALF = replace(DARK, exposure_s=200.0)
FLAT = replace(LIGHT, kind=FrameKind.FLAT, exposure_s=1.0)


def options(*masters: FrameSetup, subtract: Subtract = Subtract.DARK, with_flat: bool = True) -> list[str]:
    found = {Path(f"{number}.fits"): master for number, master in enumerate(masters)}
    return [option for option, _ in ways_out(LIGHT, found, subtract, with_flat=with_flat)]


def test_other_darks_are_offered_only_if_their_masters_fit() -> None:
    assert options(BIAS, HALF, FLAT) == ["--subtract scaled-dark", "--subtract bias"]
    assert options(BIAS, FLAT) == ["--subtract bias"]
    assert options(HALF, FLAT) == []
    assert options(replace(BIAS, camera="Other"), FLAT) == []
    assert options(BIAS, FLAT, subtract=Subtract.SCALED_DARK) == ["--subtract bias"]


def test_lights_without_a_flat_are_offered_to_do_without() -> None:
    assert options(DARK, replace(FLAT, filter_name="Ha")) == ["--no-flat"]
    assert options(BIAS, subtract=Subtract.BIAS) == ["--no-flat"]
    assert options(with_flat=False) == []


def test_two_changes_are_offered_only_if_one_is_not_enough() -> None:
    assert options(BIAS, HALF) == ["--subtract scaled-dark --no-flat", "--subtract bias --no-flat"]


def test_recipes_are_equal_whatever_the_temperatures_and_caveats_of_their_lights() -> None:
    masters = {Path("dark"): DARK, Path("flat"): FLAT}
    one = recipe_for(LIGHT, masters, Subtract.DARK, with_flat=True)
    other = recipe_for(replace(LIGHT, temperature_c=-9.25, row_order=None), masters, Subtract.DARK, with_flat=True)
    assert one == other
    assert (one.dark_warmer_c, other.dark_warmer_c) == (0, -0.75)
    assert (len(one.caveats), len(other.caveats)) == (0, 2)
    assert one.mosaic == "RGGB"
