"""Raw frames as other programs write them: opened, sorted into sets, combined."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.combining.combine import NotOneSetError, combine_frames
from coldframe.calibration.combining.finding import NothingFoundError, find_files
from coldframe.calibration.combining.frame_sets import RawFrame, open_frames, sets_of
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.methods import Mean, MedianClipping
from coldframe.config.frames import FrameKind

SHAPE = (24, 32)
DARK = {"IMAGETYP": "Dark Frame", "EXPTIME": 300.0, "GAIN": 100, "INSTRUME": "ZWO ASI2600MM"}


def save(path: Path, pixels: NDArray[Any], **cards: object) -> Path:
    fits.PrimaryHDU(pixels, fits.Header([(key.replace("_", "-"), value) for key, value in cards.items()])).writeto(path)
    return path


def noise(seed: int, level: float = 1000, sigma: float = 8) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).normal(level, sigma, SHAPE).round().astype(np.uint16)


def opened(paths: Sequence[Path], folder: Path) -> list[RawFrame]:
    frames, refused = open_frames(paths, folder)
    assert not refused
    return frames


def darks(folder: Path, count: int, **cards: object) -> list[Path]:
    start = len(list(folder.glob("*.fits")))
    return [
        save(folder / f"dark{number:03d}.fits", noise(number), **{**DARK, **cards})
        for number in range(start, start + count)
    ]


# ---- files ----


def test_folders_patterns_and_files_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = darks(tmp_path, 3)
    (tmp_path / "notes.txt").write_text("not a frame")
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in find_files([str(tmp_path), str(paths[1]), "dark00*.fits"])] == [
        path.name for path in paths
    ]
    assert find_files([str(tmp_path / "dark*.fits")]) == paths


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty", "no FITS files"),
        ("*.fit", "no file matches"),
        ("night**", "entire path component"),
        ("", "an empty name"),
        ("loop", "[Ll]oop"),
        ("x" * 300, "too long"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NothingFoundError, match=said):
        find_files([name])


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("form", ["plain", "gzip", "tiles"])
def test_every_kind_of_pixel_is_read(dtype: str, form: str, tmp_path: Path) -> None:
    pixels = (noise(1) % 200).astype(dtype)
    path = save(tmp_path / "a.fits", pixels, **DARK)
    if form == "gzip":
        packed = tmp_path / "a.fits.gz"
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path = packed
    elif form == "tiles":
        path = tmp_path / "a.fits.fz"
        compressed = fits.CompImageHDU(
            pixels, fits.Header([("EXPTIME", 300.0)]), compression_type="GZIP_1", quantize_level=0
        )
        fits.HDUList([fits.PrimaryHDU(), compressed]).writeto(path)
    image = open_image(path, tmp_path)
    assert image.shape == SHAPE
    assert image.header["EXPTIME"] == 300.0
    np.testing.assert_array_equal(image.rows(0, SHAPE[0]), pixels)
    places = np.array([0, 7, 401, pixels.size - 1])
    if dtype in {"u1", "i2", "u2"}:
        np.testing.assert_array_equal(image.values(places), pixels.reshape(-1)[places])
    assert image.path == path


def test_an_image_after_an_empty_first_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    first = fits.PrimaryHDU(header=fits.Header([("INSTRUME", "fa01")]))
    fits.HDUList([first, fits.ImageHDU(noise(2), fits.Header([("EXPTIME", 5.0)]))]).writeto(path)
    image = open_image(path, tmp_path)
    np.testing.assert_array_equal(image.rows(0, SHAPE[0]), noise(2))
    assert (image.header["INSTRUME"], image.header["EXPTIME"]) == ("fa01", 5.0)


def header(*cards: str) -> bytes:
    return "".join(card.ljust(80) for card in (*cards, "END")).ljust(2880).encode()


HUGE = header("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 100000", "NAXIS2  = 100000", "BZERO   = 32768")
CUBE = header("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 3", "NAXIS1  = 4", "NAXIS2  = 4", "NAXIS3  = 3")
ODD = header("SIMPLE  = T", "BITPIX  = 12", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 4")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"GIF89a" * 100, "not a FITS file"),
        (HUGE, "truncated: 100000 x 100000 pixels need 20000000000 bytes, the file has 0"),
        (gzip.compress(HUGE, mtime=0), "truncated: 100000 x 100000 pixels"),
        (
            gzip.compress(header("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 9", "NAXIS2  = 9"), mtime=0),
            "truncated",
        ),
        (gzip.compress(HUGE, mtime=0)[:60], "truncated or damaged"),
        (CUBE, "not a plane image: NAXIS 3"),
        (ODD, "BITPIX 12"),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"), "does not end"),
    ],
)
def test_broken_files_are_told(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(content)
    with pytest.raises(FrameFileError, match=said) as raised:
        open_image(path, tmp_path)
    assert raised.value.path == path


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    pixels = noise(1).astype(np.float32)
    pixels[20, 7] = np.nan
    with pytest.raises(FrameFileError, match="not numbers"):
        open_image(save(tmp_path / "nan.fits", pixels), tmp_path)


def test_bad_files_are_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    paths = darks(tmp_path, 3)
    copy = tmp_path / "copy.fits"
    copy.write_bytes(paths[0].read_bytes())
    master = save(tmp_path / "master.fits", noise(9).astype(np.float32), **DARK, NCOMBINE=50)
    missing = tmp_path / "missing.fits"
    frames, refused = open_frames([*paths, copy, master, missing], tmp_path)
    assert [frame.image.path for frame in frames] == paths
    assert [error.path for error in refused] == [copy, master, missing]
    assert "the same frame" in refused[0].what
    assert "a master already" in refused[1].what


# ---- sets ----


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
def test_what_is_alike_is_one_set(one: dict[str, Any], other: dict[str, Any], tmp_path: Path) -> None:
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
        {"EXPTIME": 299.0},
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
def test_what_differs_is_another_set(cards: dict[str, Any], tmp_path: Path) -> None:
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


# ---- masters ----


def test_a_master_tells_where_it_comes_from(tmp_path: Path) -> None:
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
    # The outliers go, and next to nothing else: 0.45 of a step is hardly more than the rounding itself.
    assert 0.008 < master.stack.rejected_fraction < 0.014


def test_a_floor_in_adu_means_nothing_to_floats(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("pattern", [None, "RGGB"])
def test_flats_are_normalised_and_their_dark_goes(dtype: str, pattern: str | None, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("kind", "said"), [("Light Frame", "no master"), ("Tricolor", "--kind")])
def test_what_has_no_master_is_refused(kind: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(NotOneSetError, match=said):
        combine_frames(opened(darks(tmp_path, 2, IMAGETYP=kind), tmp_path), Mean())


def test_sizes_are_never_mixed(tmp_path: Path) -> None:
    odd = save(tmp_path / "odd.fits", noise(1)[1:], **DARK)
    with pytest.raises(NotOneSetError, match=r"odd.fits has 32 x 23 pixels"):
        combine_frames(opened([*darks(tmp_path, 2), odd], tmp_path), Mean())
