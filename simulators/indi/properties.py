"""The INDI properties of a device, and their XML.

The protocol is specified in E. Downey, "INDI: Instrument-Neutral Distributed Interface", version 1.7.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from xml.sax.saxutils import escape, quoteattr

from coldframe.errors import ColdframeError

Value = str | float


class State(StrEnum):
    """The state of a property."""

    IDLE = "Idle"
    OK = "Ok"
    BUSY = "Busy"
    ALERT = "Alert"


class Permission(StrEnum):
    """The permission for clients to read or write a property."""

    READ_ONLY = "ro"
    WRITE_ONLY = "wo"
    READ_WRITE = "rw"


class Rule(StrEnum):
    """The number of switches in a vector that may be on at the same time."""

    ONE_OF_MANY = "OneOfMany"
    AT_MOST_ONE = "AtMostOne"


class RefusedError(ColdframeError):
    """A device refuses a client's request. The error message is sent to the client."""


@dataclass(slots=True)
class Text:
    """A text element."""

    name: str
    value: str
    label: str = ""

    def definition(self) -> str:
        """Return the element's XML within its vector's definition."""
        return f"<defText {_names(self)}>{escape(self.value)}</defText>"

    def accepted(self, raw: str) -> str:
        """Return the value that a client's text represents."""
        return raw


@dataclass(slots=True)
class Number:
    """A number element. If its limits are equal, it accepts any finite value, as in libindi."""

    name: str
    value: float
    minimum: float = 0.0
    maximum: float = 0.0
    step: float = 0.0
    style: str = "%g"
    label: str = ""

    def definition(self) -> str:
        """Return the element's XML within its vector's definition."""
        limits = f'min="{self.minimum!r}" max="{self.maximum!r}" step="{self.step!r}" format="{self.style}"'
        return f"<defNumber {_names(self)} {limits}>{self.value!r}</defNumber>"

    def accepted(self, raw: str) -> float:
        """Return the number in a client's text.

        Raises
        ------
        RefusedError
            If the text is not a finite number, or the number is out of range.
        """
        try:
            value = sexagesimal(raw)
        except ValueError:
            raise RefusedError(f"{self.name}: {raw[:40]!r} is not a number") from None
        if not math.isfinite(value) or (self.minimum < self.maximum and not self.minimum <= value <= self.maximum):
            allowed = f"{self.minimum:g} to {self.maximum:g} is allowed"
            raise RefusedError(f"{self.name}: {value:g} is out of range, {allowed}")
        return value


@dataclass(slots=True)
class Switch:
    """A switch element, whose value is "On" or "Off"."""

    name: str
    value: str = "Off"
    label: str = ""

    def definition(self) -> str:
        """Return the element's XML within its vector's definition."""
        return f"<defSwitch {_names(self)}>{self.value}</defSwitch>"

    def accepted(self, raw: str) -> str:
        """Return the value that a client's text represents.

        Raises
        ------
        RefusedError
            If the text is neither On nor Off.
        """
        if raw not in ("On", "Off"):
            raise RefusedError(f"{self.name}: {raw[:40]!r} is neither On nor Off")
        return raw


@dataclass(slots=True)
class Blob:
    """A BLOB element, whose bytes are sent in separate messages."""

    name: str
    value: str = ""
    label: str = ""

    def definition(self) -> str:
        """Return the element's XML within its vector's definition."""
        return f"<defBLOB {_names(self)}/>"

    def accepted(self, raw: str) -> str:
        """Refuse the text, because clients cannot send BLOBs.

        Raises
        ------
        RefusedError
            Always.
        """
        raise RefusedError(f"{self.name} cannot be written ({len(raw)} characters were received)")


Element = Text | Number | Switch | Blob


