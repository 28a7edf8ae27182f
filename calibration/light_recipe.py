"""Which masters a light is calibrated with, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from coldframe.calibration.frame_setup import FrameSetup
from coldframe.calibration.matching import Match, best_master, best_scalable_dark
from coldframe.config.frames import FrameKind


class Subtract(StrEnum):
    """What is subtracted from lights."""

    DARK = "dark"
    SCALED_DARK = "scaled-dark"
    BIAS = "bias"


class NoMasterError(Exception):
    """A light cannot be calibrated: some master is missing; the message says which, and what the nearest lacks."""


@dataclass(frozen=True, slots=True)
class LightRecipe:
    """What is done to a light; lights of equal recipes share their planes.

    Attributes
    ----------
    dark, bias, flat
        Masters, None where not used. A bias beside a dark means that the dark is scaled.
    dark_scale
        Exposure of the light over that of the dark, where it is scaled; else 1.
    caveats
        What could not be compared.
    """

    dark: Path | None
    bias: Path | None
    flat: Path | None
    dark_scale: float = 1.0
    caveats: tuple[str, ...] = ()

    @property
    def calstat(self) -> str:
        """What was taken out, in the letters of the CALSTAT keyword: B bias, D dark current, F flat field."""
        return ("B" if self.dark is None else "BD") + ("" if self.flat is None else "F")


def recipe_for(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], subtract: Subtract, *, with_flat: bool
) -> LightRecipe:
    """Return how to calibrate a light.

    Parameters
    ----------
    light
        How it was shot.
    masters
        All there are.
    subtract
        A dark of its own exposure; or, where there is none, a bias and a dark scaled to its exposure; or a bias alone.
    with_flat
        Whether it is divided by a flat.

    Raises
    ------
    NoMasterError
        If a master is missing.
    """
    scale = 1.0
    dark = bias = flat = None
    if subtract is Subtract.BIAS:
        bias = best_master(light, masters, FrameKind.BIAS)
    else:
        dark = best_master(light, masters, FrameKind.DARK)
        if dark.path is None and subtract is Subtract.SCALED_DARK:
            dark, bias = best_scalable_dark(light, masters), best_master(light, masters, FrameKind.BIAS)
            scale = _scale(light, masters, dark)
    if with_flat:
        flat = best_master(light, masters, FrameKind.FLAT)
    matches = [match for match in (dark, bias, flat) if match is not None]
    refusals = [match.refusal for match in matches if match.path is None]
    if refusals:
        raise NoMasterError("; ".join(refusals))
    caveats = tuple(f"{match.kind}: {caveat}" for match in matches for caveat in match.caveats)
    return LightRecipe(_path(dark), _path(bias), _path(flat), scale, caveats)


def _path(match: Match | None) -> Path | None:
    return None if match is None else match.path


def _scale(light: FrameSetup, masters: Mapping[Path, FrameSetup], dark: Match) -> float:
    exposure_s = None if dark.path is None else masters[dark.path].exposure_s
    return light.exposure_s / exposure_s if light.exposure_s and exposure_s else 1.0
