"""The page in a real browser: it fits phones and screens, follows the night, and runs no foreign text."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from coldframe.capture.events.kinds import Event, NightEnded, Notice
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import Severity
from coldframe.capture.storage.journal import encode_event
from tests.capture.monitoring.dashboard.test_dashboard import DUSK, RecordedNight
from tests.capture.monitoring.report.browser import needs_chromium
from tests.capture.monitoring.web.browsers import TOKEN, Run, served
from tests.capture.monitoring.web.chromium import tab
from tests.capture.monitoring.web.test_sections import HOSTILE, hostile_night
from tests.capture.monitoring.web.test_server import ended
from tests.patience import until

pytestmark = needs_chromium

PAPER = {"dark": "rgb(7, 9, 11)", "red": "rgb(0, 0, 0)", "light": "rgb(246, 247, 248)"}
PICTURE = np.outer(np.arange(64), np.arange(96)).astype(np.uint8)


def whole_night() -> Iterable[Event]:
    yield from (event for event in RecordedNight(failing=frozenset({3})).events() if not isinstance(event, NightEnded))
    yield FrameShown(DUSK, "dark 300 s 20/20", PICTURE, np.arange(128))
    yield Notice(DUSK, Severity.WARNING, "a_word_without_any_spaces_" * 10)


@pytest.mark.parametrize("width", [390, 1280])
async def test_page_fits_in_every_theme_and_follows_the_night(tmp_path: Path, width: int) -> None:
    run = Run(tmp_path)
    async with run.serving(), served(tmp_path, token=TOKEN) as browser, tab() as shown:
        run.publish(whole_night())
        await until(lambda: browser.web.night.state.night is not None)
        for theme, paper in PAPER.items():
            await shown.open(f"{browser.url}?theme={theme}", width)
            await shown.wait_for("document.querySelector('#picture img')?.naturalWidth > 0")
            assert await shown.evaluate("innerWidth") == width
            assert await shown.evaluate("document.documentElement.scrollWidth") <= width
            assert await shown.evaluate("getComputedStyle(document.body).backgroundColor") == paper
            assert await shown.evaluate("document.querySelectorAll('#charts svg').length") >= 3
            verdict = "document.querySelector('h1').getBoundingClientRect()"
            assert await shown.evaluate(f"{verdict}.top") < 100
        run.publish([Notice(DUSK, Severity.ERROR, "the panel gave no light")])
        await shown.wait_for("document.getElementById('problems').textContent.includes('the panel gave no light')")
        assert await shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.complaints == []


async def test_red_theme_shows_red_light_only(tmp_path: Path) -> None:
    run = Run(tmp_path)
    async with run.serving(), served(tmp_path, token=TOKEN) as browser, tab() as shown:
        run.publish(whole_night())
        await shown.open(f"{browser.url}?theme=red", 390)
        await shown.wait_for("document.querySelector('#plan tr') !== null")
        colours = await shown.evaluate(
            "[...document.querySelectorAll('body *')].flatMap(each => { const style = getComputedStyle(each);"
            " return [style.color, style.backgroundColor, style.fill, style.stroke]; })"
        )
    channels = [
        tuple(map(float, each[each.index("(") + 1 : -1].split(",")[:3])) for each in set(colours) if "(" in each
    ]
    assert any(red > 200 for red, _, _ in channels)
    assert all(green <= 40 and blue <= 40 for _, green, blue in channels)


async def test_foreign_text_stays_text(tmp_path: Path) -> None:
    run = Run(tmp_path)
    async with run.serving(), served(tmp_path, token=TOKEN) as browser, tab() as shown:
        run.publish(hostile_night())
        await shown.open(browser.url, 390)
        await shown.wait_for("document.getElementById('log').textContent.includes('<img src=x onerror')")
        run.publish([Notice(DUSK, Severity.ERROR, f"again {HOSTILE}")])
        await shown.wait_for("document.getElementById('log').textContent.includes('again <img src=x onerror')")
        assert await shown.evaluate("document.querySelectorAll('main img:not(.picture img), [onerror]').length") == 0
        assert await shown.evaluate("document.scripts.length") == 1
        assert await shown.evaluate("document.documentElement.scrollWidth") <= 390
        assert shown.complaints == []


async def test_buttons_ask_for_the_token_and_steer_the_night(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with run.steering.taking_requests():
        async with run.serving(), served(tmp_path, token=TOKEN) as browser, tab() as shown:
            run.publish(whole_night())
            await shown.open(browser.url, 390)
            await shown.wait_for("document.querySelector('[data-do=pause]') !== null")
            await shown.evaluate("document.querySelector('[data-do=pause]').click()")
            await shown.wait_for("document.getElementById('token').open")
            assert not run.steering.is_paused
            field = "document.querySelector('#token input')"
            await shown.evaluate(f"{field}.value = {json.dumps(TOKEN)}")
            await shown.evaluate("document.querySelector('#token button[value=yes]').click()")
            await until(lambda: run.steering.is_paused)
            await shown.wait_for("document.querySelector('[data-do=resume]') !== null")
            # The token is remembered, and an abort asks first.
            await shown.evaluate("document.querySelector('[data-do=resume]').click()")
            await until(lambda: not run.steering.is_paused)
            await shown.evaluate("document.querySelector('[data-do=abort]').click()")
            await shown.wait_for("document.getElementById('question').open")
            question = "document.getElementById('question')"
            assert "End the night now" in await shown.evaluate(f"{question}.textContent")
            await shown.evaluate(f"{question}.querySelector('button[value=no]').click()")
            await shown.wait_for(f"!{question}.open")
            assert shown.complaints == []


async def test_page_says_that_it_is_not_current(tmp_path: Path) -> None:
    async with tab() as shown:
        async with served(tmp_path) as browser:
            await shown.open(browser.url, 390)
            await shown.wait_for("document.getElementById('headline').textContent.includes('no night yet')")
        await shown.evaluate("heardAt = 0; triedAt = 0; checkConnection()")
        assert await shown.evaluate("triedAt > 0")
        assert not await shown.evaluate("document.getElementById('stale').hidden")
        assert "not current" in await shown.evaluate("document.getElementById('stale').textContent")


async def test_dead_connection_is_replaced_and_blocked_storage_is_no_obstacle(tmp_path: Path) -> None:
    run = Run(tmp_path)
    async with run.serving(), served(tmp_path, token=TOKEN) as browser, tab() as shown:
        run.publish(whole_night())
        await shown.open(browser.url, 390)
        await shown.wait_for("document.querySelector('[data-do=pause]') !== null")
        await shown.evaluate(
            "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('blocked'); } });"
            "keepToken('abcd'); source.close(); heardAt = 0; triedAt = 0; checkConnection()"
        )
        assert await shown.evaluate("token()") == "abcd"
        await shown.wait_for("heardAt > 0 && document.getElementById('stale').hidden")
        assert shown.complaints == []


async def test_report_is_framed_in_the_colours_of_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-21"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("".join(f"{encode_event(each)}\n" for each in ended(str(folder))))
    style = "body{color:rgb(1,2,3)}@media(prefers-color-scheme:dark){body{color:rgb(4,5,6)}}"
    (folder / "report.html").write_text(f"<style>{style}</style><p>Morning</p><script>window.ran = 1</script>")
    async with served(tmp_path) as browser, tab() as shown:
        await until(lambda: browser.web.night.state.ended)
        for theme, colour in (("dark", "rgb(4, 5, 6)"), ("red", "rgb(4, 5, 6)"), ("light", "rgb(1, 2, 3)")):
            await shown.open(f"{browser.url}report?theme={theme}", 390)
            inner = "document.querySelector('iframe').contentWindow"
            await shown.wait_for(f"{inner}.document.body?.textContent.includes('Morning')")
            assert await shown.evaluate(f"getComputedStyle({inner}.document.body).color") == colour
            assert await shown.evaluate(f"{inner}.ran === undefined")
