"""What a rig's devices are reached through, where that is a program which can grow and can be started anew."""

from collections.abc import Mapping
from typing import Protocol


class Connection(Protocol):
    """A link to the rig's server."""

    def memory_bytes(self) -> int | None:
        """Return what the link's own process takes of the memory; None where nobody knows."""
        ...

    def drivers_memory_bytes(self) -> Mapping[str, int]:
        """Return what the drivers on this machine take, by their programs; blocks for some milliseconds."""
        ...

    async def recycle(self) -> None:
        """Start the link's process anew; the devices set themselves up again when they are next used.

        Raises
        ------
        DeviceError
            The server did not answer again.
        """
        ...
