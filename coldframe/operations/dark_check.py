"""Use hot pixels to check the darks proposed for uncooled lights, for `calibrate` and `library match`."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coldframe.calibration.diagnosis.uncooled.dark_choice import DarkChoice, choose_dark
from coldframe.calibration.diagnosis.uncooled.remarks import refusal_of, remarks_on
from coldframe.calibration.diagnosis.uncooled.thermometer import DarkThermometer
from coldframe.calibration.frames import rules
from coldframe.calibration.frames.matching import darks_at_any_temperature
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.recipe import LightRecipe, NoMasterError
from coldframe.config.frames import FrameKind
from coldframe.operations.light_groups import FAULTS, Light, LightGroup

Masters = Mapping[Path, FrameSetup]

Refuse = Callable[[Sequence[Path], Exception, Masters], None]
"""A function that reports lights that cannot be calibrated. It takes the lights, the error, and the usable masters."""

RecipeWith = Callable[[FrameSetup, Masters], LightRecipe]
"""A function that returns the recipe for a light, using only the given masters."""


def _not_calibrated_before(_light: Light, _darks: Masters) -> LightRecipe | None:
    return None


@dataclass(frozen=True, slots=True)
class DarkCheck:
    """Checks the darks proposed for groups of lights, and replaces those that do not fit.

    Attributes
    ----------
    masters
        Setups of all masters, by path.
    thermometer
        Measures the temperature of lights from the hot pixels of darks.
    recipe_with, refuse
        Functions; see `RecipeWith` and `Refuse`.
    tell
        Function that shows the user a remark about the given lights.
    as_before
        Function that returns the recipe for a light that was already calibrated with one of the given darks, or None
        if no such recipe is known. A light with a known recipe is not read.
    """

    masters: Masters
    thermometer: DarkThermometer
    recipe_with: RecipeWith
    refuse: Refuse
    tell: Callable[[Sequence[Path], str], None]
    as_before: Callable[[Light, Masters], LightRecipe | None] = _not_calibrated_before

    def checked(self, groups: Sequence[LightGroup]) -> list[LightGroup]:
        """Return the lights, regrouped by masters after the hot pixels have been used to select the darks.

        Only uncooled lights can move to another group. Lights that no dark fits are reported and left out.

        Parameters
        ----------
        groups
            The lights, grouped by the masters that match their headers.
        """
        found = dict[Hashable, LightGroup]()
        for group in groups:
            dark = group.recipe.dark
            is_chosen = dark is not None and group.recipe.dark_scale == 1
            if dark is not None and is_chosen and is_checked(group.lights[0].setup, self.masters[dark]):
                lights = list(self._lights(group, dark))
            else:
                lights = group.lights
            for light in lights:
                found.setdefault(light.recipe, LightGroup(light.recipe)).lights.append(light)
        return list(found.values())

    def _lights(self, group: LightGroup, proposed: Path) -> Iterator[Light]:
        """Yield the lights of a group with recipes for the darks found for them; report lights that no dark fits."""
        darks = darks_at_any_temperature(group.lights[0].setup.without(self.masters[proposed].overscan), self.masters)
        new: dict[Path, Light] = {}
        for light in group.lights:
            recipe = self.as_before(light, darks)
            if recipe is None:
                new[light.path] = light
            else:
                yield replace(light, recipe=recipe)
        if not new:
            return
        setups = {path: light.setup for path, light in new.items()}
        try:
            answers = list(choices_for(setups, proposed, self.masters, self.thermometer))
        except FAULTS as error:
            self.refuse(list(new), error, self.masters)
            return
        for choices in answers:
            yield from self._answered(new, choices, darks)

    def _answered(self, lights: Mapping[Path, Light], choices: dict[Path, DarkChoice], darks: Masters) -> list[Light]:
        """Return lights that share an outcome, with their new recipes; if no dark fits, report them, and return []."""
        paths, distinct = list(choices), list(dict.fromkeys(choices.values()))
        for remark in remarks_on(distinct):
            self.tell(paths, remark)
        if distinct[0].is_refused:
            left = {path: setup for path, setup in self.masters.items() if path not in darks}
            self.refuse(paths, NoMasterError(refusal_of(distinct)), left)
            return []
        try:
            return [self._with_dark(lights[path], choice) for path, choice in choices.items()]
        except NoMasterError as error:
            self.refuse(paths, error, self.masters)
            return []

    def _with_dark(self, light: Light, choice: DarkChoice) -> Light:
        """Return a light whose recipe uses the chosen dark and records the temperature measured from hot pixels."""
        recipe, measured = with_dark(light, choice.dark, self.masters, self.recipe_with), choice.measured
        if measured is None:
            return replace(light, recipe=recipe)
        assumed = assumed_temperature(light.setup, self.masters[choice.dark])
        caveats = tuple(each for each in recipe.caveats if each != f"{FrameKind.DARK}: {assumed}")
        warmer_c = 0.0 if choice.dark != light.recipe.dark else recipe.dark_warmer_c
        if measured.is_noticeable:
            warmer_c = -measured.warmer_c
        return replace(light, recipe=replace(recipe, caveats=caveats, dark_warmer_c=warmer_c))


def with_dark(light: Light, dark: Path, masters: Masters, recipe_with: RecipeWith) -> LightRecipe:
    """Return a recipe that uses a dark for a light even if, according to the headers, a different dark fits better."""
    if dark == light.recipe.dark:
        return light.recipe
    others = darks_at_any_temperature(light.setup.without(masters[dark].overscan), masters).keys() - {dark}
    left = {path: setup for path, setup in masters.items() if path not in others}
    return recipe_with(replace(light.setup, temperature_c=masters[dark].temperature_c), left)


def is_checked(light: FrameSetup, dark: FrameSetup) -> bool:
    """Return True if neither frame was cooled, in which case hot pixels are needed to decide between darks."""
    return not light.cooled and not dark.cooled


def choices_for(
    lights: Mapping[Path, FrameSetup], proposed: Path, masters: Masters, thermometer: DarkThermometer
) -> Iterator[dict[Path, DarkChoice]]:
    """Yield the lights in groups whose choices have the same outcome; each group maps the lights to their choices.

    Parameters
    ----------
    lights
        Setups of the lights, by path.
    proposed
        The dark that best matches the headers of the lights.
    masters, thermometer
        See `DarkCheck`.

    Raises
    ------
    FrameFileError
        If the dark cannot be read.
    """
    treated = {path: setup.without(masters[proposed].overscan) for path, setup in lights.items()}
    darks = darks_at_any_temperature(next(iter(treated.values())), masters)
    answers: dict[Hashable, dict[Path, DarkChoice]] = {}
    for alike in _at_one_temperature(treated):
        choice = choose_dark(thermometer, alike, proposed, darks)
        answers.setdefault(choice.outcome, {}).update(dict.fromkeys(alike, choice))
    yield from answers.values()


def assumed_temperature(light: FrameSetup, dark: FrameSetup) -> str:
    """Return the caveat that the temperature is unknown, which a measurement makes obsolete; "" if there is none."""
    unknown = rules.dark_temperature(light, dark, Tolerances())
    return unknown.text if unknown is not None and unknown.excess is None else ""


def _at_one_temperature(lights: Mapping[Path, FrameSetup]) -> list[dict[Path, FrameSetup]]:
    """Group lights of about the same temperature; put each light of unknown temperature in a group of its own."""
    alike: dict[Hashable, dict[Path, FrameSetup]] = {}
    for path, setup in lights.items():
        temperature_c = setup.temperature_c
        alike.setdefault(path if temperature_c is None else round(temperature_c), {})[path] = setup
    return list(alike.values())
