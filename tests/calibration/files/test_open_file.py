"""Errors while a file is being read: they are exceptions, because a signal would end a night with the rig unsafe."""

import ast
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.cards import BLOCK_LENGTH
from coldframe.calibration.files.frame_file import FrameEncoder, read_frame, read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.open_file import OpenFile
from coldframe.calibration.files.headers.stamp import Stamp
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.raws.frames import read_night_pixels, values_at
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.calibration.masters.reading import read_master
from tests.calibration.files.failing_disk import before_reads, fail_reads

ROOT = Path(__file__).parents[3]
PIXELS = np.random.default_rng(3).integers(0, 65536, (900, 1000)).astype(np.uint16)
PLACES = np.arange(0, PIXELS.size, 7)
READERS: dict[str, Callable[[Path], object]] = {
    "frame": read_frame,
    "header": read_header,
    "scattered pixels": lambda path: values_at(path, PLACES),
    "frame of a night": read_night_pixels,
    "all pixels": lambda path: open_image(path, path.parent).pixels(),
    "master": read_master,
}


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    path = tmp_path / "dark.fits"
    path.write_bytes(b"".join(FrameEncoder().encode(PIXELS, [])))
    return path


@pytest.mark.parametrize("reader", READERS)
def test_a_failing_disk_is_an_exception(reader: str, frame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_reads(frame, monkeypatch)
    with pytest.raises(FrameFileError, match="Input/output error") as caught:
        READERS[reader](frame)
    assert caught.value.path == frame


@pytest.mark.parametrize("reader", ["frame", "scattered pixels", "all pixels", "master"])
def test_a_file_that_is_shortened_while_it_is_read_is_an_exception(
    reader: str, frame: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_reads(frame, monkeypatch, lambda: os.truncate(frame, 2 * BLOCK_LENGTH))
    with pytest.raises(FrameFileError, match="became shorter while it was being read") as caught:
        READERS[reader](frame)
    assert caught.value.path == frame


@pytest.mark.parametrize("good_reads", [0, 1, 2])
def test_a_failing_disk_is_a_fault_of_a_checked_file(
    good_reads: int, frame: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert integrity_fault(frame) is None
    fail_reads(frame, monkeypatch, good_reads)
    assert integrity_fault(frame) == "Input/output error"


@pytest.mark.parametrize("step", [1, 3, 70_000, 500_000])
@pytest.mark.parametrize("first", [0, 17, PIXELS.size - 1])
def test_scattered_pixels_are_those_of_the_frame(step: int, first: int, frame: Path) -> None:
    places = np.arange(first, PIXELS.size, step)
    np.testing.assert_array_equal(values_at(frame, places), PIXELS.reshape(-1)[places])


def test_no_pixels_are_no_error(frame: Path) -> None:
    assert values_at(frame, np.empty(0, np.intp)).size == 0


def test_few_pixels_need_few_bytes(frame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, read = list[int](), os.preadv

    def counting(descriptor: int, buffers: Iterable[memoryview], offset: int) -> int:
        given.append(read(descriptor, list(buffers), offset))
        return given[-1]

    image = open_image(frame, frame.parent)
    monkeypatch.setattr(os, "preadv", counting)
    image.values(np.array([0, 400_000, 400_001, PIXELS.size - 1]))
    assert given == [2, 4, 2]


def test_a_read_of_part_of_a_file_ends_with_the_file(frame: Path) -> None:
    content = frame.read_bytes()
    with OpenFile(frame) as file:
        assert file.size == len(content)
        assert file.read(len(content) - 5, 100) == content[-5:]
        assert file.read(len(content) + 5, 100) == b""


@pytest.mark.parametrize("change", ["content", "replaced"])
def test_pixels_of_a_file_that_was_changed_are_not_read(change: str, frame: Path) -> None:
    image = open_image(frame, frame.parent)
    content = frame.read_bytes()
    if change == "replaced":
        frame.rename(frame.with_name("away.fits"))
    frame.write_bytes(content)
    with pytest.raises(FrameFileError, match="was changed or replaced since it was opened"):
        image.pixels()
    np.testing.assert_array_equal(open_image(frame, frame.parent).pixels(), PIXELS)


def test_a_file_that_a_file_system_with_coarse_times_numbers_anew_is_unchanged() -> None:
    stamp = Stamp(1000, 1_700_000_000_000_000_000, 1_700_000_000_000_000_000, 17)
    assert stamp.is_still(stamp._replace(inode=18))
    assert not stamp.is_still(stamp._replace(size=1001))
    assert not stamp.is_still(stamp._replace(modified_ns=stamp.modified_ns + 2_000_000_000))
    fine = stamp._replace(changed_ns=stamp.changed_ns + 1)
    assert fine.is_still(fine)
    assert not fine.is_still(fine._replace(inode=18))


@pytest.mark.parametrize("package", ["calibration", "capture", "coldframe/cli", "coldframe/operations"])
def test_no_module_maps_files_to_memory(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            mapping = {"mmap"} & {*names, getattr(node, "module", None)} or getattr(node, "attr", None) == "memmap"
            assert not mapping, f"{path}: maps a file to memory (see calibration/files/headers/open_file.py)"
