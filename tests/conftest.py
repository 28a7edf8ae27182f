"""What every test starts from."""

import asyncio


def pytest_configure() -> None:
    # On Python 3.11 pytest-asyncio's look for the current loop makes one that nobody closes, unless there is said to
    # be none.
    asyncio.set_event_loop(None)
