"""A control of an INDI device that must be off while dark frames are exposed."""

from collections.abc import Mapping

from coldframe.config.tables.rig import AuxiliarySettings
from coldframe.devices.errors import NotSupportedError
from coldframe.devices.indi.device import DEFINE_DEADLINE_S, IndiDevice
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Property, State, Value

TAKEN: frozenset[State] = frozenset({"ok", "idle", "busy"})
"""States in which a new value counts as accepted. Drivers show a heater as Busy while it is heating."""


class IndiAuxiliary(IndiDevice):
    """A control of an INDI device: a number or a switch. Implements `Auxiliary`."""

    def __init__(self, link: IndiLink, settings: AuxiliarySettings) -> None:
        super().__init__(link, settings.device)
        self._settings = settings
        self._is_wanted_off = False
        self._before: Mapping[str, Value] | None = None

    async def set_up(self) -> None:
        """Find the control, and switch it off again if `switch_off` was its last command.

        Raises
        ------
        NotSupportedError
            If the device does not have the control.
        DeviceError
            If the driver does not carry out the command.
        """
        wanted = self._settings
        prop = await self.link.wait_property(self.name, wanted.property, DEFINE_DEADLINE_S)
        if wanted.element not in prop.values or not prop.writable or prop.kind not in {"number", "switch"}:
            known = ", ".join(prop.values)
            raise NotSupportedError(
                self.name, f"{wanted.property} has no {wanted.element} that can be set (it has {known})"
            )
        if self._is_wanted_off:
            await self._order_off()

    @property
    def is_ready(self) -> bool:
        """True while the device is connected and, if `switch_off` was the last command, its control is off."""
        return super().is_ready and (not self._is_wanted_off or self._is_off())

    def _property(self) -> Property | None:
        return self.link.mirror.find(self.name, self._settings.property)

    def _off(self, prop: Property) -> Value:
        return self._settings.off if prop.kind == "number" else self._settings.off != 0

    def _is_off(self) -> bool:
        prop = self._property()
        return prop is not None and prop.values.get(self._settings.element) == self._off(prop)

    async def switch_off(self) -> None:
        """Switch the control off, and wait until the driver confirms the command.

        Raises
        ------
        DeviceError
            If the device is missing, or its driver does not carry out the command.
        """
        await self.ensure_ready()
        if self._before is None and (prop := self._property()) is not None:
            self._before = self._state(prop)
        self._is_wanted_off = True
        await self._order_off()

    def _state(self, prop: Property) -> Mapping[str, Value]:
        """Return the values with which to restore the control: a number, or the switches that are on."""
        element = self._settings.element
        if prop.kind == "number":
            return {element: prop.values[element]}
        on: dict[str, Value] = {name: True for name, is_on in prop.values.items() if is_on is True}
        return on or {element: False}

    async def _order_off(self) -> None:
        prop = self._property()
        if prop is not None and not self._is_off():
            await self._order(prop, {self._settings.element: self._off(prop)})

    async def _order(self, prop: Property, values: Mapping[str, Value]) -> None:
        """Set values. Send the property's other numbers unchanged, because INDI expects the whole vector."""
        others = prop.values if prop.kind == "number" else {}
        await self.command(prop.name, {**others, **values}, good_states=TAKEN)

    async def restore(self) -> None:
        """Restore the state that the control had before it was first switched off.

        Raises
        ------
        DeviceError
            If the device is missing, or its driver does not carry out the command.
        """
        self._is_wanted_off = False
        if self._before is None:
            return
        await self.ensure_ready()
        prop = await self.link.wait_property(self.name, self._settings.property, DEFINE_DEADLINE_S)
        await self._order(prop, self._before)
        self._before = None
