"""Whole nights of `coldframe run` with stock INDI drivers, which share no code with coldframe."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.masters.flat_scaling import REFERENCE_LEVEL
from coldframe.calibration.stacking.clipping import Clipping, variance_correction
from tests.indi.servers import NIGHT, OUR_DRIVER, SHORT_SETS, Indiserver, Run, indiserver, started_night

pytestmark = pytest.mark.indi

FILTERS = ("Red", "Blue")
KINDS = ("tcp", "unix", "blind")


@dataclass(frozen=True)
class Seen:
    """Result of a night; `local` is set if it used the server's local socket."""

    run: Run
    code: int
    said: str
    local: bool


def seen(run: Run, server: Indiserver) -> Seen:
    local = False
    while run.process.poll() is None and not local:
        local = server.serves_locally()
        time.sleep(0.2)
    code, said = run.wait()
    return Seen(run, code, said, local)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """Run nights over TCP, over the local socket, and with a camera that receives no light, at the same time."""
    place = tmp_path_factory.mktemp("nights")
    with ExitStack() as running, ThreadPoolExecutor(len(KINDS)) as watching:
        watched = {}
        for kind in KINDS:
            server = running.enter_context(indiserver(place / kind / "home"))
            if kind != "blind":
                server.see_everything()
            run = running.enter_context(started_night(server, place / kind, SHORT_SETS, local=kind == "unix"))
            watched[kind] = watching.submit(seen, run, server)
        yield {kind: night.result() for kind, night in watched.items()}


def pixels_of(path: Path) -> NDArray[np.uint16]:
    with fits.open(path, checksum=True) as file:
        return np.array(file[0].data, np.uint16)


def raw_frames(run: Run, kind: str, filter_name: str = "") -> list[Path]:
    return sorted(path for path in (run.night / kind).rglob("*.fits") if path.parent.name.endswith(filter_name))


def master(run: Run, pattern: str) -> Path:
    (path,) = (run.night / "masters").glob(pattern)
    return path


def clipped_mean(frames: list[NDArray[np.uint16]]) -> NDArray[np.float32]:
    """Return the mean of the values that the documented rule keeps, with all frames in memory."""
    rule = Clipping()
    values = np.sort(np.stack(frames).astype(np.int64), axis=0)
    count, trim = len(values), rule.trimmed(len(values))
    kept = np.zeros(values.shape, bool)
    kept[trim : count - trim] = True
    correction = variance_correction(count, trim)
    for _ in range(rule.iterations):
        m = kept.sum(axis=0)
        s = np.where(kept, values, 0).sum(axis=0)
        q = np.where(kept, values * values, 0).sum(axis=0)
        freedom = np.maximum(m - 1, 1)
        spread = np.maximum(correction * m * (m * q - s * s), rule.sigma_floor_adu**2 * m * m * freedom)
        kept = (m * values - s) ** 2 * freedom <= rule.kappa**2 * spread
        correction = 1.0
    m, s = kept.sum(axis=0), np.where(kept, values, 0).sum(axis=0)
    mean: NDArray[np.float32] = (s / m).astype(np.float32)
    return mean


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_everything_is_made(nights: dict[str, Seen], kind: str) -> None:
    run, code, said = nights[kind].run, nights[kind].code, nights[kind].said
    assert code == 0, said
    assert "all planned masters were made" in said
    assert len(list((run.night / "masters").glob("*.fits"))) == 6
    assert [len(raw_frames(run, each)) for each in ("biases", "darks", "flats", "dark-flats")] == [5, 3, 8, 8]
    assert not (run.night / "quarantine").exists()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_configured_transport_is_used(nights: dict[str, Seen], kind: str) -> None:
    assert nights[kind].local == (kind == "unix")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("filter_name", FILTERS)
