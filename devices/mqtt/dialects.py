"""What lights of each family are told over MQTT, and how they tell their state. Pure: topics and payloads, no network.

Every order asks for no transition and no effect. What a light says is judged field by field; garbage says nothing.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from coldframe.config.tables.mqtt_panel import MqttPanelSettings

LONGEST_PAYLOAD_BYTES = 16_384
"""What is longer is no state of a light, and is not looked into."""

BRIGHTEST = 65535
"""What is brighter is garbage."""


@dataclass(frozen=True, slots=True)
class Order:
    """A message to a light."""

    topic: str
    payload: str


@dataclass(frozen=True, slots=True)
class LightReport:
    """What a message says of a light; None where it does not say.

    Attributes
    ----------
    lit
        Whether it is on.
    brightness
        In the light's own steps.
    online
        Whether it is connected to the broker.
    """

    lit: bool | None = None
    brightness: int | None = None
    online: bool | None = None

    def updated(self, newer: "LightReport") -> "LightReport":
        """Return this with what `newer` says in place of it; messages may tell parts of the state."""
        return LightReport(
            lit=self.lit if newer.lit is None else newer.lit,
            brightness=self.brightness if newer.brightness is None else newer.brightness,
            online=self.online if newer.online is None else newer.online,
        )


SILENCE = LightReport()


class Dialect(Protocol):
    """How one family of lights is spoken to."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Where the light tells of itself."""
        ...

    def on(self, brightness: int | None, number: int) -> tuple[Order, ...]:
        """Return what lights it; `number` tells one order from the next."""
        ...

    def off(self, number: int) -> tuple[Order, ...]:
        """Return what puts it out."""
        ...

    def ask(self) -> tuple[Order, ...]:
        """Return what has it tell its state; nothing where the family cannot be asked."""
        ...

    def read(self, topic: str, payload: bytes) -> LightReport:
        """Return what a message on one of the topics says."""
        ...


class Wled:
    """WLED: JSON on `<topic>/api`, the brightness on `<topic>/g`, with 0 as off.

    Notes
    -----
    WLED tells its state only when something has changed. The effect is Solid, whose speed shows in nothing: another
    speed with each order makes a change, so that each order is answered.
    """

    def __init__(self, settings: MqttPanelSettings) -> None:
        self._command = settings.command_topic or f"{settings.topic}/api"
        self._state = settings.state_topic or f"{settings.topic}/g"
        self._availability = settings.availability_topic or f"{settings.topic}/status"

    @property
    def topics(self) -> tuple[str, ...]:
        """Where the light tells of itself."""
        return self._state, self._availability

    def on(self, brightness: int | None, number: int) -> tuple[Order, ...]:
        """Return what lights it."""
        return self._order({"on": True} if brightness is None else {"on": True, "bri": brightness}, number)

    def off(self, number: int) -> tuple[Order, ...]:
        """Return what puts it out."""
        return self._order({"on": False}, number)

    def _order(self, wanted: Mapping[str, object], number: int) -> tuple[Order, ...]:
        # The night light would dim it later; that an effect is set ends a playlist.
        still = {"transition": 0, "nl": {"on": False}, "seg": {"fx": 0, "sx": 127 + number % 2}}
        return (Order(self._command, json.dumps({**wanted, **still})),)

    def ask(self) -> tuple[Order, ...]:
        """Return nothing: it tells its state on its own, or not at all."""
        return ()

    def read(self, topic: str, payload: bytes) -> LightReport:
        """Return what a message on one of the topics says."""
        if topic == self._availability:
            return LightReport(online=_online(payload))
        brightness = _brightness(_text(payload))
        if brightness is None:
            return SILENCE
        return LightReport(lit=brightness > 0, brightness=brightness or None)


