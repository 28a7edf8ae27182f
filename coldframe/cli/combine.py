"""`coldframe combine`: combine raw frames from any camera and program into a master."""

import sys
from collections.abc import Sequence
from pathlib import Path

from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.errors import ColdframeError
from coldframe.operations.combining import Request, combine_into


def combine_files(names: Sequence[str], output: Path, request: Request) -> ExitCode:
    """Combine frames into a master, and print the files that are left out, with reasons.

    Return 1 if files were left out, 2 if no master was made.
    """
    try:
        made = combine_into(names, output, request, Printed())
    except ColdframeError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or output}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.INCOMPLETE if made.left_out else ExitCode.DONE
