"""The relay between the library and the server, with sockets and without the library."""

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from coldframe.devices.indi.child import relay as relay_module
from coldframe.devices.indi.child.relay import Relay
from tests.patience import PATIENCE_S, block_until

COMPLETE = b"<message device='x'/>"


@contextmanager
def relayed() -> Iterator[tuple[socket.socket, socket.socket, "queue.SimpleQueue[str]"]]:
    """Yield the server's end, the library's end, and the reasons for which the relay closed the connections."""
    refusals: queue.SimpleQueue[str] = queue.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay("127.0.0.1", listener.getsockname()[1], refusals.put)
        server, _ = listener.accept()
        with server, socket.create_connection(("127.0.0.1", relay.port), PATIENCE_S) as library, relay.accept() as end:
            before = threading.active_count()
            relay.start(end)
            yield server, library, refusals
            for connection in (server, library):
                connection.close()
            block_until(lambda: threading.active_count() == before)
    relay.server.close()  # the process of the relay ends without closing it


def test_an_element_that_does_not_end_in_time_costs_the_connection() -> None:
    with patch.object(relay_module, "LONGEST_ELEMENT_S", 0.2), relayed() as (server, library, refusals):
        server.sendall(COMPLETE + b"<defTextVector device='x'>")
        assert "did not end within 0.2 s" in refusals.get(timeout=PATIENCE_S)
        while library.recv(1000):
            pass


def test_a_server_that_is_silent_between_elements_is_no_fault() -> None:
    with patch.object(relay_module, "LONGEST_ELEMENT_S", 0.1), relayed() as (server, library, refusals):
        server.sendall(COMPLETE)
        assert library.recv(1000) == COMPLETE
        time.sleep(0.3)
        server.sendall(COMPLETE)
        assert library.recv(1000) == COMPLETE
        assert refusals.empty()


def test_each_element_of_a_busy_server_has_its_own_time() -> None:
    """The chunks of a busy connection always end within an element."""
    with patch.object(relay_module, "LONGEST_ELEMENT_S", 5.0), relayed() as (server, library, refusals):
        server.sendall(b"<mess")
        for _ in range(20):
            time.sleep(0.3)
            server.sendall(COMPLETE[5:] + b"<mess")
            assert library.recv(1000)
        assert refusals.empty()
