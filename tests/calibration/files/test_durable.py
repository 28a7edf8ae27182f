import errno
import os
import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from coldframe.calibration.files.durable import NotDurableError, link_durably, replace_durably, write_durably


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_buffers_are_written_one_after_the_other(tmp_path: Path) -> None:
    write_durably(tmp_path / "a.fits", [b"head", memoryview(b"data"), b""])
    assert (tmp_path / "a.fits").read_bytes() == b"headdata"
    assert names(tmp_path) == ["a.fits"]


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"first")
    with pytest.raises(NotDurableError, match="never overwritten") as caught:
        write_durably(path, [b"second"])
    assert caught.value.errno == errno.EEXIST
    assert caught.value.path == path
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["a.fits"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("good_writes", [0, 2])
def test_a_failing_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, good_writes: int
) -> None:
    write = os.write
    left = good_writes

    def failing(descriptor: int, data: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(number, os.strerror(number))
        left -= 1
        return write(descriptor, data[:3])

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(NotDurableError) as caught:
        write_durably(tmp_path / "a.fits", [b"0123456789"])
    assert caught.value.errno == number
    assert caught.value.advice
    assert names(tmp_path) == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.state"
    replace_durably(path, [b"first"])
    replace_durably(path, [b"sec", b"ond"])
    assert path.read_bytes() == b"second"

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(NotDurableError, match="disk is full"):
        replace_durably(path, [b"third"])
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["a.state"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    content = bytes(range(256))
    write_durably(tmp_path / "a.fits", [content[:100], memoryview(content)[100:]])
    assert (tmp_path / "a.fits").read_bytes() == content


@pytest.mark.parametrize("failing_call", [1, 2])
def test_a_failing_sync_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int) -> None:
    fsync = os.fsync
    calls = 0

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing_call:
            raise OSError(errno.EIO, "I/O error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(NotDurableError) as caught:
        write_durably(tmp_path / "a.fits", [b"data"])
    assert caught.value.errno == errno.EIO
    # The folder is synced last, when the file is complete.
    assert names(tmp_path) == ([] if failing_call == 1 else ["a.fits"])


def test_the_name_appears_only_after_the_data_were_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    fsync, link = os.fsync, os.link

    def seen_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112
        fsync(descriptor)

    def seen_link(source: Path, target: Path) -> None:
        steps.append("name")
        link(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", seen_link)
    write_durably(tmp_path / "a.fits", [b"data"])
    assert steps == ["file", "name", "folder"]


def no_hard_links(*_: Any) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_file_systems_without_hard_links_are_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_hard_links)
    write_durably(tmp_path / "a.fits", [b"first"])
    with pytest.raises(NotDurableError, match="never overwritten"):
        write_durably(tmp_path / "a.fits", [b"second"])
    assert (tmp_path / "a.fits").read_bytes() == b"first"
    assert names(tmp_path) == ["a.fits"]


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NotDurableError, match="does not exist"):
        write_durably(tmp_path / "gone" / "a.fits", [b"data"])


@pytest.mark.parametrize("hard_links", [True, False])
def test_only_one_of_several_writers_succeeds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hard_links: bool,  # noqa: FBT001 - a parameter
) -> None:
    if not hard_links:
        monkeypatch.setattr(os, "link", no_hard_links)
    lost = []

    def writer(number: int) -> None:
        try:
            write_durably(tmp_path / "a.fits", [bytes([number]) * 1000])
        except NotDurableError:
            lost.append(number)

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = set(range(8)) - set(lost)
    assert (tmp_path / "a.fits").read_bytes() == bytes([winner]) * 1000


@pytest.mark.parametrize("fault", ["missing", "a FIFO"])
def test_a_source_that_cannot_be_copied_is_reported(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source.fits"
    if fault == "a FIFO":
        os.mkfifo(source)
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EXDEV, "Invalid cross-device link")))
    with pytest.raises(NotDurableError) as caught:
        link_durably(source, tmp_path / "copy.fits")
    assert caught.value.path == tmp_path / "copy.fits"
