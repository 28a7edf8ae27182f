"""The differences between lights and masters, and the errors that they cause."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.lights.arithmetic import Correction
from coldframe.calibration.lights.caveats import (
    flat_caveats,
    header_caveats,
    saturated_fraction,
    temperature_caveat,
    temperature_cost,
)
from coldframe.calibration.masters.reading import MasterPlanes

F32 = NDArray[np.float32]
SHAPE = (96, 128)
FRAMES = 10
SUBTRACTED: dict[str, HeaderValue] = {"CFSUBTR": "MasterDarkFlat.fits"}


@pytest.mark.parametrize(
    ("warmest_c", "coldest_c", "text"),
    [
        (None, None, None),
        (0.4, -0.4, None),
        (6.0, None, "differs from that of the light by +6.0 C, so it has up to 100 % more dark current"),
        (-6.0, None, "differs from that of the light by -6.0 C, so it has up to 50 % less dark current"),
        (5.0, 1.0, "differs from that of the light by +1.0 to +5.0 C, so it has up to 78 % more dark current"),
        (0.1, -3.0, "differs from that of the light by -3.0 to +0.1 C, so it has up to 29 % less dark current"),
    ],
)
def test_a_temperature_difference_is_a_difference_in_dark_current(
    warmest_c: float | None, coldest_c: float | None, text: str | None
) -> None:
    assert temperature_caveat(warmest_c, coldest_c) == (text and f"dark: its temperature {text}")


def test_the_cost_of_a_warm_dark_is_half_its_hot_pixels_and_glow() -> None:
    dark = np.random.default_rng(1).normal(500, 0.1, SHAPE).astype(np.float32)
    dark[3::9, 3::9] += 1000  # more than one in 1,000
    plain = planes(dark, noise_adu=7.0)
    assert temperature_cost(6.0, plain) == ("this may leave 500 ADU in one pixel in 1,000 (readout noise 7.0 ADU)")
    assert temperature_cost(-6.0, planes(dark)) == "this may leave 1,000 ADU in one pixel in 1,000"
    assert temperature_cost(-6.0, planes(dark), dark > 1000) == "this may leave 0.3 ADU in one pixel in 1,000"
    dark[:, -8:] += 40
    assert "and 20 ADU of glow at the right edge" in temperature_cost(6.0, planes(dark))


def planes(dark: F32, noise_adu: float = 0.0) -> Correction:
    ones = np.ones(SHAPE, np.float32)
    return Correction(dark, ones * np.float32(noise_adu**2), ones, ones * 0, None)


def flat(response: F32, header: dict[str, HeaderValue], noise: float = 0.004, frames: int = FRAMES) -> MasterPlanes:
    """Return a master flat with the relative noise of one frame."""
    variance = (response * np.float32(noise)) ** 2
    counts = np.full(SHAPE, frames, np.float32)
    return MasterPlanes(response, np.sqrt(variance / frames), variance, None, header, counts)


def vignetted() -> F32:
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    return np.asarray(1 - 0.25 * (x**2 + y**2), np.float32)


def test_a_good_flat_has_no_caveats() -> None:
    assert list(flat_caveats(flat(vignetted(), SUBTRACTED | {"CFLEVEL": 26_000.0}), 500.0)) == []


def test_the_error_of_an_unsubtracted_flat_is_stated() -> None:
    """The true response in the darkest corner is half of that in the centre."""
    level_adu, bias_adu = 5_000.0, 500.0
    raw = ((level_adu - bias_adu) * vignetted() + bias_adu) / np.float32(level_adu)
    (said,) = flat_caveats(flat(raw, {"CFLEVEL": level_adu}), bias_adu)
    assert said.startswith("flat: according to its header, no dark or bias was subtracted")
    true = float(np.quantile(vignetted()[::3, ::3], 0.01) / np.median(vignetted()[24:72, 32:96]))
    seen = (true * (level_adu - bias_adu) + bias_adu) / level_adu
    percent = float(said.rpartition("by ")[2].partition("%")[0])
    assert percent == pytest.approx(100 * (seen / true - 1), abs=0.2)
    (unknown,) = flat_caveats(flat(raw, {}), bias_adu)
    assert unknown.endswith("undercorrects vignetting and dust")


@pytest.mark.parametrize("header", [SUBTRACTED, {"OVERSCAN": "smooth"}, {"CALSTAT": "BD"}])
def test_subtracted_flats_are_recognised(header: dict[str, HeaderValue]) -> None:
    assert list(header_caveats(header)) == []


def test_a_bright_flat_is_reported_with_its_level() -> None:
    assert list(header_caveats(SUBTRACTED | {"CFLEVEL": 45_000.0})) == []
    (said,) = header_caveats(SUBTRACTED | {"CFLEVEL": 60_000.0})
    assert "a level of 60,000 ADU, 92% of 65,535, so bright pixels may be saturated" in said


def test_saturated_pixels_do_not_scatter() -> None:
    good = flat(vignetted(), SUBTRACTED)
    assert saturated_fraction(good) == 0
    good.frame_variance[:, :32] = 0
    assert saturated_fraction(good) == pytest.approx(0.25, abs=0.01)
    (said,) = flat_caveats(good, 500.0)
    assert "26% of its pixels do not vary from frame to frame" in said
