"""Read a configuration file, and report all its mistakes."""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import platformdirs
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from coldframe.config.allowed import allowed
from coldframe.config.environment import CONFIG_VARIABLE
from coldframe.config.reference import section_of
from coldframe.config.section import ContradictionError
from coldframe.config.settings import Settings
from coldframe.config.toml_lines import KeyPath, key_lines, nearest_line
from coldframe.errors import ColdframeError
from coldframe.visible import visible

# A configuration is a few kilobytes long. A much longer file is not a configuration, and is not read into memory. The
# length of lines is limited because tomllib's run time grows with the square of the number of parts of a dotted key.
MAXIMUM_BYTES = 200_000
MAXIMUM_LINE_LENGTH = 1000
MAXIMUM_PROBLEMS = 200
_LONGEST_QUOTE = 60
_TOML_IN_SHORT = '[table], key = 1.5, key = "text", key = [1, 2], each on its own line, each key once'
_NO_FILE = "no such file; `coldframe init` writes one for the devices of an INDI server"


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in a configuration.

    Attributes
    ----------
    line
        Line in the file, counted from 1; None if the problem concerns the file as a whole.
    key
        The setting, such as ``flats.band`` or ``sets[2].count`` (lists count from 1); can be empty.
    text
        The value that was found, and the allowed values.
    """

    line: int | None
    key: str
    text: str


class ConfigError(ColdframeError):
    """A configuration cannot be used. The message has a line for each problem: ``file:line: key: found X; allowed: Y``.

    Parameters
    ----------
    path
        The file.
    problems
        One or more problems.
    """

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        super().__init__("\n".join(_as_line(path, each) for each in problems))
        self.path = path
        self.problems = problems


def find_config() -> Path:
    """Return the path of the user's configuration, ``~/.config/coldframe/coldframe.toml`` on Linux.

    The environment variable `CONFIG_VARIABLE` takes precedence. The file might not exist; loading it then raises an
    error that explains how to create one.
    """
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named).expanduser()
    return platformdirs.user_config_path("coldframe") / "coldframe.toml"


def load_settings(path: Path) -> Settings:
    """Read and check a configuration.

    Parameters
    ----------
    path
        A TOML file, UTF-8.

    Returns
    -------
    Settings
        Complete and consistent settings.

    Raises
    ------
    ConfigError
        If the configuration cannot be used. The error contains all problems in the order of the file.
    """
    text = _read_text(path)
    values, lines = _parse(path, text)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
    if len(details) > MAXIMUM_PROBLEMS:
        raise ConfigError(path, [Problem(None, "", f"found {len(details):,} mistakes; allowed: {_TOML_IN_SHORT}")])
    problems = [problem for each in details + _hidden(values, details) for problem in _problems(each, lines)]
    raise ConfigError(path, sorted(problems, key=lambda each: each.line or 0))


SAFE_STATE_TABLES = ("server", "camera", "panel", "cooling")
MESSAGE_TABLES = ("camera", "mqtt", "notify")


def load_for_safe_state(path: Path) -> Settings:
    """Read only the tables that the safe state needs, so that mistakes in other tables do not prevent it.

    Returns
    -------
    Settings
        The tables of `SAFE_STATE_TABLES`; all other settings have their defaults, and there are no sets.

    Raises
    ------
    ConfigError
        If one of these tables has problems, or the file cannot be read as TOML.
    """
    return _load_tables(path, SAFE_STATE_TABLES)


def load_for_messages(path: Path) -> Settings:
    """Read only the tables that messages need, so that mistakes in other tables do not prevent an alarm.

    Returns
    -------
    Settings
        The tables of `MESSAGE_TABLES`; all other settings have their defaults, and there are no sets.

    Raises
    ------
    ConfigError
        If one of these tables has problems, or the file cannot be read as TOML.
    """
    return _load_tables(path, MESSAGE_TABLES)


def _load_tables(path: Path, names: tuple[str, ...]) -> Settings:
    values, _ = _parse(path, _read_text(path))
    needed = {name: values[name] for name in names if name in values}
    try:
        return Settings.model_validate(needed)
    except ValidationError:
        return load_settings(path)


def _as_line(path: Path, problem: Problem) -> str:
    place = f"{path}:{problem.line}" if problem.line else str(path)
    return ": ".join(visible(part) for part in (place, problem.key, problem.text) if part)


def _read_text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "folder" if path.is_dir() else "device or pipe"
            raise ConfigError(path, [Problem(None, "", f"found a {kind}; allowed: a TOML file")])
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(path, [Problem(None, "", _NO_FILE)]) from None
    except OSError as error:
        raise ConfigError(path, [Problem(None, "", f"the file cannot be read: {error.strerror}")]) from error
    except ValueError:
        raise ConfigError(path, [Problem(None, "", "not a valid file name")]) from None
    if len(content) > MAXIMUM_BYTES:
        raise ConfigError(path, [Problem(None, "", f"found more than {MAXIMUM_BYTES:,} bytes; allowed: a TOML file")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"found the byte 0x{content[error.start]:02x}, which is not UTF-8; allowed: TOML saved as UTF-8"
        raise ConfigError(path, [Problem(line, "", found)]) from None


def _parse(path: Path, text: str) -> tuple[dict[str, object], dict[KeyPath, int]]:
    for line, row in enumerate(text.split("\n"), start=1):
        if len(row) > MAXIMUM_LINE_LENGTH:
            found = f"found {len(row):,} characters; allowed: up to {MAXIMUM_LINE_LENGTH:,} in a line"
            raise ConfigError(path, [Problem(line, "", found)])
    try:
        return tomllib.loads(text), key_lines(text)
    except RecursionError:
        raise ConfigError(path, [Problem(None, "", "found lists or tables nested hundreds of levels deep")]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [_syntax_problem(text, str(error))]) from None


def _syntax_problem(text: str, message: str) -> Problem:
    """Return a problem for tomllib's message, which ends in "(at line 3, column 5)" or "(at end of document)"."""
    rows = text.rstrip().split("\n")
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(place[1]) if place and place[1] else len(rows)
    found = _quoted(rows[line - 1].strip()) if line <= len(rows) else "the end of the file"
    reason = (message[: place.start()] if place else message).lower()
    return Problem(line, "", f"found {found}, not TOML ({reason}); allowed: {_TOML_IN_SHORT}")


