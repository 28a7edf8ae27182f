"""A light on an MQTT broker, as the firmware of each family shows it, whose lamp the simulated telescope can see."""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from coldframe.config.simulated_rig import MqttLampModel
from coldframe.config.tables.broker import BrokerSettings
from coldframe.config.tables.mqtt_panel import FULL_BRIGHTNESS, Family
from coldframe.devices.mqtt.client import Broker, BrokerLostError, connect, read_access
from coldframe.devices.mqtt.message import Message
from coldframe.simulators.panel import Panel

RECONNECT_S = 0.2
KEEP_ALIVE_S = 5
MOST_WAITING = 1000
FADE_STEPS = 5

log = logging.getLogger(__name__)


@dataclass
class Habits:
    """What may be wrong with a light.

    Attributes
    ----------
    is_mute
        It obeys but tells nothing.
    is_deaf
        It hears no orders.
    brightest
        A limit of its own, below the full brightness.
    fade_s
        It takes so long to change, whatever transition is asked for.
    is_stuck
        It tells what it should, but the lamp stays as it is.
    burns_on
        It tells that it is off, and burns on.
    is_chatty
        It tells things that are no state before each state.
    """

    is_mute: bool = False
    is_deaf: bool = False
    brightest: int | None = None
    fade_s: float = 0.0
    is_stuck: bool = False
    burns_on: bool = False
    is_chatty: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What an order asks for; None where it does not say."""

    lit: bool | None = None
    brightness: int | None = None
    is_answered: bool = True
    """Even where it changes nothing."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a light."""

    topic: str
    payload: str
    is_kept: bool = False

    @property
    def message(self) -> Message:
        """As it goes to the broker."""
        return Message(self.topic, self.payload.encode(), self.is_kept)


class Firmware(Protocol):
    """What a family hears and says."""

    @property
    def heard(self) -> tuple[str, ...]:
        """Topics that it subscribes to."""
        ...

    def availability(self, *, online: bool) -> Said:
        """Return the message of its birth, or its last will."""
        ...

    def understand(self, topic: str, payload: bytes) -> Change:
        """Return what an order asks for."""
        ...

    def tell(self, *, lit: bool, brightness: int) -> tuple[Said, ...]:
        """Return how it tells its state."""
        ...


class WledFirmware:
    """Answers only what changes something, be it no more than the speed of its effect."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._segment: object = None

    @property
    def heard(self) -> tuple[str, ...]:
        """Topics that it subscribes to."""
        return self._topic, f"{self._topic}/api"

    def availability(self, *, online: bool) -> Said:
        """Return the message of its birth, or its last will."""
        return Said(f"{self._topic}/status", "online" if online else "offline", is_kept=True)

    def understand(self, topic: str, payload: bytes) -> Change:
        """Return what an order asks for."""
        if topic == self._topic:
            text = payload.decode()
            if text in {"ON", "OFF"}:
                return Change(lit=text == "ON", is_answered=False)
            return Change(lit=int(text) > 0, brightness=int(text) or None, is_answered=False)
        order = json.loads(payload)
        segment = order.get("seg")
        is_new, self._segment = segment != self._segment, segment
        return Change(order.get("on"), order.get("bri"), is_answered=is_new)

    def tell(self, *, lit: bool, brightness: int) -> tuple[Said, ...]:
        """Return how it tells its state."""
        return (
            Said(f"{self._topic}/g", str(brightness if lit else 0)),
            Said(f"{self._topic}/c", "#FFFFFF"),
            self.availability(online=True),
        )


class TasmotaFirmware:
    """Has a topic for each command, and answers each of them with what it was about."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._about = ""

    @property
    def heard(self) -> tuple[str, ...]:
        """Topics that it subscribes to."""
        return (f"cmnd/{self._topic}/#",)

    def availability(self, *, online: bool) -> Said:
        """Return the message of its birth, or its last will."""
        return Said(f"tele/{self._topic}/LWT", "Online" if online else "Offline", is_kept=True)

    def understand(self, topic: str, payload: bytes) -> Change:
        """Return what an order asks for."""
        self._about, text = topic.rsplit("/", 1)[1].upper(), payload.decode()
        if self._about == "POWER" and text:
            return Change(lit=text == "ON")
        if self._about == "DIMMER" and text:
            return Change(lit=int(text) > 0, brightness=int(text))
        return Change()

    def tell(self, *, lit: bool, brightness: int) -> tuple[Said, ...]:
        """Return how it tells its state."""
        power = {"POWER": "ON" if lit else "OFF"}
        results: dict[str, dict[str, object]] = {
            "POWER": {**power},
            "DIMMER": {**power, "Dimmer": brightness},
            "STATE": {"Uptime": "0T00:00:11", **power, "Dimmer": brightness, "Fade": "OFF"},
            "FADE": {"Fade": "OFF"},
            "": {**power, "Dimmer": brightness},  # no command: its button, or its own web page
        }
        result = results.get(self._about, {"Command": "Unknown"})
        self._about = ""
        power_alone = Said(f"stat/{self._topic}/POWER", power["POWER"])
        return Said(f"stat/{self._topic}/RESULT", json.dumps(result)), power_alone


