"""A light that changes while it is being read is refused: its pixels and its digest could be of different contents."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import primary_pieces
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.lights import files
from coldframe.calibration.lights.arithmetic import Correction
from coldframe.calibration.lights.content import content_of
from coldframe.calibration.lights.files import CALIBRATION, Output, calibrate_file
from coldframe.calibration.lights.pixels import Pixels
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.calibration.lights.result_file import ResultFile

SHAPE = (150, 37)

Change = Callable[[Path], None]


def content(form: str, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(1000, 2000, SHAPE)
    stored = pixels.astype(np.float32) if form == "float32" else pixels.astype(np.uint16)
    whole = b"".join(map(bytes, primary_pieces(stored, [])))
    # Without compression, both contents have the same size.
    return gzip.compress(whole, compresslevel=0) if form == "gz" else whole


def other_content(path: Path) -> bytes:
    return content("gz" if path.suffix == ".gz" else path.stem, 2)


def replaced(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(other_content(path))
    assert new.stat().st_size == path.stat().st_size
    new.replace(path)


def overwritten(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(other_content(path))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)


class ChangingLook:
    """A look that changes the light after its header was read, and before its pixels are."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change = change

    def rows(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        self._change()
        return np.arange(shape[0])

    def measure(self, light: Path, pixels: Pixels) -> None:
        raise AssertionError(f"{light} was written: {pixels.shape}")


def light_of(folder: Path, form: str) -> Path:
    path = folder / ("light.fits.gz" if form == "gz" else f"{form}.fits")
    path.write_bytes(content(form, 1))
    return path


def planes() -> Correction:
    zeros, ones = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    return Correction(zeros, zeros, ones, zeros, None)


RECIPE = LightRecipe(dark=None, bias=None, flat=None)


@pytest.mark.parametrize("change", [replaced, overwritten])
@pytest.mark.parametrize("form", ["uint16", "float32", "gz"])
def test_a_light_that_changes_after_its_header_was_read_is_not_written(
    tmp_path: Path, form: str, change: Change
) -> None:
    light, target = light_of(tmp_path, form), tmp_path / "target.fits"
    with pytest.raises(FrameFileError, match="was changed or replaced while it was being read: calibrate it again"):
        calibrate_file(light, target, RECIPE, planes(), Output(), digest=str, look=ChangingLook(lambda: change(light)))
    assert [path.name for path in tmp_path.iterdir()] == [light.name]


@pytest.mark.parametrize("change", [replaced, overwritten])
@pytest.mark.parametrize("form", ["uint16", "float32", "gz"])
@pytest.mark.parametrize("output", [Output(), Output(uncertainty=True)], ids=["plain", "uncertainty"])
def test_a_light_that_changes_after_its_pixels_were_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, change: Change, output: Output
) -> None:
    light, target = light_of(tmp_path, form), tmp_path / "target.fits"

    def changing(*arguments: Any) -> ResultFile:
        result = ResultFile(*arguments)
        assert list(tmp_path.glob(".target.fits.*.part"))
        change(light)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(files, "ResultFile", changing)
        with pytest.raises(FrameFileError, match="was changed or replaced"):
            calibrate_file(light, target, RECIPE, planes(), output, digest=str)
        assert [path.name for path in tmp_path.iterdir()] == [light.name]
        target.write_bytes(b"an earlier result")
        light.write_bytes(content(form, 1))
        with pytest.raises(FrameFileError, match="was changed or replaced"):
            calibrate_file(light, target, RECIPE, planes(), output, digest=str, replaces=True)
        assert target.read_bytes() == b"an earlier result"
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([light.name, target.name])
    calibrate_file(light, target, RECIPE, planes(), output, digest=str, replaces=True)
    assert fits.getheader(target)[CALIBRATION] == content_of(light)
