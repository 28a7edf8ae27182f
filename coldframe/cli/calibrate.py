"""`coldframe calibrate`: calibrate lights with masters from the library."""

import sys
from collections.abc import Sequence
from shlex import quote

from coldframe.calibration.combining.finding import NothingFoundError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.cli.progress import progress
from coldframe.counted import counted
from coldframe.operations.calibrating import Request, Tally, calibrate_all
from coldframe.operations.library import NoLibraryError
from coldframe.operations.light_groups import find_lights

_MOST_NAMES = 3
"""Maximum number of arguments that a message repeats."""


def calibrate_lights(names: Sequence[str], request: Request) -> ExitCode:
    """Calibrate lights; if one fails, print the reason and continue with the other lights.

    Parameters
    ----------
    names
        Files, folders (only the images directly in them) and patterns.
    request
        The options of the calibration.

    Returns
    -------
    ExitCode
        DONE if all lights are calibrated, INCOMPLETE if some failed, BAD_INPUT if all failed.
    """
    tally = Tally(Printed())
    total = 0
    try:
        lights = find_lights(names, tally.reports)
        total = len(lights)
        with progress(total, "calibrating") as advance:
            calibrate_all(lights, request, tally, advance)
    except (NothingFoundError, NoLibraryError, FrameFileError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        print(f"interrupted; {len(tally.done):,} of {counted(total, 'light')} calibrated", file=sys.stderr)
        return ExitCode.INTERRUPTED
    print(_result_text(tally, total))
    if tally.looked:
        print(_look_text(tally, names))
    if not tally.done and not tally.done_before:
        return ExitCode.BAD_INPUT
    return ExitCode.INCOMPLETE if tally.failed else ExitCode.DONE


def _result_text(tally: Tally, count: int) -> str:
    folders = sorted({each.path.parent for each in tally.done.values()})
    text = (
        f"{len(tally.done):,} of {counted(count, 'light')} calibrated{''.join(f', in {folder}' for folder in folders)}"
    )
    if not tally.done_before:
        return text
    skipped = len(tally.done_before)
    return f"{text}; {skipped} skipped: already calibrated with the same masters and options (see --again)"


def _look_text(tally: Tally, names: Sequence[str]) -> str:
    """Return the result of the quick look at all lights, as one line."""
    findings = sorted((each for found in tally.looked for each in found), key=lambda each: each.harm, reverse=True)
    if not findings:
        return "a quick look found no fault; `coldframe diagnose` also tests for dust, glow, colours and gradients"
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    shown = " ".join(map(quote, names)) if len(names) <= _MOST_NAMES else f"{quote(names[0])} ..."
    return f"a quick look found: {findings[0].cause}{more}; for the evidence, run: coldframe diagnose {shown}"
