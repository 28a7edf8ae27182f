"""The protocol for filter wheels."""

from typing import Protocol


class FilterWheel(Protocol):
    """A filter wheel. All methods can raise DeviceError, and every wait has a deadline."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def filters(self) -> tuple[str, ...]:
        """Filter names in slot order, known once the wheel is connected."""
        ...

    @property
    def current(self) -> str | None:
        """The filter in the beam; None while the wheel is turning, or if its position is unknown."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the wheel is connected and the last commanded filter is in the beam."""
        ...

    async def ensure_ready(self) -> None:
        """Reconnect the wheel if necessary, and turn it back to the last commanded filter."""
        ...

    async def connect(self) -> None:
        """Connect to the wheel, and read the filter names."""
        ...

    async def select(self, name: str) -> None:
        """Turn the wheel to the named filter, and wait until the filter is in the beam."""
        ...
