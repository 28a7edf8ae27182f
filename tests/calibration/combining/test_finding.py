"""Finding files by name, in folders, and by patterns."""

from pathlib import Path

import pytest

from coldframe.calibration.combining.finding import NothingFoundError, find_files
from tests.calibration.combining.raw_files import darks


def test_folders_patterns_and_files_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = darks(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("not a frame")
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in find_files([str(tmp_path), str(paths[1]), "dark00*.fits"])] == [
        path.name for path in paths
    ]
    assert find_files([str(tmp_path / "dark*.fits")]) == paths


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "no FITS, XISF or camera raw files"),
        ("*.fit", "no file matches"),
        ("night**", "entire path component"),
        ("", "a file name is empty"),
        ("loop", "[Ll]oop"),
        ("x" * 300, "too long"),
    ],
)
def test_a_name_without_files_is_reported(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NothingFoundError, match=message):
        find_files([name])
