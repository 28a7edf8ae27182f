"""The protocol of auxiliaries: devices that can shine into the telescope, such as dew heaters or focusers with LEDs."""

from typing import Protocol


class Auxiliary(Protocol):
    """A device that is off while it must be dark. All methods raise DeviceError, and every wait has a deadline."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while it is connected, and off if that was its last order."""
        ...

    async def ensure_ready(self) -> None:
        """Reconnect it if necessary, and switch it off again if that was its last order."""
        ...

    async def connect(self) -> None:
        """Connect, without switching anything."""
        ...

    async def switch_off(self) -> None:
        """Switch it off, and wait until its driver confirms that."""
        ...

    async def restore(self) -> None:
        """Restore its state from before it was first switched off; do nothing if it never was."""
        ...
