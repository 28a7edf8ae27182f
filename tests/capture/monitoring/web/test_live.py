"""Browsers get what changed since they last looked, and slow browsers skip what they missed."""

import asyncio
from contextlib import ExitStack

import pytest

from coldframe.capture.monitoring.web import live
from coldframe.capture.monitoring.web.live import LivePage


@pytest.fixture
def written() -> dict[str, str]:
    return {"headline": "one", "log": "a"}


async def test_a_new_browser_gets_all_sections(written: dict[str, str]) -> None:
    page = LivePage(lambda: written)
    with page.viewer():
        assert (await page.after(0))[1] == written


async def test_only_changed_sections_are_sent(written: dict[str, str]) -> None:
    page = LivePage(lambda: written)
    with page.viewer():
        version, _ = await page.after(0)
        waiting = asyncio.create_task(page.after(version))
        await asyncio.sleep(0)
        page.refresh()
        await asyncio.sleep(0)
        assert not waiting.done()
        written["log"] = "b"
        page.refresh()
        assert (await waiting)[1] == {"log": "b"}


async def test_a_slow_browser_skips_what_it_missed(written: dict[str, str]) -> None:
    page = LivePage(lambda: written)
    with page.viewer():
        version, _ = await page.after(0)
        for text in "bcdef":
            written["log"] = text
            page.refresh()
        written["headline"] = "two"
        page.refresh()
        assert (await page.after(version))[1] == {"headline": "two", "log": "f"}


async def test_a_quiet_night_is_a_beat_without_sections(
    written: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.01)
    page = LivePage(lambda: written)
    with page.viewer():
        version, _ = await page.after(0)
        assert await page.after(version) == (version, {})


async def test_nothing_is_written_while_no_browser_follows(written: dict[str, str]) -> None:
    calls = 0

    def write() -> dict[str, str]:
        nonlocal calls
        calls += 1
        return written

    page = LivePage(write)
    running = asyncio.create_task(page.run())
    await asyncio.sleep(0.05)
    assert calls == 0
    with page.viewer():
        assert calls == 1
    running.cancel()
    await asyncio.wait([running])


async def test_the_number_of_browsers_is_limited(written: dict[str, str]) -> None:
    page = LivePage(lambda: written)
    with ExitStack() as viewers:
        for _ in range(live.MOST_VIEWERS):
            assert not page.is_full
            viewers.enter_context(page.viewer())
        assert page.is_full
    assert page.viewers == 0
