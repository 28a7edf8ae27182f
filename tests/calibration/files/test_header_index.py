"""The index of headers never returns a header that the file does not have."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.calibration.files.cards import GarbledValue, HeaderValue, parse_cards
from coldframe.calibration.files.headers import index as index_module
from coldframe.calibration.files.headers.image_header import image_headers, read_image_header
from coldframe.calibration.files.headers.index import MOST_BYTES, HeaderIndex
from coldframe.calibration.files.headers.stamp import Stamp
from tests.patience import PATIENCE_S
from tests.permissions import permissions_apply

LONG_AGO_S = time.time() - 3600


def frame(path: Path, filter_name: str, *, settled: bool = True) -> Path:
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                   16",
        "NAXIS   =                    2",
        "NAXIS1  =                    1",
        "NAXIS2  =                    1",
        f"FILTER  = '{filter_name:<8}'",
        "EXPTIME =                 60.0",
        "GAIN    =                    1",
        "FLAG    =                    T",
        "XPIXSZ  = 3,76",
        "END",
    ]
    header = "".join(card.ljust(80) for card in cards).ljust(2880)
    path.write_bytes(header.encode("ascii") + bytes(2880))
    if settled:
        settle(path)
    return path


def settle(path: Path) -> None:
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the change time of the tests' files, which no program can set."""
    of = Stamp.of

    def stamp(path: Path) -> Stamp | None:
        found = of(path)
        return None if found is None else found._replace(changed_ns=found.modified_ns)

    monkeypatch.setattr(Stamp, "of", stamp)


class Reads:
    """Reads headers, and counts how often."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, path: Path) -> dict[str, HeaderValue]:
        self.paths.append(path.name)
        return read_image_header(path)


def read(location: Path, *paths: Path) -> tuple[list[dict[str, HeaderValue]], list[str]]:
    """Return the headers as a command sees them, and the names of the files that it read."""
    reads = Reads()
    index = HeaderIndex(location, reads)
    headers = [index.header(path) for path in paths]
    index.save()
    return headers, reads.paths


def index_file(location: Path) -> Path:
    (file,) = location.iterdir()
    return file


def test_a_header_is_read_once_and_stays_the_same(tmp_path: Path) -> None:
    paths = [frame(tmp_path / name, "Ha") for name in ("one.fits", "two.fits")]
    first, read_first = read(tmp_path / "index", *paths)
    again, read_again = read(tmp_path / "index", *paths)
    assert (read_first, read_again) == (["one.fits", "two.fits"], [])
    assert first == again == [read_image_header(path) for path in paths]
    kinds = {keyword: type(value) for keyword, value in again[0].items()}
    assert (kinds["GAIN"], kinds["FLAG"], kinds["EXPTIME"], kinds["XPIXSZ"]) == (int, bool, float, GarbledValue)


def replaced(path: Path) -> None:
    frame(path.with_name("new"), "SII").replace(path)


def overwritten(path: Path) -> None:
    inode = path.stat().st_ino
    path.write_bytes(frame(path.with_name("new"), "SII").read_bytes())
    path.with_name("new").unlink()
    os.utime(path, (LONG_AGO_S + 1, LONG_AGO_S + 1))
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("change", [replaced, overwritten], ids=["replaced", "overwritten"])
def test_a_changed_file_of_the_same_size_is_read_again(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    read(tmp_path / "index", path)
    size = path.stat().st_size
    change(path)
    assert path.stat().st_size == size
    (header,), names = read(tmp_path / "index", path)
    assert (header["FILTER"], names) == ("SII", ["one.fits"])


def test_a_change_of_the_change_time_alone_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that restores the modification time cannot restore the change time."""
    path = frame(tmp_path / "one.fits", "Ha")
    read(tmp_path / "index", path)
    frame(path, "SII")
    of = Stamp.of
    monkeypatch.setattr(Stamp, "of", lambda path: None if (s := of(path)) is None else s._replace(changed_ns=1))
    (header,), _ = read(tmp_path / "index", path)
    assert header["FILTER"] == "SII"


