"""Collect the masters that a bisection compares: specified masters, or masters in the library that match the lights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from coldframe.calibration.diagnosis.combinations import Candidates, candidates_of
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.frames.matching import best_master, best_scalable_dark, pixel_faults, subtraction_faults
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.lights.arithmetic import MismatchError
from coldframe.calibration.lights.recipe import treatments
from coldframe.calibration.masters.reading import read_master_header
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError
from coldframe.operations.library import configured_camera_names, find_library, masters_of

Header = Mapping[str, HeaderValue]
Master = tuple[Path, FrameSetup, Header]

MOST_OF_A_KIND = 3
"""Maximum number of masters of each kind to take from the library; the newest are used."""

ANY_AGE = Tolerances(bias_days=inf, dark_days=inf, flat_days=inf)


class NoMastersError(ColdframeError):
    """No master matches the lights."""


@dataclass(frozen=True, slots=True)
class NamedMasters:
    """The masters that the user specified."""

    dark: Sequence[Path] = ()
    flat: Sequence[Path] = ()
    bias: Sequence[Path] = ()
    dark_flat: Sequence[Path] = ()

    @property
    def by_path(self) -> dict[Path, FrameKind]:
        """The kinds of all specified masters, by path."""
        every = {
            FrameKind.DARK: self.dark,
            FrameKind.FLAT: self.flat,
            FrameKind.BIAS: self.bias,
            FrameKind.DARK_FLAT: self.dark_flat,
        }
        return {path: kind for kind, paths in every.items() for path in paths}


@dataclass(frozen=True, slots=True)
class Choice:
    """The masters to compare.

    Attributes
    ----------
    setup
        Setup of the lights, after their overscan is subtracted in the same way as that of the masters.
    candidates
        The masters.
    left_out
        Number of older masters that match, but are not compared.
    """

    setup: FrameSetup
    candidates: Candidates
    left_out: int = 0


def named_candidates(light: FrameSetup, named: NamedMasters) -> Choice:
    """Return the specified masters.

    Raises
    ------
    FrameFileError
        If a master cannot be read.
    MismatchError
        If the pixels of a master do not match those of the lights.
    """
    names = configured_camera_names()
    headers = {path: read_master_header(path) for path in named.by_path}
    setups = {path: under_one_name(setup_of(header), names) for path, header in headers.items()}
    setup = treatments(light, setups.values())[0]
    masters: list[Master] = []
    for path, kind in named.by_path.items():
        faults = pixel_faults(setup, setups[path], kind)
        if faults:
            raise MismatchError(f"{path} does not match the lights: {', '.join(faults)}")
        masters.append((path, _of_kind(setups[path], kind), headers[path]))
    return Choice(setup, candidates_of(masters))


def _of_kind(setup: FrameSetup, kind: FrameKind) -> FrameSetup:
    """Return the setup of a master, with the kind from the command's option instead of the one in the header."""
    return replace(setup, kind=kind)


def library_candidates(light: FrameSetup, folder: Path | None) -> Choice:
    """Return the library's masters of any age that match a light, including darks that can be scaled to its exposure.

    Raises
    ------
    NoLibraryError
        If there is no library.
    """
    catalogue = find_library(folder).catalogue()
    setups = masters_of(catalogue)
    setup = treatments(light, setups.values())[0]
    fitting = [path for path, master in setups.items() if _fits(setup, path, master)]
    flats = [setups[path] for path in fitting if setups[path].kind is FrameKind.FLAT]
    fitting += [path for path, master in setups.items() if _is_dark_flat_of(flats, master)]
    every = candidates_of((path, setups[path], catalogue.headers[path]) for path in fitting)
    kept = Candidates(
        every.darks[:MOST_OF_A_KIND],
        every.flats[:MOST_OF_A_KIND],
        every.biases[:MOST_OF_A_KIND],
        every.dark_flats[:MOST_OF_A_KIND],
    )
    return Choice(setup, kept, len(every.all) - len(kept.all))


def _fits(light: FrameSetup, path: Path, master: FrameSetup) -> bool:
    alone = {path: master}
    if master.kind is FrameKind.DARK and best_scalable_dark(light, alone, ANY_AGE).path is not None:
        return True
    kinds = {FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT}
    return master.kind in kinds and best_master(light, alone, master.kind, ANY_AGE).path is not None


def _is_dark_flat_of(flats: Sequence[FrameSetup], master: FrameSetup) -> bool:
    return master.kind is FrameKind.DARK_FLAT and any(not subtraction_faults(flat, master) for flat in flats)
