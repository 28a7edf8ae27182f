"""Opening raw frames of other programs, and sorting them into sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.calibration.combining import frame_sets
from coldframe.calibration.combining.frame_sets import open_frames, sets_of
from coldframe.calibration.frames.setup import FrameSetup, require_readable
from tests.calibration.combining.raw_files import DARK, darks, noise, opened, save
from tests.calibration.files.failing_disk import fail_reads


def test_bad_files_are_left_out_and_the_others_are_opened(tmp_path: Path) -> None:
    paths = darks(tmp_path, 3)
    copy = tmp_path / "copy.fits"
    copy.write_bytes(paths[0].read_bytes())
    master = save(tmp_path / "master.fits", noise(9).astype(np.float32), **DARK, NCOMBINE=50)
    missing = tmp_path / "missing.fits"
    frames, refused = open_frames([*paths, copy, master, missing], tmp_path)
    assert [frame.image.path for frame in frames] == paths
    assert [error.path for error in refused] == [copy, master, missing]
    assert "the same frame" in refused[0].what
    assert "already a master" in refused[1].what


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"IMAGETYP": "Dark Frame"}, {"FRAME": "dark"}),
        ({"IMAGETYP": "DARK"}, {"IMAGTYP": "Dark"}),
        ({"EXPTIME": 300.0}, {"EXPOSURE": "300.0"}),
        ({"OFFSET": 50}, {"BLKLEVEL": 50}),
        ({"SET-TEMP": -10.0}, {"SET-TEMP": "-10.0 C"}),
        ({"CCD-TEMP": 12.0}, {"CCDTEMP": 12.6}),
        ({"XBINNING": 2}, {"BINNING": "2x2"}),
        ({"XBINNING": 2}, {"CCDSUM": "2 2"}),
        ({"GAIN": 100}, {"GAIN": "100"}),
        ({"FILTER": "Ha"}, {"FILTER": "OIII"}),
    ],
)
def test_equal_settings_make_one_set(one: dict[str, Any], other: dict[str, Any], tmp_path: Path) -> None:
    base = {key: value for key, value in {**DARK, "OFFSET": 50}.items() if key not in {**one, **other}}
    base |= {"IMAGETYP": "Dark"} if not {"IMAGETYP", "FRAME"} & (one.keys() | other.keys()) else {}
    paths = [
        save(
            tmp_path / f"{number}.fits", noise(number), **{key.replace("-", "_"): value for key, value in cards.items()}
        )
        for number, cards in enumerate([base | one, base | other])
    ]
    assert len(sets_of(opened(paths, tmp_path))) == 1


@pytest.mark.parametrize(
    "cards",
    [
        {"IMAGETYP": "Bias"},
        {"EXPTIME": 290.0},
        {"GAIN": 101},
        {"OFFSET": 50},
        {"XBINNING": 2},
        {"READOUTM": "fast"},
        {"BAYERPAT": "RGGB"},
        {"ROWORDER": "BOTTOM-UP"},
        {"SET_TEMP": -10.0},
        {"CCD_TEMP": 15.0},
        {"INSTRUME": "another"},
    ],
)
def test_different_settings_make_another_set(cards: dict[str, Any], tmp_path: Path) -> None:
    sets = sets_of(
        opened([*darks(tmp_path, 3, CCD_TEMP=10.0), *darks(tmp_path, 2, **{"CCD_TEMP": 10.0, **cards})], tmp_path)
    )
    assert [len(one.frames) for one in sets] == [3, 2]


def test_flats_of_any_exposure_are_one_set_but_not_of_any_filter(tmp_path: Path) -> None:
    flat = {"IMAGETYP": "FLAT"}
    paths = [
        *darks(tmp_path, 2, **flat, EXPTIME=1.0, FILTER="L"),
        *darks(tmp_path, 1, **flat, EXPTIME=1.7, FILTER="L"),
        *darks(tmp_path, 1, **flat, FILTER="Ha"),
    ]
    sets = sets_of(opened(paths, tmp_path))
    assert [len(one.frames) for one in sets] == [3, 1]
    assert str(sets[0]) == "3 flat frames: ZWO ASI2600MM, 32 x 24, 1 to 1.7 s, gain 100, 1x1, filter L"


def test_a_drifting_uncooled_sensor_makes_several_sets(tmp_path: Path) -> None:
    paths = [path for drift in range(8) for path in darks(tmp_path, 1, CCD_TEMP=10 + 0.7 * drift)]
    sets = sets_of(opened(paths, tmp_path))
    assert sorted(len(one.frames) for one in sets) == [2, 3, 3]
    assert "10.0 to 11.4 C" in {text for one in sets for text in str(one).split(", ")}


@pytest.mark.parametrize("good_reads", [0, 1])
def test_a_file_that_the_disk_cannot_read_is_left_out(
    good_reads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = darks(tmp_path, 3)
    paths.append(save(tmp_path / "like-the-first.fits", np.where(np.arange(32) < 31, noise(0), 7), **DARK))
    monkeypatch.setattr(frame_sets, "_PIECE_BYTES", 2)  # so that the last two frames resemble each other
    fail_reads(paths[3], monkeypatch, good_reads)
    frames, refused = open_frames(paths, tmp_path)
    assert [frame.image.path for frame in frames] == paths[:3]
    assert [(error.path, error.what) for error in refused] == [(paths[3], "Input/output error")]


def test_a_frame_that_cannot_be_compared_with_an_earlier_frame_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = darks(tmp_path, 2)
    paths.append(save(tmp_path / "like-the-first.fits", np.where(np.arange(32) < 31, noise(0), 7), **DARK))
    monkeypatch.setattr(frame_sets, "_PIECE_BYTES", 2)
    fail_reads(paths[0], monkeypatch, 1)
    frames, refused = open_frames(paths, tmp_path)
    assert [frame.image.path for frame in frames] == paths[:2]
    (error,) = refused
    assert error.path == paths[2]
    assert error.what.endswith(f"{paths[0]}: Input/output error")


def test_a_frame_that_vanishes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = darks(tmp_path, 3)

    def vanish(setup: FrameSetup, path: Path) -> None:
        require_readable(setup, path)
        if path == paths[1]:
            path.unlink()

    monkeypatch.setattr(frame_sets, "require_readable", vanish)
    frames, refused = open_frames(paths, tmp_path)
    assert [frame.image.path for frame in frames] == [paths[0], paths[2]]
    assert [(error.path, error.what) for error in refused] == [(paths[1], "No such file or directory")]
