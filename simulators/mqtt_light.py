"""A simulated lamp on an MQTT broker. It illuminates the telescope, and can have the firmware of any family."""

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
    """Faults and peculiarities of a lamp.

    Attributes
    ----------
    is_mute
        True if the lamp executes commands, but publishes nothing.
    is_deaf
        True if the lamp ignores all commands.
    brightest
        Highest brightness of the lamp; None if the lamp reaches full brightness.
    fade_s
        Duration of every change in brightness, seconds, regardless of the commanded transition.
    is_stuck
        True if the lamp confirms every command, but does not change.
    burns_on
        True if the lamp reports that it is off, but stays on.
    is_chatty
        True if the lamp publishes other messages before each state.
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
    """The change that a command requests. Attributes that do not change are None."""

    lit: bool | None = None
    brightness: int | None = None
    is_answered: bool = True
    """True if the state is published even if nothing changes."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that a lamp publishes."""

    topic: str
    payload: str
    is_retained: bool = False

    @property
    def message(self) -> Message:
        """The message to send to the broker."""
        return Message(self.topic, self.payload.encode(), self.is_retained)


class Firmware(Protocol):
    """The messages of one family of lamps."""

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topics that the lamp subscribes to."""
        ...

    def availability(self, *, online: bool) -> Outgoing:
        """Return the birth message, or the last will."""
        ...

    def parse_order(self, topic: str, payload: bytes) -> Change:
        """Return the change that a command requests."""
        ...

    def state_messages(self, *, lit: bool, brightness: int) -> tuple[Outgoing, ...]:
        """Return the messages that publish a state."""
        ...


class WledFirmware:
    """WLED, which publishes its state only if a command changes something, such as the speed of its effect."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._segment: object = None

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topics that the lamp subscribes to."""
        return self._topic, f"{self._topic}/api"

    def availability(self, *, online: bool) -> Outgoing:
        """Return the birth message, or the last will."""
        return Outgoing(f"{self._topic}/status", "online" if online else "offline", is_retained=True)

    def parse_order(self, topic: str, payload: bytes) -> Change:
        """Return the change that a command requests."""
        if topic == self._topic:
            text = payload.decode()
            if text in {"ON", "OFF"}:
                return Change(lit=text == "ON", is_answered=False)
            return Change(lit=int(text) > 0, brightness=int(text) or None, is_answered=False)
        order = json.loads(payload)
        segment = order.get("seg")
        is_new, self._segment = segment != self._segment, segment
        return Change(order.get("on"), order.get("bri"), is_answered=is_new)

    def state_messages(self, *, lit: bool, brightness: int) -> tuple[Outgoing, ...]:
        """Return the messages that publish a state."""
        return (
            Outgoing(f"{self._topic}/g", str(brightness if lit else 0)),
            Outgoing(f"{self._topic}/c", "#FFFFFF"),
            self.availability(online=True),
        )


class TasmotaFirmware:
    """Tasmota, which has a topic for each command and answers each command with its result."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._command = ""

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topics that the lamp subscribes to."""
        return (f"cmnd/{self._topic}/#",)

    def availability(self, *, online: bool) -> Outgoing:
        """Return the birth message, or the last will."""
        return Outgoing(f"tele/{self._topic}/LWT", "Online" if online else "Offline", is_retained=True)

    def parse_order(self, topic: str, payload: bytes) -> Change:
        """Return the change that a command requests."""
        self._command, text = topic.rsplit("/", 1)[1].upper(), payload.decode()
        if self._command == "POWER" and text:
            return Change(lit=text == "ON")
        if self._command == "DIMMER" and text:
            return Change(lit=int(text) > 0, brightness=int(text))
        return Change()

    def state_messages(self, *, lit: bool, brightness: int) -> tuple[Outgoing, ...]:
        """Return the messages that publish a state."""
        power = {"POWER": "ON" if lit else "OFF"}
        results: dict[str, dict[str, object]] = {
            "POWER": {**power},
            "DIMMER": {**power, "Dimmer": brightness},
            "STATE": {"Uptime": "0T00:00:11", **power, "Dimmer": brightness, "Fade": "OFF"},
            "FADE": {"Fade": "OFF"},
            "": {
                **power,
                "Dimmer": brightness,
            },  # no command, because the button or the web page changed the lamp
        }
        result = results.get(self._command, {"Command": "Unknown"})
        self._command = ""
        power_alone = Outgoing(f"stat/{self._topic}/POWER", power["POWER"])
        return Outgoing(f"stat/{self._topic}/RESULT", json.dumps(result)), power_alone


class JsonFirmware:
    """Lights with JSON commands: ESPHome, whose state is retained, or zigbee2mqtt, whose state can be requested."""

    def __init__(
        self, command: str, state: str, availability: str, *, is_retained: bool, get_topic: str | None = None
    ) -> None:
        self._command = command
        self._state = state
        self._availability = availability
        self._is_retained = is_retained
        self._get_topic = get_topic

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topics that the lamp subscribes to."""
        return (self._command,) if self._get_topic is None else (self._command, self._get_topic)

    def availability(self, *, online: bool) -> Outgoing:
        """Return the birth message, or the last will. zigbee2mqtt wraps it in JSON."""
        word = "online" if online else "offline"
        return Outgoing(
            self._availability, word if self._get_topic is None else json.dumps({"state": word}), is_retained=True
        )

    def parse_order(self, topic: str, payload: bytes) -> Change:
        """Return the change that a command requests."""
        if topic == self._get_topic:
            return Change()
        order = json.loads(payload)
        state = order.get("state")
        return Change(None if state is None else state == "ON", order.get("brightness"))

    def state_messages(self, *, lit: bool, brightness: int) -> tuple[Outgoing, ...]:
        """Return the messages that publish a state. zigbee2mqtt sends the state in parts."""
        state = {"state": "ON" if lit else "OFF"}
        if self._get_topic is None:
            return (
                Outgoing(
                    self._state, json.dumps({**state, "brightness": brightness, "effect": "None"}), is_retained=True
                ),
            )
        return Outgoing(self._state, json.dumps(state)), Outgoing(self._state, json.dumps({"brightness": brightness}))


