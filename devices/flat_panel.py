"""The protocol for flat panels, with or without a brightness control or a cover."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coldframe.devices.camera import Limits


class CoverState(StrEnum):
    """The state of a cover."""

    OPEN = "open"
    CLOSED = "closed"
    MOVING = "moving"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PanelState:
    """The state that a panel reports. Brightness is in the panel's own steps; `cover` is None without a cover."""

    lit: bool
    brightness: int | None
    cover: CoverState | None


class FlatPanel(Protocol):
    """A lamp for flats, a cover, or both. All methods can raise DeviceError, and every wait has a deadline."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def brightness_limits(self) -> Limits | None:
        """Range of the brightness in the panel's own steps; None if the lamp can only be switched on and off."""
        ...

    @property
    def has_light(self) -> bool:
        """False for a dust cap without a lamp."""
        ...

    @property
    def has_cover(self) -> bool:
        """True if the device can open and close a cover."""
        ...

    def state(self) -> PanelState:
        """Return the last reported state."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the panel is connected, and its lamp and cover are in their last commanded states."""
        ...

    async def ensure_ready(self) -> None:
        """Reconnect the panel if necessary, and restore the last commanded states of its lamp and cover."""
        ...

    async def connect(self) -> None:
        """Connect to the panel, and read its brightness range and its state."""
        ...

    async def light_on(self, brightness: int | None = None) -> None:
        """Switch the lamp on, then set its brightness; some panels (Wanderer) always switch on at full brightness."""
        ...

    async def light_off(self) -> None:
        """Switch the lamp off."""
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
    """Switch the lamp on for the duration of the block, and switch it off however the block ends.

    `do` is a function that runs a command, with retries if the caller wants them.
    """
    try:
        await do(lambda: panel.light_on(brightness))
        yield
    except BaseException:
        await panel.light_off()  # no retries, because a failed or cancelled block must not wait for a missing panel
        raise
    await do(panel.light_off)
