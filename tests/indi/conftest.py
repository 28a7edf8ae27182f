"""Stock INDI servers. Each has a separate home directory, so that no driver loads or changes other settings."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.indi.servers import STOCK_DRIVERS, Indiserver, indiserver

StartServer = Callable[..., Indiserver]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Yield a function that starts servers, and end the servers with the test."""
    numbers = count()
    with ExitStack() as servers:

        def start(*drivers: str, **environment: str) -> Indiserver:
            home = tmp_path / f"home-{next(numbers)}"
            return servers.enter_context(indiserver(home, drivers or STOCK_DRIVERS, 0, **environment))

        yield start


@pytest.fixture
def stock(start_server: StartServer) -> Indiserver:
    """Return a server with the three stock simulators."""
    return start_server()
