"""The uncertainty of calibrated lights, compared with the truth of a simulated sky."""

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
from tests.outside.observatory import SKY_E_PER_S, SKY_S, Observatory

BRIGHT, DARK = 1.0, 0.001
"""Skies, as fractions of the observatory's. Photon noise dominates in one, readout and dark current in the other."""


@pytest.mark.parametrize("sky", [BRIGHT, DARK])
def test_chi_square_of_the_residuals_is_one_within_two_percent(
    observatory: Observatory, library: Library, tmp_path: Path, sky: float
) -> None:
    lights = [observatory.light(tmp_path / f"{number}.fits", number) for number in range(6)]
    for number, light in enumerate(lights):
        with fits.open(light, mode="update") as units:
            units[0].data = observatory.render(60_000 + number, SKY_S, sky * SKY_E_PER_S)
    output = Output(floating=True, e_per_adu=observatory.e_per_adu, uncertainty=True)
    request = Request(library.folder, tmp_path, Subtract.DARK, with_flat=True, output=output, mend=False)
    assert calibrate_lights([str(light) for light in lights], request) is ExitCode.DONE
    chi_squares = []
    for light in lights:
        with fits.open(tmp_path / f"{light.stem}_calibrated.fits") as units:
            pulls = (units[0].data - sky * observatory.sky_adu) / units["UNCERT"].data
        chi_squares.append(np.mean(pulls[np.abs(pulls) < 6] ** 2))  # cosmic rays, which a single light does not reveal
    assert np.mean(chi_squares) == pytest.approx(1, abs=0.02)
    assert max(chi_squares) < 1.05
