"""One retry of a failed durable write, under a new name."""

import errno
from pathlib import Path

import pytest

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.storage.retry_write import free_path, write_with_retry


class Disk:
    """Writes files, but fails the first times."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.attempts: list[str] = []

    def write(self, path: Path) -> None:
        self.attempts.append(path.name)
        path.write_text("content")
        if self.errors:
            raise NotDurableError(path, self.errors.pop(0), "failed")


def test_a_file_that_can_be_written_keeps_its_name(tmp_path: Path) -> None:
    disk = Disk()
    assert write_with_retry(tmp_path / "a.fits", disk.write, tmp_path / "quarantine") == tmp_path / "a.fits"
    assert disk.attempts == ["a.fits"]


def test_a_failed_write_is_retried_under_another_name(tmp_path: Path) -> None:
    disk = Disk(errno.EIO)
    path = write_with_retry(tmp_path / "a.fits", disk.write, tmp_path / "quarantine")
    assert path == tmp_path / "a-2.fits"
    assert [each.name for each in sorted(tmp_path.rglob("*.fits"))] == ["a-2.fits", "a-not-flushed.fits"]


@pytest.mark.parametrize(("errors", "tries"), [((errno.EIO, errno.EIO), 2), ((errno.ENOSPC,), 1)])
def test_a_second_failure_and_a_full_disk_raise(tmp_path: Path, errors: tuple[int, ...], tries: int) -> None:
    disk = Disk(*errors)
    with pytest.raises(NotDurableError):
        write_with_retry(tmp_path / "a.fits", disk.write, tmp_path / "quarantine")
    assert len(disk.attempts) == tries


def test_a_free_path_has_the_first_number_that_is_free(tmp_path: Path) -> None:
    for name in ("a.fits", "a-2.fits"):
        (tmp_path / name).touch()
    assert free_path(tmp_path / "a.fits") == tmp_path / "a-3.fits"
    assert free_path(tmp_path / "b.fits") == tmp_path / "b.fits"
