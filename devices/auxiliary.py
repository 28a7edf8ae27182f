"""The protocol for auxiliaries: devices whose light can reach the sensor, such as dew heaters with LEDs."""

from typing import Protocol


class Auxiliary(Protocol):
    """A device to switch off for dark frames. All methods can raise DeviceError, and every wait has a deadline."""

    @property
    def name(self) -> str:
        """The device's name."""
        ...

    @property
    def is_ready(self) -> bool:
        """True while the auxiliary is connected and, if `switch_off` was the last command, off."""
        ...

    async def ensure_ready(self) -> None:
        """Reconnect the auxiliary if necessary, and switch it off again if `switch_off` was its last command."""
        ...

    async def connect(self) -> None:
        """Connect to the auxiliary without switching it on or off."""
        ...

    async def switch_off(self) -> None:
        """Switch the auxiliary off, and wait until its driver confirms the command."""
        ...

    async def restore(self) -> None:
        """Restore the state from before the first `switch_off`; do nothing if the auxiliary was never switched off."""
        ...
