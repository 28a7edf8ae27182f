"""What every test starts from."""

import asyncio
import shutil

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("indiserver") is None:
        missing = pytest.mark.skip(reason="indiserver is not installed: apt install indi-bin")
        for item in items:
            if item.get_closest_marker("indi"):
                item.add_marker(missing)


def pytest_configure() -> None:
    # On Python 3.11 pytest-asyncio's look for the current loop makes one that nobody closes, unless there is said to
    # be none.
    asyncio.set_event_loop(None)
