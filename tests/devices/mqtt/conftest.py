"""A broker, and lights on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coldframe.devices.mqtt import panel as panel_module
from tests.devices.mqtt.broker import Mosquitto


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "GREETING_S", 0.4)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path) as running:
        yield running
