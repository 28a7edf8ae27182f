"""Stock INDI servers. Each has a home directory of its own, so that no driver loads or changes settings elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.indi.servers import STOCK_DRIVERS, Indiserver, indiserver

StartServer = Callable[..., Indiserver]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers that end with the test."""
    numbers = count()
    with ExitStack() as servers:

        def start(*drivers: str, **environment: str) -> Indiserver:
            home = tmp_path / f"home-{next(numbers)}"
            return servers.enter_context(indiserver(home, drivers or STOCK_DRIVERS, 0, **environment))

        yield start


@pytest.fixture
def stock(start_server: StartServer) -> Indiserver:
    """A server with the three stock simulators."""
    return start_server()
