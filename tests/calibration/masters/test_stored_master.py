"""Masters whose rows are read when they are needed."""

import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import extension_pieces, primary_pieces
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.masters.bands import gathered_rows
from coldframe.calibration.masters.reading import StoredMaster, check, kept_scatter, open_master, sampled_master

SHAPE = (400, 31)


def write(path: Path, uncertainty: np.ndarray) -> Path:
    rng = np.random.default_rng(6)
    mean, counts = rng.normal(500, 2, SHAPE).astype(np.float32), rng.integers(18, 21, SHAPE).astype(np.uint16)
    parts = [
        primary_pieces(mean, [Card("CFVAR1", 1.1), Card("CFVAR2", 1.2), Card("CFSCA1", 1.0), Card("CFSCA2", 1.05)]),
        extension_pieces("UNCERT", uncertainty, []),
        extension_pieces("COUNTS", counts, []),
    ]
    path.write_bytes(b"".join(map(bytes, chain(*parts))))
    return path


def errors() -> np.ndarray:
    return np.random.default_rng(7).uniform(1, 3, SHAPE).astype(np.float32)


def test_rows_and_samples_are_those_of_the_whole_master(tmp_path: Path) -> None:
    master = open_master(write(tmp_path / "master.fits", errors()))
    assert isinstance(master, StoredMaster)
    whole = master.planes()
    for rows in (slice(0, 96), slice(301, 400), slice(5, 300, 7)):
        band = master.band(rows)
        np.testing.assert_array_equal(band.uncertainty, whole.uncertainty[rows])
        np.testing.assert_array_equal(band.frame_variance, whole.frame_variance[rows])
        np.testing.assert_array_equal(kept_scatter(band), kept_scatter(whole)[rows])
        values = master.kept_values(rows)
        np.testing.assert_array_equal(values.variance, kept_scatter(whole)[rows])
        np.testing.assert_array_equal(values.counts, band.counts)
    sampled, expected = sampled_master(master, 3), sampled_master(whole, 3)
    np.testing.assert_array_equal(sampled.frame_variance, whole.frame_variance[::3, ::3])
    np.testing.assert_array_equal(kept_scatter(sampled), kept_scatter(expected))


def test_chosen_rows_are_gathered(tmp_path: Path) -> None:
    master = open_master(write(tmp_path / "master.fits", errors()))
    wanted = np.array([0, 1, 95, 96, 250, 399])
    found = gathered_rows(SHAPE, lambda rows: master.band(rows).uncertainty, wanted)
    np.testing.assert_array_equal(found, master.planes().uncertainty[wanted])


def test_a_value_in_a_row_that_is_not_needed_is_refused_if_it_is_infinite(tmp_path: Path) -> None:
    uncertainty = errors()
    uncertainty[399, 30] = np.inf
    path = write(tmp_path / "master.fits", uncertainty)
    with pytest.raises(FrameFileError, match="values in its extensions are not numbers"):
        check(open_master(path), path)


def test_a_file_that_becomes_shorter_is_refused_when_rows_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "master.fits", errors())
    master = open_master(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(FrameFileError, match=r"master\.fits: the file became shorter while it was being read"):
        check(master, path)


def test_a_master_is_read_from_its_own_file_even_if_another_takes_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "master.fits", errors())
    master = open_master(path)
    expected = open_master(path).planes().uncertainty
    write(tmp_path / "other.fits", 2 * errors()).replace(path)
    np.testing.assert_array_equal(master.planes().uncertainty, expected)
