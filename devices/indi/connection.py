"""The link to an INDI server as something that takes memory."""

from collections.abc import Mapping

from coldframe.devices.indi import dialects
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.memory import resident_bytes, resident_bytes_of


class IndiConnection:
    """Implements `Connection`.

    Parameters
    ----------
    link
        The link.
    is_local
        True where the server, and so its drivers, run on this machine.
    """

    def __init__(self, link: IndiLink, *, is_local: bool) -> None:
        self._link = link
        self._is_local = is_local

    def memory_bytes(self) -> int | None:
        """Return what the link's process takes of the memory; None where nobody knows."""
        process = self._link.process_id
        return None if process is None else resident_bytes(process)

    def drivers_memory_bytes(self) -> Mapping[str, int]:
        """Return what the drivers on this machine take, by their programs."""
        mirror = self._link.mirror
        programs = {str(dialects.value_of(mirror, name, dialects.DRIVER_PROGRAM) or "") for name in mirror.devices}
        return resident_bytes_of(programs - {""}) if self._is_local else {}

    async def recycle(self) -> None:
        """Start the link's process anew.

        Raises
        ------
        DeviceLostError
            The server did not answer again.
        """
        await self._link.recycle()