class Tasmota:
    """Tasmota: one topic for each command, answers on `stat/<topic>/RESULT`, all of it now and then on `tele/`."""

    def __init__(self, settings: MqttPanelSettings) -> None:
        self._command = settings.command_topic or f"cmnd/{settings.topic}"
        self._state = settings.state_topic or f"stat/{settings.topic}/RESULT"
        self._telemetry = () if settings.state_topic else (f"tele/{settings.topic}/STATE",)
        self._availability = settings.availability_topic or f"tele/{settings.topic}/LWT"

    @property
    def topics(self) -> tuple[str, ...]:
        """Where the light tells of itself."""
        return self._state, *self._telemetry, self._availability

    def on(self, brightness: int | None, number: int) -> tuple[Order, ...]:  # noqa: ARG002  each command is answered
        """Return what lights it, the brightness first: it would come on as bright as it was last."""
        dimmed = [] if brightness is None else [("Dimmer", str(brightness))]
        return self._orders(("Fade", "0"), ("Scheme", "0"), *dimmed, ("POWER", "ON"))

    def off(self, number: int) -> tuple[Order, ...]:  # noqa: ARG002  each command is answered
        """Return what puts it out."""
        return self._orders(("Fade", "0"), ("POWER", "OFF"))

    def ask(self) -> tuple[Order, ...]:
        """Return what has it tell its state."""
        return self._orders(("STATE", ""))

    def _orders(self, *commands: tuple[str, str]) -> tuple[Order, ...]:
        return tuple(Order(f"{self._command}/{name}", value) for name, value in commands)

    def read(self, topic: str, payload: bytes) -> LightReport:
        """Return what a message on one of the topics says."""
        if topic == self._availability:
            return LightReport(online=_online(payload))
        told = _table(payload)
        return LightReport(lit=_lit(told.get("POWER", told.get("POWER1"))), brightness=_brightness(told.get("Dimmer")))


class JsonLight:
    """Lights that take and tell `{"state": "ON", "brightness": 128}`: ESPHome, zigbee2mqtt, and their kin.

    Parameters
    ----------
    settings
        With the light's topic.
    command, state, availability
        Where this family listens and tells; `availability` is None where it does not tell.
    ask
        Topic on which its state can be asked for, None where there is none.
    stop_effect
        What ends an effect, in an order of its own: ESPHome takes no effect and transition at once.
    """

    def __init__(
        self,
        settings: MqttPanelSettings,
        command: str,
        state: str,
        availability: str | None,
        *,
        ask: str | None = None,
        stop_effect: str | None = None,
    ) -> None:
        self._command = settings.command_topic or command
        self._state = settings.state_topic or state
        self._availability = settings.availability_topic or availability
        self._ask = ask
        self._stop_effect = stop_effect

    @property
    def topics(self) -> tuple[str, ...]:
        """Where the light tells of itself."""
        return (self._state,) if self._availability is None else (self._state, self._availability)

    def on(self, brightness: int | None, number: int) -> tuple[Order, ...]:  # noqa: ARG002  each order is answered
        """Return what lights it."""
        dimmed = {} if brightness is None else {"brightness": brightness}
        order = self._order({"state": "ON", **dimmed, "transition": 0})
        return (order,) if self._stop_effect is None else (Order(self._command, self._stop_effect), order)

    def off(self, number: int) -> tuple[Order, ...]:  # noqa: ARG002  each order is answered
        """Return what puts it out."""
        return (self._order({"state": "OFF", "transition": 0}),)

    def _order(self, wanted: Mapping[str, object]) -> Order:
        return Order(self._command, json.dumps(wanted))

    def ask(self) -> tuple[Order, ...]:
        """Return what has it tell its state, where it can be asked."""
        return () if self._ask is None else (Order(self._ask, '{"state": ""}'),)

    def read(self, topic: str, payload: bytes) -> LightReport:
        """Return what a message on one of the topics says."""
        if topic == self._availability:
            return LightReport(online=_online(payload))
        told = _table(payload)
        return LightReport(lit=_lit(told.get("state")), brightness=_brightness(told.get("brightness")))


def dialect_of(settings: MqttPanelSettings) -> Dialect:
    """Return how the configured light is spoken to."""
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
            return JsonLight(settings, f"{topic}/set", topic, f"{topic}/availability", ask=f"{topic}/get")
        case "json":
            return JsonLight(settings, f"{topic}/set", topic, None)


def _text(payload: bytes) -> str:
    if len(payload) > LONGEST_PAYLOAD_BYTES:
        return ""
    return payload.decode(errors="replace").strip()


def _table(payload: bytes) -> Mapping[str, object]:
    try:
        told = json.loads(_text(payload))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _online(payload: bytes) -> bool | None:
    """Read "online" or {"state": "online"}, in any case of letters."""
    told = _table(payload).get("state", _text(payload))
    return {"online": True, "offline": False}.get(told.lower()) if isinstance(told, str) else None


def _lit(told: object) -> bool | None:
    return {"on": True, "off": False}.get(told.lower()) if isinstance(told, str) else None


def _brightness(told: object) -> int | None:
    """Read a brightness, given as a number or as its digits."""
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) <= len(str(BRIGHTEST)):
        told = int(told)
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    if not math.isfinite(told) or not 0 <= told <= BRIGHTEST:
        return None
    return round(told)