def test_a_touched_file_is_read_again(tmp_path: Path) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    read(tmp_path / "index", path)
    os.utime(path, (LONG_AGO_S + 10, LONG_AGO_S + 10))
    assert read(tmp_path / "index", path)[1] == ["one.fits"]
    assert read(tmp_path / "index", path)[1] == []


@pytest.mark.parametrize("age_s", [0, 1, -60], ids=["now", "a second ago", "in the future"])
def test_a_file_that_may_change_within_the_resolution_of_the_clock_is_not_kept(tmp_path: Path, age_s: float) -> None:
    path = frame(tmp_path / "one.fits", "Ha", settled=False)
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    read(tmp_path / "index", path)
    modified = path.stat().st_mtime_ns
    path.write_bytes(frame(tmp_path / "new", "SII").read_bytes())
    os.utime(path, ns=(modified, modified))  # the same stamp: changed within one tick of the clock
    (header,), _ = read(tmp_path / "index", path)
    assert header["FILTER"] == "SII"


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content.replace(b'"Ha"', b'"Hb"')


@pytest.mark.parametrize(
    "damage", [cut, flipped, lambda _: b"", lambda _: bytes(500), lambda _: b"[1]\n{}", lambda _: b"{" * 100_000]
)
def test_a_damaged_index_is_discarded_and_built_again(
    tmp_path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    read(tmp_path / "index", path)
    file = index_file(tmp_path / "index")
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.WARNING):
        (header,), names = read(tmp_path / "index", path)
    assert (header["FILTER"], names) == ("Ha", ["one.fits"])
    assert [record.message for record in caplog.records] == [
        f"{file} is damaged: it is discarded, and the headers are read again"
    ]
    assert read(tmp_path / "index", path)[1] == []


def test_the_index_of_a_newer_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    monkeypatch.setattr(index_module, "FORMAT", 3)
    read(tmp_path / "index", path)
    newer = index_file(tmp_path / "index")
    content = newer.read_bytes()
    monkeypatch.undo()
    newer.with_name(newer.name.replace(".3.", ".2.")).write_bytes(content)  # under the name of this version
    assert read(tmp_path / "index", path)[1] == ["one.fits"]
    assert newer.read_bytes() == content


def test_headers_that_other_code_read_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    monkeypatch.setattr(index_module, "reader_digest", lambda: "an earlier version")
    read(tmp_path / "index", path)
    monkeypatch.undo()
    assert read(tmp_path / "index", path)[1] == ["one.fits"]


def test_files_that_are_gone_leave_the_index(tmp_path: Path) -> None:
    paths = [frame(tmp_path / f"{number}.fits", "Ha") for number in range(3)]
    read(tmp_path / "index", *paths)
    paths[0].unlink()
    paths.append(frame(tmp_path / "3.fits", "Ha"))
    read(tmp_path / "index", *paths[1:])
    content = index_file(tmp_path / "index").read_text()
    assert [name in content for name in ('"0.fits"', '"1.fits"', '"3.fits"')] == [False, True, True]


def test_the_oldest_files_of_a_large_index_are_removed(tmp_path: Path) -> None:
    location = tmp_path / "index"
    location.mkdir()
    for number in (1, 2):
        old = location / f"{number:032x}.2.json"
        with old.open("wb") as file:
            file.truncate(MOST_BYTES - 100_000)
        os.utime(old, (LONG_AGO_S + number, LONG_AGO_S + number))
    unfinished = location / f"{3:032x}.1.4711.1.new"
    unfinished.write_bytes(b"{")
    settle(unfinished)
    os.utime(unfinished, (LONG_AGO_S - 3600, LONG_AGO_S - 3600))
    read(location, frame(tmp_path / "one.fits", "Ha"))
    assert not (location / f"{1:032x}.2.json").exists()
    assert (location / f"{2:032x}.2.json").exists()
    assert not unfinished.exists()
    assert len(list(location.iterdir())) == 2


def test_other_files_in_the_folder_of_the_index_are_kept(tmp_path: Path) -> None:
    location = tmp_path / "index"
    location.mkdir()
    others = [location / name for name in ("large.json", "draft.new")]
    for other in others:
        with other.open("wb") as file:
            file.truncate(MOST_BYTES + 1)
        settle(other)
        os.utime(other, (LONG_AGO_S - 3600, LONG_AGO_S - 3600))
    read(location, frame(tmp_path / "one.fits", "Ha"))
    assert all(other.exists() for other in others)


