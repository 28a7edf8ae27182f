import json
import math
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from coldframe.capture.flats.learned import FlatKey, LearnedFlat, LearnedFlats
from coldframe.config.frames import ReadoutSettings

SETTINGS = ReadoutSettings(gain=100, offset=50, binning=1, readout_mode="High gain")
KEY = FlatKey.of("Camera", "Ha", "Panel", SETTINGS)
FLAT = LearnedFlat(
    exposure_s=1.301,
    brightness=80,
    rate_adu_per_s=20123.4,
    full_scale_adu=65535,
    learned_at=datetime(2026, 3, 1, 4, 0, tzinfo=UTC),
)


def saved(path: Path) -> LearnedFlats:
    memory = LearnedFlats.load(path)
    memory.remember(KEY, FLAT)
    memory.save()
    return memory


def test_saved_flats_are_recalled(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "flats.json"
    saved(path)
    memory = LearnedFlats.load(path)
    assert memory.problem is None
    assert memory.recall(KEY) == FLAT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "other",
    [
        {"camera": "Other"},
        {"filter": None},
        {"panel": None},
        {"gain": 101},
        {"offset": None},
        {"binning": 2},
        {"readout_mode": None},
    ],
)
def test_another_setting_is_another_flat(tmp_path: Path, other: dict[str, str | None]) -> None:
    memory = saved(tmp_path / "flats.json")
    assert memory.recall(KEY.model_copy(update=other)) is None


def test_a_later_night_replaces_the_earlier(tmp_path: Path) -> None:
    path = tmp_path / "flats.json"
    memory = saved(path)
    newer = FLAT.model_copy(update={"exposure_s": 2.0})
    memory.remember(KEY, newer)
    memory.save()
    assert LearnedFlats.load(path).recall(KEY) == newer


def test_the_saturation_learned_with_one_filter_applies_to_the_others(tmp_path: Path) -> None:
    memory = saved(tmp_path / "flats.json")
    newer = FLAT.model_copy(update={"full_scale_adu": 16383, "learned_at": datetime(2026, 3, 2, 4, 0, tzinfo=UTC)})
    memory.remember(KEY.model_copy(update={"filter": "L"}), newer)
    assert memory.full_scale_adu(KEY.model_copy(update={"filter": "OIII", "panel": None})) == 16383
    assert memory.full_scale_adu(KEY.model_copy(update={"gain": 0})) is None


def test_a_file_from_before_there_were_channels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "flats.json"
    saved(path)
    contents = json.loads(path.read_text())
    del contents["flats"][0]["flat"]["faintest_part"]
    path.write_text(json.dumps(contents))
    recalled = LearnedFlats.load(path).recall(KEY)
    assert recalled is not None
    assert recalled.faintest_part == 1


def test_without_a_file_nothing_is_learned_yet(tmp_path: Path) -> None:
    memory = LearnedFlats.load(tmp_path / "none.json")
    assert memory.problem is None
    assert memory.recall(KEY) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": "something else", "flats": []}',
        b"\xff\xfe\x00",
        b'{"flats": [{"key": {}}]}',
        b'{"a": 1}',
    ],
)
def test_a_broken_file_is_reported_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "flats.json"
    path.write_bytes(content)
    memory = LearnedFlats.load(path)
    assert memory.problem is not None
    assert str(path) in memory.problem
    assert path.read_bytes() == content
    memory.remember(KEY, FLAT)
    memory.save()
    assert (tmp_path / "flats.json.broken-1").read_bytes() == content
    assert LearnedFlats.load(path).recall(KEY) == FLAT
    memory.save()
    assert not (tmp_path / "flats.json.broken-2").exists()


def test_several_broken_files_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "flats.json"
    for content in ("one", "two"):
        path.write_text(content)
        saved(path)
    assert (tmp_path / "flats.json.broken-1").read_text() == "one"
    assert (tmp_path / "flats.json.broken-2").read_text() == "two"


def test_a_folder_in_place_of_the_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "flats.json"
    path.mkdir()
    assert "cannot be read" in str(LearnedFlats.load(path).problem)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "0"])
def test_impossible_numbers_are_never_recalled(tmp_path: Path, number: str) -> None:
    path = tmp_path / "flats.json"
    saved(path)
    path.write_text(path.read_text().replace("20123.4", number))
    memory = LearnedFlats.load(path)
    assert memory.recall(KEY) is None
    assert "rate_adu_per_s" in str(memory.problem)


@pytest.mark.parametrize("exposure_s", [0.0, math.nan, math.inf])
def test_impossible_flats_are_refused(exposure_s: float) -> None:
    with pytest.raises(ValidationError):
        LearnedFlat(**(FLAT.model_dump() | {"exposure_s": exposure_s}))


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flats.json"
    memory = saved(path)
    before = path.read_bytes()
    memory.remember(KEY, FLAT.model_copy(update={"exposure_s": 9.0}))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        memory.save()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_round_trip_exactly_and_the_file_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "flats.json"
    memory = LearnedFlats.load(path)
    odd = FLAT.model_copy(update={"exposure_s": 0.1 + 0.2})
    memory.remember(KEY, odd)
    memory.save()
    recalled = LearnedFlats.load(path).recall(KEY)
    assert recalled is not None
    assert recalled.exposure_s.hex() == (0.1 + 0.2).hex()
    assert json.loads(path.read_text())["flats"][0]["key"]["filter"] == "Ha"


def test_the_file_has_default_permissions(tmp_path: Path) -> None:
    path = tmp_path / "flats.json"
    saved(path)
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
