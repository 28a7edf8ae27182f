"""`coldframe library match`: the masters that match lights, grouped by lights with the same answer."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.combining.finding import NothingFoundError
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.frames.matching import Match, best_master
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.library.library import Catalogue
from coldframe.calibration.lights.caveats import header_caveats, temperature_caveat
from coldframe.calibration.lights.files import light_setup
from coldframe.calibration.lights.recipe import treatments, warmer_c
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.library import NoLibraryError, configured_camera_names, find_library, masters_of
from coldframe.cli.light_groups import find_lights, named
from coldframe.config.frames import FrameKind


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
        The nearest master and its differences; empty if a master matches.
    notes
        What could not be compared, and differences that do not prevent the use of the master.
    """

    kind: FrameKind
    path: Path | None
    refusal: str
    notes: tuple[str, ...]


def match_lights(folder: Path | None, names: Sequence[str], *, wants_json: bool = False) -> ExitCode:
    """Print the masters that match the lights, and why the rest do not; return 1 if a light lacks a master."""
    try:
        catalogue = find_library(folder).catalogue()
        lights = find_lights(names)
    except (NoLibraryError, NothingFoundError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    masters, camera_names = masters_of(catalogue), configured_camera_names()
    groups: dict[tuple[MatchedMaster, ...], list[Path]] = {}
    worst = ExitCode.DONE
    for light in lights:
        try:
            setup = under_one_name(light_setup(light), camera_names)
        except FrameFileError as error:
            print(error, file=sys.stderr)
            worst = ExitCode.BAD_INPUT
            continue
        groups.setdefault(tuple(_matched(setup, masters, catalogue)), []).append(light)
    if wants_json:
        print(json.dumps([_as_json(*group) for group in groups.items()], indent=2))
    else:
        for matched, paths in groups.items():
            _print(matched, paths)
    lacks = any(master.path is None for matched in groups for master in matched)
    return max(worst, ExitCode.INCOMPLETE) if lacks else worst


def _matched(light: FrameSetup, masters: dict[Path, FrameSetup], catalogue: Catalogue) -> Iterator[MatchedMaster]:
    for match in _best_matches(light, masters):
        notes = (*match.caveats, *_tolerated(light, match, catalogue))
        kept = tuple(note.removeprefix(f"{match.kind}: ") for note in notes)
        yield MatchedMaster(match.kind, match.path, match.refusal, kept)


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


def _print(matched: Sequence[MatchedMaster], lights: Sequence[Path]) -> None:
    print(named(lights))
    for master in matched:
        print(f"  {master.kind:<5} {master.refusal or master.path}")
        for note in master.notes:
            print(f"        {note}")


def _as_json(matched: Sequence[MatchedMaster], lights: Sequence[Path]) -> dict[str, object]:
    return {
        "lights": [str(light) for light in lights],
        "masters": {
            master.kind.value: {
                "path": None if master.path is None else str(master.path),
                "refusal": master.refusal or None,
                "notes": list(master.notes),
            }
            for master in matched
        },
    }
