"""The memory use of the link to an INDI server, and of the server's drivers."""

from collections.abc import Mapping

from coldframe.devices.indi import dialects
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.memory import resident_bytes, resident_bytes_of


class IndiConnection:
    """A connection to an INDI server. Implements `Connection`.

    Parameters
    ----------
    link
        Link to the server.
    is_local
        True if the server and its drivers run on this machine.
    """

    def __init__(self, link: IndiLink, *, is_local: bool) -> None:
        self._link = link
        self._is_local = is_local

    def memory_bytes(self) -> int | None:
        """Return the resident memory of the link's process, in bytes; None if unknown."""
        process = self._link.process_id
        return None if process is None else resident_bytes(process)

    def drivers_memory_bytes(self) -> Mapping[str, int]:
        """Return the resident memory of each driver program on this machine, in bytes."""
        mirror = self._link.mirror
        programs = {str(dialects.value_of(mirror, name, dialects.DRIVER_PROGRAM) or "") for name in mirror.devices}
        return resident_bytes_of(programs - {""}) if self._is_local else {}

    async def recycle(self) -> None:
        """Restart the link's process.

        Raises
        ------
        DeviceLostError
            If the new process cannot connect to the server in time.
        """
        await self._link.recycle()
