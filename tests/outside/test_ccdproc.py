"""ccdproc, in a separate Python environment, calibrates the same light with the same masters."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.library.library import Library
from coldframe.calibration.lights.files import Output
from coldframe.calibration.lights.recipe import Subtract
from coldframe.cli.calibrate import calibrate_lights
from coldframe.cli.exit_codes import ExitCode
from coldframe.operations.calibrating import Request
from tests.outside.observatory import Observatory
from tests.patience import PATIENCE_S

SCRIPT = """\
import sys
import ccdproc
from astropy import units
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.io import fits

def master(path, unit):
    with fits.open(path) as file:
        uncertainty = StdDevUncertainty(file["UNCERT"].data.astype(float))
        return CCDData(file[0].data.astype(float), unit=unit, uncertainty=uncertainty)

light, dark, flat, out = sys.argv[1:]
raw = CCDData(fits.getdata(light).astype(float), unit="adu", uncertainty=StdDevUncertainty(fits.getdata(light) * 0.0))
signal = ccdproc.subtract_dark(
    raw, master(dark, "adu"), dark_exposure=1 * units.s, data_exposure=1 * units.s
)
result = ccdproc.flat_correct(signal, master(flat, units.dimensionless_unscaled), norm_value=1)
fits.HDUList([fits.PrimaryHDU(result.data), fits.ImageHDU(result.uncertainty.array)]).writeto(out)
"""


def test_ccdproc_calibrates_as_we_do(
    ccdproc_python: str, observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    light = observatory.light(tmp_path / "light.fits")
    dark = next(path for path in library.catalogue().headers if "Dark" in path.name and "_60s_" in path.name)
    flat = next(path for path in library.catalogue().headers if "Flat" in path.name)
    script, out = tmp_path / "calibrate.py", tmp_path / "theirs.fits"
    script.write_text(SCRIPT)
    subprocess.run([ccdproc_python, script, light, dark, flat, out], check=True, timeout=PATIENCE_S)
    request = Request(library.folder, tmp_path, Subtract.DARK, with_flat=True, output=Output(floating=True), mend=False)
    assert calibrate_lights([str(light)], request) is ExitCode.DONE
    with fits.open(tmp_path / "light_calibrated.fits") as ours, fits.open(out) as theirs:
        np.testing.assert_allclose(ours[0].data, theirs[0].data, rtol=4e-7, atol=0.001)
        # Their uncertainty includes only the masters; ours adds readout and photon noise.
        level = theirs[0].data * fits.getdata(flat)
        with fits.open(dark) as file:
            readout = file["UNCERT"].data.astype(float) ** 2 * file["COUNTS"].data
        light_variance = (readout + np.maximum(level, 0) / observatory.e_per_adu) / fits.getdata(flat) ** 2
        assert ours[1].data == pytest.approx(np.sqrt(theirs[1].data ** 2 + light_variance), rel=1e-5)