class JsonFirmware:
    """Takes and tells JSON: ESPHome, whose state the broker keeps, and zigbee2mqtt, which can be asked."""

    def __init__(self, command: str, state: str, availability: str, *, is_kept: bool, asked: str | None = None) -> None:
        self._command = command
        self._state = state
        self._availability = availability
        self._is_kept = is_kept
        self._asked = asked

    @property
    def heard(self) -> tuple[str, ...]:
        """Topics that it subscribes to."""
        return (self._command,) if self._asked is None else (self._command, self._asked)

    def availability(self, *, online: bool) -> Said:
        """Return the message of its birth, or its last will; the bridge wraps it in JSON."""
        word = "online" if online else "offline"
        return Said(self._availability, word if self._asked is None else json.dumps({"state": word}), is_kept=True)

    def understand(self, topic: str, payload: bytes) -> Change:
        """Return what an order asks for."""
        if topic == self._asked:
            return Change()
        order = json.loads(payload)
        state = order.get("state")
        return Change(None if state is None else state == "ON", order.get("brightness"))

    def tell(self, *, lit: bool, brightness: int) -> tuple[Said, ...]:
        """Return how it tells its state; the bridge in parts."""
        state = {"state": "ON" if lit else "OFF"}
        if self._asked is None:
            return (Said(self._state, json.dumps({**state, "brightness": brightness, "effect": "None"}), is_kept=True),)
        return Said(self._state, json.dumps(state)), Said(self._state, json.dumps({"brightness": brightness}))


def firmware(family: Family, topic: str) -> Firmware:
    """Return what a family hears and says on the topics that its guide names."""
    match family:
        case "wled":
            return WledFirmware(topic)
        case "tasmota":
            return TasmotaFirmware(topic)
        case "esphome":
            node = topic.split("/", 1)[0]
            return JsonFirmware(f"{topic}/command", f"{topic}/state", f"{node}/status", is_kept=True)
        case _:
            return JsonFirmware(f"{topic}/set", topic, f"{topic}/availability", is_kept=False, asked=f"{topic}/get")


def light_of(model: MqttLampModel, lamp: Panel) -> "SimulatedMqttLight":
    """Return the light that a rig file describes."""
    habits = Habits(is_stuck=model.is_stuck)
    return SimulatedMqttLight(BrokerSettings(port=model.port), model.family, model.topic, lamp, habits)


