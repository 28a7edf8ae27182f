"""Darks of a sensor whose temperature nothing holds: one set becomes several masters, each of one temperature."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from coldframe.capture.plan import ShootStep
from coldframe.capture.set_recipe import Recipe, ShotSet

Shoot = Callable[[ShootStep, Recipe], Awaitable[ShotSet]]


async def in_parts(step: ShootStep, recipe: Recipe, shoot: Shoot) -> ShotSet:
    """Shoot a set, and what is left of it anew whenever the sensor has left its temperature.

    Returns
    -------
    ShotSet
        The last part, with the frames of all.
    """
    shot = await shoot(step, recipe)
    frames = shot.frames
    while shot.has_drifted:
        shot = await shoot(replace(step, count=step.count - frames), replace(recipe, shot_before=frames))
        frames += shot.frames
    return replace(shot, frames=frames)
