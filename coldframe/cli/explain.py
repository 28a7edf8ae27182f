"""`coldframe explain`: describe the settings of the configuration."""

import shutil
import sys
import textwrap

from coldframe.cli.exit_codes import ExitCode
from coldframe.config.reference import Setting, Table, find, similar, tables
from coldframe.config.toml_values import toml_value

_LONGEST_LINE = 100


def explain_setting(name: str | None) -> ExitCode:
    """Print a setting, the settings of a table, or all tables; return exit code 2 if there is no such setting."""
    if name is None:
        _print_tables()
        return ExitCode.DONE
    match find(name):
        case Setting() as setting:
            print(setting.path)
            _print_setting(setting)
        case Table() as table:
            _print_table(table)
        case None:
            near = similar(name)
            advice = f"did you mean {' or '.join(near)}?" if near else "coldframe explain lists all tables"
            print(f"{name or repr(name)} is not a setting; {advice}", file=sys.stderr)
            return ExitCode.BAD_INPUT
    return ExitCode.DONE


def _print_tables() -> None:
    known = tables().values()
    width = max(len(table.header) for table in known)
    for table in known:
        print(f"{table.header:{width}}  {table.description}")
    print("\nFor the settings of a table: coldframe explain flats. For one setting: coldframe explain flats.target")


def _print_table(table: Table) -> None:
    print(table.header)
    _print_wrapped(table.description)
    for setting in table.settings().values():
        print(f"\n{setting.key}")
        _print_setting(setting)
    inner = [each.header for each in tables().values() if each.path.startswith(f"{table.path}.")]
    if inner:
        print(f"\nSee also {', '.join(inner)}")


def _print_setting(setting: Setting) -> None:
    _print_wrapped(setting.description)
    _print_wrapped(f"Allowed: {setting.allowed}.")
    if setting.is_required:
        _print_wrapped("Required.")
    elif setting.default is not None:
        _print_wrapped(f"Default: {toml_value(setting.default)}")


def _print_wrapped(text: str) -> None:
    width = min(shutil.get_terminal_size().columns, _LONGEST_LINE)
    print(textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False))