def by_a_link(file: Path) -> None:
    file.rename(file.with_name("download"))
    file.symlink_to(file.with_name("download"))


def by_a_hard_link(file: Path) -> None:
    file.with_name("download").hardlink_to(file)


def by_its_mode(file: Path) -> None:
    file.chmod(0o666)


def by_a_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("plant", [by_a_link, by_a_hard_link, by_its_mode, by_a_fifo])
def test_an_index_that_other_users_can_have_written_is_not_used(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    read(tmp_path / "index", path)
    plant(index_file(tmp_path / "index"))
    assert read(tmp_path / "index", path)[1] == ["one.fits"]
    assert read(tmp_path / "index", path)[1] == []


def test_an_index_that_belongs_to_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    read(tmp_path / "index", path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert read(tmp_path / "index", path)[1] == ["one.fits"]


@pytest.mark.parametrize("step_ns", [10_000_000, 1_000_000_000], ids=["exFAT", "sshfs"])
def test_files_with_coarse_times_are_not_kept(tmp_path: Path, step_ns: int) -> None:
    """Two memory cards at the same mount point can have files with equal stamps."""
    path = frame(tmp_path / "Light_0001.fits", "Ha")
    rounded_ns = int(LONG_AGO_S) * 1_000_000_000 + step_ns
    os.utime(path, ns=(rounded_ns, rounded_ns))
    read(tmp_path / "index", path)
    overwritten(path)
    os.utime(path, ns=(rounded_ns, rounded_ns))
    (header,), _ = read(tmp_path / "index", path)
    assert header["FILTER"] == "SII"


def test_without_a_writable_folder_every_file_is_read_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with permissions_apply():
        assert read(closed / "index", path)[1] == read(closed / "index", path)[1] == ["one.fits"]
    assert caplog.records == []


def test_a_file_in_place_of_the_folder_disables_the_index(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = frame(tmp_path / "one.fits", "Ha")
    (tmp_path / "index").write_text("a file")
    assert read(tmp_path / "index", path)[1] == read(tmp_path / "index", path)[1] == ["one.fits"]
    assert caplog.records == []


READ_ALL = """
import sys
from pathlib import Path
from coldframe.calibration.files.headers.image_header import image_headers
for _ in range(20):
    with image_headers() as index:
        for path in sorted(Path(sys.argv[1]).glob(sys.argv[2])):
            assert index.header(path)["FILTER"] == path.stem[0], path
    for file in Path(sys.argv[3]).rglob("*.json"):
        if sys.argv[2] == "a*":
            file.unlink(missing_ok=True)  # so that both processes write again and again
"""


def test_two_processes_share_the_index(tmp_path: Path) -> None:
    lights = tmp_path / "lights"
    lights.mkdir()
    for number in range(30):
        frame(lights / f"a{number}.fits", "a")
        frame(lights / f"b{number}.fits", "b")
    caches = tmp_path / "caches"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", READ_ALL, str(lights), pattern, str(caches)],
            env=os.environ | {"XDG_CACHE_HOME": str(caches)},
            stderr=subprocess.PIPE,
        )
        for pattern in ("a*", "b*")
    ]
    assert [process.communicate(timeout=PATIENCE_S)[1] for process in processes] == [b"", b""]
    assert [process.returncode for process in processes] == [0, 0]
    assert not list(caches.rglob("*.new"))


def test_the_index_lies_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    path = frame(tmp_path / "one.fits", "Ha")
    with image_headers() as index:
        assert index.header(path) == read_image_header(path)
    (file,) = (tmp_path / "caches" / "coldframe" / "headers").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_a_card_is_read_as_before_after_equal_cards_and_with_continuations() -> None:
    cards = ["OBJECT  = 'caf\xc3&'".ljust(80), "CONTINUE  '\xa9 noir'".ljust(80), "GAIN    = 1".ljust(80)]
    assert parse_cards(cards) == parse_cards(cards) == {"OBJECT": "caf\u00e9 noir", "GAIN": 1}
