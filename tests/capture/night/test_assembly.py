"""The assembly of a new or a resumed night."""

from pathlib import Path

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity
from coldframe.capture.night.assembly import assembled_night, open_night_files
from coldframe.capture.storage.journal import is_being_written
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.config.simulated_rig import load_rig
from coldframe.simulators.devices import simulated_rig
from tests.capture.scene import small_night
from tests.nights.nights import START, tiny

SETTINGS = small_night()


def test_a_new_night_has_a_folder_of_its_own(tmp_path: Path) -> None:
    files = open_night_files(tmp_path, None, SETTINGS, START)
    assert files.folder.path.is_dir()
    assert files.earlier is None
    assert open_night_files(tmp_path, None, SETTINGS, START).folder.path != files.folder.path


def test_an_unfinished_night_keeps_its_folder(tmp_path: Path) -> None:
    first = open_night_files(tmp_path, None, SETTINGS, START)
    again = open_night_files(tmp_path, first.folder, SETTINGS, START)
    assert again.folder == first.folder
    assert again.earlier is not None
    assert again.earlier.done == frozenset()


async def test_the_journal_is_open_for_the_length_of_the_block_and_records_the_last_notice(tmp_path: Path) -> None:
    clock, events = NightClock(START), EventStream()
    rig = simulated_rig(tiny(load_rig("small")), clock.now)
    await rig.connect()
    files = open_night_files(tmp_path, None, SETTINGS, START)
    journal = files.folder.path / "journal.jsonl"
    async with assembled_night(SETTINGS, rig, files, events, clock) as assembled:
        assert is_being_written(journal)
        assert assembled.steering.pause() == "no night is running"
        await events.flush()
        events.publish(Notice(clock.now(), Severity.INFO, "an observer has closed"))
    assert not is_being_written(journal)
    assert [event.text for event in read_journal(journal) if isinstance(event, Notice)] == ["an observer has closed"]


async def test_a_broken_memory_of_flats_does_not_stop_a_night(tmp_path: Path) -> None:
    (tmp_path / "learned-flats.json").write_text("{")
    clock, events = NightClock(START), EventStream()
    rig = simulated_rig(tiny(load_rig("small")), clock.now)
    await rig.connect()
    files = open_night_files(tmp_path, None, SETTINGS, START)
    async with assembled_night(SETTINGS, rig, files, events, clock) as assembled:
        assert assembled.night is not None


@pytest.mark.parametrize("fresh", [True, False])
def test_files_of_an_earlier_run_are_counted(tmp_path: Path, *, fresh: bool) -> None:
    first = open_night_files(tmp_path, None, SETTINGS, START)
    (first.folder.path / "half.fits.part").touch()
    files = open_night_files(tmp_path, None if fresh else first.folder, SETTINGS, START)
    assert (files.earlier is None) is fresh
