"""Settings of the whole test suite."""

import asyncio
import gc
import os
import shutil
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("indiserver") is None:
        missing = pytest.mark.skip(reason="indiserver is not installed: apt install indi-bin")
        for item in items:
            if item.get_closest_marker("indi"):
                item.add_marker(missing)


def pytest_configure(config: pytest.Config) -> None:
    # No test, and no process that a test starts, may write to the user's cache folder.
    caches = TemporaryDirectory(prefix="coldframe-test-caches-")
    config.add_cleanup(caches.cleanup)
    os.environ["XDG_CACHE_HOME"] = caches.name
    # pytest-asyncio requests the current event loop. Python 3.11 then creates a loop, which is never closed, unless
    # the current loop has been set to None.
    asyncio.set_event_loop(None)
    # By default, Hypothesis fails examples that take longer than 200 ms and tests that draw examples slowly. Both can
    # happen on a busy machine.
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")


def pytest_collection_finish() -> None:
    # Nights collect garbage after each set. Without this, each collection would go through all modules and tests.
    gc.collect()
    gc.freeze()
