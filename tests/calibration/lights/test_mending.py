import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.lights.mending import FARTHEST, mend

Mask = NDArray[np.bool_]


def mended_by_hand(
    signal: NDArray[np.float32], uncertainty: NDArray[np.float32], bad: Mask, period: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    values, errors, unmended = signal.astype(float), uncertainty.astype(float), 0
    for row, column in np.argwhere(bad):
        for ring in range(1, FARTHEST + 1):
            places = [
                (row + period * down, column + period * right)
                for down in range(-ring, ring + 1)
                for right in range(-ring, ring + 1)
                if max(abs(down), abs(right)) == ring
            ]
            near = [
                place
                for place in places
                if 0 <= place[0] < bad.shape[0] and 0 <= place[1] < bad.shape[1] and not bad[place]
            ]
            if near:
                found = np.array([signal[place] for place in near], float)
                middle = np.median(found)
                scatter = ((found - middle) ** 2).sum() / max(found.size - 1, 1)
                noise = np.median([uncertainty[place] for place in near]) ** 2
                values[row, column] = middle
                errors[row, column] = np.sqrt(max(scatter - noise, 0) + np.pi / 2 * noise / found.size)
                break
        else:
            unmended += 1
    return values, errors, unmended


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.floats(0, 1),
    st.sampled_from([1, 2, 6]),
)
@settings(deadline=None, max_examples=60)
def test_each_bad_pixel_becomes_the_median_of_its_nearest_good_neighbours(
    seed: int, shape: tuple[int, int], rate: float, period: int
) -> None:
    random = np.random.default_rng(seed)
    signal = random.normal(100, 20, shape).astype(np.float32)
    uncertainty = random.uniform(1, 9, shape).astype(np.float32)
    bad = random.random(shape) < rate
    values, errors, unmended = mended_by_hand(signal, uncertainty, bad, period)
    assert mend(signal, uncertainty, bad, period) == unmended
    np.testing.assert_allclose(signal, values, rtol=1e-5)
    np.testing.assert_allclose(uncertainty, errors, rtol=1e-4)


def test_integers_are_rounded() -> None:
    signal = np.array([[3, 60000, 8]], np.uint16)
    assert mend(signal, np.zeros(signal.shape, np.float32), np.array([[False, True, False]]), 1) == 0
    assert signal.tolist() == [[3, 6, 8]]


@pytest.mark.parametrize("period", [1, 2])
def test_colours_do_not_mix_and_a_slope_is_followed(period: int) -> None:
    y, x = np.mgrid[:40, :60]
    colours = 1000 * (y % period) + 500 * (x % period)
    truth = (colours + 3 * y + 2 * x).astype(np.float32)
    bad = np.zeros(truth.shape, np.bool_)
    bad[5:35, 20] = bad[12, 33] = True
    signal = np.where(bad, np.float32(60000), truth)
    assert mend(signal, np.full(truth.shape, 2, np.float32), bad, period) == 0
    np.testing.assert_allclose(signal[10:30], truth[10:30], atol=1e-3)


@pytest.mark.parametrize(("structure", "ratio"), [(0.0, 0.4), (20.0, 1.06)])
def test_the_uncertainty_is_close_to_the_real_error(structure: float, ratio: float) -> None:
    random = np.random.default_rng(1)
    truth = random.normal(500, structure, (600, 600))
    signal = random.normal(truth, 8).astype(np.float32)
    bad = random.random(truth.shape) < 0.02
    signal[bad], uncertainty = 0, np.full(truth.shape, 8, np.float32)
    mend(signal, uncertainty, bad, 1)
    error = (signal - truth)[bad]
    assert np.mean(error**2) / np.mean(uncertainty[bad] ** 2) == pytest.approx(ratio, abs=0.1)