def _hidden(values: dict[str, object], details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the contradictions between tables, which pydantic checks only if every table is valid.

    The invalid values are left out, and the rest is validated again. If a set is invalid, all sets are left out,
    because contradictions between sets can be found only in the complete list.
    """
    remaining: object = values
    for each in details:
        remaining = _without(remaining, each["loc"])
    try:
        Settings.model_validate(remaining)
    except ValidationError as error:
        known = [each["loc"] for each in details]
        return [each for each in error.errors(include_url=False) if each["loc"] == () and () not in known]
    return []


def _without(values: object, path: KeyPath) -> object:
    """Return nested tables without the value at `path`; if the value is in a list, without the whole list."""
    if not path or not isinstance(values, dict) or path[0] not in values:
        return values
    key, *rest = path
    if rest and isinstance(values[key], dict):
        return {**values, key: _without(values[key], tuple(rest))}
    return {name: value for name, value in values.items() if name != key}


def _problems(details: ErrorDetails, lines: dict[KeyPath, int]) -> Iterator[Problem]:
    """Yield the problems behind one of pydantic's errors; a `ContradictionError` can contain several problems."""
    path = details["loc"]
    error = details.get("ctx", {}).get("error")
    if isinstance(error, ContradictionError):
        for each in error.contradictions:
            where = (*path, *each.where)
            yield Problem(nearest_line(lines, where), _key(where), each.text)
        return
    path, field, siblings = _resolve(path)
    yield Problem(nearest_line(lines, path), _key(path), _text(details, path, field, siblings))


def _text(details: ErrorDetails, path: KeyPath, field: FieldInfo | None, siblings: Mapping[str, FieldInfo]) -> str:
    if details["type"] == "extra_forbidden":
        return _unknown_key(str(path[-1]), siblings)
    wanted = allowed(field) if field else "a table"
    if details["type"] == "missing" and details["loc"] == path:
        return f"missing; allowed: {wanted}"
    if details["type"] == "value_error":
        wanted = str(details["ctx"]["error"])
    if details["loc"][-1:] == ("[key]",):
        wanted = "a name of 1 to 63 printable characters"
    return f"found {_shown(details['input'])}; allowed: {wanted}"


def _unknown_key(key: str, siblings: Mapping[str, FieldInfo]) -> str:
    close = get_close_matches(key, siblings, n=1)
    if close:
        return f'found an unknown key; did you mean "{close[0]}"?'
    homes = [name for name, field in Settings.model_fields.items() if key in _fields_within(field)]
    if homes:
        return f"found an unknown key; it belongs in {' or '.join(f'[{home}]' for home in homes)}"
    return f"found an unknown key; allowed: {', '.join(siblings)}"


def _resolve(path: KeyPath) -> tuple[KeyPath, FieldInfo | None, Mapping[str, FieldInfo]]:
    """Follow a path through the models.

    Returns
    -------
    tuple
        The path, shortened to the setting if it leads to an element of the setting; the field of the setting, or None
        if the setting is unknown; and the fields of the enclosing table.
    """
    siblings: Mapping[str, FieldInfo] = Settings.model_fields
    field: FieldInfo | None = None
    for depth, key in enumerate(path):
        if isinstance(key, str) and key in siblings:
            field = siblings[key]
            inner = _fields_within(field)
            if not inner:
                return path[: depth + 1], field, siblings
            if depth + 1 < len(path):
                siblings = inner
        elif key == "[key]":  # pydantic's marker for the name of a table, as opposed to its content
            return path[:depth], None, siblings
        elif depth + 1 == len(path):
            field = None
    return path, field, siblings


def _fields_within(field: FieldInfo) -> Mapping[str, FieldInfo]:
    """Return the fields of the table, or of the tables in the list or mapping, that `field` contains."""
    section = section_of(field)
    return {} if section is None else section.model_fields


def _key(path: KeyPath) -> str:
    """Return a path as TOML spells it, with the numbers of list elements in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += f".{part}" if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f".{_quoted(part)}"
    return text.removeprefix(".")


def _shown(value: object) -> str:
    """Return a value as TOML spells it; for nested values, return only their kind."""
    if isinstance(value, list):
        shown = ", ".join("a list" if isinstance(each, list) else _shown(each) for each in value)
        return _shortened(f"[{shown}]")
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else _shortened(str(value))


def _quoted(text: str) -> str:
    return f'"{_shortened(text)}"'


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."