class Vector:
    """A property: elements that change together, and their common state.

    Parameters
    ----------
    name, label, group
        Texts as in the INDI standard properties.
    elements
        One or more elements of the same kind.
    permission, rule, state
        Permission, rule (for switches only) and initial state.
    """

    def __init__(
        self,
        name: str,
        label: str,
        group: str,
        *elements: Element,
        permission: Permission = Permission.READ_WRITE,
        rule: Rule = Rule.ONE_OF_MANY,
        state: State = State.IDLE,
    ) -> None:
        self.name = name
        self.label = label
        self.group = group
        self.permission = permission
        self.rule = rule
        self.state = state
        self.elements = {element.name: element for element in elements}
        self.kind = type(elements[0]).__name__.replace("Blob", "BLOB")

    def __getitem__(self, element: str) -> Value:
        return self.elements[element].value

    def number(self, element: str) -> float:
        """Return the value of a number element."""
        return float(self.elements[element].value)

    @property
    def selected(self) -> str | None:
        """Name of the switch that is on; None if all switches are off."""
        return next((name for name, element in self.elements.items() if element.value == "On"), None)

    def select(self, element: str | None) -> None:
        """Switch one element on and all others off."""
        for name, switch in self.elements.items():
            switch.value = "On" if name == element else "Off"

    def set(self, values: Mapping[str, Value]) -> None:
        """Change the values of elements."""
        for name, value in values.items():
            self.elements[name].value = value

    def accepted(self, raw: Mapping[str, str]) -> dict[str, Value]:
        """Return the values that a client has sent as text, or refuse all of them.

        Raises
        ------
        RefusedError
            If the property cannot be written or lacks one of the elements, or if a value is not allowed.
        """
        if self.permission is Permission.READ_ONLY:
            raise RefusedError(f"{self.name} is read-only")
        if unknown := raw.keys() - self.elements.keys():
            raise RefusedError(f"{self.name} has no element {', '.join(sorted(unknown))}")
        values: dict[str, Value] = {name: self.elements[name].accepted(text) for name, text in raw.items()}
        if self.kind == "Switch":
            self._check_rule(values)
        return values

    def _check_rule(self, values: Mapping[str, Value]) -> None:
        on = [name for name, value in values.items() if value == "On"]
        if len(on) > 1:
            raise RefusedError(f"{self.name}: only one of {', '.join(self.elements)} can be on")
        if not on and self.rule is Rule.ONE_OF_MANY:
            raise RefusedError(f"{self.name}: one of {', '.join(self.elements)} must be on")

    def definition(self, device: str) -> str:
        """Return the XML that defines the property."""
        attributes = f"device={quoteattr(device)} name={quoteattr(self.name)} label={quoteattr(self.label)}"
        attributes += f' group={quoteattr(self.group)} state="{self.state}" perm="{self.permission}" timeout="60"'
        if self.kind == "Switch":
            attributes += f' rule="{self.rule}"'
        parts = "\n".join(element.definition() for element in self.elements.values())
        return f'<def{self.kind}Vector {attributes} timestamp="{timestamp()}">\n{parts}\n</def{self.kind}Vector>\n'

    def update(self, device: str, message: str = "") -> str:
        """Return the XML with the property's values and state."""
        parts = "\n".join(
            f"<one{self.kind} name={quoteattr(name)}>{_written(element.value)}</one{self.kind}>"
            for name, element in self.elements.items()
        )
        head = f"{self.header(device, message)}\n"
        return f"{head}{parts}\n</set{self.kind}Vector>\n"

    def header(self, device: str, message: str = "") -> str:
        """Return the opening tag of an update."""
        attributes = f'device={quoteattr(device)} name={quoteattr(self.name)} state="{self.state}" timeout="60"'
        if message:
            attributes += f" message={quoteattr(message)}"
        return f'<set{self.kind}Vector {attributes} timestamp="{timestamp()}">'


def _names(element: Element) -> str:
    return f"name={quoteattr(element.name)} label={quoteattr(element.label or element.name)}"


def _written(value: Value) -> str:
    return escape(value) if isinstance(value, str) else repr(value)


def sexagesimal(text: str) -> float:
    """Parse a decimal number, or degrees, minutes and seconds separated by `:`, `;` or spaces.

    Raises
    ------
    ValueError
        If `text` is not a number.
    """
    parts = text.replace(":", " ").replace(";", " ").split()
    sign = -1.0 if text.strip().startswith("-") else 1.0
    if not 1 <= len(parts) <= 3:  # noqa: PLR2004  # degrees, minutes, seconds
        raise ValueError(text)
    return sign * math.fsum(abs(float(part)) / 60.0**place for place, part in enumerate(parts))


def timestamp() -> str:
    """Return the current time in the format of INDI messages."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
