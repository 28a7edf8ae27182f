"""Lights that are calibrated and written band by band."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.defects.files import BadPixels
from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import NotDurableError, new_file
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.lights.arithmetic import Correction, calibrate
from coldframe.calibration.lights.bands import Counts, Method, Photons, Rows, calibrated_bands, pedestal_for
from coldframe.calibration.lights.mask_extension import MaskExtension
from coldframe.calibration.lights.mending import mend
from coldframe.calibration.lights.pixels import HeldPixels, LightPixels, Pixels
from coldframe.calibration.lights.result_file import ResultFile

SHAPE = (64, 96)

F32 = NDArray[np.float32]


def masters(shape: tuple[int, int], rng: np.random.Generator) -> Correction:
    mean, response = rng.normal(500, 3, shape), rng.normal(1, 0.02, shape)
    variances = rng.uniform(60, 90, shape), rng.uniform(1e-6, 2e-6, shape)
    dark, flat, dark_variance, flat_variance = (each.astype(np.float32) for each in (mean, response, *variances))
    return Correction(dark, dark_variance, flat, flat_variance, None)


def without_masters(shape: tuple[int, int]) -> Correction:
    zeros = np.zeros(shape, np.float32)
    return Correction(zeros, zeros, zeros + 1, zeros, None)


def defects(bad: NDArray[np.bool_]) -> BadPixels:
    return BadPixels(Path("map.fits"), bad, setup_of({}))


def write(
    path: Path, pixels: LightPixels, method: Method, pedestal_adu: float | None = None
) -> tuple[ResultFile, NDArray[np.generic]]:
    with new_file(path) as file:
        result = ResultFile(file, pixels, method, pedestal_adu, [Card("PEDESTAL", 0)])
        result.finish({"PEDESTAL": result.pedestal_adu}, MaskExtension(method.planes, method.defects))
    with fits.open(path, checksum=True) as opened:
        assert opened[0].header["PEDESTAL"] == result.pedestal_adu
        return result, opened[0].data.copy()


# ---- bands and whole planes ----


@pytest.mark.parametrize("height", [1, 11, 127, 128, 129, 256, 300, 517])
@pytest.mark.parametrize("period", [1, 2, 6])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
@pytest.mark.parametrize("uncertain", [True, False])
def test_bands_join_to_the_result_for_the_whole_light(
    height: int,
    period: int,
    kind: type[np.uint16 | np.float32],
    uncertain: bool,  # noqa: FBT001 - a parameter
) -> None:
    rng, shape = np.random.default_rng(height + period), (height, 37)
    light = rng.integers(400, 3000, shape).astype(np.uint16)
    planes, bad = masters(shape, rng), rng.random(shape) < 0.02
    bad[max(height // 2 - 16, 0) : height // 2 + 16, 8:26] = True  # some of these have no good neighbour
    photons = Photons(0.7, 2) if uncertain else None
    signal, uncertainty = whole_result(light, planes, bad, kind, photons)
    unmended = mend(signal, uncertainty, bad, period)

    counts, found = Counts(), list[Rows]()
    method = Method(planes, kind, defects(bad), period, photons)
    for first, rows in calibrated_bands(HeldPixels(light), method, 150, counts):
        assert first == sum(len(each.signal) for each in found)
        assert first % 2 == 0
        found.append(copied(rows))
    assert counts.unmended == unmended
    np.testing.assert_array_equal(np.concatenate([rows.signal for rows in found]), signal)
    if uncertainty is not None:
        errors = [rows.uncertainty for rows in found if rows.uncertainty is not None]
        np.testing.assert_array_equal(np.concatenate(errors), uncertainty)


def copied(rows: Rows) -> Rows:
    return Rows(rows.signal.copy(), None if rows.uncertainty is None else rows.uncertainty.copy())


def whole_result(
    light: NDArray[np.uint16],
    planes: Correction,
    bad: NDArray[np.bool_],
    kind: type[np.uint16 | np.float32],
    photons: Photons | None,
) -> tuple[Pixels, F32 | None]:
    """Return the signal and the uncertainty of a light with a pedestal of 150 ADU before its defects are replaced."""
    known = light.astype(np.float32)
    signal = np.where(bad, np.float32(0), (known - planes.subtracted) / planes.response) + np.float32(150)
    stored = signal if kind is np.float32 else np.rint(signal).clip(0, 65535).astype(np.uint16)
    if photons is None:
        return stored, None
    known[bad] = np.nan
    parts = [slice(top, min(top + 256, len(light))) for top in range(0, len(light), 256)]
    errors = [
        calibrate(known[rows], planes.band(rows), photons.e_per_adu, photons.period).uncertainty for rows in parts
    ]
    return stored, np.concatenate(errors)


def test_defects_may_become_nan() -> None:
    bad = np.zeros((300, 37), np.bool_)
    bad[::29, 5] = bad[299, 36] = True
    method = Method(without_masters(bad.shape), np.float32, defects(bad), None, Photons(None, 1))
    light = HeldPixels(np.full(bad.shape, 700, np.uint16))
    found = [copied(rows) for _, rows in calibrated_bands(light, method, 0, Counts())]
    np.testing.assert_array_equal(np.isnan(np.concatenate([rows.signal for rows in found])), bad)
    errors = [rows.uncertainty for rows in found if rows.uncertainty is not None]
    np.testing.assert_array_equal(np.isnan(np.concatenate(errors)), bad)


# ---- pedestals and clipping ----


@pytest.mark.parametrize(("lowest", "pedestal"), [(5000, 100), (-99.9, 100), (-100, 100), (-130, 200), (-20_000, 1000)])
def test_the_pedestal_keeps_every_pixel_above_zero(tmp_path: Path, lowest: float, pedestal: int) -> None:
    shape = (400, 96)
    signal = np.random.default_rng(5).normal(6000, 30, shape).astype(np.float32)
    signal[300, 4] = lowest  # the bands above it have been written with the smallest pedestal
    assert pedestal_for(lowest) == pedestal
    result, words = write(tmp_path / "a.fits", HeldPixels(signal), Method(without_masters(shape), np.uint16))
    assert result.pedestal_adu == pedestal
    assert (result.counts.below, result.counts.above) == (lowest < -1000, 0)
    np.testing.assert_array_equal(words, np.rint(signal + np.float32(pedestal)).clip(0))


def test_bad_pixels_do_not_raise_the_pedestal(tmp_path: Path) -> None:
    signal = np.full(SHAPE, 50, np.float32)
    signal[0, 0], signal[0, 1] = -900, -450
    bad = np.zeros(SHAPE, np.bool_)
    bad[0, 0] = True
    method = Method(without_masters(SHAPE), np.uint16, defects(bad), 1)
    result, words = write(tmp_path / "a.fits", HeldPixels(signal), method)
    assert (result.pedestal_adu, result.counts.below) == (500, 0)
    assert words[0, :3].tolist() == [550, 50, 550]  # the first one is replaced


def test_values_beyond_sixteen_bits_are_counted(tmp_path: Path) -> None:
    signal = np.array([[-0.4, -0.6, 65535.4, 65535.6, 1e9]], np.float32)
    method = Method(without_masters(signal.shape), np.uint16)
    result, words = write(tmp_path / "a.fits", HeldPixels(signal), method, 0)
    assert (result.counts.below, result.counts.above) == (1, 2)
    assert words.tolist() == [[0, 0, 65535, 65535, 65535]]


def test_floats_get_a_pedestal_only_on_request(tmp_path: Path) -> None:
    signal = np.random.default_rng(8).normal(0, 300, SHAPE).astype(np.float32)
    method = Method(without_masters(SHAPE), np.float32)
    for pedestal_adu in (None, 12.5):
        path = tmp_path / f"{pedestal_adu}.fits"
        result, floats = write(path, HeldPixels(signal), method, pedestal_adu)
        assert result.pedestal_adu == (pedestal_adu or 0)
        np.testing.assert_array_equal(floats, signal + np.float32(pedestal_adu or 0))


# ---- failures ----


class FailingPixels(HeldPixels):
    """Pixels that cannot be read beyond their second band."""

    def bands(self, height: int = 64) -> Iterator[tuple[slice, Pixels]]:
        for rows, band in super().bands(height):
            if rows.start >= 2 * height:
                raise FrameFileError("light.fits", "became shorter while it was being read")
            yield rows, band


def fill_after(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    """Let the disk become full after some bytes."""
    write_bytes, left = os.write, free_bytes

    def write_some(descriptor: int, data: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write_bytes(descriptor, data[:left])
        left -= count
        return count

    monkeypatch.setattr(os, "write", write_some)


LARGE = (700, 301)
"""Shape of a light with several bands."""

METHODS = {
    "words": Method(without_masters(LARGE), np.uint16, defects(np.eye(*LARGE, dtype=np.bool_))),
    "uncertainty": Method(without_masters(LARGE), np.float32, None, None, Photons(1.0, 1)),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_light_that_cannot_be_read_to_its_end_leaves_no_result(tmp_path: Path, method: Method) -> None:
    with pytest.raises(FrameFileError, match="became shorter"):
        write(tmp_path / "a.fits", FailingPixels(np.full(LARGE, 700, np.uint16)), method)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("fraction", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_disk_that_becomes_full_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Method, fraction: float
) -> None:
    light = HeldPixels(np.full(LARGE, 700, np.uint16))
    write(tmp_path / "whole.fits", light, method)
    size = (tmp_path / "whole.fits").stat().st_size
    (tmp_path / "whole.fits").unlink()
    with monkeypatch.context() as patched:
        fill_after(patched, int(fraction * size))
        with pytest.raises(NotDurableError, match="the disk is full: free some space"):
            write(tmp_path / "a.fits", light, method)
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "a.fits", light, method)
    assert (tmp_path / "a.fits").stat().st_size == size
