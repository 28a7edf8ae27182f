"""The writing of images whose rows are written before their headers."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import new_file
from coldframe.calibration.files.frame_file import extension_pieces, primary_pieces
from coldframe.calibration.lights import image_writer
from coldframe.calibration.lights.image_writer import ImageWriter

PIXELS = np.random.default_rng(4).integers(0, 65536, (151, 37)).astype(np.uint16)
ERRORS = np.sqrt(PIXELS.astype(np.float32))

Plane = NDArray[np.uint16] | NDArray[np.float32]


def write_rows(image: ImageWriter, plane: Plane, rows_at_once: int) -> None:
    for first in range(0, len(plane), rows_at_once):
        image.write(first, plane[first : first + rows_at_once])


@pytest.mark.parametrize("rows_at_once", [2, 64, 1000])
@pytest.mark.parametrize("width", [36, 37])
@pytest.mark.parametrize("signal", [PIXELS, ERRORS], ids=["uint16", "float32"])
def test_images_written_in_bands_are_those_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: Plane, width: int, rows_at_once: int
) -> None:
    monkeypatch.setattr(image_writer, "_ENCODED_AT_ONCE", 600)
    first, second = signal[:, :width].copy(), ERRORS[:, :width].copy()
    unknown, known = [Card("CFCLIPLO", 0)], [Card("CFCLIPLO", 1234)]
    with new_file(tmp_path / "a.fits") as file:
        light = ImageWriter(file, 0, first.shape, first.dtype.type, unknown)
        errors = ImageWriter(file, light.end, second.shape, np.float32, [], name="UNCERT")
        write_rows(light, first, rows_at_once)
        write_rows(errors, second, rows_at_once)
        errors.finish([])
        light.finish(known)
    expected = b"".join(map(bytes, [*primary_pieces(first, known), *extension_pieces("UNCERT", second, [])]))
    assert (tmp_path / "a.fits").read_bytes() == expected


def test_a_header_that_needs_more_room_is_refused(tmp_path: Path) -> None:
    longer = [Card("CFNOTE01", "x" * 60)] * 40
    with pytest.raises(ValueError, match="length has changed"), new_file(tmp_path / "a.fits") as file:  # noqa: PT012
        image = ImageWriter(file, 0, PIXELS.shape, np.uint16, [])
        write_rows(image, PIXELS, 64)
        image.finish(longer)
    assert list(tmp_path.iterdir()) == []
