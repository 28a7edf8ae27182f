"""Siril repairs only the pixels in our list."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.defects.files import write_siril_list
from coldframe.calibration.defects.finding import Defect, Defects
from tests.outside.test_siril import run

SCRIPT = """\
requires 1.0.0
setext fit
set16bits
load light
cosme bad.lst
save repaired
"""


@pytest.mark.parametrize("cards", [{}, {"ROWORDER": "TOP-DOWN"}, {"ROWORDER": "BOTTOM-UP"}])
def test_siril_repairs_the_listed_pixels(siril: str, tmp_path: Path, cards: dict[str, str]) -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(995, 1006, (60, 80)).astype(np.uint16)
    bits = np.zeros(pixels.shape, np.uint8)
    bits[10, 20], bits[55, 3], bits[31:51:5, 70] = Defect.HOT, Defect.COLD, Defect.COLUMN
    pixels[bits != 0] = np.where(bits[bits != 0] == Defect.COLD, 10, 40000)
    fits.PrimaryHDU(pixels, fits.Header(cards)).writeto(tmp_path / "light.fit")
    write_siril_list(tmp_path / "bad.lst", Defects(bits, Defect.HOT))
    run(siril, tmp_path, SCRIPT)
    repaired = fits.getdata(tmp_path / "repaired.fit").astype(int)
    assert (repaired[bits == 0] == pixels[bits == 0]).all()
    assert abs(repaired[bits != 0] - 1000).max() <= 5
