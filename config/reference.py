"""All settings and their descriptions, for `coldframe explain`, the starting configuration and the guide."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from coldframe.config.allowed import allowed
from coldframe.config.section import Section
from coldframe.config.settings import Settings

MOST_SUGGESTIONS = 3
LEAST_LIKENESS = 0.6


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the configuration.

    Attributes
    ----------
    path
        Full name, including the name of the table, such as "flats.target".
    description
        Meaning, in full sentences.
    allowed
        Allowed values, as a phrase.
    default
        Default, as a Python object; None if the setting has no default.
    is_required
        True if the table is not valid without this setting.
    """

    path: str
    description: str
    allowed: str
    default: object
    is_required: bool

    @classmethod
    def of(cls, path: str, field: FieldInfo) -> "Setting":
        """Return the setting that a field of a model defines."""
        default = None if field.default is PydanticUndefined else field.default
        return cls(path, field.description or "", allowed(field), default, field.is_required())

    @property
    def key(self) -> str:
        """The setting's name within its table."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the configuration.

    Attributes
    ----------
    path
        Name of the table, such as "panel.mqtt".
    header
        First line of the table in a file, such as "[flats.filters.NAME]".
    description
        Contents of the table, as a sentence.
    section
        Model that defines the settings.
    """

    path: str
    header: str
    description: str
    section: type[Section]

    def settings(self) -> Mapping[str, Setting]:
        """Return the settings, keyed by name, excluding the tables within this table."""
        full_name = self.header.strip("[]")
        return {
            key: Setting.of(f"{full_name}.{key}", field)
            for key, field in self.section.model_fields.items()
            if section_of(field) is None
        }


def tables() -> Mapping[str, Table]:
    """Return all tables, keyed by path, in the order of the settings."""
    return {table.path: table for table in _tables_within(Settings, "")}


def find(name: str) -> Table | Setting | None:
    """Return the table or setting with a dotted name; None if no table or setting has this name.

    The name may be spelled as in error messages and files: ``sets[2].count``, ``flats.filters.Ha.target``, ``[flats]``.
    """
    path = _bare(name)
    known = tables()
    if path in known:
        return known[path]
    table, _, key = path.rpartition(".")
    if table in known and key in known[table].settings():
        return known[table].settings()[key]
    # The user chooses the names of the filters' tables.
    parent = table.rpartition(".")[0]
    for named in (table, parent):
        if named in known and known[named].header.endswith(".NAME]"):
            return known[named] if named == table else known[named].settings().get(key)
    return None


def similar(name: str) -> list[str]:
    """Return the known dotted names that are most similar to an unknown name, as a whole or in their last part."""
    path = _bare(name).lower()
    key = path.rpartition(".")[2]

    def likeness(other: str) -> float:
        whole = SequenceMatcher(None, path, other.lower()).ratio()
        return max(whole, SequenceMatcher(None, key, other.lower().rpartition(".")[2]).ratio())

    known = tables().values()
    names = [each for table in known for each in (table.path, *(own.path for own in table.settings().values()))]
    near = [each for each in names if likeness(each) >= LEAST_LIKENESS]
    return sorted(near, key=likeness, reverse=True)[:MOST_SUGGESTIONS]


def section_of(field: FieldInfo) -> type[Section] | None:
    """Return the model of the table, or of the tables in the list or mapping, that a field contains."""
    pending: list[Any] = [field.annotation]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
        if get_origin(annotation) in (Union, UnionType, tuple, dict):
            pending += [each for each in get_args(annotation) if each not in (NoneType, Ellipsis)]
    return None


def _tables_within(section: type[Section], before: str) -> Iterator[Table]:
    for name, field in section.model_fields.items():
        inner = section_of(field)
        if inner is None:
            continue
        path = f"{before}{name}"
        yield Table(path, _header(path, field), field.description or "", inner)
        yield from _tables_within(inner, f"{path}.")


def _header(path: str, field: FieldInfo) -> str:
    kind = get_origin(field.annotation)
    if kind is tuple:
        return f"[[{path}]]"
    return f"[{path}.NAME]" if kind is dict else f"[{path}]"


def _bare(name: str) -> str:
    """Return the dotted name of a table or setting without the notation of TOML: ``sets.count`` for ``sets[2].count``.

    Brackets with their index, quotation marks, and ``NAME``, which stands for a name of the user's choice, are removed.
    """
    return (
        re.sub(r"\[\d+\]", "", name.strip()).strip("[]").replace('"', "").removesuffix(".NAME").replace(".NAME.", ".")
    )
