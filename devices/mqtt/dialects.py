"""The commands and states of each family of lights, as MQTT topics and payloads. This module does no I/O.

Every command disables transitions and effects, so that the light is constant when an exposure begins. States are parsed
field by field. An invalid field counts as absent.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from coldframe.config.tables.mqtt_panel import MqttPanelSettings

LONGEST_PAYLOAD_BYTES = 16_384
"""Size of the largest payload that is parsed. Longer payloads are not states of a lamp."""

BRIGHTEST = 65535
"""Largest valid brightness."""


@dataclass(frozen=True, slots=True)
class LightCommand:
    """A message that commands a light."""

    topic: str
    payload: str


@dataclass(frozen=True, slots=True)
class LightReport:
    """The state of a light, as reported by a message. Fields that the message does not contain are None.

    Attributes
    ----------
    lit
        True if the light is on.
    brightness
        Brightness in the light's own steps.
    online
        True if the light is connected to the broker.
    """

    lit: bool | None = None
    brightness: int | None = None
    online: bool | None = None

    def updated(self, newer: "LightReport") -> "LightReport":
        """Return this report, updated with the fields of a newer report that are not None."""
        return LightReport(
            lit=self.lit if newer.lit is None else newer.lit,
            brightness=self.brightness if newer.brightness is None else newer.brightness,
            online=self.online if newer.online is None else newer.online,
        )


UNKNOWN = LightReport()


class Dialect(Protocol):
    """The commands and states of one family of lights."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics on which the light publishes its state, then the topic for its availability, if any."""
        ...

    def on(self, brightness: int | None, number: int) -> tuple[LightCommand, ...]:
        """Return the commands that switch the light on. `number` distinguishes a command from the previous one."""
        ...

    def off(self, number: int) -> tuple[LightCommand, ...]:
        """Return the commands that switch the light off."""
        ...

    def query(self) -> tuple[LightCommand, ...]:
        """Return the commands that make the light publish its state, if the family has any."""
        ...

    def parse(self, topic: str, payload: bytes) -> LightReport:
        """Return the state reported by a message on one of the topics."""
        ...


class Wled:
    """WLED, which accepts JSON commands on `<topic>/api` and publishes its brightness on `<topic>/g` (0 for off).

    Notes
    -----
    WLED publishes its state only when something has changed. Each command therefore changes the speed of the effect
    Solid, so that WLED confirms every command. With this effect, the speed does not affect the light.
    """

    def __init__(self, settings: MqttPanelSettings) -> None:
        self._command_topic = settings.command_topic or f"{settings.topic}/api"
        self._state = settings.state_topic or f"{settings.topic}/g"
        self._availability = settings.availability_topic or f"{settings.topic}/status"

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics on which the light publishes its state, then the topic for its availability, if any."""
        return self._state, self._availability

    def on(self, brightness: int | None, number: int) -> tuple[LightCommand, ...]:
        """Return the commands that switch the light on."""
        return self._command_for({"on": True} if brightness is None else {"on": True, "bri": brightness}, number)

    def off(self, number: int) -> tuple[LightCommand, ...]:
        """Return the commands that switch the light off."""
        return self._command_for({"on": False}, number)

    def _command_for(self, wanted: Mapping[str, object], number: int) -> tuple[LightCommand, ...]:
        # The night light (nl) would dim the light later. Setting an effect ends a playlist.
        constant = {"transition": 0, "nl": {"on": False}, "seg": {"fx": 0, "sx": 127 + number % 2}}
        return (LightCommand(self._command_topic, json.dumps({**wanted, **constant})),)

    def query(self) -> tuple[LightCommand, ...]:
        """Return no commands, because WLED has no command that requests its state."""
        return ()

    def parse(self, topic: str, payload: bytes) -> LightReport:
        """Return the state reported by a message on one of the topics."""
        if topic == self._availability:
            return LightReport(online=_parse_online(payload))
        brightness = _parse_brightness(_decode(payload))
        if brightness is None:
            return UNKNOWN
        return LightReport(lit=brightness > 0, brightness=brightness or None)


class Tasmota:
    """Tasmota, which has one topic per command, answers on `stat/<topic>/RESULT`, and reports its state on `tele/`."""

    def __init__(self, settings: MqttPanelSettings) -> None:
        self._command_topic = settings.command_topic or f"cmnd/{settings.topic}"
        self._state = settings.state_topic or f"stat/{settings.topic}/RESULT"
        self._telemetry = () if settings.state_topic else (f"tele/{settings.topic}/STATE",)
        self._availability = settings.availability_topic or f"tele/{settings.topic}/LWT"

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics on which the light publishes its state, then the topic for its availability, if any."""
        return self._state, *self._telemetry, self._availability

    def on(self, brightness: int | None, number: int) -> tuple[LightCommand, ...]:  # noqa: ARG002  each command is answered
        """Return the commands that switch the light on.

        The brightness is set first, because the light would otherwise start with the previous brightness.
        """
        dimmed = [] if brightness is None else [("Dimmer", str(brightness))]
        return self._commands(("Fade", "0"), ("Scheme", "0"), *dimmed, ("POWER", "ON"))

    def off(self, number: int) -> tuple[LightCommand, ...]:  # noqa: ARG002  each command is answered
        """Return the commands that switch the light off."""
        return self._commands(("Fade", "0"), ("POWER", "OFF"))

    def query(self) -> tuple[LightCommand, ...]:
        """Return the command that makes the light publish its state."""
        return self._commands(("STATE", ""))

    def _commands(self, *commands: tuple[str, str]) -> tuple[LightCommand, ...]:
        return tuple(LightCommand(f"{self._command_topic}/{name}", value) for name, value in commands)

    def parse(self, topic: str, payload: bytes) -> LightReport:
        """Return the state reported by a message on one of the topics."""
        if topic == self._availability:
            return LightReport(online=_parse_online(payload))
        fields = _parse_object(payload)
        return LightReport(
            lit=_parse_lit(fields.get("POWER", fields.get("POWER1"))),
            brightness=_parse_brightness(fields.get("Dimmer")),
        )