def firmware(family: Family, topic: str) -> Firmware:
    """Return the firmware of a family, with the topics that its documentation specifies."""
    match family:
        case "wled":
            return WledFirmware(topic)
        case "tasmota":
            return TasmotaFirmware(topic)
        case "esphome":
            node = topic.split("/", 1)[0]
            return JsonFirmware(f"{topic}/command", f"{topic}/state", f"{node}/status", is_retained=True)
        case _:
            return JsonFirmware(
                f"{topic}/set", topic, f"{topic}/availability", is_retained=False, get_topic=f"{topic}/get"
            )


def light_of(model: MqttLampModel, lamp: Panel) -> "SimulatedMqttLight":
    """Return the lamp that a rig file describes."""
    habits = Habits(is_stuck=model.is_stuck)
    return SimulatedMqttLight(BrokerSettings(port=model.port), model.family, model.topic, lamp, habits)


class SimulatedMqttLight:
    """A lamp that connects to a broker, and reconnects if necessary, while its context is open.

    Parameters
    ----------
    settings
        The broker.
    family, topic
        Firmware of the lamp, and the topic in its settings.
    lamp
        The simulated panel that the lamp switches.
    habits
        Faults and peculiarities of the lamp.
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
        """Keep the context open until cancelled."""
        async with self:
            await asyncio.Event().wait()

    async def switch(self, *, lit: bool, brightness: int | None = None) -> None:
        """Switch the lamp with its button. The lamp then publishes its state."""
        await self._obey(Change(lit, brightness))

    async def lose_power(self) -> None:
        """Cut the power, so that the lamp is off and the broker publishes the lamp's last will."""
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
                    await self._receive(message)
            finally:
                self._broker = None
                with suppress(BrokerLostError):  # as the broker does after a lost connection
                    await broker.publish(will)

    async def _begin(self, broker: Broker) -> None:
        await broker.subscribe(self._firmware.subscriptions)
        await self._publish(self._firmware.availability(online=True))
        await self._publish_state()
        self.is_connected.set()

    async def _receive(self, message: Message) -> None:
        self.orders.append((message.topic, message.payload, message.is_retained))
        if self.habits.is_deaf:
            return
        try:
            change = self._firmware.parse_order(message.topic, message.payload)
        except (ValueError, AttributeError) as error:
            log.info("a simulated lamp ignored an unreadable command: %s", error)
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
            await self._publish_state()

    async def _fade(self, before: int, after: int) -> None:
        """Change the brightness in steps, and publish each step."""
        lit, brightness = self.lit, self.brightness
        for step in range(FADE_STEPS):
            self.brightness = round(before + (after - before) * step / FADE_STEPS)
            self.lit = self.brightness > 0
            self._shine(self.brightness)
            await self._publish_state()
            await asyncio.sleep(self.habits.fade_s / FADE_STEPS)
        self.lit, self.brightness = lit, brightness

    def _shine(self, brightness: int) -> None:
        if not self.habits.is_stuck and not (self.habits.burns_on and brightness == 0):
            self._lamp.lit = brightness > 0
            self._lamp.brightness = round(brightness / self._full * self._lamp.model.brightness_maximum)

    async def _publish_state(self) -> None:
        if self.habits.is_mute:
            return
        messages = self._firmware.state_messages(lit=self.lit, brightness=self.brightness)
        if self.habits.is_chatty:
            for payload in ("", "\x00", "{", "[1]", '{"state": 7, "brightness": true}', "NaN", "9" * 40, "x" * 20_000):
                await self._publish(Outgoing(messages[0].topic, payload))
        for each in messages:
            await self._publish(each)

    async def _publish(self, message: Outgoing) -> None:
        broker = self._broker
        if broker is not None:
            await broker.publish(message.message)
