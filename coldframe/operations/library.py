"""Find the user's library, match its masters with lights, and file masters in it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.diagnosis.uncooled.dark_choice import DarkChoice
from coldframe.calibration.diagnosis.uncooled.remarks import refusal_of, remarks_on
from coldframe.calibration.diagnosis.uncooled.thermometer import DarkThermometer
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.matching import Match, best_master, predecessors
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.library.adopting import Stated, adopted
from coldframe.calibration.library.library import LIBRARY, Catalogue, Library, NotAMasterError, not_a_master
from coldframe.calibration.lights.arithmetic import MismatchError, check_relative
from coldframe.calibration.lights.caveats import header_caveats, temperature_caveat
from coldframe.calibration.lights.recipe import treatments, warmer_c
from coldframe.calibration.masters.reading import read_adu_master, read_master, read_master_header
from coldframe.config.frames import FrameKind
from coldframe.config.loading import ConfigError, find_config, load_settings
from coldframe.errors import ColdframeError
from coldframe.operations.dark_check import assumed_temperature, choices_for, is_checked

_PLAIN_NAME = re.compile(r"(\.(fits|fit|fts|xisf))?(\.(fz|gz))?$", re.IGNORECASE)
"""The suffixes of a master's file name; in the name of a converted copy, .fits replaces them."""


class NoLibraryError(ColdframeError):
    """A folder contains no library; the message names the folder."""


def find_library(folder: Path | None) -> Library:
    """Return the library in a folder, or the library of the user's configuration.

    Raises
    ------
    NoLibraryError
        If there is no library.
    """
    if folder is None:
        try:
            folder = load_settings(find_config()).storage.folder / LIBRARY
        except ConfigError as error:
            raise NoLibraryError(f"{error}\nName the library instead: --library FOLDER") from error
    if not folder.is_dir():
        raise NoLibraryError(
            f"{folder}: there is no library here yet; coldframe files masters at the end of a night, "
            "and `coldframe library add` files masters made by `coldframe combine`"
        )
    return Library(folder)


def configured_camera_names() -> tuple[str, ...]:
    """Return all names of the configured camera; an empty tuple if there is no valid configuration."""
    try:
        return load_settings(find_config()).camera_names
    except ConfigError:
        return ()


def masters_of(catalogue: Catalogue) -> dict[Path, FrameSetup]:
    """Return the setups of the library's masters, by path, with all names of the configured camera replaced by one."""
    names = configured_camera_names()
    return {path: under_one_name(setup, names) for path, setup in catalogue.setups.items()}


@dataclass(frozen=True, slots=True)
class MatchedMaster:
    """The master of one kind that matches a light, or the reason why none does.

    Attributes
    ----------
    kind
        The kind of the master.
    path
        The best master; None if none matches.
    refusal
        The nearest master and its differences from the light; empty if a master matches.
    notes
        Values that could not be compared, and differences that do not prevent the use of the master.
    """

    kind: FrameKind
    path: Path | None
    refusal: str
    notes: tuple[str, ...]


def matched_masters(
    light: FrameSetup, masters: dict[Path, FrameSetup], catalogue: Catalogue
) -> Iterator[MatchedMaster]:
    """Yield the best master of each kind for a light, or the reason why none matches."""
    for match in _best_matches(light, masters):
        notes = (*match.caveats, *_tolerated(light, match, catalogue))
        kept = tuple(note.removeprefix(f"{match.kind}: ") for note in notes)
        yield MatchedMaster(match.kind, match.path, match.refusal, kept)


