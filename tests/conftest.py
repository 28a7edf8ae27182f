"""Settings of the whole test suite."""

import asyncio
import shutil

import pytest
from hypothesis import HealthCheck, settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("indiserver") is None:
        missing = pytest.mark.skip(reason="indiserver is not installed: apt install indi-bin")
        for item in items:
            if item.get_closest_marker("indi"):
                item.add_marker(missing)


def pytest_configure() -> None:
    # pytest-asyncio asks for the current event loop. Python 3.11 then creates one, which is never closed, unless the
    # current loop was set to None.
    asyncio.set_event_loop(None)
    # Hypothesis fails an example that takes longer than 200 ms, and a test that draws its examples slowly. Both happen
    # on a busy machine.
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
