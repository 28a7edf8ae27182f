"""The base class of all INDI devices. It connects the driver, and finds controls by means of the dialect table."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from coldframe.devices.camera import Limits
from coldframe.devices.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.indi import dialects
from coldframe.devices.indi.dialects import Spelling
from coldframe.devices.indi.link import TAKEN, IndiLink
from coldframe.devices.indi.mirror import Property, State, Value, finite

log = logging.getLogger(__name__)

DEFINE_DEADLINE_S = 10.0
CONNECT_DEADLINE_S = 60.0
ANY_BUT_ALERT: frozenset[State] = frozenset({"ok", "busy", "idle"})
QUIET_S = 1.0
"""Drivers query their hardware while they define properties. If no property has been defined for this long, the driver
is assumed to have defined all of them."""
TIMEOUTS_UNTIL_RECONNECTED = 3
"""Number of consecutive timeouts, each of `define_deadline_s`, after which a driver that has removed a property is
reconnected. A driver that merely redefines a property takes less time."""


class IndiDevice:
    """A device on an INDI server. `ensure_ready` sets it up again after its driver or the server has restarted."""

    awaited: ClassVar[tuple[str, ...]] = ()
    """Properties that every device of this kind has. Until they are defined, the device's capabilities are unknown."""

    def __init__(self, link: IndiLink, name: str) -> None:
        self.link = link
        self._name = name
        self.define_deadline_s = DEFINE_DEADLINE_S
        self._connected_in: tuple[int, ...] | None = None
        self._set_up_in: tuple[int, ...] | None = None
        self._is_stuck = False
        self._needed: set[str] = set()
        self._timeouts_of_removed = 0

    @property
    def name(self) -> str:
        """The device's name."""
        return self._name

    async def connect(self) -> None:
        """Connect the driver and set the device up. If the driver is stuck, disconnect it first.

        If the connection to the server breaks meanwhile, retry once on the new connection.

        Raises
        ------
        DeviceError
            If the device cannot be set up.
        """
        await self.link.wait_connected()
        generation = self.link.generation
        try:
            await self._connect()
        except DeviceError as error:
            if self.link.connected and self.link.generation == generation:
                raise
            log.warning("%s; connecting it again", error)
            await self._connect()

    async def _connect(self) -> None:
        if self._is_stuck:
            await self.disconnect_driver()
        await self.connect_driver()
        for name in self._removed():
            await self._wait_defined(name)
        self._timeouts_of_removed = 0
        life = self._life
        await self.set_up()
        self._set_up_in = life

    @property
    def _life(self) -> tuple[int, ...]:
        """A value that changes whenever the server or the driver restarts, or the driver is disconnected.

        The driver may then have lost all settings, even if another client has already connected it again.
        """
        mirror = self.link.mirror
        return self.link.generation, mirror.removals(self._name), mirror.disconnections(self._name)

    async def set_up(self) -> None:
        """Configure the connected driver."""

    async def ensure_ready(self) -> None:
        """Connect and set up the device if its last set-up is no longer valid.

        Raises
        ------
        DeviceError
            If the device cannot be set up.
        """
        if not self.is_ready:
            await self.connect()

    async def ensure_driver(self) -> None:
        """Connect the driver if necessary, without setting up the device.

        This method is for commands that must work even if set-up fails.

        Raises
        ------
        DeviceError
            If the driver cannot be reached.
        """
        if self._connected_in != self._life or not self.has_connected_driver():
            await self.connect_driver()

    @property
    def is_ready(self) -> bool:
        """True while the last set-up is valid, and the driver has not removed a needed property."""
        is_whole = not self._removed() and all(map(self._finds, self.awaited))
        return self._set_up_in == self._life and not self._is_stuck and self.has_connected_driver() and is_whole

    def _finds(self, name: str) -> bool:
        return self.link.mirror.find(self._name, name) is not None

    def need(self, *names: str) -> None:
        """Mark these properties as needed: the device is not ready while any of them is removed."""
        self._needed.update(names)

    def expect_lasting(self, *names: str) -> None:
        """Mark these missing properties as needed. Raise an error if one of them may be missing only temporarily.

        Raises
        ------
        DeviceLostError
            See `Mirror.expect_lasting`.
        """
        self.need(*names)
        self.link.mirror.expect_lasting(self._name, *names)

    def _removed(self) -> list[str]:
        return [name for name in self._needed if self.link.mirror.is_removed(self._name, name)]

    async def _wait_defined(self, name: str) -> None:
        """Wait until a property is defined. Give up on a driver that has removed it and does not define it again."""
        try:
            await self.link.wait_property(self._name, name, self.define_deadline_s)
        except DeviceTimeoutError:
            self._timeouts_of_removed += self.link.mirror.is_removed(self._name, name)
            if self._timeouts_of_removed >= TIMEOUTS_UNTIL_RECONNECTED:
                self._timeouts_of_removed = 0
                self.give_up_connection()
            raise

    def give_up_connection(self) -> None:
        """Mark the driver as stuck, so that it is reconnected to its hardware before its next use."""
        log.warning("%s no longer follows commands; its driver will be reconnected", self._name)
        self._is_stuck = True

    async def reconnect(self) -> None:
        """Disconnect the driver from its hardware, reconnect it, and restore the device's settings.

        Raises
        ------
        DeviceError
            If the device cannot be set up.
        """
        self.give_up_connection()
        await self.ensure_ready()

    async def disconnect_driver(self) -> None:
        """Disconnect the driver from its hardware.

        Raises
        ------
        DeviceLostError
            If the driver does not respond, or the server cannot be reached.
        """
        await self.link.wait_connected()
        if self.has_connected_driver():
            try:
                await self.link.set(self._name, "CONNECTION", {"DISCONNECT": True}, good_states=ANY_BUT_ALERT)
            except (DeviceTimeoutError, SettingRefusedError) as error:
                raise DeviceLostError(
                    self._name, f"no longer answers ({error.what})", "Check its driver, cable and power."
                ) from error
        self._is_stuck = False

    def has_connected_driver(self) -> bool:
        """Return True if the driver is connected to its hardware."""
        prop = self.link.mirror.find(self._name, "CONNECTION")
        return prop is not None and prop.values.get("CONNECT") is True

    async def connect_driver(self) -> None:
        """Connect the driver to its hardware, and wait until it has defined its properties.

        Raises
        ------
        DeviceTimeoutError
            If the server does not have the device, or the hardware does not respond.
        DeviceLostError
            If the driver cannot connect to its hardware or has removed the property CONNECTION, or the server is lost.
        """
        await self.link.wait_connected()
        try:
            await self.link.wait_property(self._name, "CONNECTION", DEFINE_DEADLINE_S)
        except DeviceTimeoutError:
            if self.link.mirror.is_removed(self._name, "CONNECTION"):
                self.link.mirror.expect_lasting(self._name, "CONNECTION")
            known = ", ".join(self.link.mirror.devices) or "no device"
            raise DeviceTimeoutError(
                self._name,
                f"is not known to {self.link.server}, which has {known}",
                "Is its driver running, and does the name in the configuration match one of these?",
            ) from None
        if not self.has_connected_driver():
            await self._connect_hardware()
        for name in self.awaited:
            await self._wait_defined(name)
        await self.settle()
        self._connected_in = self._life

    async def _connect_hardware(self) -> None:
        try:
            await self.link.choose(self._name, "CONNECTION", "CONNECT", CONNECT_DEADLINE_S)
        except SettingRefusedError as error:
            # Operations that fail with DeviceLostError are retried, but not those that fail with SettingRefusedError.
            # After a camera is plugged in again, its driver needs a few seconds to find it.
            raise DeviceLostError(
                self._name, f"cannot be connected: {error.what}", "Is it plugged in and powered?"
            ) from error

    async def settle(self) -> None:
        """Wait until no further property has been defined for `QUIET_S`."""
        while True:
            known = len(self.link.mirror.properties(self._name))
            try:
                await self.link.wait(self._name, partial(self._more_than, known), QUIET_S, "a further property")
            except DeviceTimeoutError:
                return

    def _more_than(self, known: int) -> bool | None:
        return True if len(self.link.mirror.properties(self._name)) > known else None

    def newer(self, name: str, serial: int) -> Property | None:
        """Return a property if it was defined or changed after event `serial` of the link, otherwise None."""
        prop = self.link.mirror.find(self._name, name)
        return prop if prop is not None and prop.serial > serial else None

    def value(self, spellings: tuple[Spelling, ...]) -> Value | None:
        """Return the value that the driver shows for a control; None if the device lacks the control."""
        return dialects.value_of(self.link.mirror, self._name, spellings)

    def number(self, spellings: tuple[Spelling, ...]) -> float | None:
        """Return the value of a numeric control; None if the device lacks the control or shows no finite number."""
        return finite(self.value(spellings))

    def limits(self, spellings: tuple[Spelling, ...]) -> Limits | None:
        """Return the range of a numeric control; None if the device lacks the control, or its range is unknown.

        Drivers announce an unknown range as 0 to 0.
        """
        found = dialects.find(self.link.mirror, self._name, spellings)
        limits = None if found is None else found[0].limits.get(found[1])
        return limits if limits is not None and limits.maximum > limits.minimum else None

    def settable(self, spellings: tuple[Spelling, ...]) -> Limits | None:
        """Return the range to which a numeric control can be set; for a read-only control, only its current value.

        Return None if the device lacks the control, or its range is unknown.
        """
        shown = self.number(spellings)
        return self.limits(spellings) if shown is None or self.has(spellings) else Limits(shown, shown)

    def has(self, spellings: tuple[Spelling, ...]) -> bool:
        """Return True if the device has the control, and the control can be set."""
        found = dialects.find(self.link.mirror, self._name, spellings)
        return found is not None and found[0].writable

    def control(self, spellings: tuple[Spelling, ...]) -> tuple[Property, str]:
        """Return the property and the element name of a control.

        Raises
        ------
        DeviceLostError
            If the driver is missing, is disconnected or has removed the control.
        NotSupportedError
            If the device lacks the control.
        """
        found = dialects.find(self.link.mirror, self._name, spellings)
        if found is None:
            self.expect_lasting(*(spelling.property for spelling in spellings))
            raise NotSupportedError(self._name, f"has no {spellings[0].property}")
        return found

    async def set(self, spellings: tuple[Spelling, ...], value: Value, deadline_s: float = 10.0) -> Property:
        """Set a control, and wait until the driver shows the new value. The control then counts as needed.

        Raises
        ------
        NotSupportedError
            If the device lacks the control.
        DeviceError
            See `control` and `IndiLink.set`.
        """
        prop, element = self.control(spellings)
        return await self.command(prop.name, {element: value}, deadline_s)

    async def command(
        self,
        name: str,
        values: Mapping[str, Value],
        deadline_s: float = 10.0,
        good_states: frozenset[State] = TAKEN,
    ) -> Property:
        """Set new values of a property, as `IndiLink.set` does. The property then counts as needed.

        Raises
        ------
        DeviceError
            See `IndiLink.set`.
        """
        self.need(name)
        return await self.link.set(self._name, name, values, deadline_s, good_states)
