"""Tests for the choice of the lights that are diagnosed."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from coldframe.calibration.frames.setup import FrameSetup, OpticalTrain, setup_of
from coldframe.capture.verifying.light_sets import MOST_LIGHTS, evenly_spread, light_sets

LIGHT = setup_of(
    {"IMAGETYP": "Light", "INSTRUME": "Camera", "NAXIS1": 100, "NAXIS2": 80, "EXPTIME": 300.0, "FILTER": "Ha"}
)


def paths(count: int) -> list[Path]:
    return [Path(f"{number:03d}.fits") for number in range(count)]


def test_all_of_a_few_lights_are_chosen() -> None:
    for count in range(1, MOST_LIGHTS + 1):
        assert evenly_spread(paths(count)) == tuple(paths(count))


def test_many_lights_are_spread_over_the_night() -> None:
    chosen = [int(path.stem) for path in evenly_spread(paths(100))]
    assert (len(chosen), chosen[0], chosen[-1]) == (MOST_LIGHTS, 0, 99)
    assert {right - left for left, right in pairwise(chosen)} == {9}


def test_lights_with_other_settings_are_other_sets() -> None:
    setups = {
        Path("a"): LIGHT,
        Path("b"): replace(LIGHT, filter_name="OIII"),
        Path("c"): replace(LIGHT, exposure_s=300.1),
        Path("d"): replace(LIGHT, exposure_s=60.0),
    }
    assert [each.paths for each in light_sets(setups)] == [(Path("a"), Path("c")), (Path("b"),), (Path("d"),)]


def test_lights_of_another_rotator_angle_are_other_sets_with_their_angle() -> None:
    def at(angle_deg: float | None) -> FrameSetup:
        return replace(LIGHT, train=OpticalTrain(rotation_deg=angle_deg))

    setups = {Path("a"): at(12.6), Path("b"): at(100.0), Path("c"): at(12.4)}
    assert [(each.paths, each.rotator_deg) for each in light_sets(setups)] == [
        ((Path("a"), Path("c")), 12.6),
        ((Path("b"),), 100.0),
    ]
    alike = {Path("a"): at(359.8), Path("b"): at(0.1)}
    assert [(each.paths, each.rotator_deg) for each in light_sets(alike)] == [((Path("a"), Path("b")), None)]
