"""A filter wheel behind INDI."""

from typing import ClassVar

from coldframe.devices.errors import NotSupportedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink


class IndiFilterWheel(IndiDevice):
    """INDI's filter interface. Implements `FilterWheel`.

    Parameters
    ----------
    names
        Filter names in slot order, instead of the driver's.
    turn_deadline_s
        Longest time that a change of filter may take.
    """

    awaited: ClassVar[tuple[str, ...]] = ("FILTER_SLOT",)

    def __init__(self, link: IndiLink, name: str, names: tuple[str, ...] = (), turn_deadline_s: float = 60.0) -> None:
        super().__init__(link, name)
        self._names = names
        self._told_names: tuple[str, ...] = ()
        self._turn_deadline_s = turn_deadline_s
        self._wanted: str | None = None

    async def set_up(self) -> None:
        """Learn the driver's names, and turn back to the filter that was last asked for."""
        self._told_names = self._told()
        if self._wanted is not None:
            await self._turn_to(self._wanted)

    @property
    def is_ready(self) -> bool:
        """True while the last set-up still stands, and the filter that was last asked for."""
        return super().is_ready and self._wanted in {None, self.current}

    def _told(self) -> tuple[str, ...]:
        prop = self.link.mirror.find(self.name, "FILTER_NAME")
        return tuple(str(name) for name in prop.values.values()) if prop is not None else ()

    @property
    def filters(self) -> tuple[str, ...]:
        """Filter names in slot order."""
        return self._names or self._told_names or self._told()

    @property
    def current(self) -> str | None:
        """The filter in the beam, None while the wheel turns or does not know."""
        found = dialects.find(self.link.mirror, self.name, dialects.FILTER_SLOT)
        if found is None or found[0].state in ("busy", "alert"):
            return None
        slot = round(found[0].number(found[1])) - self._first_slot()
        return self.filters[slot] if 0 <= slot < len(self.filters) else None

    def _first_slot(self) -> int:
        limits = self.limits(dialects.FILTER_SLOT)
        return round(limits.minimum) if limits is not None else 1

    async def select(self, name: str) -> None:
        """Turn the wheel to the named filter and wait until it is there.

        Raises
        ------
        NotSupportedError
            The wheel holds no such filter.
        DeviceError
            The wheel did not get there in time.
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
