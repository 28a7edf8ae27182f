"""The link and unexpected events."""

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from coldframe.devices.errors import DeviceLostError
from coldframe.devices.indi import link as link_module
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Mirror
from tests.devices.indi.fake_server import CAMERA, FakeServer
from tests.patience import PATIENCE_S, until


async def test_the_link_survives_a_failure_to_start_its_process(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spawn, failures = asyncio.create_subprocess_exec, iter([OSError("too many open files")])

    async def spawn_later(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        for failure in failures:
            raise failure
        return await spawn(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn_later)
    async with IndiLink("127.0.0.1", server.port) as link:
        await link.wait_connected(PATIENCE_S)
    assert "the link failed; restarting it" in caplog.text
    assert "too many open files" in caplog.text


async def test_the_link_survives_a_senseless_event(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    apply, failures = Mirror.apply, iter([KeyError("values")])

    def stumble(mirror: Mirror, event: Mapping[str, Any], now_s: float) -> None:
        for failure in failures:
            raise failure
        apply(mirror, event, now_s)

    monkeypatch.setattr(Mirror, "apply", stumble)
    async with IndiLink("127.0.0.1", server.port) as link:
        await until(lambda: link.mirror.find(CAMERA, "CONNECTION"))
        await link.wait_connected(PATIENCE_S)
    assert next(failures, None) is None


def kill_on(server: FakeServer, link: IndiLink, name: str, deaths: int) -> list[int]:
    """Kill the link's process when it first sends property `name`, `deaths` times, and return the killed processes."""
    killed: list[int] = []

    async def kill(_values: dict[str, str]) -> None:
        assert link.process_id is not None
        os.kill(link.process_id, signal.SIGKILL)
        killed.append(link.process_id)
        if len(killed) == deaths:
            del server.answers[name]

    server.answers[name] = kill
    return killed


@pytest.mark.parametrize("name", ["CONNECTION", "POLLING_PERIOD"])
async def test_a_device_is_connected_although_the_process_dies_meanwhile(
    server: FakeServer, link: IndiLink, stranger: IndiCamera, name: str
) -> None:
    server.switches["CONNECTION"] = {"CONNECT": False, "DISCONNECT": True}
    server.numbers["POLLING_PERIOD"] = {"PERIOD_MS": (10, 10000, 1000)}
    killed = kill_on(server, link, name, deaths=1)
    await stranger.connect()
    assert len(killed) == 1
    assert stranger.is_ready


async def test_a_device_is_given_up_if_the_process_dies_again(
    server: FakeServer, link: IndiLink, stranger: IndiCamera
) -> None:
    server.switches["CONNECTION"] = {"CONNECT": False, "DISCONNECT": True}
    killed = kill_on(server, link, "CONNECTION", deaths=9)
    with pytest.raises(DeviceLostError, match="was lost while waiting for CONNECTION"):
        await stranger.connect()
    assert len(killed) == 2


async def test_an_error_in_a_condition_is_raised_in_its_caller(link: IndiLink) -> None:
    await link.wait_connected(PATIENCE_S)

    def broken() -> None:
        raise KeyError("VALUE")

    with pytest.raises(KeyError, match="VALUE"):
        await link.wait(CAMERA, broken, 5, "a value")
    assert (link.connected, link.generation) == (True, 1)


@pytest.fixture
def frequent_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_PERIOD_S", 0.05)
    monkeypatch.setattr(link_module, "PING_DEADLINE_S", 0.2)


@pytest.mark.usefixtures("frequent_pings")
async def test_a_server_that_never_answers_pings_stays_connected(server: FakeServer) -> None:
    server.answers_pings = False
    async with IndiLink("127.0.0.1", server.port) as link:
        await until(lambda: server.pings >= 10)
        assert (link.connected, link.generation) == (True, 1)


@pytest.mark.usefixtures("frequent_pings")
async def test_silence_after_an_answer_counts_as_a_lost_connection(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "PING_DEADLINE_S", 3.0)  # on a busy machine, the first answer may be late
    async with IndiLink("127.0.0.1", server.port) as link:
        await until(lambda: server.pings)
        assert link.generation == 1
        server.answers_pings = False
        await until(lambda: link.generation > 1)


async def test_a_link_that_is_closed_by_a_cancelled_task_does_not_swallow_the_cancellation(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, is_ending, may_end = link_module.end_process, asyncio.Event(), asyncio.Event()

    async def end_slowly(process: asyncio.subprocess.Process) -> None:
        is_ending.set()
        await may_end.wait()
        await end(process)

    monkeypatch.setattr(link_module, "end_process", end_slowly)

    async def hold() -> None:
        async with IndiLink("127.0.0.1", server.port) as link:
            await link.wait_connected(PATIENCE_S)

    holding = asyncio.create_task(hold())
    await is_ending.wait()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    may_end.set()
