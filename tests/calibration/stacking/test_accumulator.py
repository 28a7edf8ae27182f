"""The running state, compared with the same rule applied to complete samples in plain NumPy."""

import secrets
from collections.abc import Callable, Iterable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.stacking import accumulator
from coldframe.calibration.stacking.accumulator import (
    Accumulator,
    RepeatedFrameError,
    Reread,
    WrongFrameError,
    pixel_digest,
    tail_length,
)
from coldframe.calibration.stacking.clipping import Clipping, variance_correction
from coldframe.calibration.stacking.methods import Mean
from coldframe.calibration.stacking.pixel_state import clipping_trial, scatter_corrections
from coldframe.calibration.stacking.stack import Stack

SHAPE = (8, 40)

Source = Callable[[np.random.Generator, int], NDArray[np.float64]]


def batch(
    frames: NDArray[np.uint16], clipping: Clipping
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    """Clip the columns of all frames at once: sort, select by mask, and sum the selected values again."""
    column = np.sort(frames.reshape(len(frames), -1), axis=0).astype(np.int64)
    count = len(column)
    trimmed = clipping.trimmed(count)
    kept = np.zeros(column.shape, bool)
    kept[trimmed : count - trimmed] = True
    correction = variance_correction(count, trimmed)
    for _ in range(clipping.iterations):
        m, s, q = moments(column, kept)
        weight = np.maximum(m - 1, 1).astype(float)
        number = m.astype(float)
        limit = clipping.kappa**2 * np.maximum(
            correction * (number * (m * q - s * s).astype(float)),
            clipping.sigma_floor_adu**2 * (number * number * weight),
        )
        distance = (m * column - s).astype(float)
        kept = distance * distance * weight <= limit
        correction = 1.0
    m, s, q = moments(column, kept)
    with np.errstate(invalid="ignore", divide="ignore"):
        number = m.astype(float)
        pairs = number * (number - 1.0)
        least = clipping.step_adu**2 / 12 * pairs
        scatter = scatter_corrections(count, clipping)[m] * np.maximum((m * q - s * s).astype(float), least)
        error = np.sqrt(scatter / (number * pairs))
    return (s / m).astype(np.float32), error.astype(np.float32), m.astype(np.uint16)


def moments(
    column: NDArray[np.int64], kept: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    chosen = np.where(kept, column, 0)
    return kept.sum(axis=0), chosen.sum(axis=0), (chosen * chosen).sum(axis=0)


def accumulate(frames: Iterable[NDArray[np.uint16]], planned: int) -> Accumulator:
    state = Accumulator(SHAPE, planned)
    for frame in frames:
        # Small frames may repeat by chance, so their pixels cannot serve as digests here.
        state.add(frame, secrets.token_bytes(16))
    return state


def rereading(frames: Iterable[NDArray[np.uint16]]) -> Reread:
    """Return a `Reread` for frames in memory."""
    return lambda pixels: (frame.reshape(-1)[pixels] for frame in frames)


def assert_same(stack: Stack, expected: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]) -> None:
    mean, uncertainty, counts = expected
    np.testing.assert_array_equal(stack.mean.reshape(-1), mean)
    np.testing.assert_array_equal(stack.uncertainty.reshape(-1), uncertainty)
    np.testing.assert_array_equal(stack.counts.reshape(-1), counts)


def gaussian(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.normal(rng.uniform(0, 65535), rng.uniform(0, 300), (count, *SHAPE))


def quantised(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.normal(500.5, 0.3, (count, *SHAPE))


def cosmic_rays(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    frames = rng.normal(500, 8, (count, *SHAPE))
    return frames + (rng.random(frames.shape) < 0.05) * rng.exponential(2000, frames.shape)


def telegraph(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    state = rng.random((count, *SHAPE))
    return rng.normal(1000.0 + np.digitize(state, [0.6, 0.9]) * 40.0, 6.0)


def bimodal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    modes = np.where(rng.random((count, *SHAPE)) < 0.85, 10, 65000)
    return modes + rng.normal(0, 2, modes.shape)


def saturated(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.normal(65500, 60, (count, *SHAPE))


def uniform(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.uniform(0, 65536, (count, *SHAPE))


def few_levels(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.array([0.0, 1.0, 32768.0, 65535.0])[rng.integers(0, 4, (count, *SHAPE))]


def as_frames(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.clip(np.round(values), 0, 65535).astype(np.uint16)


SOURCES = [gaussian, quantised, cosmic_rays, telegraph, bimodal, saturated, uniform, few_levels]

clippings = st.builds(
    Clipping,
    kappa=st.sampled_from([1.0, 1.5, 2.5, 3.0, 3.3, 5.0]),
    start=st.sampled_from(["trimmed", "all"]),
    trim=st.sampled_from([0.1, 0.2, 0.3]),
    sigma_floor_adu=st.sampled_from([0.0, 0.5, 8.0]),
    iterations=st.sampled_from([1, 2, 10]),
)


@given(
    source=st.sampled_from(SOURCES),
    count=st.integers(1, 60),
    planned=st.sampled_from([1, 100, 400]),
    seed=st.integers(0, 2**32),
    clipping=clippings,
)
@settings(max_examples=150, deadline=None)
def test_equals_the_batch_result_to_the_bit(
    source: Source, count: int, planned: int, seed: int, clipping: Clipping
) -> None:
    frames = as_frames(source(np.random.default_rng(seed), count))
    assert_same(accumulate(frames, planned).combine(clipping, rereading(frames)), batch(frames, clipping))


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=30), clippings)
@settings(max_examples=150, deadline=None)
def test_equals_the_batch_result_on_any_values(values: list[int], clipping: Clipping) -> None:
    frames = np.array(values, np.uint16).reshape(-1, 1, 1) * np.ones(SHAPE, np.uint16)
    assert_same(accumulate(frames, 1).combine(clipping, rereading(frames)), batch(frames, clipping))


@pytest.mark.deep
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [150, 500])
def test_equals_the_batch_result_for_many_frames(source: Source, count: int) -> None:
    frames = as_frames(source(np.random.default_rng(count), count))
    assert_same(accumulate(frames, count).combine(Clipping(), rereading(frames)), batch(frames, Clipping()))


@given(
    source=st.sampled_from(SOURCES),
    count=st.integers(2, 40),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_the_result_does_not_depend_on_order_or_splits(
    source: Source, count: int, seed: int, data: st.DataObject
) -> None:
    frames = as_frames(source(np.random.default_rng(seed), count))
    whole = accumulate(frames, count).combine(Clipping(), rereading(frames))
    order = data.draw(st.permutations(range(count)))
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=3)))
    parts = [accumulate(part, count) for part in np.split(frames[order], cuts)]
    merged = parts[data.draw(st.integers(0, len(parts) - 1))]
    for part in parts:
        if part is not merged:
            merged.merge(part)
    assert merged.frames == count
    assert_same(
        merged.combine(Clipping(), rereading(frames[order])),
        (whole.mean.reshape(-1), whole.uncertainty.reshape(-1), whole.counts.reshape(-1)),
    )


def grouped(frames: NDArray[np.uint16], planned: int, sizes: list[int]) -> Accumulator:
    """Return the state of frames added in groups: one group of each size, and the rest in the last."""
    state, start = Accumulator(SHAPE, planned), 0
    for size in [*sizes, len(frames)]:
        part = frames[start : start + size]
        state.add_together(list(part), [secrets.token_bytes(16) for _ in part])
        start += len(part)
    return state


def bands_of(state: Accumulator) -> list[NDArray[np.uint64]]:
    return [values.astype(np.uint64) for band in state.bands for values in band]


@given(
    source=st.sampled_from(SOURCES),
    count=st.integers(1, 60),
    planned=st.sampled_from([1, 100, 400]),
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 20), max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_frames_added_together_give_the_state_of_frames_added_one_by_one(
    source: Source, count: int, planned: int, seed: int, sizes: list[int]
) -> None:
    frames = as_frames(source(np.random.default_rng(seed), count))
    together = grouped(frames, planned, sizes)
    assert together.frames == count
    for one, other in zip(bands_of(together), bands_of(accumulate(frames, planned)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert_same(together.combine(Clipping(), rereading(frames)), batch(frames, Clipping()))


@given(
    source=st.sampled_from(SOURCES),
    held=st.lists(st.booleans(), min_size=1, max_size=30),
    planned=st.sampled_from([1, 100, 400]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_frames_that_are_held_count_like_frames_that_are_folded(
    source: Source, held: list[bool], planned: int, seed: int
) -> None:
    frames = as_frames(source(np.random.default_rng(seed), len(held)))
    folded, state = Accumulator(SHAPE, planned), Accumulator(SHAPE, planned)
    for is_held, frame in zip(held, frames, strict=True):
        digest = secrets.token_bytes(16)
        folded.add(frame, digest)
        (state.hold if is_held else state.add)(frame, digest)
        assert state.frames == folded.frames
        assert state.noise_adu() == folded.noise_adu()
    other = Accumulator(SHAPE, planned)
    other.merge(state)
    for one, another in zip(bands_of(other), bands_of(folded), strict=True):
        np.testing.assert_array_equal(one, another)
    assert_same(state.finish(Clipping(), rereading(frames)), batch(frames, Clipping()))


def test_a_held_frame_counts_once() -> None:
    frame = np.arange(320, dtype=np.uint16).reshape(SHAPE)
    state = Accumulator(SHAPE, 10)
    state.hold(frame, pixel_digest(frame))
    with pytest.raises(RepeatedFrameError, match="counts once"):
        state.hold(frame, pixel_digest(frame))
    with pytest.raises(WrongFrameError, match="cannot be combined with frames of uint16"):
        state.hold(frame.astype(np.int16), b"other")
    assert state.frames == 1


@pytest.mark.deep
@given(
    source=st.sampled_from(SOURCES),
    count=st.integers(1, 500),
    planned=st.sampled_from([1, 100, 400]),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_grouped_merged_one_by_one_and_batch_are_the_same_to_the_bit(
    source: Source, count: int, planned: int, seed: int, data: st.DataObject
) -> None:
    frames = as_frames(source(np.random.default_rng(seed), count))
    sizes = data.draw(st.lists(st.integers(0, 60), max_size=8))
    cut = data.draw(st.integers(0, count))
    merged = grouped(frames[:cut], planned, sizes)
    merged.merge(accumulate(frames[cut:], planned))
    whole = grouped(frames, planned, sizes)
    for one, other in zip(bands_of(merged), bands_of(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    assert_same(merged.combine(Clipping(), rereading(frames)), batch(frames, Clipping()))
    assert_same(whole.finish(Clipping(), rereading(frames[::-1])), batch(frames, Clipping()))


@pytest.mark.parametrize("source", SOURCES)
def test_the_tails_are_the_ends_of_the_sorted_sample(source: Source) -> None:
    frames = as_frames(source(np.random.default_rng(3), 21))
    ordered = np.sort(frames.reshape(21, -1), axis=0)
    for planned, tails in [(1, 4), (100, 6), (400, 8)]:
        (band,) = grouped(frames, planned, [8, 9]).bands
        np.testing.assert_array_equal(band.low, ordered[:tails])
        np.testing.assert_array_equal(band.high, ordered[: -tails - 1 : -1])


def test_the_result_does_not_depend_on_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = overflowing()
    whole = accumulate(frames, 40)
    monkeypatch.setattr(accumulator, "BAND_PIXELS", 37)
    state = grouped(frames[:30], 40, [3])
    assert len(state.bands) == 9
    state.merge(accumulate(frames[30:], 40))
    assert state.noise_adu() == pytest.approx(whole.noise_adu(), rel=0.2)
    assert_same(state.finish(Clipping(), rereading(frames)), batch(frames, Clipping()))
    assert state.bands == ()


def test_the_mean_of_all_values_rereads_no_frames() -> None:
    frames = overflowing()
    stack = accumulate(frames, 40).combine(Mean(), rereading([]))
    np.testing.assert_array_equal(stack.mean, (frames.sum(axis=0) / 40).astype(np.float32))
    error = frames.std(axis=0, ddof=1) / np.sqrt(40)
    np.testing.assert_allclose(stack.uncertainty, error * np.sqrt(39 / 37), rtol=1e-6)
    assert (stack.counts == 40).all()


def test_frames_are_added_all_or_none() -> None:
    frames = overflowing()
    state = accumulate(frames[:3], 40)
    before = bands_of(state)
    with pytest.raises(RepeatedFrameError, match="counts once"):
        state.add_together(list(frames[3:5]), [b"1", b"1"])
    with pytest.raises(WrongFrameError, match="cannot be combined with frames of uint16"):
        state.add_together([frames[3], frames[4].astype(np.int16)], [b"1", b"2"])
    assert state.frames == 3
    for one, other in zip(bands_of(state), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frame_counts_once() -> None:
    frame = np.arange(320, dtype=np.uint16).reshape(SHAPE)
    state = Accumulator(SHAPE, 10)
    state.add(frame, pixel_digest(frame))
    with pytest.raises(RepeatedFrameError, match="counts once"):
        state.add(frame, pixel_digest(frame))
    other = Accumulator(SHAPE, 10)
    other.add(frame, pixel_digest(frame))
    with pytest.raises(RepeatedFrameError, match="both states"):
        state.merge(other)
    assert state.frames == 1
    np.testing.assert_array_equal(state.combine(Clipping(), rereading([])).mean, frame)


def test_digests_differ_between_frames() -> None:
    frame = np.zeros(SHAPE, np.uint16)
    changed = frame.copy()
    changed[3, 5] = 1
    assert pixel_digest(frame) != pixel_digest(changed)
    assert pixel_digest(frame) == pixel_digest(np.asfortranarray(frame))


@pytest.mark.parametrize(
    "frame", [np.zeros((8, 41), np.uint16), np.zeros((40, 8), np.uint16), np.zeros(SHAPE, np.int16)]
)
def test_frames_of_another_shape_or_type_are_refused(frame: NDArray[np.uint16]) -> None:
    with pytest.raises(WrongFrameError, match="cannot be combined with frames of uint16"):
        Accumulator(SHAPE, 10).add(frame, b"1")


def test_states_of_another_shape_or_tail_length_are_refused() -> None:
    with pytest.raises(WrongFrameError, match="cannot be merged"):
        Accumulator(SHAPE, 10).merge(Accumulator(SHAPE, 400))
    with pytest.raises(WrongFrameError, match="cannot be merged"):
        Accumulator(SHAPE, 10).merge(Accumulator((40, 8), 10))


def test_more_frames_than_the_sums_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulator, "MOST_FRAMES", 2)
    state = accumulate(np.zeros((2, *SHAPE), np.uint16), 2)
    with pytest.raises(WrongFrameError, match="at most 2"):
        state.add(np.zeros(SHAPE, np.uint16), b"3")


def test_the_largest_values_stay_exact() -> None:
    frame = np.full(SHAPE, 65535, np.uint16)
    state = accumulate([frame] * 300, 300)
    stack = state.combine(Clipping(), rereading([]))
    assert (stack.mean == 65535).all()
    # Values that agree are still rounded: 1 / sqrt(12) ADU each.
    np.testing.assert_allclose(stack.uncertainty, np.sqrt(299 / 297 / 12 / 300), rtol=1e-3)
    assert (stack.counts == 300).all()


def overflowing(count: int = 40) -> NDArray[np.uint16]:
    frames = as_frames(np.random.default_rng(5).normal(500, 3, (count, *SHAPE)))
    # Four are trimmed at the start; the two nearer ones are rejected once these are.
    frames[:4, ::2] = 60000
    frames[4:6, ::2] = 530
    return frames


def test_pixels_with_too_many_outliers_are_recomputed_exactly() -> None:
    frames = overflowing()
    stack = accumulate(frames, 40).combine(Clipping(), rereading(frames[::-1]))
    assert 150 <= stack.recomputed <= 170
    assert_same(stack, batch(frames, Clipping()))
    assert stack.mean.max() < 510


def test_the_result_does_not_depend_on_rounds_of_recomputation(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = overflowing()
    monkeypatch.setattr(accumulator, "RECOMPUTED_VALUES", 40 * 30)
    assert_same(accumulate(frames, 40).combine(Clipping(), rereading(frames)), batch(frames, Clipping()))


@pytest.mark.parametrize("change", ["missing", "extra", "other"])
def test_reread_frames_must_be_those_that_were_added(change: str) -> None:
    frames = overflowing()
    again = {"missing": frames[1:], "extra": np.concatenate([frames, frames[:1]]), "other": frames.copy()}[change]
    again[3] = again[4]
    with pytest.raises(WrongFrameError, match="read again"):
        accumulate(frames, 40).combine(Clipping(), rereading(again))


@pytest.mark.parametrize(
    ("count", "outliers"), [(5, 1), (6, 1), (8, 1), (10, 1), (12, 2), (16, 2), (16, 3), (20, 3), (20, 4)]
)
def test_few_frames_suffice_to_reject_outliers(count: int, outliers: int) -> None:
    rng = np.random.default_rng(count)
    frames = as_frames(rng.normal(1000, 10, (count, *SHAPE)))
    clean = batch(frames[outliers:], Clipping(kappa=100, start="all"))[0]
    frames[:outliers] = as_frames(rng.uniform(3000, 60000, (outliers, *SHAPE)))
    mean = accumulate(frames, count).combine(Clipping(), rereading(frames)).mean.reshape(-1)
    assert (np.abs(mean - clean) < 25).all()


@pytest.mark.parametrize(("count", "cost"), [(5, 1.08), (10, 1.06), (16, 1.05), (30, 1.04), (60, 1.03)])
def test_the_robust_start_costs_little_on_clean_pixels(count: int, cost: float) -> None:
    frames = as_frames(np.random.default_rng(1).normal(3000, 50, (count, 200, 200)))
    state = Accumulator((200, 200), count)
    for number, frame in enumerate(frames):
        state.add(frame, bytes([number]))
    spread = state.combine(Clipping(), rereading(frames)).mean.std() / (50 / np.sqrt(count))
    assert 0.97 < spread < cost


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.3, 0.5])
def test_noise_below_the_quantisation_step_is_not_rejected(sigma: float) -> None:
    frames = as_frames(np.random.default_rng(2).normal(100.3, sigma, (100, *SHAPE)))
    stack = accumulate(frames, 100).combine(Clipping(), rereading(frames))
    assert stack.recomputed == 0
    assert stack.rejected_fraction < 0.005
    assert abs(float(stack.mean.mean()) - frames.mean()) < 0.01


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_below_five_frames_nothing_is_rejected(count: int) -> None:
    frames = np.random.default_rng(3).integers(0, 65536, (count, *SHAPE)).astype(np.uint16)
    stack = accumulate(frames, count).combine(Clipping(), rereading([]))
    assert (stack.counts == count).all()
    np.testing.assert_array_equal(stack.mean, (frames.sum(axis=0) / count).astype(np.float32))
    assert np.isnan(stack.uncertainty).all() == (count == 1)


def test_an_empty_state_has_no_master() -> None:
    with pytest.raises(ValueError, match="nothing to combine"):
        Accumulator(SHAPE, 5).combine(Clipping(), rereading([]))


def test_the_noise_of_the_growing_master_falls_as_expected() -> None:
    rng = np.random.default_rng(4)
    state = Accumulator(SHAPE, 64)
    seen = []
    for number in range(64):
        state.add(as_frames(rng.normal(800, 20, SHAPE)), bytes([number]))
        seen.append(state.noise_adu())
    assert seen[0] is None
    for count in (2, 4, 16, 64):
        assert seen[count - 1] == pytest.approx(20 / np.sqrt(count), rel=0.15)


def test_the_uncertainty_matches_the_real_error() -> None:
    rng = np.random.default_rng(6)
    shape = (300, 300)
    truth = rng.uniform(500, 1500, shape)
    state = Accumulator(shape, 50)
    for number in range(50):
        state.add(as_frames(rng.normal(truth, 12)), bytes([number]))
    stack = state.combine(Clipping(kappa=5), rereading([]))
    chi_squared = np.mean(((stack.mean - truth) / stack.uncertainty) ** 2)
    assert chi_squared == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("kappa", [2.5, 3.0])
@pytest.mark.parametrize("count", [5, 8, 10, 20, 50])
def test_clipping_does_not_make_the_uncertainty_too_small(count: int, kappa: float) -> None:
    rng = np.random.default_rng(count)
    shape = (400, 400)
    truth = rng.uniform(500, 1500, shape)
    state = Accumulator(shape, count)
    frames = [as_frames(rng.normal(truth, 12)) for _ in range(count)]
    for number, frame in enumerate(frames):
        state.add(frame, bytes([number]))
    stack = state.combine(Clipping(kappa=kappa), rereading(frames))
    variance = np.mean((stack.mean - truth) ** 2)
    fraction = clipping_trial(count, Clipping(kappa=kappa)).noise_fraction
    assert variance / (fraction * np.nanmean(stack.uncertainty**2)) == pytest.approx(1, abs=0.02)


def test_residuals_over_uncertainties_are_noise() -> None:
    rng = np.random.default_rng(7)
    shape = (400, 400)
    truth = rng.uniform(500, 1500, shape)
    state = Accumulator(shape, 200)
    frames = [as_frames(rng.normal(truth, 12)) for _ in range(200)]
    for number, frame in enumerate(frames):
        state.add(frame, bytes([number]))
    stack = state.combine(Clipping(), rereading(frames))
    assert np.mean(((stack.mean - truth) / stack.uncertainty) ** 2) == pytest.approx(1, rel=0.02)


def test_without_rejection_the_uncertainty_follows_students_distribution() -> None:
    assert scatter_corrections(2, Clipping())[2] == 1
    assert scatter_corrections(3, Clipping())[3] == 1
    assert scatter_corrections(4, Clipping())[4] == 3
    for count in (5, 8, 10, 50):
        assert scatter_corrections(count, Clipping())[count] == pytest.approx((count - 1) / (count - 3), abs=6e-4)
    assert (scatter_corrections(50, Mean()) == 49 / 47).all()


def test_rejected_values_make_the_uncertainty_of_their_pixel_larger() -> None:
    corrections = scatter_corrections(10, Clipping())
    assert (np.diff(corrections) <= 0).all()
    # If the tenth value was clipped, the scatter of the other nine is half the noise.
    assert corrections[9] == pytest.approx(4.7, abs=0.1)


def test_the_scatter_correction_follows_the_truncated_normal_distribution() -> None:
    # sigma shrinks to a fixed point: v = 1 - 2 k f(k) / (2 F(k) - 1) with k = 3 sqrt(v).
    normal, v = NormalDist(), 1.0
    for _ in range(50):
        k = 3 * v**0.5
        v = 1 - 2 * k * normal.pdf(k) / (2 * normal.cdf(k) - 1)
    kept = round(2000 * (2 * normal.cdf(3 * v**0.5) - 1))
    assert 1 / v < scatter_corrections(2000, Clipping())[kept] < 1.04 / v


def test_tails_are_longer_for_more_planned_frames() -> None:
    assert [tail_length(count) for count in (1, 60, 61, 150, 151, 30000)] == [4, 4, 6, 6, 8, 8]
