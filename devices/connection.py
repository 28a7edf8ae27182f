"""The protocol for a rig's connection to its server.

The process that holds the connection may leak memory, so it can be restarted.
"""

from collections.abc import Mapping
from typing import Protocol


class Connection(Protocol):
    """The connection to the rig's server."""

    def memory_bytes(self) -> int | None:
        """Return the resident memory of the connection's process, in bytes; None if unknown."""
        ...

    def drivers_memory_bytes(self) -> Mapping[str, int]:
        """Return the resident memory of each driver program on this machine, in bytes.

        The call blocks for a few milliseconds.
        """
        ...

    async def recycle(self) -> None:
        """Restart the connection's process. Each device is set up again the next time it is used.

        Raises
        ------
        DeviceError
            If the new process cannot connect to the server in time.
        """
        ...
