"""A filter wheel on an INDI server."""

from typing import ClassVar

from coldframe.devices.errors import DeviceTimeoutError, NotSupportedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink

MOST_SLOTS = 64
"""Largest plausible number of slots. Real wheels have at most 12 slots; only a faulty driver reports more than this."""


class IndiFilterWheel(IndiDevice):
    """A filter wheel with INDI's filter interface. Implements `FilterWheel`.

    Parameters
    ----------
    names
        Filter names in slot order, to be used instead of the driver's names; empty to use the driver's names.
    turn_deadline_s
        Maximum time that a filter change may take, in seconds. A wheel built into a camera may take just as long to
        find its first slot before the driver defines the properties of the wheel.
    """

    awaited: ClassVar[tuple[str, ...]] = ("FILTER_SLOT",)

    def __init__(self, link: IndiLink, name: str, names: tuple[str, ...] = (), turn_deadline_s: float = 60.0) -> None:
        super().__init__(link, name)
        self.define_deadline_s = max(self.define_deadline_s, turn_deadline_s)
        self._names = names
        self._driver_names: tuple[str, ...] = ()
        self._turn_deadline_s = turn_deadline_s
        self._wanted: str | None = None

    async def set_up(self) -> None:
        """Read the driver's filter names, and turn the wheel back to the last commanded filter."""
        self._driver_names = self._numbered_names()
        if self._wanted is not None:
            await self._turn_to(self._wanted)

    @property
    def is_ready(self) -> bool:
        """True while the last set-up is valid, and the last commanded filter is in the beam."""
        return super().is_ready and self._wanted in {None, self.current}

    @property
    def slots(self) -> int:
        """Number of slots; 0 if the driver does not report the number."""
        limits = self.limits(dialects.FILTER_SLOT)
        return round(min(limits.maximum - limits.minimum, MOST_SLOTS - 1)) + 1 if limits is not None else 0

    @property
    def driver_names(self) -> tuple[str, ...]:
        """The driver's filter names in slot order; empty for slots without a name. Names may be repeated."""
        prop = self.link.mirror.find(self.name, "FILTER_NAME")
        names = [str(name).strip() for name in prop.values.values()] if prop is not None else []
        return (*names, *[""] * (self.slots - len(names)))

    def _numbered_names(self) -> tuple[str, ...]:
        """Return the driver's names, with numbers for slots that have no name."""
        return tuple(name or f"Filter {slot}" for slot, name in enumerate(self.driver_names, start=1))

    @property
    def filters(self) -> tuple[str, ...]:
        """Filter names in slot order."""
        return self._names or self._driver_names or self._numbered_names()

    @property
    def current(self) -> str | None:
        """The filter in the beam; None while the wheel is turning, or if its position is unknown."""
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
        await self._turn_to(name)
        # Only a filter that was reached is restored. Otherwise, every check of a stuck wheel would try to turn it.
        self._wanted = name

    async def _turn_to(self, name: str) -> None:
        if self.current == name:
            return
        slot, allowed_s = self.filters.index(name) + self._first_slot(), self._turn_deadline_s
        try:
            await self.set(dialects.FILTER_SLOT, slot, allowed_s)
        except DeviceTimeoutError as error:
            raise DeviceTimeoutError(
                self.name,
                f"did not reach filter {name!r} within {allowed_s:g} s",
                "If it needs longer, raise wheel.turn_deadline_s.",
            ) from error
