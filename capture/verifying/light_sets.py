"""Group lights by the masters that they need, and choose those to be diagnosed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.angles import within_a_turn

MOST_LIGHTS = 12
"""Largest number of lights of a set that are diagnosed; more would hardly make the diagnosis more sensitive."""

_EXPOSURE_DIGITS = 3


@dataclass(frozen=True, slots=True)
class LightSet:
    """Lights with the same settings.

    Attributes
    ----------
    setup
        Setup of the first light.
    paths
        The lights to be diagnosed, in the order in which they were shot.
    rotator_deg
        Rotator angle of the lights, in whole degrees; None if it is unknown, or if all lights have the same angle.
    """

    setup: FrameSetup
    paths: tuple[Path, ...]
    rotator_deg: float | None = None


def light_sets(setups: Mapping[Path, FrameSetup]) -> tuple[LightSet, ...]:
    """Return the sets of lights.

    Parameters
    ----------
    setups
        Setups of all lights by path, in the order in which they were shot.
    """
    alike: dict[object, list[Path]] = {}
    for path, setup in setups.items():
        alike.setdefault(_key(setup), []).append(path)
    has_turned = len({angle for setup in setups.values() if (angle := _whole_angle_deg(setup)) is not None}) > 1
    sets = (LightSet(setups[paths[0]], evenly_spread(paths)) for paths in alike.values())
    return tuple(replace(each, rotator_deg=_whole_angle_deg(each.setup)) if has_turned else each for each in sets)


def evenly_spread(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return at most `MOST_LIGHTS` of the paths, evenly spread from the first to the last."""
    count = min(len(paths), MOST_LIGHTS)
    if count == 1:
        return (paths[0],)
    return tuple(paths[round(place * (len(paths) - 1) / (count - 1))] for place in range(count))


def _key(setup: FrameSetup) -> object:
    exposure = None if setup.exposure_s is None else f"{setup.exposure_s:.{_EXPOSURE_DIGITS}g}"
    size = setup.width, setup.height
    optics = setup.filter_name, setup.mosaic, _whole_angle_deg(setup)
    return setup.camera, size, setup.readout, exposure, setup.setpoint_c, optics


def _whole_angle_deg(setup: FrameSetup) -> float | None:
    """Return the rotator angle in whole degrees, because a flat fits lights within a degree."""
    angle_deg = setup.train.rotation_deg
    return None if angle_deg is None else within_a_turn(angle_deg, digits=0)
