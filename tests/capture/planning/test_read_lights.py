"""Reading the lights of a folder, from any capture program."""

import errno
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.capture.planning.read_lights import NoLightsError, read_lights
from tests.capture.planning.headers import EVENING, PROGRAMS, Program, nina, save
from tests.permissions import permissions_apply

NAMES = ("ZWO CCD ASI2600MM Pro",)


@pytest.mark.parametrize("program", PROGRAMS)
def test_lights_of_every_program_are_read_alike(program: Program, tmp_path: Path) -> None:
    path = save(tmp_path / "light.fits", program("Ha", 300.0, -10.0, EVENING))
    setup = read_lights(tmp_path, NAMES).setups[path]
    assert (setup.camera, setup.filter_name, setup.readout.binning) == (NAMES[0], "Ha", 1)
    assert setup.exposure_s == pytest.approx(300, abs=0.1)
    assert setup.temperature_c == pytest.approx(-10, abs=0.5)
    assert setup.readout.gain in {100, None}
    assert setup.readout.offset in {50, None}
    assert setup.taken_at == EVENING


def test_compressed_lights_and_nested_folders_are_read(tmp_path: Path) -> None:
    plain = save(tmp_path / "light.fit", nina("L", 60.0, 0.0, EVENING))
    packed = tmp_path / "a" / "b" / "light.fits.gz"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    tiled = tmp_path / "light.fits.fz"
    pixels = np.arange(192, dtype=np.uint16).reshape(12, 16)
    header = fits.Header(nina("L", 60.0, 0.0, EVENING).items())
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, header)]).writeto(tiled)
    save(tmp_path / ".half-written.fits", nina("L", 60.0, 0.0, EVENING))
    setups = read_lights(tmp_path, NAMES).setups
    assert set(setups) == {plain, packed, tiled}
    assert {(setup.width, setup.height) for setup in setups.values()} == {(16, 12)}


def test_other_files_are_counted_by_reason(tmp_path: Path) -> None:
    light = nina("L", 60.0, 0.0, EVENING)
    save(tmp_path / "light.fits", light)
    save(tmp_path / "dark.fits", light | {"IMAGETYP": "DARK"})
    for number in range(2):
        save(tmp_path / f"guide{number}.fits", light | {"INSTRUME": "ZWO ASI120MM Mini"})
    save(tmp_path / "stack.fits", light | {"STACKCNT": 40})
    save(tmp_path / "calibrated.fits", light | {"CALSTAT": "BDF"})
    save(tmp_path / "endless.fits", light | {"EXPOSURE": 0, "EXPTIME": 0})
    save(tmp_path / "odd.fits", light | {"GAIN": -2000})
    (tmp_path / "empty.fits").write_bytes(b"")
    lights = read_lights(tmp_path, NAMES)
    assert len(lights.setups) == 1
    assert lights.set_aside == {
        "shot as dark, not as lights": 1,
        "from a different camera (ZWO ASI120MM Mini)": 2,
        "already stacked or calibrated": 2,
        "without an exposure in the header": 1,
        "with an invalid gain in the header (-2000.0)": 1,
    }
    assert [fault.what for fault in lights.faults] == ["the file is empty"]


def test_a_folder_without_lights_is_reported(tmp_path: Path) -> None:
    save(tmp_path / "dark.fits", nina("L", 60.0, 0.0, EVENING) | {"IMAGETYP": "DARK"})
    with pytest.raises(NoLightsError, match="no lights; found 1 shot as dark, not as lights; expected FITS"):
        read_lights(tmp_path, NAMES)
    with pytest.raises(NoLightsError, match="no such folder"):
        read_lights(tmp_path / "nowhere", NAMES)


def test_a_subfolder_that_the_user_may_not_read_is_reported(tmp_path: Path) -> None:
    path = save(tmp_path / "light.fits", nina("L", 60.0, 0.0, EVENING))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with permissions_apply():
        lights = read_lights(tmp_path, NAMES)
    assert list(lights.setups) == [path]
    assert [str(fault) for fault in lights.faults] == [
        f"{closed}: the lights in this folder cannot be read: Permission denied"
    ]


def test_a_folder_that_the_user_may_not_read_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with permissions_apply(), pytest.raises(NoLightsError, match="closed: Permission denied"):
        read_lights(closed, NAMES)


def test_a_faulty_disk_is_not_a_folder_with_fewer_lights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "light.fits", nina("L", 60.0, 0.0, EVENING))
    (tmp_path / "faulty").mkdir()
    scandir = os.scandir

    def with_fault(path: str) -> object:
        if str(path).endswith("faulty"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", with_fault)
    with pytest.raises(NoLightsError, match="Input/output error"):
        read_lights(tmp_path, NAMES)
