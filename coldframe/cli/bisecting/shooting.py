"""Shoot the frames that are missing for a good calibration, so that a bisection can include their masters."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from coldframe.calibration.library.library import LIBRARY
from coldframe.cli.bisecting.candidates import NoMastersError
from coldframe.cli.bisecting.results import BisectionResult, sets_to_shoot, verdict
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.run import run_night
from coldframe.operations.library import NoLibraryError
from coldframe.operations.nights.request import NightRequest

EVERY_SET: tuple[str, ...] = ("darks", "flats")
"""The sets to shoot if no master matches; the run adds the dark flats or bias frames that the flats need."""


def library_of(rig: NightRequest) -> Path:
    """Return the folder of the library in which the masters from the rig's nights are filed."""
    return rig.settings().storage.folder / LIBRARY


def shoot_what_is_missing(lights: Path, rig: NightRequest, compare: Callable[[], BisectionResult]) -> ExitCode:
    """Compare the available masters, and shoot the sets for which no master is good enough.

    Parameters
    ----------
    lights
        Folder of the lights.
    rig
        The rig and its configuration.
    compare
        Function that compares the available masters.

    Returns
    -------
    ExitCode
        DONE if nothing is missing; otherwise, the exit code of the night.
    """
    try:
        result = compare()
    except (NoLibraryError, NoMastersError) as error:
        sets, reason = EVERY_SET, str(error)
    else:
        sets, reason = sets_to_shoot(result), verdict(result)
    print(reason, file=sys.stderr)
    if not sets:
        return ExitCode.DONE
    print(f"shooting {' and '.join(sets)}, then comparing again", file=sys.stderr)
    night = replace(rig, lights=lights, only=sets, redo=True)
    return run_night(night, watch=False, fresh=False, wants_dashboard=True, wants_json=False)
