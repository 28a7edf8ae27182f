"""A relay on the loopback interface between the library and the server. It checks the data from the server."""

import math
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from coldframe.devices.indi.child.xml_limits import XmlLimitError, XmlLimits

CONNECT_DEADLINE_S = 5.0
CHUNK_BYTES = 1 << 16
LONGEST_ELEMENT_S = 30.0
"""Maximum time for an outermost element to arrive completely. If an element never ends, the library ignores all the
data after it. Servers before INDI 1.9.2 do not answer pings; with these servers, only this limit reveals the fault."""


class Relay:
    """A relay that connects to the server, and waits for the library on a separate port.

    Parameters
    ----------
    host, port
        Address of the server.
    refuse
        Function to call with the reason if the server exceeds a limit, before the connections are closed.

    Attributes
    ----------
    server
        Connection to the server.

    Raises
    ------
    OSError
        If the server cannot be reached.
    """

    def __init__(self, host: str, port: int, refuse: Callable[[str], None]) -> None:
        self._refuse = refuse
        self.server = socket.create_connection((host, port), CONNECT_DEADLINE_S)
        self.server.settimeout(None)
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
        with suppress(OSError):
            try:
                for chunk in self._checked_chunks():
                    library.sendall(chunk)
            except XmlLimitError as error:
                self._refuse(str(error))
        self._end(library)

    def _checked_chunks(self) -> Iterator[bytes]:
        limits, deadline_s = XmlLimits(), math.inf
        while chunk := self._next_chunk(deadline_s):
            before = limits.complete
            limits.check(chunk)
            if not limits.is_inside:
                deadline_s = math.inf
            elif deadline_s == math.inf or limits.complete > before:
                deadline_s = time.monotonic() + LONGEST_ELEMENT_S
            yield chunk

    def _next_chunk(self, deadline_s: float) -> bytes:
        left_s = None if deadline_s == math.inf else max(0.0, deadline_s - time.monotonic())
        readable, _, _ = select.select([self.server], [], [], left_s)
        if not readable:
            raise XmlLimitError(f"the server sent an XML element that did not end within {LONGEST_ELEMENT_S:g} s")
        return self.server.recv(CHUNK_BYTES)

    def _to_server(self, library: socket.socket) -> None:
        with suppress(OSError):
            while chunk := library.recv(CHUNK_BYTES):
                self.server.sendall(chunk)
        self._end(library)

    def _end(self, library: socket.socket) -> None:
        for connection in (self.server, library):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
