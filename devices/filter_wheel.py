"""What coldframe asks of a filter wheel."""

from typing import Protocol


class FilterWheel(Protocol):
    """A filter wheel. All methods raise DeviceError; waits are bounded by deadlines of their own."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def filters(self) -> tuple[str, ...]:
        """Filter names in slot order; known once connected."""
        ...

    @property
    def current(self) -> str | None:
        """The filter in the beam, None while the wheel turns or does not know."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the wheel is there and stands where it was last told to."""
        ...

    async def ensure_ready(self) -> None:
        """Bring the wheel back, to the filter that was last asked for, if it has been away or was turned."""
        ...

    async def connect(self) -> None:
        """Connect and learn the filters."""
        ...

    async def select(self, name: str) -> None:
        """Turn the wheel to the named filter and wait until it is there."""
        ...