def checked_masters(
    matched: tuple[MatchedMaster, ...],
    lights: Mapping[Path, FrameSetup],
    masters: Mapping[Path, FrameSetup],
    thermometer: DarkThermometer,
) -> Iterator[tuple[tuple[MatchedMaster, ...], list[Path]]]:
    """Check an uncooled dark by its hot pixels; yield each resulting choice of masters with the lights that it fits.

    Parameters
    ----------
    matched
        The masters that match the headers; see `matched_masters`.
    lights
        Setups of the lights, by path.
    masters
        Setups of all masters, by path.
    thermometer
        Measures the temperature of the lights from the hot pixels of darks; reads each dark once.

    Raises
    ------
    FrameFileError
        If the dark cannot be read.
    """
    light = next(iter(lights.values()))
    proposed = next((each for each in matched if each.kind is FrameKind.DARK), None)
    if proposed is None or proposed.path is None or not is_checked(light, masters[proposed.path]):
        yield matched, list(lights)
        return
    for choices in choices_for(lights, proposed.path, masters, thermometer):
        distinct = list(dict.fromkeys(choices.values()))
        checked = _checked_dark(proposed, distinct, light.without(masters[proposed.path].overscan), masters)
        yield tuple(checked if each is proposed else each for each in matched), list(choices)


def _checked_dark(
    proposed: MatchedMaster, choices: Sequence[DarkChoice], light: FrameSetup, masters: Mapping[Path, FrameSetup]
) -> MatchedMaster:
    """Return the dark selected by choices with the same outcome, or the reason why no dark fits."""
    measured = [choice.measured for choice in choices if choice.measured is not None]
    agrees = measured and not any(each.is_noticeable for each in measured)
    remarks = (
        *remarks_on(choices),
        *(("judging by its hot pixels, it matches the temperature of the lights",) if agrees else ()),
    )
    dark = choices[0].dark
    assumed = assumed_temperature(light, masters[dark]) if measured else ""
    notes = tuple(note for note in proposed.notes if dark == proposed.path and note != assumed)
    if choices[0].is_refused:
        return MatchedMaster(proposed.kind, None, f"no dark fits: {refusal_of(choices)}", (*notes, *remarks))
    return MatchedMaster(proposed.kind, dark, "", (*notes, *remarks))


def _best_matches(light: FrameSetup, masters: dict[Path, FrameSetup]) -> list[Match]:
    """Return the masters that match the light best, for the overscan treatment with the most matches."""
    kinds = (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT)
    ways = [[best_master(way, masters, kind) for kind in kinds] for way in treatments(light, masters.values())]
    return max(ways, key=lambda matches: sum(match.path is not None for match in matches))


def _tolerated(light: FrameSetup, match: Match, catalogue: Catalogue) -> Iterator[str]:
    """Yield the differences between a light and the chosen master that do not prevent its use."""
    if match.path is None:
        return
    header = catalogue.headers[match.path]
    if match.kind is FrameKind.FLAT:
        yield from header_caveats(header)
    if match.kind is FrameKind.DARK and (caveat := temperature_caveat(warmer_c(light, setup_of(header)))) is not None:
        yield caveat


def filed_master(library: Library, master: Path, stated: Stated) -> Path:
    """File a master, and return its path in the library; convert it if `calibrate` could not use it otherwise.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or its unit cannot be determined.
    NotAMasterError
        If the file is not a master, or `calibrate` could not use it.
    NotDurableError
        If the master could not be written.
    """
    header = read_image_header(master)
    # A stated kind replaces a missing one, but does not make a single frame a master.
    if (stated.kind is None or setup_of(header).kind is not None) and (fault := not_a_master(header)) is not None:
        raise NotAMasterError(f"{master}: {fault}")
    with scratch_folder() as scratch:
        converted = adopted(master, scratch, stated)
        wanted = master
        if converted is not None:
            wanted = scratch / _PLAIN_NAME.sub(".fits", master.name, count=1)
            converted.write(wanted)
        if (fault := _unusable(wanted)) is not None:
            raise NotAMasterError(f"{master}: calibrate cannot use it: {fault}")
        return library.file(wanted)


def previous_master(library: Library, master: Path) -> Path | None:
    """Return the newest master in the library that is older than `master` and has the same settings, or None."""
    setups = library.catalogue().setups
    earlier = predecessors(master, setups)
    return earlier[-1] if earlier else None


def _unusable(master: Path) -> str | None:
    """Return the reason why `calibrate` cannot use the values of a master from another program; None if it can."""
    try:
        if setup_of(read_master_header(master)).kind is FrameKind.FLAT:
            check_relative(read_master(master))
        else:
            read_adu_master(master)
    except FrameFileError as error:
        return error.what
    except MismatchError as error:
        return str(error)
    return None
