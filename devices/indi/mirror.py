"""The copy of the server's properties that the event loop reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coldframe.devices.camera import Limits

Value = float | bool | str
State = Literal["idle", "ok", "busy", "alert"]


MOST_DEVICES = 200
MOST_PROPERTIES = 1000
"""Bounds on memory. A rig has about ten devices with a hundred properties each. Only a broken server has more."""


@dataclass(frozen=True, slots=True)
class Property:
    """A snapshot of a property that the server last sent.

    Attributes
    ----------
    kind
        "number", "switch", "text", "light" or "blob".
    serial
        Number of the event with this snapshot, among all events of the link.
    received_at_s
        Time of the event on the running loop's clock.
    """

    device: str
    name: str
    label: str
    kind: str
    state: State
    readable: bool
    writable: bool
    values: Mapping[str, Value]
    labels: Mapping[str, str]
    limits: Mapping[str, Limits]
    serial: int
    received_at_s: float

    def number(self, element: str) -> float:
        """Return the value of a number element."""
        return float(self.values[element])

    def switched_on(self) -> str | None:
        """Return the name of the first switch that is on."""
        return next((name for name, on in self.values.items() if on is True), None)


class Mirror:
    """The newest snapshot of every property and the last message of every device, within bounds."""

    def __init__(self) -> None:
        self.serial = 0
        self._devices: dict[str, dict[str, Property]] = {}
        self._messages: dict[str, tuple[int, str]] = {}
        self._removals: dict[str, int] = {}
        self._disconnections: dict[str, int] = {}
        self._heard_of: set[str] = set()

    def clear(self) -> None:
        """Remove all properties after the connection is lost."""
        self._devices.clear()
        self.serial += 1

    def apply(self, event: Mapping[str, Any], now_s: float) -> None:
        """Apply one event from the link's process."""
        self.serial += 1
        if not self._has_room(event["device"]):
            return
        match event["event"]:
            case "property":
                properties = self._devices.setdefault(event["device"], {})
                if event["name"] in properties or len(properties) < MOST_PROPERTIES:
                    self._count_disconnection(properties.get("CONNECTION"), event)
                    properties[event["name"]] = self._snapshot(event, now_s)
            case "removed" if event["name"] is None:
                self._devices.pop(event["device"], None)
                self._removals[event["device"]] = self.removals(event["device"]) + 1
            case "removed":
                self._devices.get(event["device"], {}).pop(event["name"], None)
            case "message":
                self._messages[event["device"]] = (self.serial, event["text"])

    def _count_disconnection(self, before: Property | None, event: Mapping[str, Any]) -> None:
        was_connected = before is not None and before.state != "busy" and before.values.get("CONNECT") is True
        if event["name"] == "CONNECTION" and was_connected and event["values"].get("CONNECT") is False:
            self._disconnections[event["device"]] = self.disconnections(event["device"]) + 1

    def _has_room(self, device: str) -> bool:
        """Return True if the device is already known or can still be added."""
        if device not in self._heard_of and len(self._heard_of) < MOST_DEVICES:
            self._heard_of.add(device)
        return device in self._heard_of

    def _snapshot(self, event: Mapping[str, Any], now_s: float) -> Property:
        return Property(
            device=event["device"],
            name=event["name"],
            label=event["label"],
            kind=event["kind"],
            state=event["state"],
            readable=event["readable"],
            writable=event["writable"],
            values=event["values"],
            labels=event["labels"],
            limits={name: Limits(*limits) for name, limits in event["limits"].items()},
            serial=self.serial,
            received_at_s=now_s,
        )

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices that have at least one property."""
        return tuple(name for name, properties in self._devices.items() if properties)

    def find(self, device: str, name: str) -> Property | None:
        """Return the newest snapshot of a property; None if the device has no property with that name."""
        return self._devices.get(device, {}).get(name)

    def properties(self, device: str) -> tuple[Property, ...]:
        """Return all properties of a device."""
        return tuple(self._devices.get(device, {}).values())

    def removals(self, device: str) -> int:
        """Return the number of times that the whole device was removed, for example because its driver crashed."""
        return self._removals.get(device, 0)

    def disconnections(self, device: str) -> int:
        """Return the number of times that the device's driver was disconnected from its hardware, by any client."""
        return self._disconnections.get(device, 0)

    def message_since(self, device: str, serial: int) -> str:
        """Return the device's last message if it arrived after event `serial`, otherwise an empty string."""
        received, text = self._messages.get(device, (0, ""))
        return text if received > serial else ""


def in_brackets(message: str) -> str:
    """Return a message in brackets for the end of an error's text, or an empty string if there is no message."""
    return f" ({message})" if message else ""
