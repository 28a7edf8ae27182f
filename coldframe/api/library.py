"""`coldframe.Library`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coldframe.api.arguments import AnyPath, image_choice, one_of, path_of, within
from coldframe.api.collected import LeftOut
from coldframe.api.frames import Setup, public_setup
from coldframe.calibration.diagnosis.uncooled.thermometer import DarkThermometer
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.library import library as stored
from coldframe.calibration.library.adopting import Stated
from coldframe.calibration.lights.files import light_setup
from coldframe.config.frames import FrameKind
from coldframe.operations.library import (
    MatchedMaster,
    checked_masters,
    configured_camera_names,
    filed_master,
    find_library,
    masters_of,
    matched_masters,
)


@dataclass(frozen=True, slots=True)
class LibraryMaster:
    """A master in a library.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    setup : Setup
        The settings in its header.
    frames : int or None
        Number of frames combined into the master; None if unknown.
    """

    path: Path
    setup: Setup
    frames: int | None


@dataclass(frozen=True, slots=True)
class Match:
    """The master of one kind that best matches a light.

    Attributes
    ----------
    path : pathlib.Path or None
        The master; None if no master matches.
    differences : tuple of str
        Tolerated differences, and values that could not be compared.
    refusal : str
        The nearest master and the reasons why it does not match; empty if a master matches.
    """

    path: Path | None
    differences: tuple[str, ...]
    refusal: str


class Library:
    """A folder of the masters of all nights, in which masters are found by their headers.

    Several processes can use a library at once. Masters in it are never changed.

    Parameters
    ----------
    folder : str or path-like, optional
        The folder; `add` creates it if necessary. By default, the library of your configuration.

    Attributes
    ----------
    folder : pathlib.Path
        The folder.

    Raises
    ------
    ColdframeError
        If `folder` is None, and there is no valid configuration or no library yet.

    Examples
    --------
    >>> library = coldframe.Library("~/coldframe/library")
    >>> library.match("light_0001.fits")["dark"].path
    PosixPath('/home/me/coldframe/library/ASI2600MM/darks/MasterDark_ASI2600MM_G100_O50_-10C_300s_1x1.fits')
    """

    def __init__(self, folder: AnyPath | None = None) -> None:
        self._library = find_library(None) if folder is None else stored.Library(path_of(folder))
        self.folder = self._library.folder

    def _existing(self) -> stored.Library:
        """Return the library; raise an error if its folder does not exist, because the path may be mistyped."""
        return find_library(self.folder)

    def masters(self) -> tuple[LibraryMaster, ...]:
        """Return all masters, sorted by path.

        Returns
        -------
        tuple of LibraryMaster
            Files that are not masters or cannot be read are left out; see `unreadable`.

        Raises
        ------
        ColdframeError
            If the folder does not exist.
        """
        return tuple(
            LibraryMaster(path, public_setup(setup_of(header)), _frames(header))
            for path, header in self._existing().catalogue().headers.items()
        )

    def unreadable(self) -> tuple[LeftOut, ...]:
        """Return the files that are not masters or cannot be read, each with the reason.

        Returns
        -------
        tuple of LeftOut
            Empty if all files are masters.

        Raises
        ------
        ColdframeError
            If the folder does not exist.
        """
        return tuple(LeftOut(path, reason) for path, reason in self._existing().catalogue().faults.items())

    def match(
        self, light: AnyPath, *, extension: int | Literal["mosaic"] | None = None
    ) -> dict[Literal["bias", "dark", "flat"], Match]:
        """Return the masters that best match a light, as ``coldframe library match`` does.

        Parameters
        ----------
        light : str or path-like
            A raw light.
        extension : int or "mosaic", optional
            Which image to read from a file with several images; see `coldframe.read_frame`.

        Returns
        -------
        dict
            A `Match` for each of ``"bias"``, ``"dark"`` and ``"flat"``.

        Raises
        ------
        ColdframeError
            If the file cannot be read or is not a raw light, or the folder of the library does not exist.
        """
        catalogue, path = self._existing().catalogue(), path_of(light)
        chosen = image_choice(extension)
        setup = under_one_name(light_setup(path, chosen), configured_camera_names())
        masters = masters_of(catalogue)
        proposed = tuple(matched_masters(setup, masters, catalogue))
        ((checked, _),) = checked_masters(proposed, {path: setup}, masters, DarkThermometer(chosen))
        found = {match.kind: match for match in checked}
        bias, dark, flat = (_match(found[kind]) for kind in (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT))
        return {"bias": bias, "dark": dark, "flat": flat}

    def add(
        self,
        master: AnyPath,
        *,
        kind: Literal["bias", "dark", "dark-flat", "flat"] | None = None,
        full_range: float | None = None,
        with_bias: bool | None = None,
    ) -> Path:
        """Add a master from coldframe or another program, as ``coldframe library add`` does.

        Parameters
        ----------
        master : str or path-like
            The file. The library receives a hard link to it, a copy, or a version converted to ADU.
        kind : {"bias", "dark", "dark-flat", "flat"}, optional
            Kind of the master, if its header does not state it.
        full_range : float, optional
            Level in ADU that the value 1 represents, if the master contains fractions of the full range.
        with_bias : bool, optional
            Whether a dark still contains the bias; by default, judged by its level.

        Returns
        -------
        pathlib.Path
            The file in the library.

        Raises
        ------
        ColdframeError
            If the file is not a master, cannot be read or written, or could not be used for calibration.
        ValueError
            If an argument has a value that is not allowed.
        """
        one_of("kind", kind, ("bias", "dark", "dark-flat", "flat"))
        within("full_range", full_range, 1e-6, 1e9)
        stated = Stated(None if kind is None else FrameKind(kind), full_range, with_bias)
        return filed_master(self._library, path_of(master), stated)

    def verify(self) -> tuple[LeftOut, ...]:
        """Read every byte of every master, as ``coldframe library verify`` does.

        Returns
        -------
        tuple of LeftOut
            The damaged masters, each with its fault; empty if all are intact.

        Raises
        ------
        ColdframeError
            If the folder does not exist.
        """
        return tuple(LeftOut(path, fault) for path, fault in self._existing().verify() if fault is not None)


def _match(found: MatchedMaster) -> Match:
    return Match(found.path, found.notes, found.refusal)


def _frames(header: Mapping[str, HeaderValue]) -> int | None:
    count = header.get("STACKCNT", header.get("NCOMBINE"))
    return count if isinstance(count, int) and not isinstance(count, bool) else None
