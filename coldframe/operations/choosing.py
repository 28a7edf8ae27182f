"""Choose the masters for a diagnosis: those that are specified, recorded in the light's header, or in the library."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from coldframe.calibration.diagnosis.files import LightSource, Stage, named_recipe
from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.frames.matching import best_master, pixel_faults
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.lights.arithmetic import MismatchError
from coldframe.calibration.lights.recipe import (
    LightRecipe,
    NoMasterError,
    Subtract,
    recipe_for,
    treatments,
    warmer_c,
    ways_out,
)
from coldframe.calibration.masters.reading import read_master_header
from coldframe.config.frames import FrameKind
from coldframe.operations.library import NoLibraryError, configured_camera_names, find_library, masters_of

NEED_DARK = (Kind.TEMPERATURE, Kind.AMP_GLOW)
NEED_FLAT = (Kind.DUST, Kind.OVERCORRECTION, Kind.COLOUR, Kind.GRADIENT)


@dataclass(frozen=True, slots=True)
class GivenMasters:
    """The masters that the user specified; None for a kind that was not specified."""

    dark: Path | None = None
    bias: Path | None = None
    flat: Path | None = None

    @property
    def by_kind(self) -> dict[FrameKind, Path]:
        """The specified masters, by kind."""
        every = {FrameKind.DARK: self.dark, FrameKind.BIAS: self.bias, FrameKind.FLAT: self.flat}
        return {kind: path for kind, path in every.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The masters for a light.

    Attributes
    ----------
    recipe
        The masters, and how they are applied.
    missing
        Reasons why masters are missing, by the kinds of artifacts that cannot be tested without these masters.
    note
        Reason why the lights cannot be calibrated with the default options, and the options to which the diagnosis
        applies instead; "" if they can.
    """

    recipe: LightRecipe
    missing: Mapping[Kind, str]
    note: str = ""


class MasterChoice:
    """Chooses the masters for lights.

    Parameters
    ----------
    library
        Folder of the library; by default, the configured library.
    given
        Masters that the user specified; if there are any, the library is not used.
    """

    def __init__(self, library: Path | None, given: GivenMasters) -> None:
        self._folder = library
        self._given = given
        self._given_setups: dict[Path, FrameSetup] = {}
        self.camera_names = configured_camera_names()

    @cached_property
    def _library(self) -> dict[Path, FrameSetup]:
        return masters_of(find_library(self._folder).catalogue())

    def read_given(self) -> None:
        """Read the headers of the specified masters.

        Raises
        ------
        FrameFileError
            If a specified master cannot be read.
        """
        for path in self._given.by_kind.values():
            self._given_setups[path] = under_one_name(setup_of(read_master_header(path)), self.camera_names)

    def choose(self, light: LightSource) -> Chosen:
        """Return the masters for a light.

        Raises
        ------
        NoLibraryError
            If a raw light needs the library, but there is no library.
        NoMasterError
            If no masters match a raw light.
        MismatchError
            If the pixels of a specified master do not match those of the light.
        """
        if self._given.by_kind:
            return self._chosen_by_user(light)
        if light.made_with is not None and (recorded := self._recorded(light)) is not None:
            return Chosen(self._with_bias(light, recorded), _missing(recorded, "no {kind} was applied"))
        if light.stage is Stage.RAW:
            return self._from_library(light)
        reason = "the masters used to calibrate the lights are unknown: specify them with --dark and --flat"
        if light.made_with is not None:
            reason = f"the library lacks masters used to calibrate the lights ({', '.join(light.made_with.all)})"
        return Chosen(LightRecipe(None, None, None), dict.fromkeys((*NEED_DARK, *NEED_FLAT, Kind.OFFSET), reason))

    def _recorded(self, light: LightSource) -> LightRecipe | None:
        try:
            return named_recipe(light, self._library)
        except NoLibraryError:
            if light.stage is Stage.RAW:
                raise
            return None

    def _chosen_by_user(self, light: LightSource) -> Chosen:
        setups = self._given_setups
        setup = treatments(light.setup, setups.values())[0] if light.stage is Stage.RAW else light.setup
        for kind, path in self._given.by_kind.items():
            faults = pixel_faults(setup, setups[path], kind)
            if faults:
                raise MismatchError(f"{path} does not match the lights: {', '.join(faults)}")
        dark = self._given.dark
        scale = 1.0 if light.made_with is None else light.made_with.dark_scale
        recipe = LightRecipe(
            dark,
            self._given.bias,
            self._given.flat,
            scale,
            overscan=setup.overscan if light.stage is Stage.RAW else None,
            dark_warmer_c=None if dark is None else warmer_c(setup, setups[dark]),
            mosaic=setup.mosaic,
        )
        return Chosen(recipe, _missing(recipe, "no {kind} was specified (--{kind})"))

    def _from_library(self, light: LightSource) -> Chosen:
        try:
            recipe = recipe_for(light.setup, self._library, Subtract.DARK, with_flat=True)
            return Chosen(self._with_bias(light, recipe), {})
        except NoMasterError as error:
            found = next(ways_out(light.setup, self._library, Subtract.DARK, with_flat=True), None)
            if found is None:
                raise
            options, recipe = found
            note = f"{error}; the diagnosis applies to `calibrate {options}`"
            return Chosen(recipe, _missing(recipe, str(error)), note)

    def _with_bias(self, light: LightSource, recipe: LightRecipe) -> LightRecipe:
        """Return the recipe with a bias that is not subtracted, but used to distinguish dark current from an offset."""
        if recipe.dark is None or recipe.bias is not None:
            return recipe
        setup = light.setup.without(recipe.overscan)
        return replace(recipe, bias=best_master(setup, self._library, FrameKind.BIAS).path)


def _missing(recipe: LightRecipe, reason: str) -> dict[Kind, str]:
    """Return the reason for each kind of artifact that needs a missing master. The master's kind replaces "{kind}"."""
    missing: dict[Kind, str] = {}
    if recipe.dark is None:
        missing |= dict.fromkeys(NEED_DARK, reason.replace("{kind}", "dark"))
    if recipe.flat is None:
        missing |= dict.fromkeys(NEED_FLAT, reason.replace("{kind}", "flat"))
    return missing
