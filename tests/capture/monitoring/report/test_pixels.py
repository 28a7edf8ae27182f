"""Statistics and pictures of images."""

from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder, primary_pieces
from coldframe.calibration.files.image_file import open_image
from coldframe.capture.monitoring.report.pixels import block_colours, picture_of, summarise_file


def test_glow_and_hot_pixels_are_visible(tmp_path: Path) -> None:
    height, width = 301, 400
    plane = np.random.default_rng(1).normal(500, 3, (height, width)).astype(np.float32)
    plane[:, 390:] += 50
    plane[150, 200] = 3000
    path = tmp_path / "dark.fits"
    path.write_bytes(b"".join(bytes(piece) for piece in primary_pieces(plane, [Card("IMAGETYP", "Master Dark")])))
    seen = summarise_file(path, 100)
    assert seen.whole.shape == (75, 100)
    assert seen.whole[:, -2:].min() > 200 > seen.whole[:, :90].max() * 0.9 - 30
    assert seen.detail.shape == (72, 96)
    assert seen.detail[150 - 114, 200 - 152] == 255
    assert np.median(seen.detail) < 128
    assert seen.statistics.maximum == 3000
    assert sum(seen.statistics.histogram.counts) == height * width


def test_colours_are_those_of_the_filter_array(tmp_path: Path) -> None:
    pixels = np.zeros((8, 12), np.uint16)
    pixels[0::2, 0::2], pixels[0::2, 1::2], pixels[1::2, 0::2], pixels[1::2, 1::2] = 100, 200, 400, 300
    path = tmp_path / "frame.fits"
    path.write_bytes(b"".join(bytes(piece) for piece in FrameEncoder().encode(pixels, [])))
    image = open_image(path, tmp_path)
    colours = block_colours(image, 6, "RGGB")
    assert colours.shape == (4, 6, 3)
    assert colours[2, 3].tolist() == [100, 300, 300]
    assert block_colours(image, 3, "GBRG")[0, 0].tolist() == [400, 200, 200]
    assert picture_of(image, 6, "RGGB").shape == (4, 6, 3)
    assert picture_of(image, 12, None).shape == (8, 12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 1000), (257, 513)])
def test_frames_of_any_shape_have_a_summary(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(b"".join(bytes(piece) for piece in FrameEncoder().encode(np.full(shape, 700, np.uint16), [])))
    seen = summarise_file(path, 64)
    assert seen.statistics.median == 700
    assert seen.whole.size > 0
