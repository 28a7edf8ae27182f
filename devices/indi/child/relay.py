"""A relay on the loopback interface between the library and the server, which checks the data from the server."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from coldframe.devices.indi.child.xml_limits import XmlLimitError, XmlLimits

CONNECT_DEADLINE_S = 5.0
CHUNK_BYTES = 1 << 16


class Relay:
    """Connects to the server, and waits for the library on a port of its own.

    Parameters
    ----------
    host, port
        Address of the server.
    refuse
        Function to call with the reason before the connections are closed because the server exceeds a limit.

    Raises
    ------
    OSError
        If the server cannot be reached.
    """

    def __init__(self, host: str, port: int, refuse: Callable[[str], None]) -> None:
        self._refuse = refuse
        self._server = socket.create_connection((host, port), CONNECT_DEADLINE_S)
        self._server.settimeout(None)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(CONNECT_DEADLINE_S)

    @property
    def port(self) -> int:
        """Port to which the library must connect."""
        return int(self._listener.getsockname()[1])

    def accept(self) -> socket.socket:
        """Accept one connection, and return it. No other connection is accepted afterwards.

        Raises
        ------
        OSError
            If nothing connects in time.
        """
        with self._listener:
            library, _ = self._listener.accept()
        library.settimeout(None)
        return library

    def start(self, library: socket.socket) -> None:
        """Relay in both directions until one of the connections ends."""
        for name, work in (("from server", self._from_server), ("to server", self._to_server)):
            threading.Thread(target=work, args=(library,), daemon=True, name=name).start()

    def _from_server(self, library: socket.socket) -> None:
        limits = XmlLimits()
        with suppress(OSError):
            while chunk := self._server.recv(CHUNK_BYTES):
                try:
                    limits.check(chunk)
                except XmlLimitError as error:
                    self._refuse(str(error))
                    break
                library.sendall(chunk)
        self._end(library)

    def _to_server(self, library: socket.socket) -> None:
        with suppress(OSError):
            while chunk := library.recv(CHUNK_BYTES):
                self._server.sendall(chunk)
        self._end(library)

    def _end(self, library: socket.socket) -> None:
        for connection in (self._server, library):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
