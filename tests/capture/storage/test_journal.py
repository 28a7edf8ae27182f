"""The journal has one line per event, is durable, and is readable after a power cut."""

import asyncio
import errno
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture import threads
from coldframe.capture.events.kinds import (
    Event,
    FilterChanged,
    FlatTested,
    FrameAccepted,
    NightEnded,
    NightStarted,
    PanelChanged,
)
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import NightOutcome, PlannedStep, StepType
from coldframe.capture.storage.journal import Journal, encode_event, is_being_written
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState
from tests.patience import PATIENCE_S, until

AT = datetime(2026, 11, 22, 3, 12, 33, 250_000, tzinfo=UTC)
SHOWN = FrameShown(AT, "x", np.zeros((2, 2), np.uint8), np.zeros(128, np.int64))
ACCEPTED = FrameAccepted(AT, 3, 7, "/raw/é.fits", 0.842, None, FrameStatistics(1.5, 2, 3, 4, 5, 6, 0.25))


def test_nested_values_become_json_objects() -> None:
    assert json.loads(encode_event(ACCEPTED)) == {
        "event": "frame-accepted",
        "at": "2026-11-22T03:12:33.250000+00:00",
        "step": 3,
        "index": 7,
        "path": "/raw/é.fits",
        "exposure_s": 0.842,
        "sensor_c": None,
        "statistics": {
            "level_adu": 1.5,
            "median_adu": 2,
            "mean_adu": 3,
            "noise_adu": 4,
            "minimum_adu": 5,
            "maximum_adu": 6,
            "saturated_fraction": 0.25,
            "saturation_adu": 65535,
            "channels": [],
        },
        "is_taken_over": False,
    }


def test_enums_become_values_and_tuples_become_lists() -> None:
    steps = (PlannedStep(1, "bias", FrameKind.BIAS, None, 3, 0.001, 9.0, StepType.SHOOT),)
    started = json.loads(encode_event(NightStarted(AT, "/f", "c", None, None, 1, 1, steps)))
    assert started["steps"][0]["kind"] == "bias"
    panel = json.loads(encode_event(PanelChanged(AT, lit=True, brightness=None, cover=CoverState.OPEN)))
    assert (panel["lit"], panel["cover"]) == (True, "open")


def test_nan_and_infinity_become_null() -> None:
    nan, infinity = float("nan"), float("inf")
    tested = FlatTested(AT, 1, None, 1.0, None, nan, infinity, 1, 1, 1, 0, "?")
    encoded = json.loads(encode_event(tested))
    assert (encoded["level_adu"], encoded["bias_adu"]) == (None, None)


def test_exposures_are_written_exactly() -> None:
    for exposure_s in (0.1, 1 / 3, 0.842, 1e-5):
        event = FrameAccepted(AT, 1, 1, "", exposure_s, None, ACCEPTED.statistics)
        assert json.loads(encode_event(event))["exposure_s"] == exposure_s


def test_newlines_in_names_do_not_break_a_line() -> None:
    line = encode_event(FilterChanged(AT, "a\nb\u2028c\udcff"))
    assert line.isascii()
    assert "\n" not in line


def test_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="does not support values of type ndarray"):
        encode_event(SHOWN)


async def test_events_are_written_without_a_flush(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    async with Journal(path) as journal:
        for event in (FilterChanged(AT, "L"), SHOWN, ACCEPTED):
            journal(event)
        await until(lambda: path.read_text().count("\n") == 2)
        assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == [
            "filter-changed",
            "frame-accepted",
        ]
    assert journal.failure is None


async def test_a_later_run_appends_and_ends_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "filter-changed"}\n{"event": "frame-acc')
    async with Journal(path) as journal:
        journal(FilterChanged(AT, "L"))
        journal(FilterChanged(AT, "Ha"))
    lines = path.read_text().splitlines()
    assert lines[1] == '{"event": "frame-acc'
    assert [json.loads(line)["filter"] for line in lines[2:]] == ["L", "Ha"]


async def test_landmarks_are_synced_without_blocking_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, synced = asyncio.get_running_loop(), asyncio.Event()
    async with Journal(tmp_path / "journal.jsonl") as journal:
        monkeypatch.setattr(os, "fsync", lambda _descriptor: loop.call_soon_threadsafe(synced.set))
        journal(FilterChanged(AT, "L"))
        await asyncio.sleep(0.02)
        assert not synced.is_set()
        journal(ACCEPTED)
        async with asyncio.timeout(PATIENCE_S):
            await synced.wait()


async def test_a_full_disk_is_recorded_and_not_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    write = os.write
    event: Event = NightEnded(AT, NightOutcome.COMPLETE, "")

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with Journal(path) as journal:
        monkeypatch.setattr(os, "write", full)
        journal(event)
        await journal.flush()
        monkeypatch.setattr(os, "write", write)
        journal(event)
    assert journal.failure is not None
    assert journal.failure.errno == errno.ENOSPC
    assert path.read_text().count("\n") == 1


async def test_a_line_truncated_by_a_full_disk_is_ended_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    write = os.write
    async with Journal(path) as journal:
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
        journal(ACCEPTED)
        await journal.flush()
        monkeypatch.setattr(os, "write", write)
        journal(FilterChanged(AT, "Ha"))
    assert json.loads(path.read_text().splitlines()[1])["filter"] == "Ha"


async def test_a_journal_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with Journal(tmp_path / "missing" / "journal.jsonl"):
            pass


async def test_a_lock_marks_a_journal_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert not is_being_written(path)
    async with Journal(path):
        assert is_being_written(path)
    assert not is_being_written(path)


async def test_a_disk_that_hangs_holds_up_neither_the_event_loop_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write, answers = tmp_path / "journal.jsonl", os.write, threading.Event()

    def hang(descriptor: int, data: bytes) -> int:
        answers.wait(PATIENCE_S)
        return write(descriptor, data)

    monkeypatch.setattr(threads, "DISK_DEADLINE_S", 0.05)
    async with Journal(path) as journal:
        monkeypatch.setattr(os, "write", hang)
        journal(ACCEPTED)
        await journal.flush()
        journal(FilterChanged(AT, "Ha"))
    assert journal.failure is not None
    assert journal.failure.errno == errno.ETIMEDOUT
    answers.set()
    await until(lambda: path.read_text().count("\n") == 2)
    await until(lambda: threads.waiting_for_disk_s() == 0.0)


async def test_an_unexpected_exception_costs_only_the_lines_that_it_meets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int, _data: bytes) -> int:
        raise ValueError("a bug")

    path, write = tmp_path / "journal.jsonl", os.write
    async with Journal(path) as journal:
        monkeypatch.setattr(os, "write", fail)
        journal(FilterChanged(AT, "L"))
        await until(lambda: journal.failure is not None)
        monkeypatch.setattr(os, "write", write)
        journal(FilterChanged(AT, "Ha"))
    assert [json.loads(line)["filter"] for line in path.read_text().splitlines()] == ["Ha"]
