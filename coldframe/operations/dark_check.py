"""Use hot pixels to check the darks of uncooled lights, for `calibrate` and `library match`."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from coldframe.calibration.diagnosis.uncooled.dark_choice import DarkChoice, DarkThermometer
from coldframe.calibration.frames.matching import darks_at_any_temperature
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.recipe import LightRecipe, NoMasterError
from coldframe.operations.light_groups import FAULTS, Light, LightGroup

Refuse = Callable[[Sequence[Path], Exception], None]
"""Reports lights that cannot be calibrated, and the reason."""

RecipeWith = Callable[[FrameSetup, Mapping[Path, FrameSetup]], LightRecipe]
"""Chooses the recipe of a light from the given masters."""


def checked_groups(
    groups: Sequence[LightGroup],
    masters: Mapping[Path, FrameSetup],
    recipe_with: RecipeWith,
    refuse: Refuse,
    tell: Callable[[Sequence[Path], str], None],
) -> list[LightGroup]:
    """Return the groups with the darks that the hot pixels select. Uncooled lights may move to a different group.

    Parameters
    ----------
    groups
        The lights, grouped by the masters that their headers propose.
    masters
        Setups of all masters, by path.
    recipe_with, refuse
        See their types.
    tell
        Reports what the user should know about some lights.
    """
    thermometer, checked = DarkThermometer(), dict[Hashable, LightGroup]()
    for group in groups:
        for lights in _batches(group, masters):
            try:
                for light in _checked(lights, masters, thermometer, recipe_with, tell):
                    checked.setdefault(light.recipe, LightGroup(light.recipe)).lights.append(light)
            except FAULTS as error:
                refuse([light.path for light in lights], error)
    return list(checked.values())


def is_checked(light: FrameSetup, dark: FrameSetup) -> bool:
    """Return True if hot pixels can choose between darks, because neither frame was cooled."""
    return not light.cooled and not dark.cooled


def at_one_temperature(lights: Mapping[Path, FrameSetup]) -> list[dict[Path, FrameSetup]]:
    """Return lights of about the same temperature together, and lights of unknown temperature one by one."""
    alike: dict[Hashable, dict[Path, FrameSetup]] = {}
    for path, setup in lights.items():
        temperature_c = setup.temperature_c
        alike.setdefault(path if temperature_c is None else round(temperature_c), {})[path] = setup
    return list(alike.values())


def _batches(group: LightGroup, masters: Mapping[Path, FrameSetup]) -> list[list[Light]]:
    """Return the lights for which the dark is checked together; all of them if it is not checked."""
    if not _is_to_check(group.lights[0], masters):
        return [group.lights]
    batches = at_one_temperature({light.path: light.setup for light in group.lights})
    return [[light for light in group.lights if light.path in batch] for batch in batches]


def _is_to_check(light: Light, masters: Mapping[Path, FrameSetup]) -> bool:
    dark = light.recipe.dark
    return dark is not None and light.recipe.dark_scale == 1 and is_checked(light.setup, masters[dark])


def _checked(
    lights: Sequence[Light],
    masters: Mapping[Path, FrameSetup],
    thermometer: DarkThermometer,
    recipe_with: RecipeWith,
    tell: Callable[[Sequence[Path], str], None],
) -> list[Light]:
    recipe, first = lights[0].recipe, lights[0].setup
    if recipe.dark is None or not _is_to_check(lights[0], masters):
        return list(lights)
    setups, paths = {light.path: light.setup for light in lights}, [light.path for light in lights]
    choice = thermometer.choose(setups, recipe.dark, darks_at_any_temperature(first, masters))
    for remark in choice.remarks:
        tell(paths, remark)
    if choice.refusal:
        raise NoMasterError(choice.refusal)
    return [_with_dark(light, choice, masters, recipe_with) for light in lights]


def _with_dark(light: Light, choice: DarkChoice, masters: Mapping[Path, FrameSetup], recipe_with: RecipeWith) -> Light:
    """Return a light with the recipe for the chosen dark, and the temperature difference that its hot pixels show."""
    recipe, measured = light.recipe, choice.measured
    if choice.dark != recipe.dark:
        others = darks_at_any_temperature(light.setup, masters).keys() - {choice.dark}
        left = {path: setup for path, setup in masters.items() if path not in others}
        # The hot pixels override the temperature in the header.
        seen = replace(light.setup, temperature_c=masters[choice.dark].temperature_c)
        recipe = recipe_with(seen, left)
    if measured is not None and measured.is_noticeable:
        recipe = replace(recipe, dark_warmer_c=-measured.warmer_c)
    elif choice.dark != light.recipe.dark:
        recipe = replace(recipe, dark_warmer_c=0.0)
    return replace(light, recipe=recipe)
