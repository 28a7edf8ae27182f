"""Linear interpolation between two dark flats."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.masters.dark_ladder import DarkLadder, Rung, rung_exposures_s
from coldframe.calibration.masters.master_frame import MasterFrame, write_master
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind, ReadoutSettings

SHAPE = (8, 12)
WHEN = datetime(2026, 11, 22, tzinfo=UTC)


def rung(folder: Path, exposure_s: float, mean: np.ndarray, error_adu: float) -> Rung:
    path = folder / f"{exposure_s}.fits"
    planes = mean.astype(np.float32), np.full(SHAPE, error_adu, np.float32), np.full(SHAPE, 20, np.uint16)
    stack = Stack(20, *planes, 0)
    kind, settings = FrameKind.DARK_FLAT, ReadoutSettings(gain=100)
    write_master(
        path, MasterFrame(kind, stack, "Cam", settings, exposure_s, None, None, None, Clipping(), (), WHEN, WHEN)
    )
    return Rung(exposure_s, path)


def test_dark_current_is_exact_between_rungs_and_errors_add_in_quadrature(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    bias, rate = random.normal(500, 5, SHAPE), random.gamma(2, 3, SHAPE)
    ladder = DarkLadder([rung(tmp_path, each, bias + rate * each, 0.5) for each in (30.0, 1.0, 10.0)])
    for exposure_s in (1.0, 4.0, 10.0, 25.0, 30.0):
        mean, error = ladder.at(exposure_s)
        np.testing.assert_allclose(mean, bias + rate * exposure_s, rtol=1e-6)
        assert 0.5 / np.sqrt(2) * 0.999 < error[0, 0] <= 0.5
    np.testing.assert_allclose(ladder.at(5.5)[1], 0.5 / np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize(("exposure_s", "nearest_s"), [(0.1, 1.0), (90.0, 30.0)])
def test_outside_the_ladder_the_nearest_rung_counts(exposure_s: float, nearest_s: float, tmp_path: Path) -> None:
    ladder = DarkLadder([rung(tmp_path, each, np.full(SHAPE, 500 + each), 0.5) for each in (1.0, 30.0)])
    np.testing.assert_array_equal(ladder.at(exposure_s)[0], np.full(SHAPE, 500 + nearest_s, np.float32))


@given(st.lists(st.floats(0.01, 60), min_size=1), st.integers(1, 6))
def test_rungs_reach_from_the_shortest_to_the_longest_exposure(exposures_s: list[float], rungs: int) -> None:
    chosen = rung_exposures_s(exposures_s, rungs)
    assert chosen[-1] == max(exposures_s)
    assert list(chosen) == sorted(chosen)
    if rungs > 1:
        assert chosen[0] == min(exposures_s)
    assert len(chosen) == (rungs if len(set(exposures_s)) > 1 else 1)
