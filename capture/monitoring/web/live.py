"""Send each browser the sections that have changed. A slow browser skips the versions that it missed."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

REFRESH_S = 1.0
"""Time between checks of whether a section has changed."""

LARGEST_SHARE = 0.02
"""Maximum fraction of a CPU core used for writing the sections. Slow machines write them less often."""

BEAT_S = 10.0
"""Maximum time between two messages to a browser. Without messages, the browser assumes that the connection is lost."""

MOST_VIEWERS = 16


class LivePage:
    """The sections of the page, each with the version in which it last changed.

    Parameters
    ----------
    write
        Function that returns all sections as HTML, by name.

    Attributes
    ----------
    is_closed
        True once the server is shutting down; no section changes after that.
    """

    def __init__(self, write: Callable[[], Mapping[str, str]]) -> None:
        self._write = write
        self._sections: dict[str, tuple[int, str]] = {}
        self._version = 0
        self._news = asyncio.Event()
        self._viewers = 0
        self.is_closed = False

    def close(self) -> None:
        """Stop serving all browsers, because the server is shutting down."""
        self.is_closed = True
        self._news.set()

    @property
    def viewers(self) -> int:
        """Number of browsers that are following the page."""
        return self._viewers

    @property
    def is_full(self) -> bool:
        """True if no more browsers may follow the page."""
        return self._viewers >= MOST_VIEWERS

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Count a browser during the block, and write current sections for it at once."""
        self._viewers += 1
        try:
            self.refresh()
            yield
        finally:
            self._viewers -= 1

    def refresh(self) -> None:
        """Write the sections, and wake the browsers if one has changed."""
        before = self._version
        for name, text in self._write().items():
            if self._sections.get(name, (0, None))[1] != text:
                self._version = before + 1
                self._sections[name] = self._version, text
        if self._version != before:
            self._news.set()
            self._news = asyncio.Event()

    async def after(self, version: int) -> tuple[int, dict[str, str]]:
        """Wait at most `BEAT_S` for sections newer than a version; return the latest version and the newer sections."""
        if version == self._version:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._news.wait()
            except TimeoutError:
                return version, {}
        changed = {name: text for name, (since, text) in self._sections.items() if since > version}
        return self._version, changed

    async def run(self) -> None:
        """Keep writing the sections while browsers are following them."""
        while True:
            pause_s = REFRESH_S
            if self._viewers:
                began_s = time.thread_time()
                self.refresh()
                pause_s = max(REFRESH_S, (time.thread_time() - began_s) / LARGEST_SHARE)
            await asyncio.sleep(pause_s)
