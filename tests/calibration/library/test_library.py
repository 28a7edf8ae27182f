import errno
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.files.durable import NotDurableError, link_durably
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.library import library as library_module
from coldframe.calibration.library.index import LibraryIndex, OpenIndex, Stamp, connected
from coldframe.calibration.library.library import INDEX, Library, NotAMasterError
from coldframe.calibration.masters import reading
from coldframe.calibration.masters.master_frame import MasterFrame, master_name, write_master
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind, ReadoutSettings

SHAPE = (12, 16)
NIGHT = datetime(2026, 11, 22, 4, tzinfo=UTC)
DARK = "ASI2600MM/darks/MasterDark_ASI2600MM_G100_-10C_300s_1x1_2026-11-22.fits"

Write = Callable[..., Path]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a master into a folder of its own, as a night does."""

    def written(
        kind: FrameKind = FrameKind.DARK, *, level: float = 500, days: float = 0, exposure_s: float = 300.0,
        setpoint_c: float = -10.0, filter_name: str | None = None,
    ) -> Path:  # fmt: skip
        plane = np.full(SHAPE, level, np.float32)
        stack = Stack(20, plane, np.full(SHAPE, level / 100, np.float32), np.full(SHAPE, 20, np.uint16), 0)
        taken_at = NIGHT + timedelta(days=days)
        master = MasterFrame(
            kind=kind,
            stack=stack,
            camera="ASI2600MM",
            settings=ReadoutSettings(gain=100),
            exposure_s=exposure_s,
            sensor_c=setpoint_c,
            setpoint_c=setpoint_c,
            filter_name=filter_name,
            method=Clipping(),
            inputs=(),
            first_at=taken_at,
            last_at=taken_at,
        )
        folder = tmp_path / f"night {days}" / f"{level:g}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / master_name(master)
        write_master(path, master)
        return path

    return written


def corrupt(path: Path, at: int, value: bytes) -> None:
    """Change a file's bytes, but not its modification time."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def names(library: Library) -> list[str]:
    return [path.relative_to(library.folder).as_posix() for path in library.catalogue().headers]


def test_masters_are_filed_by_camera_and_kind_with_their_date(library: Library, write: Write) -> None:
    filed = [
        library.file(write()),
        library.file(write(FrameKind.FLAT, level=1, filter_name="Ha")),
        library.file(write(FrameKind.DARK_FLAT, level=2, exposure_s=1.5, filter_name="Ha")),
        library.file(write(FrameKind.BIAS, level=3)),
    ]
    assert sorted(names(library)) == [
        "ASI2600MM/biases/MasterBias_ASI2600MM_G100_-10C_1x1_2026-11-22.fits",
        "ASI2600MM/dark-flats/MasterDarkFlat_ASI2600MM_G100_-10C_1.5s_1x1_Ha_2026-11-22.fits",
        DARK,
        "ASI2600MM/flats/MasterFlat_ASI2600MM_G100_-10C_1x1_Ha_2026-11-22.fits",
    ]
    assert set(filed) == set(library.catalogue().headers)


def test_filing_costs_no_second_copy_and_happens_once(library: Library, write: Write) -> None:
    master = write()
    filed = library.file(master)
    assert filed.samefile(master)
    assert library.file(master) == filed
    assert library.file(filed) == filed
    assert len(names(library)) == 1


def test_another_master_of_the_same_name_gets_a_number(library: Library, write: Write) -> None:
    first, second = library.file(write(level=500)), library.file(write(level=501))
    assert second.name == first.name.replace(".fits", "-2.fits")
    assert library.catalogue().headers[first] != library.catalogue().headers[second]


