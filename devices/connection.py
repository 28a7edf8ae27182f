"""The protocol of a rig's connection to its server. The connection's process may leak memory and can be restarted."""

from collections.abc import Mapping
from typing import Protocol


class Connection(Protocol):
    """The connection to the rig's server."""

    def memory_bytes(self) -> int | None:
        """Return the memory use of the connection's process; None if it is unknown."""
        ...

    def drivers_memory_bytes(self) -> Mapping[str, int]:
        """Return the memory use of the drivers on this machine, by program. The call blocks for a few milliseconds."""
        ...

    async def recycle(self) -> None:
        """Restart the connection's process. Each device is set up again at its next use.

        Raises
        ------
        DeviceError
            If the server does not answer the new process.
        """
        ...
