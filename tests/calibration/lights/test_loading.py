"""The masters of a recipe are read once, checked completely, and freed early."""

import weakref
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import extension_pieces, primary_pieces
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.lights.loading import load_subtraction
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.calibration.masters import reading
from coldframe.calibration.masters.bands import bands_of
from coldframe.calibration.masters.stored_planes import StoredPlane
from coldframe.config.frames import FrameKind

SHAPE = (400, 31)


def write(path: Path, level_adu: float, damage: float = 2.0) -> Path:
    rng = np.random.default_rng(6)
    mean, counts = rng.normal(level_adu, 2, SHAPE).astype(np.float32), np.full(SHAPE, 20, np.uint16)
    uncertainty = rng.uniform(1, 3, SHAPE).astype(np.float32)
    uncertainty[399, 30] = damage
    parts = [
        primary_pieces(mean, [Card("CFVAR1", 1.1)]),
        extension_pieces("UNCERT", uncertainty, []),
        extension_pieces("COUNTS", counts, []),
    ]
    path.write_bytes(b"".join(map(bytes, chain(*parts))))
    return path


def some_rows(_shape: tuple[int, ...]) -> NDArray[np.intp]:
    return np.arange(10, 20)


def test_a_dark_and_a_bias_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = LightRecipe(write(tmp_path / "dark.fits", 500), write(tmp_path / "bias.fits", 300), None, dark_scale=0.5)
    rows, decoded = StoredPlane.rows, Counter[int]()

    def counted(plane: StoredPlane, wanted: slice) -> NDArray[np.float32]:
        decoded[id(plane)] += 1
        return rows(plane, wanted)

    monkeypatch.setattr(StoredPlane, "rows", counted)
    load_subtraction(recipe, despite_glow=True)
    bands = len(list(bands_of(SHAPE)))
    # The counts are also read once when the master is opened, for the largest of them.
    assert sorted(decoded.values()) == [bands, bands, bands, bands, 2 * bands, 2 * bands]


@pytest.mark.parametrize("damaged", ["dark", "bias"])
@pytest.mark.parametrize("both", [True, False], ids=["both", "alone"])
def test_a_damaged_row_of_any_master_is_refused(tmp_path: Path, damaged: str, *, both: bool) -> None:
    paths = {
        kind: write(tmp_path / f"{kind}.fits", 500, damage=np.inf if kind == damaged else 2)
        for kind in ("dark", "bias")
    }
    used = paths if both else {damaged: paths[damaged]}
    recipe = LightRecipe(used.get("dark"), used.get("bias"), None)
    with pytest.raises(FrameFileError, match=rf"{damaged}\.fits: some values in its extensions"):
        load_subtraction(recipe, rows=some_rows)


def test_the_planes_of_dark_and_bias_are_freed_when_only_rows_of_the_variance_are_needed(tmp_path: Path) -> None:
    recipe = LightRecipe(write(tmp_path / "dark.fits", 500), write(tmp_path / "bias.fits", 300), None)
    planes = []

    def look(_kind: FrameKind, master: reading.BandedMaster) -> None:
        planes.append(weakref.ref(master.planes().frame_variance))

    subtraction = load_subtraction(recipe, look=look, rows=some_rows)
    assert [plane() for plane in planes] == [None, None]
    whole = reading.read_master(tmp_path / "dark.fits")
    variance = np.square(whole.uncertainty) + whole.frame_variance
    np.testing.assert_array_equal(subtraction.variance, variance[10:20])
    np.testing.assert_array_equal(subtraction.sampled, variance[::3, ::3])