def test_without_hard_links_the_file_is_copied(library: Library, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    master, link = write(), os.link

    def across_disks(source: Path, target: Path) -> None:
        if Path(source).name.startswith("Master"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target)

    monkeypatch.setattr(os, "link", across_disks)
    filed = library.file(master)
    assert not filed.samefile(master)
    assert filed.read_bytes() == master.read_bytes()
    assert library.file(master) == filed


def test_a_full_disk_is_reported_and_leaves_nothing(
    library: Library, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    master = write()
    monkeypatch.setattr(os, "link", full)
    with pytest.raises(NotDurableError, match="free some space"):
        library.file(master)
    assert names(library) == []


@pytest.mark.parametrize(("card", "reason"), [("Dark Frame", "single dark"), ("banana", "has no known frame type")])
def test_only_masters_are_filed(library: Library, tmp_path: Path, card: str, reason: str) -> None:
    path = tmp_path / "x.fits"
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"]
    path.write_bytes("".join(text.ljust(80) for text in [*cards, f"IMAGETYP= '{card}'", "END"]).ljust(2880).encode())
    with pytest.raises(NotAMasterError, match=reason):
        library.file(path)
    with pytest.raises(FrameFileError):
        library.file(tmp_path / "missing.fits")


def test_files_copied_by_hand_are_found_and_broken_ones_are_named(library: Library, write: Write) -> None:
    library.file(write())
    dropped = library.folder / "mine.fit"
    dropped.write_bytes(write(level=7).read_bytes())
    (library.folder / "notes.fits").write_text("words and no cards " * 99)
    catalogue = library.catalogue()
    assert dropped in catalogue.headers
    assert "not a FITS file" in catalogue.faults[library.folder / "notes.fits"]


def test_the_index_saves_reading_headers_again(library: Library, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    library.file(write())
    before = library.catalogue()

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(reading, "read_master_header", refuse)
    assert library.catalogue().headers == before.headers


def test_changed_and_deleted_files_are_noticed(library: Library, write: Write) -> None:
    first, second = library.file(write()), library.file(write(level=1, exposure_s=60))
    first.unlink()
    replacement = write(level=9, exposure_s=120)
    second.unlink()
    second.write_bytes(replacement.read_bytes())
    assert [header["EXPTIME"] for header in library.catalogue().headers.values()] == [120]


BROKEN: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"this is no database at all" * 400),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "other columns": lambda path: sqlite3.connect(path).execute("ALTER TABLE masters DROP COLUMN sha256"),
    "zeros inside": lambda path: corrupt(path, 4096, bytes(3000)),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_index_is_rebuilt(library: Library, write: Write, fault: str) -> None:
    library.file(write())
    library.file(write(level=1, exposure_s=60))
    before = library.catalogue().headers
    BROKEN[fault](library.folder / INDEX)
    assert library.catalogue().headers == before
    assert library.rebuild().headers == before
    assert all(verdict is None for _, verdict in library.verify())


def test_an_index_that_cannot_be_written_is_not_needed(
    library: Library, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.file(write())
    before = library.catalogue().headers
    connect = sqlite3.connect

    def read_only(path: Path | str, timeout: float) -> sqlite3.Connection:
        if path != ":memory:":
            raise sqlite3.OperationalError("unable to open database file")
        return connect(path, timeout)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert library.catalogue().headers == before


def test_an_index_that_fails_later_is_not_needed(library: Library, write: Write) -> None:
    library.file(write())
    with closing(sqlite3.connect(library.folder / INDEX)) as holder, closing(connected(library.folder / INDEX)) as ours:
        ours.execute("PRAGMA busy_timeout = 1")
        holder.execute("BEGIN IMMEDIATE")
        index = OpenIndex(ours)
        index.keep_digest("x", "y")
        assert len(index.names()) == 1
        ours.close()
        assert index.names() == frozenset()
        assert index.header("x", Stamp(1, 1)) is None
    assert len(names(library)) == 1


def test_the_index_uses_sqlites_safest_modes(library: Library, write: Write) -> None:
    library.file(write())
    with closing(connected(library.folder / INDEX)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_damage_is_found(library: Library, write: Write) -> None:
    path = library.file(write())
    assert list(library.verify()) == [(path, None)]
    size = path.stat().st_size
    corrupt(path, size // 2, b"\x12")
    [(_, verdict)] = library.verify()
    assert verdict is not None
    assert "CHECKSUM is wrong" in verdict


def test_swapped_words_are_found_by_the_digest(library: Library, write: Write) -> None:
    path = library.file(write())
    assert [verdict for _, verdict in library.verify()] == [None]
    header_end = path.read_bytes().index(b"CFMETHOD")
    card = path.read_bytes()[header_end : header_end + 80]
    corrupt(path, header_end, card[4:8] + card[:4] + card[8:])
    [(_, verdict)] = library.verify()
    assert verdict == "its SHA-256 shows that the file has changed since it was filed"


def test_a_truncated_master_is_found(library: Library, write: Write) -> None:
    path = library.file(write())
    path.write_bytes(path.read_bytes()[:-2880])
    [(_, verdict)] = library.verify()
    assert verdict is not None
    assert verdict.startswith("truncated")


def test_pruning_moves_masters_and_never_deletes_them(library: Library, write: Write) -> None:
    old, new = library.file(write(days=-100)), library.file(write())
    other = library.file(write(level=1, exposure_s=60, days=-100))
    content = old.read_bytes()
    assert library.prunable() == (old,)
    retired = library.retire(old)
    assert retired == library.folder / "superseded" / old.relative_to(library.folder)
    assert retired.read_bytes() == content
    assert not old.exists()
    assert set(library.catalogue().headers) == {new, other}
    assert library.prunable() == ()


def test_several_processes_can_file_at_once(library: Library, write: Write) -> None:
    library.file(write())
    path = write(level=8, exposure_s=8)
    with LibraryIndex(library.folder / INDEX).opened() as reading:
        assert len(reading.names()) == 1
        library.file(path)
    assert len(names(library)) == 2


def test_a_name_taken_by_another_process_is_left_alone(
    library: Library, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = write(level=500), write(level=501)
    link = link_durably

    def late(source: Path, path: Path) -> None:
        if source == ours and not path.name.endswith("-2.fits"):
            link(theirs, path)
        link(source, path)

    monkeypatch.setattr(library_module, "link_durably", late)
    filed = library.file(ours)
    assert filed.samefile(ours)
    assert filed.name.endswith("-2.fits")
    assert len(names(library)) == 2


def test_the_index_returns_headers_unchanged(library: Library, write: Write) -> None:
    path = library.file(write())
    fresh = library.rebuild().headers[path]
    assert json.dumps(fresh) == json.dumps(library.catalogue().headers[path])


@pytest.mark.parametrize("camera", ["..", ".", "...", ".hidden"])
def test_no_camera_name_leaves_the_library(library: Library, tmp_path: Path, camera: str) -> None:
    header = fits.Header([("IMAGETYP", "Master Dark"), ("INSTRUME", camera), ("STACKCNT", 3)])
    fits.PrimaryHDU(np.zeros(SHAPE, np.float32), header).writeto(tmp_path / "m.fits")
    filed = library.file(tmp_path / "m.fits")
    assert filed.resolve().relative_to(library.folder.resolve()).parts[1:] == ("darks", "m.fits")
    assert list(library.catalogue().headers) == [filed]
