"""The pixels of lights, band by band."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import (
    FrameEncoder,
    extension_in_place,
    extension_pieces,
    primary_in_place,
    primary_pieces,
)
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.kernels import lights as kernels
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


def test_machine_code_hashes_a_light_of_an_odd_size_and_all_that_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(5).integers(0, 65536, (1039, 1391)).astype(np.uint16)
    path = tmp_path / "odd.fits"
    with path.open("wb") as file:
        for piece in (*FrameEncoder().encode(pixels, []), bytes(range(251)) * 10_000):
            file.write(piece)
    hash_words, seen = kernels.hash_words, []

    def noted(words: NDArray[np.uint64], lanes: NDArray[np.uint64]) -> None:
        seen.append((words.flags.aligned, words.flags.writeable, words.size * 8 <= 1 << 20))
        hash_words(words, lanes)

    monkeypatch.setattr(kernels, "hash_words", noted)
    light = StoredPixels(open_image(path, tmp_path))
    list(light.bands())
    assert set(seen) == {(True, True, True)}
    assert light.content == content_of(path)


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


@pytest.mark.parametrize("width", [36, 37])
def test_encoding_an_extension_in_place_gives_the_same_bytes(width: int) -> None:
    errors = np.sqrt(PIXELS[:, :width].astype(np.float32))
    expected = b"".join(map(bytes, extension_pieces("UNCERT", errors, [])))
    assert b"".join(map(bytes, extension_in_place("UNCERT", errors, []))) == expected
