"""`coldframe verify`: compare a night's masters with its raw frames."""

import sys
from collections.abc import Sequence
from pathlib import Path

from coldframe.calibration.combining.verify import recombined
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.capture.storage.night_folder import NightFolder, newest_night
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.missing_night import missing_night


def verify_nights(folders: Sequence[Path]) -> ExitCode:
    """Combine the frames of every master again, and print a line for each master.

    Return 1 if a master differs from its frames, 2 if there are no masters.
    """
    if absent := next((folder for folder in folders if not folder.is_dir()), None):
        print(missing_night(absent), file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        nights = [NightFolder(newest_night(folder) or folder) for folder in folders]
        masters = [(night, master) for night in nights for master in night.masters()]
        equal = sum(_verify(night, master) for night, master in masters)
    except OSError as error:
        print(f"{error.filename}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    if not masters:
        print(f"{', '.join(map(str, folders))}: there are no masters of a night here", file=sys.stderr)
        return ExitCode.BAD_INPUT
    print(f"{equal:,} of {len(masters):,} masters are equal to their recombined raw frames")
    return ExitCode.DONE if equal == len(masters) else ExitCode.INCOMPLETE


def _verify(night: NightFolder, master: Path) -> bool:
    try:
        result = recombined(master, night.raw_frames())
    except FrameFileError as error:
        print(error, file=sys.stderr)
        return False
    print(f"{master.name}: {result}", file=sys.stdout if result.equal else sys.stderr)
    return result.equal
