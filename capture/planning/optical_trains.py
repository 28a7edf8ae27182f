"""Compare the optical trains of lights to find the rotator angles that flats need, and the flats that cannot be shot.

Only mechanical angles are compared (ROTATANG, ROTATOR). At a meridian flip, the position angle on the sky changes by
180 degrees, but the shadows that dust casts on the sensor stay where they are.

This module performs no I/O.
"""

from collections.abc import Sequence
from dataclasses import replace

from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import OpticalTrain
from coldframe.capture.planning.lights_for_rig import RigSnapshot, ShotLight, lights_text
from coldframe.config.angles import AngleGroups, degrees_apart, within_limits
from coldframe.config.settings import Settings
from coldframe.config.tables.rig import RotatorSettings


def train_now(lights: Sequence[ShotLight]) -> OpticalTrain:
    """Return the current optical train: each value comes from the newest light whose header states it."""
    trains = [light.train for light in reversed(lights)]
    return OpticalTrain(
        telescope=next((train.telescope for train in trains if train.telescope), None),
        focal_length_mm=next((train.focal_length_mm for train in trains if train.focal_length_mm), None),
        rotation_deg=next((train.rotation_deg for train in trains if train.rotation_deg is not None), None),
    )


def has_turned(lights: Sequence[ShotLight]) -> bool:
    """Return whether the rotator angles of the lights differ so much that the lights need different flats."""
    angles = AngleGroups(Tolerances().rotation_deg)
    return len({angles.of(deg) for light in lights if (deg := light.train.rotation_deg) is not None}) > 1


def why_train_differs(light: ShotLight, now: OpticalTrain, *, has_rotator: bool) -> str | None:
    """Return why the flat of a light cannot be shot through the current optical train, or None if it can.

    Parameters
    ----------
    light
        The light.
    now
        The current optical train.
    has_rotator
        True if coldframe may turn the rotator to the angle of the light.
    """
    train, tolerances = light.train, Tolerances()
    if train.telescope and now.telescope and train.telescope.casefold() != now.telescope.casefold():
        return f"through {train.telescope}: {now.telescope} is in use now"
    through = "" if light.filter is None else f"through {light.filter} "
    ours, theirs = train.focal_length_mm, now.focal_length_mm
    if ours and theirs and abs(ours - theirs) > tolerances.focal_length * theirs:
        return f"{through}at {ours:g} mm: the focal length is {theirs:g} mm now"
    if has_rotator or train.rotation_deg is None or now.rotation_deg is None:
        return None
    if degrees_apart(train.rotation_deg, now.rotation_deg) <= tolerances.rotation_deg:
        return None
    now_deg = f"the rotator is at {now.rotation_deg:.0f} deg now"
    advice = "it is turned only if the configuration has a [rotator] table"
    return f"{through}at rotator angle {train.rotation_deg:.0f} deg: {now_deg}, and {advice}"


def why_out_of_range(angle_deg: float | None, rig: RigSnapshot) -> str | None:
    """Return why the rotator cannot turn to an angle, or None if it can."""
    if angle_deg is None or rig.rotator_limits_deg is None:
        return None
    if within_limits(angle_deg, rig.rotator_limits_deg) is not None:
        return None
    low_deg, high_deg = rig.rotator_limits_deg
    return f"at rotator angle {angle_deg:g} deg: the rotator accepts {low_deg:g} to {high_deg:g} deg"


def with_flat_angles(
    lights: Sequence[ShotLight], settings: Settings, rig: RigSnapshot, notes: list[str]
) -> list[ShotLight]:
    """Return the lights with the rotator angles of their flats, and append assumptions to `notes`.

    An angle is None if coldframe must not turn the rotator, or if neither the light nor the rig states an angle.
    """
    _note_unknown_angles(lights, settings.rotator, rig, notes)
    if settings.rotator is None:
        return list(lights)
    # The flats themselves may deviate from their angle by the tolerance of the rotator.
    angles = AngleGroups(Tolerances().rotation_deg - settings.rotator.tolerance_deg)
    newest_first = []
    for light in reversed(lights):
        angle_deg = rig.rotator_deg if light.train.rotation_deg is None else light.train.rotation_deg
        newest_first.append(replace(light, flat_deg=None if angle_deg is None else angles.of(angle_deg)))
    return newest_first[::-1]


def _note_unknown_angles(
    lights: Sequence[ShotLight], rotator: RotatorSettings | None, rig: RigSnapshot, notes: list[str]
) -> None:
    known = [light.train.rotation_deg for light in lights if light.train.rotation_deg is not None]
    unknown = len(lights) - len(known)
    if not unknown or (rotator is None and not known):
        return
    if rotator is None:
        assumed = "that of the newest light with a known angle"
    else:
        present = "" if rig.rotator_deg is None else f", {rig.rotator_deg:g} deg"
        assumed = f"that of the rotator before the night{present}"
    headers = "the header of 1 light does" if unknown == 1 else f"the headers of {lights_text(unknown)} do"
    notes.append(f"{headers} not state the rotator angle: it is assumed to be {assumed}")
