"""The choice of the masters for a light, and of the way to apply them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from pathlib import Path

from coldframe.calibration.frames.matching import Match, best_master, best_scalable_dark
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError

WITNESS_RATIO = 1.5
"""Smallest ratio of two exposures from which the growth of glow can be determined."""


class Subtract(StrEnum):
    """The kind of dark to subtract from lights."""

    DARK = "dark"
    SCALED_DARK = "scaled-dark"
    BIAS = "bias"


class NoMasterError(ColdframeError):
    """A light cannot be calibrated because a master is missing; the message states its kind and the reason."""


@dataclass(frozen=True, slots=True)
class LightRecipe:
    """The calibration of a light; lights with equal recipes share their planes.

    Attributes
    ----------
    dark, bias, flat
        Paths of the masters; None for a master that is not used.
    dark_scale
        Exposure of the light divided by the exposure of the dark if the dark is scaled; otherwise 1.
    caveats
        Properties of light and masters that could not be compared. They can differ between lights with equal recipes.
    dark_warmer_c
        Sensor temperature of the dark minus that of the light, C; None if either is unknown or no dark is used. It can
        differ between lights with equal recipes.
    mosaic
        Colour filter array of the light; see `FrameSetup`.
    overscan
        The overscan to subtract first, as it was subtracted from the masters' frames; None to keep the whole frame.
    glow_witness
        A dark with a different exposure, which shows whether glow grows in proportion to the exposure; None if no dark
        is scaled, or if no such dark is available.
    """

    dark: Path | None
    bias: Path | None
    flat: Path | None
    dark_scale: float = 1.0
    caveats: tuple[str, ...] = field(default=(), compare=False)
    overscan: Overscan | None = None
    glow_witness: Path | None = None
    dark_warmer_c: float | None = field(default=None, compare=False)
    mosaic: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files of all masters."""
        return tuple(path for path in (self.dark, self.bias, self.flat) if path is not None)

    @property
    def calstat(self) -> str:
        """Value of the CALSTAT keyword: B bias, D dark current, F flat field."""
        return ("B" if self.dark is None else "BD") + ("" if self.flat is None else "F")


def recipe_for(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], subtract: Subtract, *, with_flat: bool
) -> LightRecipe:
    """Return the recipe for a light: the masters and the way to apply them.

    The light's overscan is treated in the same way as the overscan of the masters' frames. If masters with different
    treatments match, subtraction of the smoothed level is preferred to subtraction of the level of each line, and both
    are preferred to no subtraction.

    Parameters
    ----------
    light
        Setup of the light.
    masters
        Setups of all available masters, by path.
    subtract
        `DARK` to subtract a dark with the light's exposure; `SCALED_DARK` to subtract a bias and a scaled dark if there
        is no dark with this exposure; `BIAS` to subtract a bias alone.
    with_flat
        True to divide by a flat.

    Raises
    ------
    NoMasterError
        If a master is missing.
    """
    refusals = []
    for treated in treatments(light, masters.values()):
        try:
            return _recipe(treated, masters, subtract, with_flat=with_flat)
        except NoMasterError as error:
            refusals.append(error)
    raise refusals[0]


def ways_out(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], subtract: Subtract, *, with_flat: bool
) -> Iterator[tuple[str, LightRecipe]]:
    """Yield the options of `coldframe calibrate` for which the light has matching masters, each with its recipe.

    Options that change two steps of the calibration are yielded only if no change to a single step helps.

    Parameters
    ----------
    light, masters
        As for `recipe_for`.
    subtract, with_flat
        The calibration for which a master is missing.
    """
    others = [other for other in (Subtract.SCALED_DARK, Subtract.BIAS) if other is not subtract]
    flats = [False] if with_flat else []
    steps = [[(other, with_flat) for other in others] + [(subtract, flat) for flat in flats]]
    steps.append([(other, flat) for other in others for flat in flats])
    for ways in steps:
        found = False
        for way, flat in ways:
            try:
                recipe = recipe_for(light, masters, way, with_flat=flat)
            except NoMasterError:
                continue
            found = True
            changes = [f"--subtract {way}"] if way is not subtract else []
            yield " ".join([*changes, *(["--no-flat"] if flat is not with_flat else [])]), recipe
        if found:
            return


def treatments(light: FrameSetup, masters: Iterable[FrameSetup]) -> list[FrameSetup]:
    """Return the setups of the light after each overscan treatment that was applied to the frames of some master.

    The best treatment is first, and the untreated light is last.
    """
    ways = {master.overscan for master in masters}
    known = [way for way in ways if way is not None and way.sections == light.sections]
    treated = [light.without(way) for way in sorted(known, key=lambda way: way.method, reverse=True)]
    return [*treated, light]


def _recipe(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], subtract: Subtract, *, with_flat: bool
) -> LightRecipe:
    scale = 1.0
    dark = bias = flat = witness = None
    if subtract is Subtract.BIAS:
        bias = best_master(light, masters, FrameKind.BIAS)
    else:
        dark = best_master(light, masters, FrameKind.DARK)
        if dark.path is None and subtract is Subtract.SCALED_DARK:
            dark, bias = best_scalable_dark(light, masters), best_master(light, masters, FrameKind.BIAS)
            scale = _scale(light, masters, dark)
            witness = _glow_witness(light, masters, dark)
        elif dark.path is not None and masters[dark.path].bias_subtracted:
            bias = best_master(light, masters, FrameKind.BIAS)
    if with_flat:
        flat = best_master(light, masters, FrameKind.FLAT)
    matches = [match for match in (dark, bias, flat) if match is not None]
    refusals = [match.refusal for match in matches if match.path is None]
    if refusals:
        raise NoMasterError("; ".join(refusals))
    caveats = tuple(f"{match.kind}: {caveat}" for match in matches for caveat in match.caveats)
    return LightRecipe(
        _path(dark),
        _path(bias),
        _path(flat),
        scale,
        caveats,
        light.overscan,
        witness,
        None if dark is None or dark.path is None else warmer_c(light, masters[dark.path]),
        light.mosaic,
    )


def warmer_c(light: FrameSetup, master: FrameSetup) -> float | None:
    """Return the sensor temperature of a master minus that of a light, C; None if either is unknown."""
    if light.temperature_c is None or master.temperature_c is None:
        return None
    return master.temperature_c - light.temperature_c


def _glow_witness(light: FrameSetup, masters: Mapping[Path, FrameSetup], dark: Match) -> Path | None:
    exposure_s = None if dark.path is None else masters[dark.path].exposure_s
    if not exposure_s:
        return None
    others = {
        path: master
        for path, master in masters.items()
        if master.exposure_s
        and not master.bias_subtracted
        and max(master.exposure_s / exposure_s, exposure_s / master.exposure_s) >= WITNESS_RATIO
    }
    # The witness is only examined and never subtracted, so its noise does not matter and any scale is allowed.
    return best_scalable_dark(light, others, Tolerances(longest_stretch=inf)).path


def _path(match: Match | None) -> Path | None:
    return None if match is None else match.path


def _scale(light: FrameSetup, masters: Mapping[Path, FrameSetup], dark: Match) -> float:
    exposure_s = None if dark.path is None else masters[dark.path].exposure_s
    return light.exposure_s / exposure_s if light.exposure_s is not None and exposure_s else 1.0
