"""A light on an MQTT broker, used as a flat panel."""

from collections.abc import Callable
from contextlib import suppress
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
from coldframe.devices.mqtt.dialects import UNKNOWN, LightCommand, LightReport, dialect_of
from coldframe.devices.mqtt.message import Message
from coldframe.devices.mqtt.session import CONNECT_DEADLINE_S, MqttSession

TRIES = 3
"""Maximum number of times that a command is sent within its deadline; lights on Wi-Fi miss some commands."""

GREETING_S = 5.0
"""Maximum wait for a light's first message, such as its retained availability or its answer to a query."""

ROUNDING = 0.02
"""Maximum difference between commanded and reported brightness, as a fraction of full brightness."""


class MqttPanel:
    """A light with WLED, Tasmota, ESPHome, zigbee2mqtt or similar software. Implements `FlatPanel` without a cover.

    Use it as an asynchronous context manager, which keeps the connection to the broker open.

    Parameters
    ----------
    name
        Name used in messages, and key under which the values learned for this panel are stored.
    settings
        Broker, family and topics.
    connect_deadline_s
        Maximum wait for the broker.
    greeting_s
        See `GREETING_S`.

    Notes
    -----
    A command counts as confirmed when the light has reported the commanded state after the command was sent. Retained
    messages and earlier reports do not confirm a command.
    """

    has_light = True
    has_cover = False

    def __init__(
        self,
        name: str,
        settings: MqttPanelSettings,
        *,
        connect_deadline_s: float = CONNECT_DEADLINE_S,
        greeting_s: float = GREETING_S,
    ) -> None:
        self._name = name
        self._settings = settings
        self._connect_deadline_s = connect_deadline_s
        self._greeting_s = greeting_s
        self._dialect = dialect_of(settings)
        self._session = MqttSession(settings, self._dialect.topics, self._receive)
        self._known = UNKNOWN
        self._last_live_generation = 0
        self._since_command = UNKNOWN
        self._commands = 0
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
        """Brightness range in the light's own steps; None if the light can only be switched on and off."""
        full = self._settings.full_brightness
        return Limits(1, full, 1) if full > 1 else None

    def state(self) -> PanelState:
        """Return the state that the light last reported."""
        return PanelState(lit=self._known.lit is True, brightness=self._known.brightness, cover=None)

    def _receive(self, message: Message) -> None:
        report = self._dialect.parse(message.topic, message.payload)
        if report.online is False and not (self._known.online is False and message.is_retained):
            self._departures += 1
        if report.lit is None and report.brightness is None:
            self._known = self._known.updated(report)
        elif not message.is_retained:
            self._last_live_generation = self._session.generation
            self._since_command = self._since_command.updated(report)
            # A light that publishes its state is online, even if its availability topic retains "offline".
            self._known = self._known.updated(report).updated(LightReport(online=True))
        elif self._last_live_generation < self._session.generation:
            self._known = self._known.updated(report)

    @property
    def _epoch(self) -> tuple[int, int]:
        """A value that changes whenever the broker or the light is lost. The light's state may then have changed."""
        return self._session.generation, self._departures

    @property
    def is_ready(self) -> bool:
        """True while the light is online and in the last commanded state."""
        return (
            self._session.is_connected
            and self._set_up_in == self._epoch
            and self._known.online is not False
            and self._wanted_lit in {None, self._known.lit}
            and (self._wanted_lit is not True or self._is_as_bright_as_wanted(self._known.brightness))
        )

    def _is_as_bright_as_wanted(self, reported: int | None) -> bool:
        wanted = self._wanted_brightness
        if wanted is None:
            return True
        return reported is not None and abs(reported - wanted) <= max(1.0, ROUNDING * self._settings.full_brightness)

    async def ensure_ready(self) -> None:
        """Restore the last commanded state if the light was lost or another client has switched it.

        Raises
        ------
        DeviceError
            If the state cannot be restored.
        """
        if not self.is_ready:
            await self.connect()

    async def connect(self) -> None:
        """Wait until the broker and the light are online, and restore the last commanded state.

        Raises
        ------
        DeviceLostError
            If the broker cannot be reached or the light is offline.
        DeviceTimeoutError
            If the light does not report its state or does not confirm a command.
        """
        await self._session.wait_connected(self._connect_deadline_s)
        epoch = self._epoch
        await self._greet()
        if self._wanted_lit is True:
            await self._switch_on()
        elif self._wanted_lit is False:
            await self._switch_off()
        self._set_up_in = epoch

    async def _greet(self) -> None:
        """Wait for a message from the light. Switch off a silent light, because every light confirms that command."""
        for query in self._dialect.query():
            # A user who may not query the light may still be allowed to control it and to read its state.
            with suppress(SettingRefusedError):
                await self._session.publish(query.topic, query.payload)
        try:
            await self._session.wait(self._is_online, self._greeting_s)
        except TimeoutError:
            if self._known.online is False:
                raise self._offline() from None
            if self._wanted_lit is None:
                await self._switch_off()

    def _is_online(self) -> bool | None:
        known = self._known
        return (known.online is True or (known.online is None and known.lit is not None)) or None

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the light on, at the given brightness if any, and wait until the light confirms the command.

        Raises
        ------
        SettingRefusedError
            If the brightness is out of range.
        NotSupportedError
            If a brightness is given, but the light can only be switched on and off.
        DeviceError
            If the light does not confirm the command in time, or is lost.
        """
        self._check(brightness)
        self._wanted_lit = None
        await self.ensure_ready()
        self._wanted_lit, self._wanted_brightness = True, brightness
        await self._switch_on()

    def _check(self, brightness: int | None) -> None:
        limits = self.brightness_limits
        if brightness is None:
            return
        if limits is None:
            raise NotSupportedError(self._name, "has no brightness control; it can only be switched on and off")
        if not limits.contains(brightness):
            raise SettingRefusedError(
                self._name, f"brightness {brightness} is outside the range {limits.minimum:g} to {limits.maximum:g}"
            )

    async def _switch_on(self) -> None:
        brightness = self._wanted_brightness
        await self._command_until_confirmed(lambda number: self._dialect.on(brightness, number), self._is_on_confirmed)

    def _is_on_confirmed(self) -> bool:
        report = self._since_command
        return report.lit is True and self._is_as_bright_as_wanted(report.brightness)

    async def light_off(self) -> None:
        """Switch the light off, and wait until the light confirms the command.

        Raises
        ------
        DeviceError
            If the light does not confirm the command in time, or is lost.
        """
        self._wanted_lit = False
        # Do not call `ensure_ready`, so that no other fault of the light can keep it on.
        await self._switch_off()

    async def _switch_off(self) -> None:
        await self._command_until_confirmed(self._dialect.off, lambda: self._since_command.lit is False)

    async def _command_until_confirmed(
        self, commands: Callable[[int], tuple[LightCommand, ...]], is_confirmed: Callable[[], bool]
    ) -> None:
        """Send the commands repeatedly until they are confirmed or the deadline has passed."""
        await self._session.wait_connected(self._connect_deadline_s)
        generation = self._session.generation

        def confirmed_or_lost() -> bool | None:
            if is_confirmed():
                return True
            if not self._session.is_connected or self._session.generation != generation:
                text = f"lost the connection to the {self._session.server} while waiting for a confirmation"
                raise DeviceLostError(self._name, text)
            return None

        self._since_command = UNKNOWN
        for _ in range(TRIES):
            self._commands += 1
            for command in commands(self._commands):
                await self._session.publish(command.topic, command.payload)
            try:
                await self._session.wait(confirmed_or_lost, self._settings.answer_deadline_s / TRIES)
            except TimeoutError:
                continue
            return
        raise self._unconfirmed()

    def _offline(self) -> DeviceLostError:
        return DeviceLostError(
            self._name, f"is offline according to {self._dialect.topics[-1]}", "Check its power and its network."
        )

    def _unconfirmed(self) -> DeviceError:
        """Return an error that describes how the reports of the light differ from the last command."""
        report, waited_s = self._since_command, self._settings.answer_deadline_s
        if report.lit is None and report.brightness is None:
            if self._known.online is False:
                return self._offline()
            return DeviceTimeoutError(
                self._name,
                f"did not answer within {waited_s:g} s: no state on {self._dialect.topics[0]}",
                "Is it powered and connected to this broker, and is its topic in the configuration correct?",
            )
        found = _state_text(report.lit, report.brightness)
        wanted = _state_text(self._wanted_lit is True, self._wanted_brightness)
        if report.lit is self._wanted_lit and report.brightness is None:
            return DeviceTimeoutError(
                self._name,
                f"was commanded to be {wanted}, but reports no brightness",
                "Set panel.mqtt.brightness_maximum = 0 if it can only be switched on and off.",
            )
        return DeviceTimeoutError(
            self._name,
            f"was commanded to be {wanted}, but reports {found} after {waited_s:g} s",
            "Does another client switch or limit it? Is panel.mqtt.brightness_maximum correct?",
        )

    async def open_cover(self) -> None:
        """Raise an error, because there is no cover.

        Raises
        ------
        NotSupportedError
            Always.
        """
        raise NotSupportedError(self._name, "has no cover")

    async def close_cover(self) -> None:
        """Raise an error, because there is no cover.

        Raises
        ------
        NotSupportedError
            Always.
        """
        raise NotSupportedError(self._name, "has no cover")


def _state_text(lit: bool | None, brightness: int | None) -> str:  # noqa: FBT001  # a state, not a flag
    if lit is False:
        return "off"
    return "on" if brightness is None else f"on at {brightness}"
