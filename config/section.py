"""The base class of all configuration tables, the types of names and paths, and contradictions between settings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from coldframe.errors import ColdframeError


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A setting that contradicts other settings.

    Attributes
    ----------
    where
        Path of the setting, relative to the model that reports the contradiction: keys, and positions in lists.
    text
        The value that was found, and the allowed values.
    """

    where: tuple[str | int, ...]
    text: str


class ContradictionError(ColdframeError, ValueError):
    """Some settings contradict each other, although each of them is valid by itself.

    Parameters
    ----------
    contradictions
        One or more contradictions.
    """

    def __init__(self, contradictions: list[Contradiction]) -> None:
        super().__init__("; ".join(each.text for each in contradictions))
        self.contradictions = contradictions


def refuse(contradictions: Iterator[Contradiction]) -> None:
    """Raise ContradictionError with all contradictions, if there are any."""
    found = list(contradictions)
    if found:
        raise ContradictionError(found)


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("printable characters, not only spaces")
    return text


def _absolute(folder: Path) -> Path:
    try:
        expanded = folder.expanduser()
    except RuntimeError:
        raise ValueError("a path in which ~ belongs to a user of this machine") from None
    if not expanded.is_absolute() or "\0" in str(expanded):
        raise ValueError("a path that starts with / or ~")
    return expanded


# INDI limits device names to 63 characters (MAXINDIDEVICE, indidevapi.h).
Name = Annotated[str, Field(min_length=1, max_length=63), AfterValidator(_printable)]
AbsolutePath = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]


class Section(BaseModel):
    """A table of the configuration. It is immutable, refuses unknown keys, and does not convert between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