def test_flats_lie_in_the_band_and_dark_flats_match_them(nights: dict[str, Seen], kind: str, filter_name: str) -> None:
    run = nights[kind].run
    bias_adu = np.median(pixels_of(raw_frames(run, "biases")[0]))
    flats, dark_flats = raw_frames(run, "flats", filter_name), raw_frames(run, "dark-flats", filter_name)
    for path in flats:
        frame = pixels_of(path)
        height, width = frame.shape
        centre = frame[height // 4 : -height // 4, width // 4 : -width // 4]
        assert 0.30 <= (np.median(centre) - bias_adu) / (65535 - bias_adu) <= 0.50
    exposures_s = {fits.getheader(path)["EXPTIME"] for path in flats + dark_flats}
    assert len(exposures_s) == 1
    assert {fits.getheader(path)["FILTER"] for path in flats + dark_flats} == {filter_name}
    dark_flat = master(run, f"MasterDarkFlat*{filter_name}.fits")
    flat = master(run, f"MasterFlat*{filter_name}.fits")
    assert {fits.getheader(path)["EXPTIME"] for path in (dark_flat, flat)} == exposures_s


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize(
    ("folder", "filter_name", "name"),
    [
        ("biases", "", "MasterBias*"),
        ("darks", "", "MasterDark_*"),
        *(("dark-flats", each, f"MasterDarkFlat*_{each}.fits") for each in FILTERS),
    ],
)
def test_masters_equal_those_that_numpy_computes_from_the_saved_frames(
    nights: dict[str, Seen], kind: str, folder: str, filter_name: str, name: str
) -> None:
    run = nights[kind].run
    expected = clipped_mean([pixels_of(path) for path in raw_frames(run, folder, filter_name)])
    with fits.open(master(run, name), checksum=True) as file:
        np.testing.assert_array_equal(file[0].data, expected)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("filter_name", FILTERS)
def test_master_flats_equal_those_that_numpy_computes_from_the_saved_frames(
    nights: dict[str, Seen], kind: str, filter_name: str
) -> None:
    """Scaled flats are accumulated as integers, so both results agree within one step of these."""
    run = nights[kind].run
    dark = fits.getdata(master(run, f"MasterDarkFlat*_{filter_name}.fits")).astype(float)
    signals = [pixels_of(path) - dark for path in raw_frames(run, "flats", filter_name)]
    height, width = dark.shape
    centre = (slice(height // 4, -height // 4), slice(width // 4, -width // 4))
    expected = np.mean([signal / np.median(signal[centre]) for signal in signals], axis=0)
    with fits.open(master(run, f"MasterFlat*_{filter_name}.fits"), checksum=True) as file:
        assert not file["MASK"].data.any()
        found = file[0].data
        assert found.mean(dtype=float) == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(found, expected / expected.mean(), rtol=0, atol=1 / REFERENCE_LEVEL)


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_pass_fitsverify(nights: dict[str, Seen], kind: str) -> None:
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed (Debian package fitsverify)")
    paths = sorted(nights[kind].run.night.rglob("*.fits"))
    report = subprocess.run(["fitsverify", "-q", *map(str, paths)], capture_output=True, text=True, check=False).stdout
    lines = [line for line in report.splitlines() if line.startswith("verification")]
    assert len(lines) == len(paths) > 8
    assert all(line.startswith("verification OK") for line in lines), report


def test_a_camera_without_light_gets_a_clear_message_and_all_other_masters(nights: dict[str, Seen]) -> None:
    run, code, said = nights["blind"].run, nights["blind"].code, nights["blind"].said
    assert code == 1, said
    assert "master of bias written from 5 frames" in said
    assert "master of dark 0.5 s written from 3 frames" in said
    for filter_name in FILTERS:
        assert f"tune flat {filter_name} failed" in said
    assert "missing:" in said
    made = {path.name.split("_")[0] for path in (run.night / "masters").iterdir()}
    assert made == {"MasterBias", "MasterDark"}


OUR_NIGHT = (
    NIGHT.replace("CCD Simulator", "Coldframe Camera")
    .replace("Light Panel Simulator", "Coldframe Flat Panel")
    .replace("Filter Simulator", "Coldframe Filter Wheel")
)
OUR_SETS = """
[[sets]]
kind = "bias"
count = 5
[[sets]]
kind = "flat"
filter = "L"
count = 3
[[sets]]
kind = "dark-flat"
filter = "L"
count = 3
"""


def test_our_rig_as_a_driver_of_the_stock_server(tmp_path: Path) -> None:
    with (
        indiserver(tmp_path / "home", (OUR_DRIVER,), COLDFRAME_RIG="small") as server,
        started_night(server, tmp_path, OUR_SETS, local=True, night=OUR_NIGHT) as run,
    ):
        code, said = run.wait()
        assert code == 0, said
        assert len(list((run.night / "masters").glob("*.fits"))) == 3