class SimulatedMqttLight:
    """A light that connects to a broker, and again whenever that comes back, for as long as its context is open.

    Parameters
    ----------
    settings
        The broker that it connects to.
    family, topic
        Which firmware it runs, and the topic in its settings.
    lamp
        What shines.
    habits
        What is wrong with it.
    """

    def __init__(
        self, settings: BrokerSettings, family: Family, topic: str, lamp: Panel, habits: Habits | None = None
    ) -> None:
        self._settings = settings
        self._firmware = firmware(family, topic)
        self._full = FULL_BRIGHTNESS[family]
        self._lamp = lamp
        self.habits = habits or Habits()
        self.lit = False
        self.brightness = self._full
        self.orders: list[tuple[str, bytes, bool]] = []
        self.is_connected = asyncio.Event()
        self._broker: Broker | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="simulated MQTT light")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def run(self) -> None:
        """Keep its context open until cancelled."""
        async with self:
            await asyncio.Event().wait()

    async def switch(self, *, lit: bool, brightness: int | None = None) -> None:
        """Switch it by hand, at its button; it tells so."""
        await self._obey(Change(lit, brightness))

    async def lose_power(self) -> None:
        """Cut its power: it is dark, and the broker soon tells its last will."""
        await self.__aexit__(None, None, None)
        self.lit = self._lamp.lit = False

    async def _run(self) -> None:
        while True:
            with suppress(BrokerLostError):
                await self._serve()
            self.is_connected.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _serve(self) -> None:
        will = self._firmware.availability(online=False).message
        async with connect(
            read_access(self._settings), client_id=None, will=will, most_waiting=MOST_WAITING, keep_alive_s=KEEP_ALIVE_S
        ) as broker:
            try:
                self._broker = broker
                await self._begin(broker)
                async for message in broker.messages():
                    await self._hear(message)
            finally:
                self._broker = None
                with suppress(BrokerLostError):  # as a cut cable has the broker tell it
                    await broker.publish(will)

    async def _begin(self, broker: Broker) -> None:
        await broker.subscribe(self._firmware.heard)
        await self._say(self._firmware.availability(online=True))
        await self._tell()
        self.is_connected.set()

    async def _hear(self, message: Message) -> None:
        self.orders.append((message.topic, message.payload, message.is_retained))
        if self.habits.is_deaf:
            return
        try:
            change = self._firmware.understand(message.topic, message.payload)
        except (ValueError, AttributeError) as error:
            log.info("a simulated light did not understand an order: %s", error)
        else:
            await self._obey(change)

    async def _obey(self, change: Change) -> None:
        before = self.brightness if self.lit else 0
        if change.brightness is not None:
            self.brightness = min(change.brightness, self.habits.brightest or self._full)
        if change.lit is not None:
            self.lit = change.lit
        after = self.brightness if self.lit else 0
        if self.habits.fade_s and before != after:
            await self._fade(before, after)
        self._shine(after)
        if change.is_answered or before != after:
            await self._tell()

    async def _fade(self, before: int, after: int) -> None:
        """Go there in steps, and tell each of them."""
        lit, brightness = self.lit, self.brightness
        for step in range(FADE_STEPS):
            self.brightness = round(before + (after - before) * step / FADE_STEPS)
            self.lit = self.brightness > 0
            self._shine(self.brightness)
            await self._tell()
            await asyncio.sleep(self.habits.fade_s / FADE_STEPS)
        self.lit, self.brightness = lit, brightness

    def _shine(self, brightness: int) -> None:
        if not self.habits.is_stuck and not (self.habits.burns_on and brightness == 0):
            self._lamp.lit = brightness > 0
            self._lamp.brightness = round(brightness / self._full * self._lamp.model.brightness_maximum)

    async def _tell(self) -> None:
        if self.habits.is_mute:
            return
        said = self._firmware.tell(lit=self.lit, brightness=self.brightness)
        if self.habits.is_chatty:
            for payload in ("", "\x00", "{", "[1]", '{"state": 7, "brightness": true}', "NaN", "9" * 40, "x" * 20_000):
                await self._say(Said(said[0].topic, payload))
        for each in said:
            await self._say(each)

    async def _say(self, said: Said) -> None:
        broker = self._broker
        if broker is not None:
            await broker.publish(said.message)
