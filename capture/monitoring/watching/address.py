"""The local socket on which a run can be watched, and the users who may connect to it."""

import os
import socket
import struct
from hashlib import sha256
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")


def watch_address(storage: Path) -> str:
    """Return the address of the local socket of the run that stores its nights in `storage`.

    The address is abstract (unix(7)). It leaves no stale file after a crash, is short even if the path is long, and
    needs neither a particular file system nor a folder for sockets. It depends only on the storage folder, so that the
    run and its watchers use the same address. Abstract addresses have no permissions, so `peer_user` replaces them.
    """
    path = os.path.realpath(storage.expanduser())  # Path.resolve would raise an error for a circular link
    return "\0coldframe-watch-" + sha256(os.fsencode(path)).hexdigest()[:32]


def peer_user(connection: socket.socket) -> int:
    """Return the user id of the process at the other end of a local connection, as reported by the kernel."""
    found: int = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    return found


def is_trusted(user: int) -> bool:
    """Return True if the user id is that of this process or of root."""
    return user in (0, os.geteuid())
