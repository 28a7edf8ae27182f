"""Masters and calibrated lights, compared with the truth of the simulated sensor."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.library.library import Library
from coldframe.calibration.lights.files import Output
from coldframe.calibration.lights.recipe import Subtract
from coldframe.cli.calibrate import calibrate_lights
from coldframe.cli.exit_codes import ExitCode
from coldframe.operations.calibrating import Request
from tests.outside.observatory import SKY_S, Observatory

BLOCK = 16


def block_means(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = (size // BLOCK for size in plane.shape)
    return np.asarray(plane[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK).mean(axis=(1, 3)))


def test_vignetting_and_dust_are_recovered_to_a_thousandth(observatory: Observatory) -> None:
    flat, _ = observatory.flat_stack()
    assert np.ptp(observatory.response) > 0.2
    assert np.abs(block_means(flat.mean / observatory.response) - 1).max() < 0.001


def test_the_residuals_of_the_flat_match_its_noise(observatory: Observatory) -> None:
    flat, masked = observatory.flat_stack()
    assert not masked.any()
    residual = flat.mean - observatory.response
    assert np.mean((residual / flat.uncertainty) ** 2) == pytest.approx(1, abs=0.02)


def test_the_residuals_of_the_bias_match_its_noise(observatory: Observatory) -> None:
    sets = [observatory.dark_stack(100, 0.0, first) for first in (100_000, 200_000)]
    difference = sets[0].mean.astype(float) - sets[1].mean
    variance = sum(stack.uncertainty.astype(float) ** 2 for stack in sets)
    # Each variance is wider than the noise by Student's distribution of its hundred values; the mean of two hundred
    # values needs only half of that.
    assert np.mean(difference**2) / np.mean(variance) == pytest.approx(97 / 99, abs=0.02)
    assert np.mean(difference**2 / variance) == pytest.approx(0.99, abs=0.02)


@pytest.mark.parametrize("subtract", [Subtract.DARK, Subtract.BIAS])
def test_calibrated_lights_show_the_sky(
    observatory: Observatory, library: Library, tmp_path: Path, subtract: Subtract
) -> None:
    light = observatory.light(tmp_path / "light.fits")
    output = Output(floating=True, uncertainty=True)
    request = Request(library.folder, tmp_path, subtract, with_flat=True, output=output, mend=False)
    assert calibrate_lights([str(light)], request) is ExitCode.DONE
    with fits.open(tmp_path / "light_calibrated.fits") as file:
        signal, uncertainty = file[0].data.astype(float), file["UNCERT"].data.astype(float)
    residual = signal - observatory.sky_adu
    if subtract is Subtract.BIAS:
        current = observatory.sensor.dark_e_per_s * SKY_S / observatory.e_per_adu
        assert np.median(residual) > 0.5 * np.median(current) > 0
        return
    struck = np.abs(residual) > 6 * uncertainty  # cosmic rays, which a single light does not reveal
    assert struck.mean() < 0.002
    assert np.mean((residual / uncertainty)[~struck] ** 2) == pytest.approx(1, abs=0.03)
    assert abs(np.mean(residual[~struck])) < 5 * np.mean(uncertainty) / np.sqrt(residual.size)
