"""Tests for flats that are judged as if they were lights."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.held_out import examine_flats, held_out_findings

F32 = NDArray[np.float32]
SHAPE = (300, 420)
LEVEL_ADU, DARK_ADU, E_PER_ADU = 25_000.0, 500.0, 0.8


def vignetting() -> F32:
    rows, columns = (np.linspace(-1, 1, size) for size in SHAPE)
    return np.asarray(1 - 0.15 * np.add.outer(rows**2, columns**2), np.float32)


def frame(random: np.random.Generator, light: F32) -> F32:
    electrons = light * LEVEL_ADU * E_PER_ADU
    noise = random.standard_normal(SHAPE) * np.sqrt(electrons)
    return np.asarray((electrons + noise) / E_PER_ADU + DARK_ADU, np.float32)


def master(pedestal: float = 0.0) -> F32:
    flat = vignetting() + np.float32(pedestal)
    return np.asarray(flat / flat.mean(), np.float32)


def flats(seed: int, light: F32 | None = None) -> list[F32]:
    random = np.random.default_rng(seed)
    return [frame(random, vignetting() if light is None else light) for _ in range(2)]


DARK = np.full(SHAPE, DARK_ADU, np.float32)


def test_proper_flats_are_clean() -> None:
    for seed in range(50):
        found = examine_flats(flats(seed), DARK, master())
        assert found is not None
        assert held_out_findings(found) == ()
        assert abs(found.pedestal) < 5 * found.pedestal_error


@pytest.mark.parametrize("pedestal", [-0.04, -0.01, 0.01, 0.04])
def test_a_pedestal_in_the_master_is_measured(pedestal: float) -> None:
    found = examine_flats(flats(1), DARK, master(pedestal))
    assert found is not None
    assert found.pedestal == pytest.approx(pedestal, rel=0.2)
    assert [each.kind for each in held_out_findings(found)] == [Kind.OVERCORRECTION]


def test_dew_during_the_flats_is_found() -> None:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    spot = 0.02 * np.exp(-((rows - 90) ** 2 + (columns - 300) ** 2) / (2 * 60.0**2))
    found = examine_flats(flats(2, np.asarray(vignetting() * (1 - spot), np.float32)), DARK, master())
    assert found is not None
    assert Kind.GRADIENT in {each.kind for each in held_out_findings(found)}


def test_flats_without_vignetting_show_no_pedestal() -> None:
    even = np.ones(SHAPE, np.float32)
    found = examine_flats(flats(3, even), DARK, even)
    assert found is not None
    assert held_out_findings(found) == ()


def test_small_flats_are_not_examined() -> None:
    small = np.ones((16, 16), np.float32)
    assert examine_flats([small], small, small) is None
