"""The protocol of a rig's connection to its server, which is a process that may leak memory and can be restarted."""

from collections.abc import Mapping
from typing import Protocol


class Connection(Protocol):
    """The connection to the rig's server."""

    def memory_bytes(self) -> int | None:
        """Return the memory of the connection's own process; None if it is unknown."""
        ...

    def drivers_memory_bytes(self) -> Mapping[str, int]:
        """Return the memory of the drivers on this machine, by program. This blocks for a few milliseconds."""
        ...

    async def recycle(self) -> None:
        """Restart the connection's process; each device sets itself up again at its next use.

        Raises
        ------
        DeviceError
            If the server does not answer the new process.
        """
        ...
