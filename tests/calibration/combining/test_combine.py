"""Sets of raw frames, combined into masters."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.combining.combine import NotOneSetError, combine_frames, stack_here
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.methods import Mean, MedianClipping, Method
from coldframe.cli.printed import Printed
from coldframe.config.frames import FrameKind
from coldframe.operations.set_master import Treatment, combined
from tests.calibration.combining.raw_files import DARK, SHAPE, darks, noise, opened, save
from tests.calibration.files.failing_disk import before_reads


def test_a_master_names_its_origin(tmp_path: Path) -> None:
    paths = [
        *darks(tmp_path, 1, DATE_OBS="2026-11-22T03:00:00"),
        *darks(tmp_path, 2, DATE_OBS="2026-11-22T01:00:00"),
    ]
    master = combine_frames(opened(paths, tmp_path), MedianClipping())
    assert (master.kind, master.exposure_s, master.camera) == (FrameKind.DARK, 300.0, "ZWO ASI2600MM")
    assert master.settings.gain == 100
    assert master.inputs == tuple(path.name for path in paths)
    assert master.first_at is not None
    assert master.last_at is not None
    assert (master.first_at.hour, master.last_at.hour) == (1, 3)


def test_the_floor_follows_the_step_of_twelve_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(30):
        levels = rng.normal(100.3, 0.45, (40, 60)).round() + (rng.random((40, 60)) < 0.01) * rng.integers(
            8, 90, (40, 60)
        )
        save(tmp_path / f"{number:02d}.fits", (levels * 16).astype(np.uint16), IMAGETYP="Dark", EXPTIME=60.0)
    frames = opened(sorted(tmp_path.glob("*.fits")), tmp_path)
    master = combine_frames(frames, Clipping())
    assert master.method == Clipping(sigma_floor_adu=8)
    # Little more than the outliers is rejected: noise of 0.45 of a step is hardly more than the rounding itself.
    assert 0.008 < master.stack.rejected_fraction < 0.014


def test_floats_have_no_floor_in_adu(tmp_path: Path) -> None:
    paths = [
        save(tmp_path / f"{number}.fits", (noise(number) / 65535).astype(np.float32), **DARK) for number in range(12)
    ]
    frames = opened(paths, tmp_path)
    outlier = save(tmp_path / "hit.fits", np.full(SHAPE, 0.5, np.float32), **DARK)
    master = combine_frames([*frames, *opened([outlier], tmp_path)], Clipping())
    assert (master.stack.counts <= 12).all()
    assert master.stack.mean.max() < 0.02
    assert isinstance(master.method, Clipping)
    assert master.method.sigma_floor_adu == 0


@pytest.mark.parametrize("scale", [1 / 65535, 3.0])
@pytest.mark.parametrize("method", [Clipping(), MedianClipping()], ids=str)
def test_scaled_integers_give_the_master_of_plain_integers_times_the_scale(
    scale: float, method: Clipping | MedianClipping, tmp_path: Path
) -> None:
    plain, scaled = tmp_path / "plain", tmp_path / "scaled"
    plain.mkdir()
    scaled.mkdir()
    for number in range(12):
        pixels = noise(number)
        pixels[3, 5] = 30000 if number == 7 else pixels[3, 5]
        save(plain / f"{number:02d}.fits", pixels, **DARK)
        words = (pixels.astype(np.int32) - 32768).astype(np.int16)
        unit = fits.PrimaryHDU(words, fits.Header(list(DARK.items())))
        unit.header["BSCALE"], unit.header["BZERO"] = scale, 32768 * scale
        unit.writeto(scaled / f"{number:02d}.fits")
    expected, master = (
        combine_frames(opened(sorted(folder.iterdir()), tmp_path), method).stack for folder in (plain, scaled)
    )
    assert expected.counts[3, 5] == 11
    np.testing.assert_array_equal(master.counts, expected.counts)
    np.testing.assert_allclose(master.mean, expected.mean * scale, rtol=3e-6)
    np.testing.assert_allclose(master.uncertainty, expected.uncertainty * scale, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("pattern", [None, "RGGB"])
def test_flats_are_normalised_without_their_dark(dtype: str, pattern: str | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    response = rng.uniform(0.8, 1.2, SHAPE)
    colours = np.tile([[0.5, 1.0], [1.0, 0.7]], (SHAPE[0] // 2, SHAPE[1] // 2)) if pattern else np.ones(SHAPE)
    cards = {"IMAGETYP": "Flat Field", **({"BAYERPAT": pattern} if pattern else {})}
    for number, level in enumerate(np.linspace(10000, 30000, 10)):
        save(tmp_path / f"{number}.fits", (600 + level * response * colours).round().astype(dtype), **cards)
    dark = np.full(SHAPE, 600, np.float32)
    planes = MasterPlanes(dark, dark, dark, None, {})
    master = combine_frames(opened(sorted(tmp_path.glob("*.fits")), tmp_path), Clipping(), planes, "bias.fits")
    expected = response.copy()
    for row, column in np.ndindex(2, 2) if pattern else [(slice(None), slice(None))]:
        part = np.s_[row::2, column::2] if pattern else np.s_[:, :]
        expected[part] /= expected[part].mean()
    np.testing.assert_allclose(master.stack.mean, expected, rtol=2e-4)
    assert master.subtracted == "bias.fits"


def test_a_flat_without_light_is_named(tmp_path: Path) -> None:
    paths = darks(tmp_path, 2, IMAGETYP="Flat")
    black = save(tmp_path / "black.fits", np.zeros(SHAPE, np.uint16), IMAGETYP="Flat")
    with pytest.raises(FrameFileError, match=r"black.fits: .*no light"):
        combine_frames(opened([*paths, black], tmp_path), Mean())


@pytest.mark.parametrize(("kind", "message"), [("Light Frame", "cannot be combined"), ("Tricolor", "--kind")])
def test_kinds_without_a_master_are_refused(kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(NotOneSetError, match=message):
        combine_frames(opened(darks(tmp_path, 2, IMAGETYP=kind), tmp_path), Mean())


def test_sizes_are_never_mixed(tmp_path: Path) -> None:
    odd = save(tmp_path / "odd.fits", noise(1)[1:], **DARK)
    with pytest.raises(NotOneSetError, match=r"odd.fits has 32 x 23 pixels"):
        combine_frames(opened([*darks(tmp_path, 2), odd], tmp_path), Mean())


def with_longer_header(path: Path) -> None:
    """Replace a frame by itself with so many cards that its pixels begin later."""
    pixels, header = fits.getdata(path), fits.getheader(path)
    header.extend([(f"KEY{number}", number) for number in range(100)])
    path.unlink()
    fits.PrimaryHDU(pixels, header).writeto(path)


@pytest.mark.parametrize("method", [Clipping(), Mean(), MedianClipping()], ids=str)
@pytest.mark.parametrize("kind", ["Dark Frame", "Flat Field"])
def test_a_frame_that_was_replaced_since_it_was_opened_is_refused(kind: str, method: Method, tmp_path: Path) -> None:
    frames = opened(darks(tmp_path, 6, IMAGETYP=kind), tmp_path)
    with_longer_header(frames[3].image.path)
    with pytest.raises(FrameFileError, match="was changed or replaced since it was opened") as caught:
        combine_frames(frames, method)
    assert caught.value.path == frames[3].image.path


def test_a_frame_that_is_changed_while_it_is_stacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = opened(darks(tmp_path, 6), tmp_path)
    path = frames[3].image.path
    content = path.read_bytes()

    def change() -> None:
        path.write_bytes(content)

    before_reads(path, monkeypatch, change)
    with pytest.raises(FrameFileError, match="was changed or replaced since it was opened") as caught:
        combine_frames(frames, Clipping())
    assert caught.value.path == path


def test_a_replaced_frame_is_left_out_of_the_master(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = opened(darks(tmp_path, 6), tmp_path)
    with_longer_header(frames[3].image.path)
    master, lost = combined(frames, Treatment(), None, stack_here, Printed())
    assert (master.stack.frames, lost) == (5, 1)
    assert frames[3].image.path.name not in master.inputs
    assert capsys.readouterr().err.startswith(f"left out: {frames[3].image.path}: the file was changed or replaced")
    expected = combine_frames([frame for frame in frames if frame is not frames[3]], master.method)
    np.testing.assert_array_equal(master.stack.mean, expected.stack.mean)
