"""A shutter blade in a flat is seen against an earlier one; a panel that hangs otherwise is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.capture.flats.shadow_check import shadow

F64 = NDArray[np.float64]
DOWN, ACROSS = np.mgrid[-1:1:60j, -1:1:16j]
USUAL: F64 = 1 - 0.4 * (DOWN**2 + ACROSS**2) / 2


def noisy(levels: F64) -> F64:
    return levels * (1 + 0.002 * np.random.default_rng(1).normal(size=levels.shape))


@pytest.mark.parametrize("light", [0.0, 0.3, 0.45])
@pytest.mark.parametrize("columns", [1, 5, 10])
def test_a_blade_is_seen_however_large(light: float, columns: int) -> None:
    flat = USUAL.copy()
    flat[:, -columns:] *= light
    fault = shadow(20_000 * noisy(flat), USUAL)
    assert fault is not None
    assert "a shutter blade" in fault
    assert "right side" in fault


def test_a_blade_that_moves_through_the_exposure_leaves_a_gradient() -> None:
    fault = shadow(noisy(USUAL * (1 + 0.36 * ACROSS)), USUAL)
    assert fault is not None
    assert "brightest on the right side" in fault


@given(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15), st.floats(-0.1, 0.1), st.floats(1, 60_000))
def test_a_panel_hung_otherwise_is_none(down: float, across: float, round_: float, light: float) -> None:
    change = 1 + down * DOWN + across * ACROSS + round_ * (DOWN**2 + ACROSS**2) / 2
    assert shadow(light * noisy(USUAL * change), USUAL) is None


def test_nothing_is_said_of_what_cannot_be_compared() -> None:
    assert shadow(USUAL[:3], USUAL[:3]) is None
    assert shadow(USUAL, USUAL - 1) is None
