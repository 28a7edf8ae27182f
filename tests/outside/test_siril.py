"""Siril calibrates lights with our exported masters, as its users do."""

import os
import re
import shutil
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
from coldframe.cli.export import Request as ExportRequest
from coldframe.cli.export import export_files
from coldframe.operations.calibrating import Request
from tests.outside.observatory import Observatory
from tests.patience import PATIENCE_S

SCRIPT = """\
requires 1.0.0
setext fit
set32bits
preprocess light_ -dark=masters/dark_stacked -flat=masters/pp_flat_stacked {cfa}
"""


@pytest.mark.parametrize("number", [0, 1])
def test_siril_calibrates_as_we_do(
    siril: str, observatory: Observatory, library: Library, tmp_path: Path, number: int
) -> None:
    lights = [observatory.light(tmp_path / "lights" / f"light_{each:05d}.fit", each) for each in (1, 2)]
    assert export_files(tmp_path / "siril", ExportRequest("siril", library.folder)) is ExitCode.DONE
    work = next(folder for folder in (tmp_path / "siril").iterdir() if "_60s_" in folder.name)
    for light in lights:
        shutil.copy(light, work)
    log = run(siril, work, SCRIPT.format(cfa="-cfa" if observatory.cfa else ""))
    request = Request(
        library.folder, tmp_path / "ours", Subtract.DARK, with_flat=True, output=Output(floating=True), mend=False
    )
    assert calibrate_lights([str(lights[number])], request) is ExitCode.DONE

    ours = fits.getdata(tmp_path / "ours" / f"{lights[number].stem}_calibrated.fits").astype(np.float64)
    theirs = fits.getdata(work / f"pp_{lights[number].name}").astype(np.float64) * 65535
    # Siril normalises the flat by the mean of its middle third, coldframe by the mean of all pixels.
    flat = fits.getdata(work / "masters" / "pp_flat_stacked.fit").astype(np.float64)
    scale = float(np.median(theirs / ours))
    height, width = flat.shape
    third = flat[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
    assert scale == pytest.approx(third.mean(), rel=5e-4)
    # Siril also repairs the pixels that are hot in the master dark, without being asked to.
    repaired = int(re.findall(r"(\d+) corrected pixels", log)[0])
    apart = np.abs(theirs / scale - ours)
    assert np.sort(apart, axis=None)[: apart.size - repaired].max() < 0.002  # of 5,000 ADU: the rounding of float32
    assert repaired < 0.005 * apart.size


def run(siril: str, work: Path, script: str) -> str:
    file = work / "calibrate.ssf"
    file.write_text(script)
    done = subprocess.run(
        [siril, "-d", str(work), "-s", str(file)],
        env=os.environ | {"HOME": str(work), "XDG_CONFIG_HOME": str(work / "config"), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    return log
