"""The copy of the server's properties that the event loop reads."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceError, DeviceLostError

log = logging.getLogger(__name__)

Value = float | bool | str
State = Literal["idle", "ok", "busy", "alert"]


DISCONNECTED_ADVICE = "Is its cable plugged in? Is another program using the device?"

MOST_DEVICES = 200
MOST_PROPERTIES = 1000
"""Maximum numbers of devices and of properties per device, which limit the memory use. A rig has about ten devices with
a hundred properties each; only a faulty server exceeds the limits."""


@dataclass(frozen=True, slots=True)
class Property:
    """A snapshot of a property, as the server last sent it.

    Attributes
    ----------
    kind
        "number", "switch", "text", "light" or "blob".
    serial
        Sequence number, within the link, of the event that brought this snapshot.
    received_at_s
        Time of the event on the event loop's clock.
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
        """Return the value of a number element.

        Raises
        ------
        DeviceError
            If the value is not a finite number.
        """
        number = finite(self.values.get(element))
        if number is None:
            shown = self.values.get(element, "missing")
            raise DeviceError(self.device, f"{self.name}.{element} is {shown}, not a number", "Restart its driver.")
        return number

    def switched_on(self) -> str | None:
        """Return the name of the first switch that is on; None if all are off."""
        return next((name for name, on in self.values.items() if on is True), None)


class Mirror:
    """The latest snapshot of every property and the last message of every device, in bounded memory."""

    def __init__(self) -> None:
        self.serial = 0
        self._devices: dict[str, dict[str, Property]] = {}
        self._messages: dict[str, tuple[int, str]] = {}
        self._removals: dict[str, int] = {}
        self._disconnections: dict[str, int] = {}
        self._heard_of: set[str] = set()
        self._kinds: dict[str, dict[str, str]] = {}
        self._refused: set[tuple[str, str]] = set()
        self._removed: set[tuple[str, str]] = set()  # properties that were removed and have not been defined since

    def clear(self) -> None:
        """Remove all properties, because the connection has been lost."""
        self._devices.clear()
        self._kinds.clear()
        self._removed.clear()
        self.serial += 1

    def apply(self, event: Mapping[str, Any], now_s: float) -> None:
        """Apply one event from the link's process."""
        self.serial += 1
        if not self._has_room(event["device"]):
            return
        match event["event"]:
            case "property":
                self._removed.discard((event["device"], event["name"]))
                if self._is_accepted(event["device"], event["name"], event["kind"]):
                    properties = self._devices.setdefault(event["device"], {})
                    self._count_disconnection(properties.get("CONNECTION"), event)
                    properties[event["name"]] = self._snapshot(event, now_s)
            case "removed" if event["name"] is None:
                self._devices.pop(event["device"], None)
                self._forget_removed(event["device"])
                self._removals[event["device"]] = self.removals(event["device"]) + 1
            case "removed":
                if self._devices.get(event["device"], {}).pop(event["name"], None) is not None:
                    self._removed.add((event["device"], event["name"]))
            case "message":
                self._messages[event["device"]] = (self.serial, event["text"])

    def _count_disconnection(self, before: Property | None, event: Mapping[str, Any]) -> None:
        if event["name"] != "CONNECTION" or before is None:
            return
        device, was_connected = event["device"], before.values.get("CONNECT") is True
        is_connected = event["values"].get("CONNECT")
        if was_connected and before.state != "busy" and is_connected is False:
            self._disconnections[device] = self.disconnections(device) + 1
        if not was_connected and is_connected is True:
            # A driver defines its properties after it connects; any that it does not define then are truly missing.
            self._forget_removed(device)

    def _forget_removed(self, device: str) -> None:
        self._removed = {each for each in self._removed if each[0] != device}

    def _has_room(self, device: str) -> bool:
        """Return True if the device is already known or can still be added."""
        if device not in self._heard_of and len(self._heard_of) < MOST_DEVICES:
            self._heard_of.add(device)
        return device in self._heard_of

    def _is_accepted(self, device: str, name: str, kind: str) -> bool:
        """Return True unless the device has too many properties, or has defined this property with a different type.

        A driver that redefines a property with a different type is faulty. The type is remembered even after the
        property is removed, because a property must be removed before it can be redefined.
        """
        kinds = self._kinds.setdefault(device, {})
        if name not in kinds and len(kinds) < MOST_PROPERTIES:
            kinds[name] = kind
        is_accepted = kinds.get(name) == kind
        if not is_accepted and name in kinds and (device, name) not in self._refused:
            self._refused.add((device, name))
            log.warning("%s: ignored %s, whose type changed from %s to %s", device, name, kinds[name], kind)
        return is_accepted

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
            limits={name: _known(Limits(*limits)) for name, limits in event["limits"].items()},
            serial=self.serial,
            received_at_s=now_s,
        )

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices that have at least one property."""
        return tuple(name for name, properties in self._devices.items() if properties)

    def find(self, device: str, name: str) -> Property | None:
        """Return the latest snapshot of a property; None if the device has no property with that name."""
        return self._devices.get(device, {}).get(name)

    def properties(self, device: str) -> tuple[Property, ...]:
        """Return all properties of a device."""
        return tuple(self._devices.get(device, {}).values())

    def removals(self, device: str) -> int:
        """Return the number of times that the whole device was removed, for example because its driver crashed."""
        return self._removals.get(device, 0)

    def is_removed(self, device: str, name: str) -> bool:
        """Return True if the driver has removed the property since connecting, and has not defined it again."""
        return (device, name) in self._removed

    def expect_lasting(self, device: str, *names: str) -> None:
        """Raise an error if one of these missing properties may be missing only temporarily.

        Drivers remove all properties when they are disconnected from their hardware; some drivers do so before they
        report the disconnection. Drivers also remove a property in order to redefine it, for example with other limits.
        After a crash of the driver or of the server, all properties are missing.

        Raises
        ------
        DeviceLostError
            If the driver is missing, reports that it is disconnected, or has removed one of the properties.
        """
        prop = self.find(device, "CONNECTION")
        if prop is not None and prop.values.get("CONNECT") is False:
            raise DeviceLostError(device, "another client or the driver disconnected it", DISCONNECTED_ADVICE)
        for name in names:
            if self.is_removed(device, name):
                raise DeviceLostError(device, f"its driver has removed {name}", "Restart its driver.")
        if prop is None:
            raise DeviceLostError(device, "its driver is missing", "Did the driver or the server crash?")

    def disconnections(self, device: str) -> int:
        """Return the number of times that the device's driver was disconnected from its hardware, by any client."""
        return self._disconnections.get(device, 0)

    def message_since(self, device: str, serial: int) -> str:
        """Return the device's last message if it arrived after event `serial`, otherwise an empty string."""
        received, text = self._messages.get(device, (0, ""))
        return text if received > serial else ""


def finite(value: Value | None) -> float | None:
    """Return a value as a float, or None if it is missing, text, NaN or infinite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _known(limits: Limits) -> Limits:
    """Return the limits; if they are not finite, return 0 to 0, which is how drivers announce an unknown range."""
    return limits if math.isfinite(limits.minimum) and math.isfinite(limits.maximum) else Limits(0.0, 0.0)


def in_brackets(message: str) -> str:
    """Return a message in brackets, to be appended to an error message, or an empty string if there is no message."""
    return f" ({message})" if message else ""
