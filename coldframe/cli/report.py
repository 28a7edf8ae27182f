"""`coldframe report`: write the morning report of a night."""

import sys
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.monitoring.report.runs import JOURNAL, NoNightError
from coldframe.capture.storage.night_folder import newest_night
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.missing_night import missing_night
from coldframe.config.loading import ConfigError, find_config, load_settings


def report_night(night: Path | None, config: Path | None) -> ExitCode:
    """Write the report of a night again; print its verdict and path.

    Parameters
    ----------
    night
        Folder of a night; a folder of nights, to use its newest night; or the name of a night in the configured storage
        folder. None for the newest night in the storage folder.
    config
        The configuration file; by default, the user's configuration. The file is not read if `night` is a folder.

    Returns
    -------
    ExitCode
        1 if some masters cannot be shown, 2 if there is no such night.
    """
    from coldframe.capture.monitoring.report.making import make_report  # noqa: PLC0415 - slow to import

    try:
        folder = _folder(night, config)
        made = make_report(folder)
    except ConfigError as error:
        return _refuse(f"{error}\nOr specify the folder of the night: coldframe report FOLDER")
    except (NoNightError, NotDurableError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror or error}")
    for fault in made.faults:
        print(fault, file=sys.stderr)
    print(made.report.verdict.sentence)
    print(made.page)
    return ExitCode.INCOMPLETE if made.faults else ExitCode.DONE


def _folder(night: Path | None, config: Path | None) -> Path:
    """Return the folder of the chosen night.

    Raises
    ------
    ConfigError
        If the configuration is needed for its storage folder and cannot be read.
    NoNightError
        If there is no such night.
    OSError
        If a folder cannot be read.
    """
    if night is not None and (night.exists() or len(night.parts) > 1):
        if (night / JOURNAL).exists():
            return night
        return _found(newest_night(night) if night.is_dir() else night, night)
    storage = load_settings(find_config() if config is None else config).storage.folder
    if night is not None:
        return _found(storage / night, storage)
    return _found(newest_night(storage) if storage.is_dir() else None, storage)


def _found(night: Path | None, searched: Path) -> Path:
    if night is None or not (night / JOURNAL).exists():
        raise NoNightError(missing_night(night or searched, searched if searched.is_dir() else None))
    return night


def _refuse(text: str) -> ExitCode:
    print(text, file=sys.stderr)
    return ExitCode.BAD_INPUT
