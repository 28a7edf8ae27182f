"""TCP ports for servers that cannot choose one themselves."""

import itertools
import random
import socket
from contextlib import suppress

FIRST, LAST = 20_000, 32_000
"""Ports below Linux's ephemeral range (32768 to 60999), which outgoing connections and `bind` to port 0 use."""

_reservations: list[socket.socket] = []


def free_port(host: str = "127.0.0.1") -> int:
    """Return a free port, and reserve it for this process among all processes of the tests.

    A port that is bound only to test it could be given to a different process before its server listens. Therefore the
    port's number is reserved by an abstract socket name, which the kernel releases when the process ends.
    """
    for port in itertools.count(random.SystemRandom().randrange(FIRST, LAST)):
        number = FIRST + (port - FIRST) % (LAST - FIRST)
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with suppress(OSError):
            reservation.bind(f"\0coldframe-tests-port-{number}")
            socket.create_server((host, number)).close()
            _reservations.append(reservation)
            return number
        reservation.close()
    raise AssertionError
