"""A light on an MQTT broker as a flat panel."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from coldframe.config.tables.mqtt_panel import MqttPanelSettings
from coldframe.devices.camera import Limits
from coldframe.devices.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.flat_panel import PanelState
from coldframe.devices.mqtt.dialects import SILENCE, LightReport, Order, dialect_of
from coldframe.devices.mqtt.message import Message
from coldframe.devices.mqtt.session import MqttSession

TRIES = 3
"""Times that an order is given within its deadline: lights on Wi-Fi miss some."""

GREETING_S = 5.0
"""Within it a light that is there has been heard of: brokers keep who is online, and some lights can be asked."""

ROUNDING = 0.02
"""Of the whole range: within it, a brightness that a light tells is the one that was ordered."""


class MqttPanel:
    """A light of WLED, Tasmota, ESPHome, zigbee2mqtt or their kin. Implements `FlatPanel`; it has no cover.

    Open it as an asynchronous context manager, which holds the connection to the broker.

    Parameters
    ----------
    name
        For people, and for what is learned of it.
    settings
        Broker, family and topics.

    Notes
    -----
    An order counts as obeyed when the light has told so since it was given. What the broker had kept from earlier, and
    what the light told before, is no proof.
    """

    has_light = True
    has_cover = False

    def __init__(self, name: str, settings: MqttPanelSettings) -> None:
        self._name = name
        self._settings = settings
        self._dialect = dialect_of(settings)
        self._session = MqttSession(settings, self._dialect.topics, self._hear)
        self._known = SILENCE
        self._told_live_in = 0
        self._since_order = SILENCE
        self._orders = 0
        self._departures = 0
        self._set_up_in: tuple[int, int] | None = None
        self._wanted_lit: bool | None = None
        self._wanted_brightness: int | None = None

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    @property
    def brightness_limits(self) -> Limits | None:
        """Range of the brightness in the light's own steps, 0 being off; None where it can only be switched."""
        full = self._settings.full_brightness
        return Limits(1, full, 1) if full > 1 else None

    def state(self) -> PanelState:
        """Return what the light last told."""
        return PanelState(lit=self._known.lit is True, brightness=self._known.brightness, cover=None)

    def _hear(self, message: Message) -> None:
        told = self._dialect.read(message.topic, message.payload)
        if told.online is False and not (self._known.online is False and message.is_retained):
            self._departures += 1
        if told.lit is None and told.brightness is None:
            self._known = self._known.updated(told)
        elif not message.is_retained:
            self._told_live_in = self._session.generation
            self._since_order = self._since_order.updated(told)
            self._known = self._known.updated(told).updated(LightReport(online=True))  # it speaks
        elif self._told_live_in < self._session.generation:
            self._known = self._known.updated(told)

    @property
    def _life(self) -> tuple[int, int]:
        """What changes whenever broker or light were away: the light may have forgotten what it was told."""
        return self._session.generation, self._departures

    @property
    def is_ready(self) -> bool:
        """True while the light is there and stands as it was last told to."""
        return (
            self._session.connected
            and self._set_up_in == self._life
            and self._known.online is not False
            and self._wanted_lit in {None, self._known.lit}
            and (self._wanted_lit is not True or self._is_as_bright_as_wanted(self._known.brightness))
        )

    def _is_as_bright_as_wanted(self, told: int | None) -> bool:
        wanted = self._wanted_brightness
        if wanted is None:
            return True
        return told is not None and abs(told - wanted) <= max(1.0, ROUNDING * self._settings.full_brightness)

    async def ensure_ready(self) -> None:
        """Bring the light back as it was last told to be, if it has been away or something else has switched it.

        Raises
        ------
        DeviceError
            It cannot be brought back.
        """
        if not self.is_ready:
            await self.connect()

    async def connect(self) -> None:
        """Wait until the broker and the light are there; the light is then as it was last told to be.

        Raises
        ------
        DeviceLostError
            The broker is not there, or the light is offline.
        DeviceTimeoutError
            The light says nothing, or does not obey.
        """
        await self._session.wait_connected()
        life = self._life
        await self._greet()
        if self._wanted_lit is True:
            await self._shine()
        elif self._wanted_lit is False:
            await self._put_out()
        self._set_up_in = life

    async def _greet(self) -> None:
        """Wait for a sign of the light. One that says nothing of its own accord is put out: that it confirms."""
        for order in self._dialect.ask():
            await self._session.publish(order.topic, order.payload)
        try:
            await self._session.wait(self._is_there, GREETING_S)
        except TimeoutError:
            if self._known.online is False:
                raise self._offline() from None
            if self._wanted_lit is None:
                await self._put_out()

    def _is_there(self) -> bool | None:
        told = self._known
        return (told.online is True or (told.online is None and told.lit is not None)) or None

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the light on with a brightness, and wait until it has confirmed both.

        Raises
        ------
        SettingRefusedError
            The brightness is out of range.
        NotSupportedError
            It has no brightness.
        DeviceError
            It did not obey in time, or is away.
        """
        self._check(brightness)
        self._wanted_lit = None
        await self.ensure_ready()
        self._wanted_lit, self._wanted_brightness = True, brightness
        await self._shine()

    def _check(self, brightness: int | None) -> None:
        limits = self.brightness_limits
        if brightness is None:
            return
        if limits is None:
            raise NotSupportedError(self._name, "can only be switched, it has no brightness")
        if not limits.contains(brightness):
            raise SettingRefusedError(
                self._name, f"brightness {brightness} lies outside {limits.minimum:g} to {limits.maximum:g}"
            )

    async def _shine(self) -> None:
        brightness = self._wanted_brightness
        await self._have_done(lambda number: self._dialect.on(brightness, number), self._shines_as_wanted)

    def _shines_as_wanted(self) -> bool:
        told = self._since_order
        return told.lit is True and self._is_as_bright_as_wanted(told.brightness)

    async def light_off(self) -> None:
        """Put the light out, and wait until it has confirmed it.

        Raises
        ------
        DeviceError
            It did not obey in time, or is away.
        """
        self._wanted_lit = False
        await self._put_out()  # no more than that: whatever else is wrong with it, it goes out

    async def _put_out(self) -> None:
        await self._have_done(self._dialect.off, lambda: self._since_order.lit is False)

    async def _have_done(self, orders: Callable[[int], tuple[Order, ...]], is_done: Callable[[], bool]) -> None:
        """Give orders, again while they are not confirmed, until the deadline."""
        await self._session.wait_connected()
        generation = self._session.generation

        def done_or_lost() -> bool | None:
            if is_done():
                return True
            if not self._session.connected or self._session.generation != generation:
                raise DeviceLostError(self._name, f"{self._session.server} went away while the light was ordered")
            return None

        self._since_order = SILENCE
        for _ in range(TRIES):
            self._orders += 1
            for order in orders(self._orders):
                await self._session.publish(order.topic, order.payload)
            try:
                await self._session.wait(done_or_lost, self._settings.answer_deadline_s / TRIES)
            except TimeoutError:
                continue
            return
        raise self._disobedience()

    def _offline(self) -> DeviceLostError:
        return DeviceLostError(
            self._name, f"is offline, says {self._dialect.topics[-1]}", "Look after its power and its network."
        )

    def _disobedience(self) -> DeviceError:
        told, waited_s = self._since_order, self._settings.answer_deadline_s
        if told.lit is None and told.brightness is None:
            if self._known.online is False:
                return self._offline()
            return DeviceTimeoutError(
                self._name,
                f"did not answer within {waited_s:g} s: no state came on {self._dialect.topics[0]}",
                "Is it powered and connected to this broker, and is its topic in the configuration spelt as it has it?",
            )
        wanted = _shown(self._wanted_lit is True, self._wanted_brightness)
        if told.lit is self._wanted_lit and told.brightness is None:
            return DeviceTimeoutError(
                self._name,
                f"is told to be {wanted}, but tells no brightness",
                "Set panel.mqtt.brightness_maximum = 0 if it can only be switched.",
            )
        return DeviceTimeoutError(
            self._name,
            f"is told to be {wanted}, but tells that it is {_shown(told.lit, told.brightness)} after {waited_s:g} s",
            "Does something else switch or limit it, and does panel.mqtt.brightness_maximum fit?",
        )

    async def open_cover(self) -> None:
        """Refuse.

        Raises
        ------
        NotSupportedError
            It has no cover.
        """
        raise NotSupportedError(self._name, "has no cover")

    async def close_cover(self) -> None:
        """Refuse.

        Raises
        ------
        NotSupportedError
            It has no cover.
        """
        raise NotSupportedError(self._name, "has no cover")


def _shown(lit: bool | None, brightness: int | None) -> str:  # noqa: FBT001  what a light tells
    if lit is False:
        return "off"
    return "on" if brightness is None else f"on at {brightness}"
