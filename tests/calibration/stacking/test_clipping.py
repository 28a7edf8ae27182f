import numpy as np
import pytest

from coldframe.calibration.stacking.clipping import Clipping, half_step, variance_correction


@pytest.mark.parametrize(("count", "trimmed"), [(5, 1), (10, 2), (16, 3), (20, 4), (60, 4)])
def test_the_correction_undoes_the_trimming_of_normal_samples(count: int, trimmed: int) -> None:
    sample = np.sort(np.random.default_rng(count).normal(size=(100_000, count)), axis=1)[:, trimmed : count - trimmed]
    assert variance_correction(count, trimmed) * sample.var(axis=1, ddof=1).mean() == pytest.approx(1, abs=0.015)


def test_an_untrimmed_sample_needs_no_correction() -> None:
    assert variance_correction(7, 0) == 1


@pytest.mark.parametrize(("frames", "trimmed"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (16, 3), (20, 4), (500, 4)])
def test_a_fifth_is_trimmed_on_each_side_but_at_most_four(frames: int, trimmed: int) -> None:
    assert Clipping().trimmed(frames) == trimmed
    assert Clipping(start="all").trimmed(frames) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"kappa": 0.9},
        {"kappa": float("nan")},
        {"kappa": 1e9},
        {"trim": -0.1},
        {"trim": 0.4},
        {"sigma_floor_adu": -1.0},
        {"sigma_floor_adu": float("inf")},
        {"iterations": 0},
    ],
)
def test_invalid_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Clipping(**wrong)  # type: ignore[arg-type]


def test_the_rule_reads_as_a_sentence() -> None:
    assert str(Clipping()) == "3 sigma about the mean, trimmed start (0.2), sigma >= 0.5 ADU"
    assert "start from all" in str(Clipping(start="all"))


@pytest.mark.parametrize("step", [1, 4, 16])
def test_the_step_of_a_frame_ignores_clipped_values(step: int) -> None:
    frame = np.random.default_rng(step).normal(500, 5, (100, 120)).round().astype(np.uint16) * np.uint16(step)
    frame[50, 3], frame[50, 4] = 65535, 0
    assert half_step(frame) == step / 2
    frame[51, 3] += 1
    assert half_step(frame) == 0.5


def test_values_of_32_bits_have_a_step_too() -> None:
    frame = np.random.default_rng(1).normal(500, 5, (100, 120)).round().astype(np.int64) * 1_000_000
    assert half_step(frame) == 500_000


@pytest.mark.parametrize("noise_steps", [0.3, 0.5, 0.7])
def test_noise_below_a_step_determines_the_step(noise_steps: float) -> None:
    levels = np.random.default_rng(3).normal(100.4, noise_steps, (100, 120)).round()
    assert len(np.unique(levels)) < 8
    assert half_step((levels * 16).astype(np.uint16)) == 8


def test_few_levels_of_hot_pixels_do_not_determine_the_step() -> None:
    frame = np.full((20, 30), 500, np.uint16)
    assert half_step(frame) == 0.5
    frame[3, :6] += np.arange(6, dtype=np.uint16) * np.uint16(16)
    assert half_step(frame) == 0.5
