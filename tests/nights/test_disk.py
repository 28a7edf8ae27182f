"""The losses of the simulated disk in a power cut, which do not include durable files of coldframe."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest

from coldframe.calibration.files.durable import NotDurableError, make_folder_durably, replace_durably, write_durably
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.capture.events.kinds import FrameAccepted, MasterWritten, NightEnded
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.shooting.set_master import FinishedSet, SetMaster
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind
from tests.nights.disk import DiskFault, SimulatedDisk
from tests.nights.nights import run_night
from tests.nights.random_nights import draw, run
from tests.nights.test_troubled_nights import SMALL, short

CUTS = range(20)


def after_cuts(place: Path, write: Callable[[Path], None], path: str) -> set[bytes | None]:
    """Return what is found under a path after power cuts that chance makes different."""
    found = set()
    for seed in CUTS:
        root = place / str(seed)
        root.mkdir()
        disk = SimulatedDisk(root)
        with disk.watched():
            write(root)
        disk.power_cut(Random(seed))
        found.add((root / path).read_bytes() if (root / path).exists() else None)
    return found


def test_what_nobody_flushed_may_be_there_torn_or_gone(tmp_path: Path) -> None:
    def write(root: Path) -> None:
        (root / "file").write_bytes(b"0123456789")

    found = after_cuts(tmp_path, write, "file")
    assert None in found
    assert any(each is not None and each != b"0123456789" for each in found)


def test_what_was_flushed_without_its_name_may_be_gone_and_is_never_torn(tmp_path: Path) -> None:
    def write(root: Path) -> None:
        descriptor = os.open(root / "file", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, b"0123456789")
        os.fsync(descriptor)
        os.close(descriptor)

    assert after_cuts(tmp_path, write, "file") == {None, b"0123456789"}


def test_what_was_written_durably_stays(tmp_path: Path) -> None:
    assert after_cuts(tmp_path, lambda root: write_durably(root / "file", [b"0123"]), "file") == {b"0123"}


def test_a_folder_whose_name_was_not_flushed_takes_its_files_with_it(tmp_path: Path) -> None:
    def write(root: Path) -> None:
        (root / "a" / "b").mkdir(parents=True)
        write_durably(root / "a" / "b" / "file", [b"0123"])

    assert after_cuts(tmp_path, write, "a/b/file") == {None, b"0123"}


def test_in_a_folder_made_durably_files_stay(tmp_path: Path) -> None:
    def write(root: Path) -> None:
        make_folder_durably(root / "a" / "b")
        write_durably(root / "a" / "b" / "file", [b"0123"])

    assert after_cuts(tmp_path, write, "a/b/file") == {b"0123"}


def test_a_file_that_is_replaced_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    def write(root: Path) -> None:
        write_durably(root / "file", [b"old"])
        with patch("coldframe.calibration.files.durable.flush_folder"):
            replace_durably(root / "file", [b"new"])

    assert after_cuts(tmp_path, write, "file") <= {b"old", b"new"}


def test_a_name_that_was_taken_away_without_a_flush_may_come_back(tmp_path: Path) -> None:
    def write(root: Path) -> None:
        write_durably(root / "file", [b"0123"])
        (root / "file").rename(root / "aside")

    assert after_cuts(tmp_path, write, "file") == {b"0123"}


def test_an_appended_file_keeps_what_was_flushed(tmp_path: Path) -> None:
    def write(root: Path) -> None:
        descriptor = os.open(root / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, b"kept\n")
        os.fsync(descriptor)
        os.write(descriptor, b"perhaps\n")
        os.close(descriptor)
        write_durably(root / "other", [b""])

    found = after_cuts(tmp_path, write, "log")
    assert all(each is not None and each.startswith(b"kept\n") for each in found)
    assert len(found) > 1


def test_calls_fail_as_often_as_they_should(tmp_path: Path) -> None:
    fault = DiskFault("flush-file", errno.EIO, first=2, times=1)
    with SimulatedDisk(tmp_path, [fault]).watched():
        write_durably(tmp_path / "one", [b"1"])
        with pytest.raises(NotDurableError, match="disk reports an error"):
            write_durably(tmp_path / "two", [b"2"])
        write_durably(tmp_path / "three", [b"3"])
    assert (fault.calls, fault.met) == (3, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"one", "three"}


def test_what_is_deleted_is_told(tmp_path: Path) -> None:
    disk = SimulatedDisk(tmp_path)
    with disk.watched():
        write_durably(tmp_path / "file", [b"0"])
        (tmp_path / "file").unlink()
    assert disk.missing() == [f"{tmp_path / 'file'} was deleted"]


@pytest.mark.parametrize("seed", range(4000, 4008))
def test_what_a_night_told_of_is_there_after_a_power_cut(seed: int) -> None:
    with run(draw(seed)) as left:
        kept = [Path(event.path) for event in left.events if isinstance(event, FrameAccepted | MasterWritten)]
        before = {path: path.read_bytes() for path in kept if path.exists()}
        left.disk.power_cut(Random(seed))
        lost = [str(path) for path, content in before.items() if not path.exists() or path.read_bytes() != content]
        assert lost == []


@pytest.mark.looptime
async def test_a_frame_that_cannot_be_read_again_costs_its_set_only(tmp_path: Path) -> None:
    write = SetMaster.write

    def unread(master: SetMaster, folder: NightFolder) -> FinishedSet:
        if "/darks/" in str(master.accepted.paths[0]):
            raise FrameFileError(master.accepted.paths[0], "Input/output error")
        return write(master, folder)

    with patch.object(SetMaster, "write", unread):
        night = await run_night(short(), SMALL, tmp_path)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert "cannot be read again" in night.of(NightEnded)[0].summary
    assert len(night.of(MasterWritten)) == len([each for each in short().sets if each.kind is not FrameKind.DARK])
