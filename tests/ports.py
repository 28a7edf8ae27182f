"""TCP ports for servers that cannot choose one themselves."""

import itertools
import random
import socket
from contextlib import suppress

FIRST, LAST = 20_000, 32_000
"""Below Linux's ephemeral ports (32768 to 60999): no outgoing connection and no `bind` to port 0 takes one of these."""

_reservations: list[socket.socket] = []


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free, and that no other process of these tests is given until this one ends.

    A port that was bound only to find it can be given to another process before its server listens. So the port's
    number is reserved under an abstract name, which the kernel releases with the process.
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
