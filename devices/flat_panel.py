"""What coldframe asks of a flat panel, with or without brightness, with or without a cover."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coldframe.devices.camera import Limits


class CoverState(StrEnum):
    """Where a cover is."""

    OPEN = "open"
    CLOSED = "closed"
    MOVING = "moving"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PanelState:
    """What the panel says of itself (brightness in the panel's own steps; cover None where it has none)."""

    lit: bool
    brightness: int | None
    cover: CoverState | None


class FlatPanel(Protocol):
    """A light source for flats. All methods raise DeviceError; waits are bounded by deadlines of their own."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def brightness_limits(self) -> Limits | None:
        """Range of the brightness in the panel's own steps; None where it can only be switched."""
        ...

    @property
    def has_light(self) -> bool:
        """False for a dust cap without a lamp."""
        ...

    @property
    def has_cover(self) -> bool:
        """True where the device can open and close a cover."""
        ...

    def state(self) -> PanelState:
        """Return the newest state."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the panel is there and stands as it was last told to."""
        ...

    async def ensure_ready(self) -> None:
        """Bring the panel back, with lamp and cover as they were last told to be, if it has been away."""
        ...

    async def connect(self) -> None:
        """Connect; ranges and state are known afterwards."""
        ...

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the light on, then set the brightness (some panels jump to full when switched on)."""
        ...

    async def light_off(self) -> None:
        """Switch the light off."""
        ...

    async def open_cover(self) -> None:
        """Open the cover and wait until it is open."""
        ...

    async def close_cover(self) -> None:
        """Close the cover and wait until it is closed."""
        ...


@asynccontextmanager
async def lit(
    panel: FlatPanel, brightness: int | None, do: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
) -> AsyncIterator[None]:
    """Light `panel` for the length of the block and leave it dark however the block ends.

    `do` gives the orders, as often as the caller wants them tried.
    """
    try:
        await do(lambda: panel.light_on(brightness))
        yield
    except BaseException:
        await panel.light_off()  # once: whatever has failed, or was called off, must not wait for a panel that is away
        raise
    await do(panel.light_off)
