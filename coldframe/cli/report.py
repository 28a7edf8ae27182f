"""`coldframe report`: the morning report of a night."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.monitoring.report.runs import JOURNAL, NoNightError
from coldframe.capture.storage.night_folder import newest_night
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError, find_config, load_settings

log = logging.getLogger(__name__)


def report_night(night: Path | None, config: Path | None) -> ExitCode:
    """Make the report of a night, and print its verdict and its path; return exit code 1 if a master cannot be shown.

    Parameters
    ----------
    night
        Folder of a night, folder of nights (the newest of which is taken), or name of a night in the configured
        storage. None for the newest night there.
    config
        The configuration; None for the user's. It is read only if no folder is given.
    """
    from coldframe.capture.monitoring.report.making import make_report  # noqa: PLC0415 - see report_after

    try:
        folder = _folder(night, config)
        made = make_report(folder)
    except ConfigError as error:
        return _refuse(f"{error}\nName the folder of the night instead: coldframe report FOLDER")
    except (NoNightError, NotDurableError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror or error}")
    for fault in made.faults:
        print(fault, file=sys.stderr)
    print(made.report.verdict.sentence)
    print(made.page)
    return ExitCode.INCOMPLETE if made.faults else ExitCode.DONE


def report_after(folder: Path, output: TextIO) -> None:
    """Make the report of a night that has just ended, and print its path; never raises.

    A report that fails is reported on standard error; it does not change the outcome of the night.
    """
    try:
        # Imported only now: a fault in page or charts must not prevent a night.
        from coldframe.capture.monitoring.report.making import make_report  # noqa: PLC0415

        print(f"report: {make_report(folder, is_over=True).page}", file=output, flush=True)
    except (NoNightError, NotDurableError, OSError) as error:  # expected, so without a traceback
        _print_failure(folder, error)
    except Exception as error:  # the boundary: the night is over, and its exit code stands
        log.exception("the report failed")
        _print_failure(folder, error)


def _print_failure(folder: Path, error: Exception) -> None:
    with suppress(OSError):  # a terminal that was closed
        print(f"{folder}: cannot make the report: {error}", file=sys.stderr)


def _folder(night: Path | None, config: Path | None) -> Path:
    """Return the folder of the night that the user means.

    Raises
    ------
    ConfigError
        If the configuration is needed for its storage and cannot be read.
    NoNightError
        If there is no night.
    OSError
        If a folder cannot be read.
    """
    if night is not None and (night.exists() or len(night.parts) > 1):
        if (night / JOURNAL).exists():
            return night
        return _found(newest_night(night), night)
    storage = load_settings(find_config() if config is None else config).storage.folder
    return _found(newest_night(storage) if night is None else storage / night, storage)


def _found(night: Path | None, looked_in: Path) -> Path:
    if night is None or not (night / JOURNAL).exists():
        raise NoNightError(f"{night or looked_in}: no night with a journal found")
    return night


def _refuse(text: str) -> ExitCode:
    print(text, file=sys.stderr)
    return ExitCode.BAD_INPUT
