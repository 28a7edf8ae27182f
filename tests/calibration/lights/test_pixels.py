"""The pixels of lights, band by band."""

from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.frame_file import FrameEncoder, primary_in_place, primary_pieces
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.lights.content import content_of
from coldframe.calibration.lights.pixels import KeptRows, StoredPixels

PIXELS = np.random.default_rng(4).integers(0, 65536, (150, 37)).astype(np.uint16)


@pytest.fixture
def light(tmp_path: Path) -> StoredPixels:
    header, data = FrameEncoder().encode(PIXELS, [])
    path = tmp_path / "light.fits"
    path.write_bytes(header + bytes(data))
    return StoredPixels(open_image(path, tmp_path))


@pytest.mark.parametrize("height", [1, 64, 1000])
def test_bands_join_to_the_whole_light(light: StoredPixels, height: int) -> None:
    for _ in range(2):
        bands = [(rows, band.copy()) for rows, band in light.bands(height)]
        assert [rows.start for rows, _ in bands] == list(range(0, 150, height))
        np.testing.assert_array_equal(np.concatenate([band for _, band in bands]), PIXELS)


def test_the_digest_is_that_of_the_whole_file(light: StoredPixels, tmp_path: Path) -> None:
    list(light.bands())
    assert light.content == content_of(tmp_path / "light.fits")


def test_chosen_rows_are_kept_while_bands_pass(light: StoredPixels) -> None:
    rows = np.array([0, 3, 63, 64, 149])
    kept = KeptRows(light, rows)
    assert sum(len(band) for _, band in kept.bands()) == 150
    np.testing.assert_array_equal(kept.kept, PIXELS[rows])


@pytest.mark.parametrize("width", [36, 37])
def test_encoding_in_place_gives_the_same_file(width: int) -> None:
    pixels = PIXELS[:, :width].copy()
    expected = b"".join(map(bytes, primary_pieces(pixels, [])))
    assert b"".join(map(bytes, primary_in_place(pixels, []))) == expected
