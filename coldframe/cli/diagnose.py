"""`coldframe diagnose`: find out whether lights calibrate cleanly and, if they do not, why."""

import sys
from collections.abc import Sequence
from pathlib import Path

from coldframe.calibration.combining.finding import NothingFoundError
from coldframe.calibration.diagnosis.files import Watcher
from coldframe.calibration.files.durable import NotDurableError, write_durably
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.cli.diagnosing.page import page_of
from coldframe.cli.diagnosing.pictures import SetPictures
from coldframe.cli.diagnosing.text import text_of
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.cli.progress import progress
from coldframe.operations.diagnosing import Diagnoses, Request
from coldframe.operations.json_object import json_text
from coldframe.operations.library import NoLibraryError
from coldframe.operations.light_groups import find_lights


def diagnose_lights(
    names: Sequence[str], request: Request, *, as_json: bool = False, page: Path | None = None
) -> ExitCode:
    """Diagnose lights and print the result.

    Parameters
    ----------
    names
        Files, folders (only the images directly in them) and patterns.
    request
        The options of the diagnosis.
    as_json
        True to print a JSON object.
    page
        HTML file to write; None to write no file.

    Returns
    -------
    ExitCode
        DONE if the lights calibrate cleanly, INCOMPLETE if a finding matters or some lights could not be diagnosed, and
        BAD_INPUT if no light could be diagnosed.
    """
    if page is not None and page.exists():
        print(f"{page} already exists, and files are never overwritten: choose a different name", file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        return _diagnosed(names, request, as_json=as_json, page=page)
    except (NothingFoundError, NoLibraryError, NotDurableError, FrameFileError) as error:
        print("; ".join(str(error).splitlines()), file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _diagnosed(names: Sequence[str], request: Request, *, as_json: bool, page: Path | None) -> ExitCode:
    reports = Printed()
    lights = find_lights(names, reports)
    begun: list[SetPictures] = []

    def new_watcher(setup: FrameSetup) -> Watcher:
        begun.append(SetPictures(setup.mosaic))
        return begun[-1].watch

    diagnoses = Diagnoses(request, reports, None if page is None else new_watcher)
    with progress(len(lights), "diagnosing") as advance:
        drawn = [(result, begun[-1:]) for result in diagnoses.of(lights, advance)]
    results = [result for result, _ in drawn]
    pictures = [each for _, seen in drawn for each in seen]
    if not results:
        return ExitCode.BAD_INPUT
    if page is not None:
        write_durably(page, [page_of(results, pictures).encode()])
    print(json_text(results) if as_json else text_of(results))
    if page is not None and not as_json:
        print(f"\npictures: {page}")
    is_clean = all(result.is_clean for result in results)
    return ExitCode.DONE if is_clean and not diagnoses.failed else ExitCode.INCOMPLETE
