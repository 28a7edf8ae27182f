"""Make the manual page from the help texts of the command line: `python -m coldframe.cli.manual > coldframe.1`.

The page uses the macros described in groff_man(7).
"""

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from coldframe.cli.command_line import app
from coldframe.version import __version__

# Typer has its own copy of Click's commands, contexts and parameters, and does not export their types.
Command = Any
Context = Any

_FILES = (
    (
        "~/.config/coldframe/coldframe.toml",
        "The configuration; coldframe init writes it, and coldframe explain describes it.",
    ),
    ("~/coldframe/", "Nights, masters and the library, unless [storage] specifies a different folder."),
)


def manual_page() -> str:
    """Return the manual page of all commands."""
    root = typer.main.get_command(app)
    with root.make_context("coldframe", [], resilient_parsing=True) as context:
        return "\n".join([*_head(root), *_commands(root, context), *_tail(root)]) + "\n"


def _head(root: Command) -> Iterator[str]:
    yield f'.TH COLDFRAME 1 "" "coldframe {__version__}" "User Commands"'
    yield from (".SH NAME", r"coldframe \- shoot and build calibration frames on INDI rigs")
    yield from (".SH SYNOPSIS", ".B coldframe", r".I COMMAND", r"[\fIOPTIONS\fR] [\fIARGUMENTS\fR]")
    yield from (".SH DESCRIPTION", _roff(root.help or ""))


def _commands(group: Command, context: Context, before: str = "") -> Iterator[str]:
    """Yield a section for each command, including the commands in subgroups."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        full_name = f"{before}{name}"
        with command.make_context(name, [], parent=context, resilient_parsing=True) as own:
            if hasattr(command, "commands"):
                yield from _commands(command, own, f"{full_name} ")
                continue
            pieces = " ".join(command.collect_usage_pieces(own))
            yield from (f'.SH "coldframe {_roff(full_name)}"', f".B coldframe {_roff(full_name)}", _roff(pieces), ".PP")
            yield from _paragraphs(command.help or "")
            yield from _parameters(command, own)


def _parameters(command: Command, context: Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            names, text = record
            yield from (".TP", f"\\fB{_roff(names)}\\fR", _roff(text))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield from (_roff(" ".join(paragraph.split())), ".PP")


def _tail(root: Command) -> Iterator[str]:
    yield ".SH FILES"
    for path, text in _FILES:
        yield from (".TP", f"\\fI{_roff(path)}\\fR", _roff(text))
    yield ".SH EXIT STATUS"
    yield from _paragraphs((root.epilog or "").removeprefix("Exit codes: "))


def _roff(text: str) -> str:
    """Escape the characters in a text that have a special meaning in roff."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    print(manual_page(), end="")
