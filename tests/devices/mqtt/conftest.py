"""A broker for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.mosquitto import Mosquitto


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path) as running:
        yield running
