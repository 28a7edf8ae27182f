"""The watchdog of systemd is fed only while the night makes progress."""

import asyncio
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.events.kinds import (
    Event,
    ExposureStarted,
    NightEnded,
    Notice,
    TemperatureRead,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome, Severity
from coldframe.capture.host import systemd
from coldframe.capture.host.systemd import READOUT_S, SILENCE_S, Progress, ServiceWatch
from coldframe.config.frames import FrameKind

AT = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
SIGN = Notice(AT, Severity.INFO, "a sign of life")


def exposure(exposure_s: float) -> Event:
    return ExposureStarted(AT, 1, FrameKind.DARK, exposure_s)


def reading(setpoint_c: float | None) -> Event:
    return TemperatureRead(AT, -10.0, setpoint_c, 50.0)


def test_before_the_first_event_no_progress_is_expected() -> None:
    assert Progress().is_alive(1e9)


def test_a_thermometer_alone_is_no_progress_but_a_ramp_is() -> None:
    progress = Progress()
    progress.observe(reading(-10.0), 0.0)
    for second in range(1, 2000):
        progress.observe(reading(-10.0), float(second))
    assert not progress.is_alive(2000.0)
    progress.observe(reading(-9.5), 2000.0)
    assert progress.is_alive(2000.0 + SILENCE_S)


def test_after_the_end_no_progress_is_expected() -> None:
    progress = Progress()
    progress.observe(SIGN, 0.0)
    progress.observe(NightEnded(AT, NightOutcome.COMPLETE, ""), 1.0)
    assert progress.is_alive(1e9)


@given(st.floats(0, 3600), st.lists(st.floats(0, 3600)))
def test_other_events_do_not_shorten_the_time_allowed_for_an_exposure(exposure_s: float, signs_s: list[float]) -> None:
    progress = Progress()
    progress.observe(exposure(exposure_s), 0.0)
    for sign_s in sorted(signs_s):
        progress.observe(SIGN, sign_s)
    assert progress.is_alive(exposure_s + READOUT_S)


@given(st.floats(0, 3600), st.floats(0, 1e6))
def test_an_exposure_may_take_its_time_but_not_longer(exposure_s: float, now_s: float) -> None:
    progress = Progress()
    progress.observe(exposure(exposure_s), now_s)
    assert progress.is_alive(now_s + exposure_s + READOUT_S)
    assert not progress.is_alive(now_s + exposure_s + READOUT_S + SILENCE_S + 1)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """Return the socket of systemd, and the environment that systemd sets."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind(str(address))
        yield heard, {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "300000"}


def messages(heard: socket.socket) -> list[str]:
    found = []
    try:
        while True:
            found.append(heard.recv(100).decode())
    except BlockingIOError:
        return found


@pytest.mark.looptime
async def test_the_watchdog_is_fed_until_progress_stops(
    told: tuple[socket.socket, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "SILENCE_S", 0.35)
    heard, environment = told
    watch, events = ServiceWatch(environment), EventStream()
    events.subscribe(watch.observe)
    events.subscribe_beats(watch.beat)
    async with watch.notified():
        events.publish(SIGN)
        await asyncio.sleep(0.25)
        events.beat()
        await asyncio.sleep(0.25)
        assert messages(heard)[:4] == ["READY=1", *["WATCHDOG=1"] * 3]
        await asyncio.sleep(0.4)
        messages(heard)
        await asyncio.sleep(0.4)
        assert messages(heard) == []
    assert messages(heard) == ["STOPPING=1"]


async def test_an_abstract_socket_address_works() -> None:
    name = f"coldframe-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind(f"\0{name}")
        async with ServiceWatch({"NOTIFY_SOCKET": f"@{name}"}).notified():
            pass
        assert messages(heard) == ["READY=1", "STOPPING=1"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "x"}])
async def test_without_systemd_nothing_happens(environment: dict[str, str]) -> None:
    async with ServiceWatch(environment).notified():
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
