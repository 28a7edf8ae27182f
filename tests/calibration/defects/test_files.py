from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.defects.files import read_map, write_map, write_siril_list
from coldframe.calibration.defects.finding import Defect, Defects
from coldframe.calibration.defects.limits import Limits
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError

HEADER: dict[str, HeaderValue] = {"INSTRUME": "Camera", "XBINNING": 2, "EXPTIME": 60.0, "OBJECT": "not of a map"}


def defects() -> Defects:
    bits = np.zeros((30, 41), np.uint8)
    bits[3, 4] = Defect.HOT | Defect.UNSTABLE
    bits[7, 40] = Defect.COLD
    bits[10:20, 6] |= np.uint8(Defect.COLUMN)
    return Defects(bits, Defect.HOT | Defect.UNSTABLE | Defect.COLUMN | Defect.ROW)


def test_the_header_of_a_map_explains_its_bits(tmp_path: Path) -> None:
    path = tmp_path / "map.fits"
    write_map(path, defects(), Limits(), {"CFDARK": "MasterDark.fits"}, HEADER)
    with fits.open(path, checksum=True) as units:
        np.testing.assert_array_equal(units[0].data, defects().bits)
        header = units[0].header
    for number, kind in enumerate(Defect):
        assert header[f"CFBIT{number}"] == kind.label
        assert kind.value == 1 << number
    assert (header["CFNUM0"], header["CFNUM3"], header["CFNUM5"], header["CFBAD"]) == (1, 1, 10, 12)
    assert "CFNUM1" not in header  # cold pixels were not examined
    assert (header["CFDARK"], header["INSTRUME"], header["CFSIGMA"]) == ("MasterDark.fits", "Camera", 8)
    assert "OBJECT" not in header
    found = read_map(path)
    np.testing.assert_array_equal(found.bad, defects().bad)
    assert (found.setup.camera, found.setup.readout.binning) == ("Camera", 2)
    with pytest.raises(NotDurableError, match="never overwritten"):
        write_map(path, defects(), Limits(), {}, HEADER)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16])
def test_masks_of_other_programs_are_read(tmp_path: Path, dtype: type[np.generic]) -> None:
    fits.PrimaryHDU(defects().bits.astype(dtype)).writeto(tmp_path / "mask.fits")
    np.testing.assert_array_equal(read_map(tmp_path / "mask.fits").bad, defects().bad)


def test_a_picture_is_refused_as_a_map(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.full((9, 9), 500, np.uint16)).writeto(tmp_path / "dark.fits")
    with pytest.raises(FrameFileError, match="it is not a defect map, because 100% of its pixels are not 0"):
        read_map(tmp_path / "dark.fits")


def test_a_list_counts_rows_from_the_last(tmp_path: Path) -> None:
    write_siril_list(tmp_path / "bad.lst", defects())
    lines = (tmp_path / "bad.lst").read_text().splitlines()
    assert lines[:2] == ["P 4 26 H", "P 40 22 C"]
    assert len(lines) == 12
