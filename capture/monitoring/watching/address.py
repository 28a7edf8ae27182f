"""The local socket on which a run can be watched, and who may connect to it."""

import os
import socket
import struct
from hashlib import sha256
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")


def watch_address(storage: Path) -> str:
    """Return the address of the local socket of the run that stores into `storage`.

    It is an abstract address (unix(7)): it leaves no stale file after a crash, is short however long the path is, and
    works with every file system and without a folder for sockets. It depends on the storage folder alone, so that run
    and watcher agree on it. Abstract addresses have no permissions; `peer_user` replaces them.
    """
    return "\0coldframe-watch-" + sha256(os.fsencode(storage.expanduser().resolve())).hexdigest()[:32]


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process at the other end of a local connection, which the kernel vouches for."""
    found: int = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    return found


def is_trusted(user: int) -> bool:
    """Return True if a user id is our own, or root's."""
    return user in (0, os.geteuid())
