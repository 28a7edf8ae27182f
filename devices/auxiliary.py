"""What else at a telescope can shine or glow: dew heaters with a lamp, status lights, focusers with one."""

from typing import Protocol


class Auxiliary(Protocol):
    """Something that is off while it must be dark. All methods raise DeviceError; waits are bounded."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while it is there, and off where it was last told to be."""
        ...

    async def ensure_ready(self) -> None:
        """Bring it back, switched off if it was last told to be."""
        ...

    async def connect(self) -> None:
        """Connect; nothing is switched."""
        ...

    async def switch_off(self) -> None:
        """Switch it off and see that it is."""
        ...

    async def restore(self) -> None:
        """Bring it back to where it was before it was first switched off; nothing to do if it never was."""
        ...