class JsonLight:
    """Lights that accept and publish `{"state": "ON", "brightness": 128}`, such as ESPHome and zigbee2mqtt.

    Parameters
    ----------
    settings
        Settings with the light's topic.
    command, state, availability
        The family's topics; `availability` is None if lights of this family do not publish their availability.
    query_topic
        Topic on which the state can be requested; None if it cannot be requested.
    stop_effect
        Payload that ends an effect; None if none is needed. It is sent as a separate message, because ESPHome rejects a
        message with both an effect and a transition.
    """

    def __init__(
        self,
        settings: MqttPanelSettings,
        command: str,
        state: str,
        availability: str | None,
        *,
        query_topic: str | None = None,
        stop_effect: str | None = None,
    ) -> None:
        self._command_topic = settings.command_topic or command
        self._state = settings.state_topic or state
        self._availability = settings.availability_topic or availability
        self._query_topic = query_topic
        self._stop_effect = stop_effect

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics on which the light publishes its state, then the topic for its availability, if any."""
        return (self._state,) if self._availability is None else (self._state, self._availability)

    def on(self, brightness: int | None, number: int) -> tuple[LightCommand, ...]:  # noqa: ARG002  each command is answered
        """Return the commands that switch the light on."""
        dimmed = {} if brightness is None else {"brightness": brightness}
        command = self._command_for({"state": "ON", **dimmed, "transition": 0})
        return (
            (command,) if self._stop_effect is None else (LightCommand(self._command_topic, self._stop_effect), command)
        )

    def off(self, number: int) -> tuple[LightCommand, ...]:  # noqa: ARG002  each command is answered
        """Return the commands that switch the light off."""
        return (self._command_for({"state": "OFF", "transition": 0}),)

    def _command_for(self, wanted: Mapping[str, object]) -> LightCommand:
        return LightCommand(self._command_topic, json.dumps(wanted))

    def query(self) -> tuple[LightCommand, ...]:
        """Return the command that makes the light publish its state, if the family has one."""
        return () if self._query_topic is None else (LightCommand(self._query_topic, '{"state": ""}'),)

    def parse(self, topic: str, payload: bytes) -> LightReport:
        """Return the state reported by a message on one of the topics."""
        if topic == self._availability:
            return LightReport(online=_parse_online(payload))
        fields = _parse_object(payload)
        return LightReport(lit=_parse_lit(fields.get("state")), brightness=_parse_brightness(fields.get("brightness")))


def dialect_of(settings: MqttPanelSettings) -> Dialect:
    """Return the dialect of the configured light."""
    topic = settings.topic
    match settings.family:
        case "wled":
            return Wled(settings)
        case "tasmota":
            return Tasmota(settings)
        case "esphome":
            node, light, _ = topic.partition("/light/")
            availability = f"{node}/status" if light else None
            stop_effect = '{"effect": "None"}'
            return JsonLight(settings, f"{topic}/command", f"{topic}/state", availability, stop_effect=stop_effect)
        case "zigbee2mqtt":
            return JsonLight(settings, f"{topic}/set", topic, f"{topic}/availability", query_topic=f"{topic}/get")
        case "json":
            return JsonLight(settings, f"{topic}/set", topic, None)


def _decode(payload: bytes) -> str:
    if len(payload) > LONGEST_PAYLOAD_BYTES:
        return ""
    return payload.decode(errors="replace").strip()


def _parse_object(payload: bytes) -> Mapping[str, object]:
    try:
        fields = json.loads(_decode(payload))
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _parse_online(payload: bytes) -> bool | None:
    """Parse an availability such as "online" or {"state": "online"}, regardless of case."""
    value = _parse_object(payload).get("state", _decode(payload))
    return {"online": True, "offline": False}.get(value.lower()) if isinstance(value, str) else None


def _parse_lit(value: object) -> bool | None:
    return {"on": True, "off": False}.get(value.lower()) if isinstance(value, str) else None


def _parse_brightness(value: object) -> int | None:
    """Parse a brightness given as a number or as a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(BRIGHTEST)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value <= BRIGHTEST:
        return None
    return round(value)
