"""The page over loopback: a night, its pictures and its report, commands, and hostile requests."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from coldframe.capture.events.kinds import Event, FrameAccepted, NightEnded, NightStarted, Notice
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.watching import local, watched_night
from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.watching.server import REFUSED
from coldframe.capture.monitoring.watching.watched_night import READ_ONLY
from coldframe.capture.monitoring.web import live, night_files, server
from coldframe.capture.monitoring.web.access import Access
from coldframe.capture.monitoring.web.addresses import Address, CannotListenError
from coldframe.capture.monitoring.web.commands import night_id
from coldframe.capture.monitoring.web.server import MOST_CONNECTIONS, MOST_PER_ADDRESS, serve
from coldframe.capture.storage.journal import encode_event
from coldframe.capture.threads import DiskHangsError
from tests.capture.monitoring.dashboard.test_dashboard import DUSK, STARTED, RecordedNight
from tests.capture.monitoring.web.browsers import TOKEN, Browser, Run, response, served
from tests.patience import PATIENCE_S, until

TONIGHT = night_id(STARTED)


def beginning() -> list[Event]:
    """Return the events of the recorded night up to the first frame."""
    events: list[Event] = []
    for event in RecordedNight().events():
        events.append(event)
        if isinstance(event, FrameAccepted):
            return events
    raise AssertionError


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with served(tmp_path, token=TOKEN) as browser:
        yield browser


async def sees(browser: Browser, *words: str) -> dict[str, str]:
    """Follow the page until its sections contain all words, and return the sections."""
    seen: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE_S), aclosing(browser.sections()) as messages:
        async for changed in messages:
            seen |= changed
            text = " ".join(seen.values())
            if all(each in text for each in words):
                return seen
    raise AssertionError(f"the page never showed {words}: {seen}")


async def attached(browser: Browser) -> None:
    await until(lambda: browser.web.night.note == "" and browser.web.night.state.night is not None)


async def test_night_is_followed_live_to_its_end(tmp_path: Path, browser: Browser) -> None:
    run = Run(tmp_path)
    async with run.serving():
        run.publish(beginning())
        await sees(browser, "All well", "flat L  1/20", "1/20")
        run.publish([Notice(DUSK, Severity.ERROR, "the panel gave no light")])
        await sees(browser, "Errors, continuing", "the panel gave no light")
        run.publish(RecordedNight().events())
        await sees(browser, "Complete", "all masters made", "100/100")
    await sees(browser, "the run is gone; showing the last night, 2026-11-21")


async def test_last_night_is_shown_until_the_next_one_begins(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-20"
    folder.mkdir()
    earlier = NightStarted(DUSK, str(folder), "Old Camera", None, None, 100, 80, STARTED.steps)
    (folder / "journal.jsonl").write_text(f"{encode_event(earlier)}\n")
    async with served(tmp_path) as browser:
        await sees(browser, "no run found; showing the unfinished night 2026-11-20", "No contact since", "Old Camera")
        run = Run(tmp_path)
        async with run.serving():
            run.publish(beginning())
            seen = await sees(browser, "All well", "ZWO CCD ASI2600MM Pro")
            assert "no run" not in seen["headline"]


async def test_the_whole_page_works_without_scripts(tmp_path: Path, browser: Browser) -> None:
    run = Run(tmp_path)
    async with run.serving():
        run.publish(beginning())
        await attached(browser)
        page = await browser.get("/?theme=red")
    assert page.status == 200
    assert "All well" in page.text
    assert 'class="red"' in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert 'class="dark"' in (await browser.get("/?theme=%22%3E%3Cscript%3E")).text


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/picture", "/report", "/report.html", "/nothing"])
async def test_every_answer_has_strict_headers(browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Server" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_pages_name_no_other_server(browser: Browser) -> None:
    for path in ("/", "/page.js", "/page.css", "/report"):
        text = (await browser.get(path)).text
        assert "http://" not in text
        assert "https://" not in text
        assert "//" not in text.replace("// ", "")


async def test_the_preview_of_the_run_is_shown_as_a_picture(tmp_path: Path, browser: Browser) -> None:
    assert (await browser.get("/picture")).status == 404
    run = Run(tmp_path)
    async with run.serving():
        run.publish(beginning())
        picture = np.outer(np.arange(64), np.arange(96)).astype(np.uint8)
        run.publish([FrameShown(DUSK, "flat L 1/20", picture, np.arange(128))])
        await sees(browser, 'src="picture?')
        answer = await browser.get("/picture?1")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.body.startswith(b"\x89PNG")


async def test_the_report_of_the_night_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-21"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("".join(f"{encode_event(each)}\n" for each in ended(str(folder))))
    async with served(tmp_path) as browser:
        await until(lambda: browser.web.night.state.ended)
        assert (await browser.get("/report.html")).status == 404
        (folder / "report.html").write_text("<title>Morning</title>")
        await sees(browser, "Morning report")
        report = await browser.get("/report.html")
    assert report.text == "<title>Morning</title>"
    assert "script-src" not in report.headers["Content-Security-Policy"]
    assert report.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")


def ended(folder: str) -> list[Event]:
    started = NightStarted(DUSK, folder, "Camera", None, None, 100, 80, STARTED.steps)
    return [started, *(each for each in RecordedNight().events() if isinstance(each, NightEnded))]


@pytest.mark.parametrize("folder", ["/etc", "..", "{}/../secret", "/", ""])
async def test_a_journal_cannot_name_another_folder(tmp_path: Path, folder: str) -> None:
    storage, secret = tmp_path / "nights", tmp_path / "secret"
    night = storage / "2026-11-21"
    night.mkdir(parents=True)
    secret.mkdir()
    (secret / "report.html").write_text("secret")
    (storage / "report.html").write_text("secret")
    (tmp_path / "report.html").write_text("secret")
    (night / "journal.jsonl").write_text("".join(f"{encode_event(each)}\n" for each in ended(folder.format(storage))))
    async with served(storage) as browser:
        await until(lambda: browser.web.night.state.ended)
        assert (await browser.get("/report.html")).status == 404
        assert "Morning report" not in (await browser.get("/")).text


async def test_commands_reach_the_night(tmp_path: Path, browser: Browser) -> None:
    run = Run(tmp_path)

    async def night() -> None:
        with run.steering.taking_requests():
            await asyncio.sleep(PATIENCE_S)

    async with run.serving():
        running = asyncio.create_task(night())
        run.publish(beginning())
        await attached(browser)
        paused = await browser.command("pause", TONIGHT)
        assert (paused.status, run.steering.is_paused) == (200, True)
        await sees(browser, "Paus", 'data-do="resume"')
        assert (await browser.command("resume", TONIGHT)).text == "the night continues\n"
        assert not run.steering.is_paused
        aborted = await browser.command("abort", TONIGHT)
        assert aborted.text == "the night is ending, and the rig is being made safe\n"
        await asyncio.wait([running])
        assert running.cancelled()


async def test_commands_need_the_token_the_page_and_the_night(tmp_path: Path, browser: Browser) -> None:
    run = Run(tmp_path)
    good = b'{"do": "abort", "night": "' + TONIGHT.encode() + b'"}'
    authorised = {"Authorization": f"Bearer {TOKEN}"}
    with run.steering.taking_requests():
        async with run.serving():
            run.publish(beginning())
            await attached(browser)
            answers = {
                "no token": (await browser.post(good)).status,
                "wrong token": (await browser.command("abort", TONIGHT, "abcd-efgh-ijkl-mnoq")).status,
                "other page": (await browser.post(good, Origin="http://evil.example", **authorised)).status,
                "no page": (await browser.post(good, Origin="null", **authorised)).status,
                "rebound": (
                    await browser.post(good, Host="evil.example", Origin="http://evil.example", **authorised)
                ).status,
                "form": (await browser.post(good, Content_Type="text/plain", **authorised)).status,
                "get": (await browser.get("/command", Authorization=authorised["Authorization"])).status,
                "other night": (await browser.command("abort", "2026-11-20T02:10:00+00:00")).status,
                "no command": (await browser.command("reboot", TONIGHT)).status,
                "no step": (await browser.command("skip", TONIGHT)).status,
                "not JSON": (await browser.post(b"abort", **authorised)).status,
                "nested": (await browser.post(b"[" * 900, **authorised)).status,
                "too long": (await browser.post(b" " * 2000 + good, **authorised)).status,
            }
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()
    assert answers == {
        "no token": 401, "wrong token": 401, "other page": 403, "no page": 403, "rebound": 421, "form": 415, "get": 404,
        "other night": 409, "no command": 400, "no step": 400, "not JSON": 400, "nested": 400, "too long": 400,
    }  # fmt: skip


async def test_a_page_without_a_token_takes_no_commands(tmp_path: Path) -> None:
    run = Run(tmp_path)
    async with run.serving(), served(tmp_path) as browser:
        run.publish(beginning())
        await attached(browser)
        seen = await sees(browser, "read-only")
        assert "<button" not in seen["controls"]
        for token in ("", "None", TOKEN):
            assert (await browser.command("pause", TONIGHT, token)).status == 403
        assert not run.steering.is_paused


async def test_the_configuration_of_the_run_must_allow_commands_too(tmp_path: Path, browser: Browser) -> None:
    run = Run(tmp_path)
    async with run.serving(allows_commands=False):
        run.publish(beginning())
        await attached(browser)
        answer = await browser.command("pause", TONIGHT)
        assert answer.status == 409
        assert answer.text.strip() in (READ_ONLY, REFUSED)
        assert not run.steering.is_paused


async def test_commands_for_a_night_that_is_over_are_not_sent(tmp_path: Path, browser: Browser) -> None:
    run = Run(tmp_path)
    async with run.serving():
        run.publish(RecordedNight().events())
        await until(lambda: browser.web.night.state.ended)
        assert (await browser.command("pause", TONIGHT)).status == 409
        # The next night of the same evening is another night.
        run.publish(
            [NightStarted(DUSK + timedelta(hours=1), STARTED.folder, "Camera", None, None, 1, 1, STARTED.steps)]
        )
        await until(lambda: browser.web.night.state.ended is None)
        assert (await browser.command("pause", TONIGHT)).status == 409


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "/report.html/../../etc/passwd", "/picture?../../etc/passwd",
     "/page.css%00", "//etc/passwd", "/%2e%2e/journal.jsonl", "/report.html?../secret"],
)  # fmt: skip
async def test_paths_never_leave_the_page(tmp_path: Path, browser: Browser, path: str) -> None:
    (tmp_path / "secret").write_text("root:")
    answer = await browser.get(path)
    assert answer.status == 404
    assert b"root:" not in answer.body


@pytest.mark.parametrize("path", ["/", "/events", "/picture", "/report", "/report.html", "/page.js", "/command"])
async def test_other_hosts_are_refused_everywhere(browser: Browser, path: str) -> None:
    answer = await browser.get(path, Host="evil.example")
    assert answer.status == 421
    assert "All well" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "POST"])
async def test_other_methods_are_refused(browser: Browser, method: str) -> None:
    assert (await browser.get("/", method)).status == 405


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100 + b"\r\n\r\n",
        b"POST /command HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999\r\n\r\n",
        b"POST /command HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["header", "headers", "path", "TLS", "length", "negative", "smuggled", "two hosts", "no host"],
)
async def test_malformed_requests_cost_only_their_connection(browser: Browser, request_bytes: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", browser.port)
    received = b""
    try:
        writer.write(request_bytes)
        async with asyncio.timeout(PATIENCE_S):
            received = await reader.read(4096)
    except OSError:
        pass
    writer.close()
    assert not received or response(received).status in (400, 413, 421)
    assert (await browser.get("/")).status == 200


async def test_a_request_that_never_ends_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.2)
    async with served(tmp_path) as browser:
        reader, writer = await asyncio.open_connection("127.0.0.1", browser.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: ")
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()


async def test_many_connections_leave_the_others_working(browser: Browser) -> None:
    held = [await from_address(browser, f"127.0.0.{2 + number % 4}") for number in range(MOST_CONNECTIONS)]
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", browser.port)
        assert await reader.read() == b""
    for _, each in [*held, (reader, writer)]:
        each.close()

    async def answered() -> bool:
        try:
            return (await browser.get("/")).status == 200
        except (OSError, ValueError, IndexError):
            return False

    async with asyncio.timeout(PATIENCE_S):
        while not await answered():
            await asyncio.sleep(0.02)


async def from_address(browser: Browser, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", browser.port, local_addr=(address, 0))


async def test_one_address_cannot_keep_out_the_others(browser: Browser) -> None:
    held = [await from_address(browser, "127.0.0.2") for _ in range(MOST_PER_ADDRESS)]
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await from_address(browser, "127.0.0.2")
        assert await reader.read() == b""
    assert (await browser.get("/")).status == 200
    for _, each in [*held, (reader, writer)]:
        each.close()


async def test_a_browser_that_does_not_read_the_report_is_disconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", server.log.name)
    monkeypatch.setattr(server, "REQUEST_S", 0.3)
    folder = tmp_path / "2026-11-21"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("".join(f"{encode_event(each)}\n" for each in ended(str(folder))))
    with (folder / "report.html").open("wb") as report:
        report.truncate(40_000_000)
    async with served(tmp_path) as browser:
        await until(lambda: browser.web.night.state.ended)
        reader, writer = await asyncio.open_connection("127.0.0.1", browser.port, limit=1)
        writer.write(f"GET /report.html HTTP/1.1\r\nHost: {browser.host}\r\n\r\n".encode())
        await until(lambda: "it stopped reading" in caplog.text)
        with suppress(ConnectionError):
            assert len(await reader.read()) < 40_000_000
        writer.close()
        monkeypatch.setattr(server, "REQUEST_S", PATIENCE_S)
        assert len((await browser.get("/report.html")).body) == 40_000_000


async def test_a_state_that_cannot_be_written_is_said_and_ends_nothing(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_sight: object) -> dict[str, str]:
        raise OverflowError("a strange event")

    run = Run(tmp_path)
    async with run.serving():
        run.publish(beginning())
        with monkeypatch.context() as patched:
            patched.setattr(server, "sections", fail)
            await sees(browser, "This page cannot be written")
        await sees(browser, "All well")


async def test_the_page_does_not_wait_for_the_disk(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = threading.Event()
    monkeypatch.setattr(night_files, "report_of", lambda *_: disk.wait(PATIENCE_S))
    run = Run(tmp_path)
    try:
        async with run.serving():
            run.publish(beginning())
            await attached(browser)
            for _ in range(2):
                assert "All well" in (await browser.get("/")).text
    finally:
        disk.set()


async def test_a_night_on_storage_that_is_mounted_later_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "REPEAT_S", 0.1)
    async with served(tmp_path / "nights") as browser:
        await sees(browser, "no night yet")
        folder = tmp_path / "nights" / "2026-11-21"
        folder.mkdir(parents=True)
        journal = folder / "journal.jsonl"
        journal.write_text(f"{encode_event(NightStarted(DUSK, str(folder), 'C', None, None, 9, 9, STARTED.steps))}\n")
        await sees(browser, "showing the unfinished night 2026-11-21")
        journal.write_text("".join(f"{encode_event(each)}\n" for each in ended(str(folder))))
        await sees(browser, "showing the last night, 2026-11-21", "Complete")


async def test_a_hanging_disk_is_said_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> None:
        raise DiskHangsError("the disk has not answered for 180 s")

    monkeypatch.setattr(watched_night, "last_night", hang)
    async with served(tmp_path) as browser:
        await sees(browser, "no run found; the disk has not answered for 180 s", "no night yet")
        run = Run(tmp_path)
        async with run.serving():
            run.publish(beginning())
            await sees(browser, "All well")


async def test_a_frozen_run_is_not_shown_as_running(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "SILENCE_S", 0.2)
    run = Run(tmp_path)
    async with run.serving():
        run.publish(beginning())
        seen = await sees(browser, "No news since", "was running")
        assert "All well" not in seen["headline"]
        assert "as read at" in seen["rig"]
        assert 'class="good"' not in seen["rig"]
        monkeypatch.setattr(local, "SILENCE_S", PATIENCE_S)
        run.publish([Notice(DUSK, Severity.INFO, "alive")])
        await sees(browser, "All well", "alive")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_address_of_all_interfaces_includes_both_families(tmp_path: Path, host: str) -> None:
    async with served(tmp_path, address="::") as browser:
        try:
            _, writer = await asyncio.open_connection(host, browser.port)
        except OSError:
            if host == "::1":
                pytest.skip("this machine has no IPv6")
            raise
        writer.close()


def page_of(folder: Path) -> server.WebNight:
    return server.WebNight(LocalSource(folder), folder, Access(frozenset({"localhost"}), None))


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
async def test_a_refused_address_leaves_no_socket_open(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address, before = Address(host, other.getsockname()[1]), open_descriptors()
        with pytest.raises(CannotListenError, match="Address already in use"):
            await serve(page_of(tmp_path), address, lambda _: None, asyncio.Event())
        assert open_descriptors() == before


async def test_an_address_that_cannot_be_announced_is_given_back(tmp_path: Path) -> None:
    def refuse(address: Address) -> None:
        announced.append(address)
        raise BrokenPipeError

    announced: list[Address] = []
    before = open_descriptors()
    with pytest.raises(BrokenPipeError):
        await serve(page_of(tmp_path), Address("127.0.0.1", 0), refuse, asyncio.Event())
    assert open_descriptors() == before
    with socket.create_server(("127.0.0.1", announced[0].port)):
        pass


async def test_too_many_browsers_are_refused_in_words(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_VIEWERS", 2)
    async with aclosing(browser.sections()) as one, aclosing(browser.sections()) as two:
        await anext(one)
        await anext(two)
        answer = await browser.get("/events")
    assert answer.status == 200
    assert answer.text.startswith("event: refusal\ndata: ")
    assert "Too many browsers" in answer.text


async def test_a_browser_that_does_not_read_is_disconnected_and_delays_no_one(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.3)
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    run = Run(tmp_path)
    async with run.serving():
        run.publish(beginning())
        await attached(browser)
        reader, writer = await asyncio.open_connection("127.0.0.1", browser.port, limit=1)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {browser.host}\r\n\r\n".encode())
        await until(lambda: browser.web.live.viewers == 1)
        count = 0
        async with asyncio.timeout(PATIENCE_S):
            while browser.web.live.viewers:
                count += 1
                run.publish([Notice(DUSK, Severity.INFO, f"{count} " + "x" * 20_000)])
                await asyncio.sleep(0.01)
        assert not reader.at_eof()
        await sees(browser, "All well")
        writer.close()
