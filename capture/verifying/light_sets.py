"""Group lights by the masters that they need, and choose the lights to diagnose. This module performs no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.angles import AngleGroups

MOST_LIGHTS = 12
"""Maximum number of lights diagnosed in each set. More lights would hardly make the diagnosis more sensitive."""

_EXPOSURE_DIGITS = 3


@dataclass(frozen=True, slots=True)
class LightSet:
    """Lights that need the same masters.

    Attributes
    ----------
    setup
        Setup of the first light.
    paths
        The lights to be diagnosed, in the order in which they were shot.
    rotator_deg
        Rotator angle of the first light; None if it is unknown, or if the angles of all lights match one flat.
    """

    setup: FrameSetup
    paths: tuple[Path, ...]
    rotator_deg: float | None = None


def light_sets(setups: Mapping[Path, FrameSetup]) -> tuple[LightSet, ...]:
    """Return the sets into which the given lights are grouped.

    Parameters
    ----------
    setups
        Setups of all lights by path, in the order in which they were shot.
    """
    alike: dict[object, list[Path]] = {}
    angles = AngleGroups(Tolerances().rotation_deg)
    for path, setup in setups.items():
        alike.setdefault(_key(setup, angles), []).append(path)
    sets = (LightSet(setups[paths[0]], evenly_spread(paths)) for paths in alike.values())
    return tuple(
        replace(each, rotator_deg=_angle_deg(each.setup, angles)) if len(angles) > 1 else each for each in sets
    )


def evenly_spread(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return at most `MOST_LIGHTS` of the paths, evenly spread from the first to the last."""
    count = min(len(paths), MOST_LIGHTS)
    if count == 1:
        return (paths[0],)
    return tuple(paths[round(place * (len(paths) - 1) / (count - 1))] for place in range(count))


def _key(setup: FrameSetup, angles: AngleGroups) -> object:
    exposure = None if setup.exposure_s is None else f"{setup.exposure_s:.{_EXPOSURE_DIGITS}g}"
    size = setup.width, setup.height
    optics = setup.filter_name, setup.mosaic, _angle_deg(setup, angles)
    return setup.camera, size, setup.readout, exposure, setup.setpoint_c, optics


def _angle_deg(setup: FrameSetup, angles: AngleGroups) -> float | None:
    """Return the rotator angle of the group of lights that can share a flat with this light; None if unknown."""
    angle_deg = setup.train.rotation_deg
    return None if angle_deg is None else angles.of(angle_deg)
