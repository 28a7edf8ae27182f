"""`coldframe combine`: combine raw frames from any camera and program into a master."""

import sys
from collections.abc import Sequence
from pathlib import Path

from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.errors import ColdframeError
from coldframe.operations.combining import Choice, Request, combine_into

_OPTIONS_OF = {"mean": (), "median": (), "winsorized": ("sigma",), "sigma-clip": ("center", "start", "sigma")}


def option_without_effect(choice: Choice) -> str | None:
    """Return a sentence about an option that the chosen method would ignore, or None if every option has an effect."""
    method = choice.method or "sigma-clip"
    for option in ("center", "start", "sigma"):
        if getattr(choice, option) is None:
            continue
        if option not in _OPTIONS_OF[method]:
            others = " or ".join(name for name, options in _OPTIONS_OF.items() if option in options)
            return f"--{option} has no effect with --method {method}: leave it out, or choose --method {others}"
        if option == "start" and choice.center == "median":
            return "--start has no effect with --center median: leave out one of them"
    return None


def combine_files(names: Sequence[str], output: Path, request: Request) -> ExitCode:
    """Combine frames; print the files left out, with reasons. Return 1 if there are any, 2 if there is no master."""
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
