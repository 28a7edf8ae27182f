"""Where a run can be watched on this machine, and by whom."""

import os
import socket
import struct
from hashlib import sha256
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")


def watch_address(storage: Path) -> str:
    """Return the local socket's address of the run that stores into `storage`.

    An abstract name (unix(7)): no file lies about, so none is stale after a crash, no path is too long, and it does not
    matter what file system the storage is on, or whether a service has a folder for such things. The name is found from
    the storage folder alone, so run and watcher agree without asking anyone. Who may connect is told by the kernel
    (`peer_user`), as an abstract name has no permissions.
    """
    return "\0coldframe-watch-" + sha256(os.fsencode(storage.expanduser().resolve())).hexdigest()[:32]


def peer_user(connection: socket.socket) -> int:
    """Return the user's number at the other end of a local connection, as the kernel knows it."""
    found: int = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    return found


def is_trusted(user: int) -> bool:
    """Tell whether the user at the other end is ours, or root."""
    return user in (0, os.geteuid())
