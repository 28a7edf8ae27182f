"""Settings of the whole test suite."""

import asyncio
import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

from coldframe.config.environment import CONFIG_VARIABLE

TESTS = Path(__file__).parent


WAITING = ("indi", "crash", "api", "devices", "simulators", "outside")
COMPUTING = ("nights", "cli", "calibration")
"""Folders of the longest files. Files that mostly wait for real processes alternate with files that compute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_order(items))
    if shutil.which("indiserver") is None:
        missing = pytest.mark.skip(reason="indiserver is not installed: apt install indi-bin")
        for item in items:
            if item.get_closest_marker("indi"):
                item.add_marker(missing)


def _order(items: list[pytest.Item]) -> Callable[[pytest.Item], int]:
    """Return the sort key that puts long files first, so that at the end all processes of pytest-xdist are busy."""
    files = list(dict.fromkeys(item.path for item in items))
    places: dict[Path, int] = {}
    for parity, group in enumerate((WAITING, COMPUTING)):
        in_group = [file for folder in group for file in files if file.is_relative_to(TESTS / folder)]
        places |= {file: 2 * index + parity for index, file in enumerate(in_group)}
    return lambda item: places.get(item.path, 2 * len(files))


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


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variable that names a configuration. A command that refuses its arguments does not restore it."""
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)


def pytest_collection_finish() -> None:
    # Nights collect garbage after each set. Without this, each collection would go through all modules and tests.
    gc.collect()
    gc.freeze()
