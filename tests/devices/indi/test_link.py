"""The link itself, when the unexpected happens to it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from coldframe.devices.indi import link as link_module
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Mirror
from tests.devices.indi.fake_server import CAMERA, FakeServer


async def test_a_failure_to_start_its_process_does_not_end_it(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spawn, failures = asyncio.create_subprocess_exec, iter([OSError("too many open files")])

    async def spawn_later(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        for failure in failures:
            raise failure
        return await spawn(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn_later)
    async with IndiLink("127.0.0.1", server.port) as link:
        await link.wait_connected(10)
    assert "the link failed, restarting it" in caplog.text
    assert "too many open files" in caplog.text


async def test_an_event_that_makes_no_sense_does_not_end_it(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, failures = Mirror.apply, iter([KeyError("values")])

    def stumble(mirror: Mirror, event: Mapping[str, Any], now_s: float) -> None:
        for failure in failures:
            raise failure
        apply(mirror, event, now_s)

    monkeypatch.setattr(Mirror, "apply", stumble)
    async with IndiLink("127.0.0.1", server.port) as link:
        await link._watchers.until(lambda: link.mirror.find(CAMERA, "CONNECTION"), 10)
        await link.wait_connected()
    assert next(failures, None) is None


async def test_a_wait_that_fails_is_its_callers_own_trouble(link: IndiLink) -> None:
    await link.wait_connected()

    def broken() -> None:
        raise KeyError("VALUE")

    with pytest.raises(KeyError, match="VALUE"):
        await link.wait(CAMERA, broken, 5, "a value")
    assert (link.connected, link.generation) == (True, 1)


@pytest.mark.parametrize(("ever", "lives"), [(False, 1), (True, 2)], ids=["never-answers", "falls-silent"])
async def test_silence_counts_only_after_an_answer(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, *, ever: bool, lives: int
) -> None:
    monkeypatch.setattr(link_module, "PING_PERIOD_S", 0.1)
    monkeypatch.setattr(link_module, "PING_DEADLINE_S", 0.3)
    server.answers_pings = ever
    async with IndiLink("127.0.0.1", server.port) as link:
        await link.wait_connected()
        await asyncio.sleep(0.5)
        server.answers_pings = False
        await asyncio.sleep(1.0)
        await link._watchers.until(lambda: link.generation >= lives or None, 10)
        assert link.generation == lives
