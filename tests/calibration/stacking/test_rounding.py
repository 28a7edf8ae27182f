"""The error of rounding in the uncertainty of masters, compared with the true error."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.combining.combine import combine_frames
from coldframe.calibration.masters.master_frame import MasterFrame, write_master
from coldframe.calibration.masters.reading import kept_scatter, read_master
from coldframe.calibration.stacking.methods import Clipping, Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.calibration.stacking.rounding import rounding_of_median, with_rounding
from coldframe.calibration.stacking.stack import Stack
from tests.calibration.combining.raw_files import opened, save

SHAPE = (64, 150)
METHODS: list[Method] = [Clipping(), Mean(), Median(), MedianClipping(), Winsorizing()]
F64 = NDArray[np.float64]


def combined(
    folder: Path, count: int, noise_steps: float, method: Method, step_adu: int = 1
) -> tuple[MasterFrame, F64]:
    """Return a master of frames whose levels are anywhere within a step, and its true errors."""
    rng = np.random.default_rng(count)
    level = rng.uniform(100, 101, SHAPE)
    paths = [
        save(
            folder / f"{number}.fits",
            (rng.normal(level, noise_steps).round() * step_adu).astype(np.uint16),
            IMAGETYP="Bias Frame",
        )
        for number in range(count)
    ]
    master = combine_frames(opened(paths, folder), method)
    return master, master.stack.mean - level * step_adu


def chi_square(master: MasterFrame, error: F64) -> float:
    assert (master.stack.uncertainty > 0).all()
    return float(np.mean((error / master.stack.uncertainty) ** 2))


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("noise_steps", [0.05, 0.2, 0.35, 0.7])
def test_the_uncertainty_is_right_for_noise_below_a_step(method: Method, noise_steps: float, tmp_path: Path) -> None:
    master, error = combined(tmp_path, 60, noise_steps, method)
    assert 0.6 < chi_square(master, error) < 1.1


@pytest.mark.parametrize("noise_steps", [0.3, 0.5, 0.7])
def test_twelve_bits_in_sixteen_have_the_same_uncertainty_in_steps(noise_steps: float, tmp_path: Path) -> None:
    for name in ("fine", "coarse"):
        (tmp_path / name).mkdir()
    fine, _ = combined(tmp_path / "fine", 30, noise_steps, Clipping())
    coarse, error = combined(tmp_path / "coarse", 30, noise_steps, Clipping(), step_adu=16)
    np.testing.assert_allclose(coarse.stack.uncertainty, 16 * fine.stack.uncertainty, rtol=1e-6)
    np.testing.assert_array_equal(coarse.stack.counts, fine.stack.counts)
    assert 0.85 < chi_square(coarse, error) < 1.1


def test_the_median_is_a_rounded_value(tmp_path: Path) -> None:
    master, error = combined(tmp_path, 100, 0.7, Median())
    assert np.std(error) == pytest.approx(1 / np.sqrt(12), rel=0.06)
    assert chi_square(master, error) == pytest.approx(1, abs=0.08)


def test_few_frames_that_agree_by_chance_are_uncertain_by_their_rounding(tmp_path: Path) -> None:
    master, _ = combined(tmp_path, 5, 1.0, Clipping())
    agree = np.ptp([frame.image.pixels() for frame in opened(sorted(tmp_path.glob("*.fits")), tmp_path)], axis=0) == 0
    assert agree.any()
    assert master.stack.rounding_adu2 == 0
    np.testing.assert_allclose(master.stack.uncertainty[agree], np.sqrt(2.0 / 12 / 5), rtol=1e-3)


@pytest.mark.parametrize("method", [Clipping(), Median()], ids=str)
@pytest.mark.parametrize("noise_steps", [0.1, 0.7])
def test_the_noise_of_a_frame_does_not_contain_the_rounding_that_all_frames_share(
    method: Method, noise_steps: float, tmp_path: Path
) -> None:
    master, _ = combined(tmp_path, 60, noise_steps, method)
    write_master(tmp_path / "master.fits", master)
    # The scatter of values that agree is taken to be that of their rounding.
    frames = [frame.image.pixels() for frame in opened(sorted(tmp_path.glob("[0-9]*.fits")), tmp_path)]
    scatter = np.maximum(np.var(frames, axis=0, ddof=1, dtype=np.float64), 1 / 12)
    made = read_master(tmp_path / "master.fits")
    assert kept_scatter(made).mean() == pytest.approx(scatter.mean(), rel=0.05)
    assert made.frame_variance.mean() / scatter.mean() == pytest.approx(59 / 57, abs=0.05)


def test_masters_of_floats_and_of_single_frames_have_no_rounding() -> None:
    plane = np.full((4, 5), 0.01, np.float32)
    for frames, step_adu in ((20, 0.0), (1, 1.0)):
        stack = Stack(frames, plane, plane, np.full((4, 5), frames, np.uint16), 0)
        assert with_rounding(stack, step_adu, np.ones(frames + 1)) is stack


def test_two_values_have_no_median_apart_from_their_mean() -> None:
    assert rounding_of_median(16, 2, 1.0) == 0
    assert rounding_of_median(16, 1000, np.pi / 2) == pytest.approx(256 / 12, rel=0.002)
