"""A filter wheel behind INDI."""

from typing import ClassVar

from coldframe.devices.errors import NotSupportedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink


class IndiFilterWheel(IndiDevice):
    """A filter wheel with INDI's filter interface. Implements `FilterWheel`.

    Parameters
    ----------
    names
        Filter names in slot order, which replace the driver's names.
    turn_deadline_s
        Longest time that a filter change may take.
    """

    awaited: ClassVar[tuple[str, ...]] = ("FILTER_SLOT",)

    def __init__(self, link: IndiLink, name: str, names: tuple[str, ...] = (), turn_deadline_s: float = 60.0) -> None:
        super().__init__(link, name)
        self._names = names
        self._driver_names: tuple[str, ...] = ()
        self._turn_deadline_s = turn_deadline_s
        self._wanted: str | None = None

    async def set_up(self) -> None:
        """Read the driver's filter names, and turn the wheel back to the last commanded filter."""
        self._driver_names = self._reported_names()
        if self._wanted is not None:
            await self._turn_to(self._wanted)

    @property
    def is_ready(self) -> bool:
        """True while the last set-up is valid, and the last commanded filter is in the beam."""
        return super().is_ready and self._wanted in {None, self.current}

    def _reported_names(self) -> tuple[str, ...]:
        prop = self.link.mirror.find(self.name, "FILTER_NAME")
        return tuple(str(name) for name in prop.values.values()) if prop is not None else ()

    @property
    def filters(self) -> tuple[str, ...]:
        """Filter names in slot order."""
        return self._names or self._driver_names or self._reported_names()

    @property
    def current(self) -> str | None:
        """The filter in the beam; None while the wheel turns or if its position is unknown."""
        found = dialects.find(self.link.mirror, self.name, dialects.FILTER_SLOT)
        if found is None or found[0].state in ("busy", "alert"):
            return None
        slot = round(found[0].number(found[1])) - self._first_slot()
        return self.filters[slot] if 0 <= slot < len(self.filters) else None

    def _first_slot(self) -> int:
        limits = self.limits(dialects.FILTER_SLOT)
        return round(limits.minimum) if limits is not None else 1

    async def select(self, name: str) -> None:
        """Turn the wheel to the named filter, and wait until the filter is in the beam.

        Raises
        ------
        NotSupportedError
            If no filter has that name.
        DeviceError
            If the wheel does not reach the filter in time.
        """
        self._wanted = None
        await self.ensure_ready()
        if name not in self.filters:
            raise NotSupportedError(self.name, f"has no filter {name!r} (it has {', '.join(self.filters)})")
        self._wanted = name
        await self._turn_to(name)

    async def _turn_to(self, name: str) -> None:
        if self.current != name:
            slot = self.filters.index(name) + self._first_slot()
            await self.set(dialects.FILTER_SLOT, slot, self._turn_deadline_s)
