"""`coldframe library match`: the masters that match lights; lights with the same masters are grouped."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from coldframe.calibration.combining.finding import NothingFoundError
from coldframe.calibration.diagnosis.uncooled.thermometer import DarkThermometer
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.files import light_setup
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.operations.library import (
    MatchedMaster,
    NoLibraryError,
    checked_masters,
    configured_camera_names,
    find_library,
    masters_of,
    matched_masters,
)
from coldframe.operations.light_groups import find_lights, named


def match_lights(folder: Path | None, names: Sequence[str], *, wants_json: bool = False) -> ExitCode:
    """Print the masters that match the lights, and why the rest do not; return 1 if a light lacks a master."""
    try:
        catalogue = find_library(folder).catalogue()
        lights = find_lights(names, Printed())
    except (NoLibraryError, NothingFoundError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    masters, camera_names = masters_of(catalogue), configured_camera_names()
    proposed = dict[tuple[MatchedMaster, ...], dict[Path, FrameSetup]]()
    worst = ExitCode.DONE
    for light in lights:
        try:
            setup = under_one_name(light_setup(light), camera_names)
        except FrameFileError as error:
            print(error, file=sys.stderr)
            worst = ExitCode.BAD_INPUT
            continue
        proposed.setdefault(tuple(matched_masters(setup, masters, catalogue)), {})[light] = setup
    groups, thermometer = dict[tuple[MatchedMaster, ...], list[Path]](), DarkThermometer()
    for matched, setups in proposed.items():
        try:
            for checked, paths in checked_masters(matched, setups, masters, thermometer):
                groups.setdefault(checked, []).extend(paths)
        except FrameFileError as error:
            print(error, file=sys.stderr)
            worst = ExitCode.BAD_INPUT
    if wants_json:
        print(json.dumps([_as_json(*group) for group in groups.items()], indent=2))
    else:
        for matched, paths in groups.items():
            _print(matched, paths)
    lacks = any(master.path is None for matched in groups for master in matched)
    return max(worst, ExitCode.INCOMPLETE) if lacks else worst


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
