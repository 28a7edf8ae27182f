"""The column sort, compared with the running state and with each method's definition in plain NumPy."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.masters.flat_scaling import FlatScaler
from coldframe.calibration.stacking import column_sort
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.column_sort import (
    MixedShapesError,
    Scaling,
    blocks_of,
    combine_columns,
    ends_and_middle_network,
    ends_network,
    merging_network,
    method_trial,
    middle_network,
    sorted_ends,
    sorting_network,
    spread_corrections,
)
from coldframe.calibration.stacking.methods import Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.calibration.stacking.stack import Stack

SHAPE = (7, 43)
ZEROS = {"u2": 32768, "u4": 1 << 31}
METHODS: list[Method] = [Clipping(), Mean(), Median(), MedianClipping(), Winsorizing()]


def fits_bytes(pixels: NDArray[Any]) -> bytes:
    """Return a FITS file written by hand, independent of the code under test."""
    kind = f"{pixels.dtype.kind}{pixels.itemsize}"
    stored = pixels
    if kind in ZEROS:
        stored = (pixels ^ pixels.dtype.type(ZEROS[kind])).view(f"i{pixels.itemsize}")
    bits = (-8 if pixels.dtype.kind == "f" else 8) * pixels.itemsize
    cards = [
        f"SIMPLE  = {'T':>20}",
        f"BITPIX  = {bits:>20}",
        f"NAXIS   = {2:>20}",
        f"NAXIS1  = {pixels.shape[1]:>20}",
        f"NAXIS2  = {pixels.shape[0]:>20}",
        f"BZERO   = {ZEROS.get(kind, 0):>20}",
        "END",
    ]
    header = "".join(card.ljust(80) for card in cards)
    data = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    return header.ljust(2880).encode() + data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def written(folder: Path, frames: NDArray[Any]) -> list[ImageFile]:
    images = []
    for number, frame in enumerate(frames):
        path = folder / f"{number:04d}.fits"
        path.write_bytes(fits_bytes(frame))
        images.append(open_image(path, folder))
    return images


def combined(frames: NDArray[Any], method: Method) -> Stack:
    with TemporaryDirectory() as folder:
        return combine_columns(written(Path(folder), frames), method)


def live(frames: NDArray[np.uint16], clipping: Clipping) -> Stack:
    shape = (frames.shape[1], frames.shape[2])
    state = Accumulator(shape, len(frames))
    for frame in frames:
        # Small frames may repeat by chance, so their pixels cannot serve as digests here.
        state.add(frame, secrets.token_bytes(16))
    return state.combine(clipping, lambda pixels: (frame.reshape(-1)[pixels] for frame in frames))


def assert_same(stack: Stack, expected: Stack) -> None:
    np.testing.assert_array_equal(stack.mean, expected.mean)
    np.testing.assert_array_equal(stack.uncertainty, expected.uncertainty)
    np.testing.assert_array_equal(stack.counts, expected.counts)


@pytest.fixture(autouse=True, scope="module")
def small_bands() -> Iterator[None]:
    """Split even small frames into several bands, the last of which is shorter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_sort, "FEWEST_PIXELS", 90)
        patch.setattr(column_sort, "BAND_BYTES", 0)
        yield


def sample(rng: np.random.Generator, source: str, count: int) -> NDArray[np.uint16]:
    shape = (count, *SHAPE)
    match source:
        case "gaussian":
            values = rng.normal(rng.uniform(0, 65535), rng.uniform(0, 300), shape)
        case "quantised":
            values = rng.normal(500.5, 0.3, shape)
        case "cosmic rays":
            values = rng.normal(500, 8, shape) + (rng.random(shape) < 0.05) * rng.exponential(2000, shape)
        case "full-scale outliers":  # the sums of their squares exceed 32 bits
            values = np.where(rng.random(shape) < 0.03, 65535, rng.normal(500, 8, shape))
        case "telegraph":
            values = rng.normal(1000.0 + np.digitize(rng.random(shape), [0.6, 0.9]) * 40.0, 6.0)
        case "bimodal":
            values = np.where(rng.random(shape) < 0.85, 10, 65000) + rng.normal(0, 2, shape)
        case "saturated":
            values = rng.normal(65500, 60, shape)
        case "uniform":
            values = rng.uniform(0, 65536, shape)
        case _:
            values = np.array([0.0, 1.0, 32768.0, 65535.0])[rng.integers(0, 4, shape)]
    return np.clip(np.round(values), 0, 65535).astype(np.uint16)


SOURCES = [
    "gaussian",
    "quantised",
    "cosmic rays",
    "full-scale outliers",
    "telegraph",
    "bimodal",
    "saturated",
    "uniform",
    "few levels",
]
clippings = st.builds(
    Clipping,
    kappa=st.sampled_from([1.0, 1.5, 2.5, 3.0, 3.3, 5.0]),
    start=st.sampled_from(["trimmed", "all"]),
    trim=st.sampled_from([0.1, 0.2, 0.3]),
    sigma_floor_adu=st.sampled_from([0.0, 0.5, 8.0]),
    iterations=st.sampled_from([1, 2, 10]),
)


@given(source=st.sampled_from(SOURCES), count=st.integers(1, 60), seed=st.integers(0, 2**32), clipping=clippings)
@settings(max_examples=80, deadline=None)
def test_equals_the_running_state_to_the_bit(source: str, count: int, seed: int, clipping: Clipping) -> None:
    frames = sample(np.random.default_rng(seed), source, count)
    assert_same(combined(frames, clipping), live(frames, clipping))


@pytest.mark.deep
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [150, 500])
def test_equals_the_running_state_for_many_frames(source: str, count: int) -> None:
    frames = sample(np.random.default_rng(count), source, count)
    assert_same(combined(frames, Clipping()), live(frames, Clipping()))


@pytest.mark.parametrize("dtype", ["u1", "i2"])
def test_bytes_and_signed_words_equal_the_running_state(dtype: str) -> None:
    frames = sample(np.random.default_rng(3), "cosmic rays", 30) % 128
    stack = combined(frames.astype(dtype), Clipping())
    assert_same(stack, live(frames.astype(np.uint16), Clipping()))


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("dtype", ["i2", "i4", "u4", "f4", "f8"])
def test_every_storage_gives_the_same_result(dtype: str, method: Method) -> None:
    frames = sample(np.random.default_rng(4), "cosmic rays", 25) % 30000
    lowered = -700 if dtype in {"i4", "f4", "f8"} else 0  # signed words below zero are refused
    expected = combined(frames, method)
    stack = combined(frames.astype(dtype) + np.array(lowered, dtype), method)
    if isinstance(method, Winsorizing) and dtype[0] == "f":
        # The bounds of floats are not rounded.
        assert np.mean(stack.counts == expected.counts) > 0.95
        return
    np.testing.assert_array_equal(stack.counts, expected.counts)
    np.testing.assert_allclose(stack.mean - lowered, expected.mean, rtol=0, atol=2e-3)
    np.testing.assert_allclose(stack.uncertainty, expected.uncertainty, rtol=1e-6)


def test_files_stored_in_different_ways_can_be_combined(tmp_path: Path) -> None:
    frames = sample(np.random.default_rng(5), "gaussian", 4) // 2
    for number, dtype in enumerate(["u2", "i2", "f4", "i4"]):
        (tmp_path / f"{number}.fits").write_bytes(fits_bytes(frames[number].astype(dtype)))
    images = [open_image(tmp_path / f"{number}.fits", tmp_path) for number in range(4)]
    stack = combine_columns(images, Mean())
    np.testing.assert_array_equal(stack.mean, frames.mean(axis=0).astype(np.float32))


def test_large_integers_lose_no_scatter() -> None:
    frames = np.random.default_rng(6).normal(10_000_000, 5, (20, *SHAPE)).round().astype(np.int32)
    stack = combined(frames, Mean())
    np.testing.assert_allclose(stack.mean, frames.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(
        stack.uncertainty, frames.std(axis=0, ddof=1) / np.sqrt(20) * np.sqrt(19 / 17), rtol=1e-6
    )


# ---- definitions ----


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [1, 2, 3, 8, 25, 64])
def test_mean_and_median_equal_numpy(source: str, count: int) -> None:
    frames = sample(np.random.default_rng(count), source, count)
    mean, median = combined(frames, Mean()), combined(frames, Median())
    np.testing.assert_array_equal(mean.mean, (frames.sum(axis=0, dtype=np.int64) / count).astype(np.float32))
    np.testing.assert_array_equal(median.mean, np.median(frames, axis=0).astype(np.float32))
    assert (mean.counts == count).all()
    assert (median.counts == count).all()
    if count > 1:
        squared = np.maximum(frames.var(axis=0, ddof=1), 1 / 12) / count
        student = (count - 1) / (count - 3) if count > 3 else 1
        np.testing.assert_allclose(mean.uncertainty, np.sqrt(squared * student), rtol=1e-6)
        ratio = spread_corrections(count, Median())[count]
        rounding = (1 - ratio / count) / 12 if count > 2 else 0
        assert median.rounding_adu2 == pytest.approx(rounding)
        np.testing.assert_allclose(median.uncertainty, np.sqrt(squared * ratio + rounding), rtol=1e-6)
    else:
        assert np.isnan(median.uncertainty).all()


def siril(column: list[int], kappa: float, *, winsorize: bool) -> list[int]:
    """Return the values of a pixel that Siril's loops keep, without dropping zeros, in exact steps where possible."""
    kept = sorted(column)
    while len(kept) > 4:
        median = float(np.median(kept))
        sigma = float(np.std(kept, ddof=1))
        if winsorize:
            drawn = np.array(kept, float)
            for _ in range(50):
                drawn = np.clip(drawn, np.floor(median - 1.5 * sigma + 0.5), np.floor(median + 1.5 * sigma + 0.5))
                former, sigma = sigma, 1.134 * float(np.std(drawn, ddof=1))
                if abs(sigma - former) <= 0.0005 * former:
                    break
        before = len(kept)
        while len(kept) > 4:
            farthest = max((kept[0], kept[-1]), key=lambda value: abs(value - median))
            # Values within half a part in 10^9 of the limit may go either way.
            if abs(farthest - median) <= kappa * sigma * (1 + 5e-10):
                break
            kept.remove(farthest)
        if len(kept) == before:
            break
    return kept


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [40, 200])
@pytest.mark.parametrize("method", [Clipping(), MedianClipping()])
def test_columns_are_sorted_as_far_as_clipping_needs(source: str, count: int, method: Method) -> None:
    frames = sample(np.random.default_rng(count), source, count)
    # The columns of floats are sorted completely, and the sums of whole numbers are exact.
    assert_same(combined(frames, method), combined(frames.astype(np.float32), method))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [3, 5, 12, 33])
@pytest.mark.parametrize("winsorize", [False, True])
def test_clipping_about_the_median_matches_its_definition(source: str, count: int, winsorize: bool) -> None:  # noqa: FBT001 - a parameter of the test
    frames = sample(np.random.default_rng(count), source, count)
    method = Winsorizing() if winsorize else MedianClipping()
    stack = combined(frames, method)
    columns = frames.reshape(count, -1).T.tolist()
    differing = 0.0
    for column, value, number in zip(columns, stack.mean.flat, stack.counts.flat, strict=True):
        kept = siril(column, 3.0, winsorize=winsorize)
        if number != len(kept):
            differing += 1
        else:
            # Either of two equally distant values may be rejected.
            differing += abs(value - np.mean(kept)) > 1e-3 + 1e-6 * value
    assert differing <= (0 if source != "few levels" else len(columns) // 20)


@pytest.mark.parametrize(
    ("method", "count", "outliers"),
    [
        *((method, count, 1) for method in (Clipping(), MedianClipping(), Winsorizing()) for count in (12, 50)),
        *((method, 16, 2) for method in (Clipping(), Winsorizing())),
    ],
    ids=str,
)
def test_outliers_are_rejected(method: Method, count: int, outliers: int) -> None:
    frames = np.random.default_rng(7).normal(1000, 10, (count, *SHAPE)).round().astype(np.uint16)
    frames[:outliers] = 9000
    stack = combined(frames, method)
    assert np.abs(stack.mean - 1000).max() < 6 * 10 / np.sqrt(count - outliers)


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("count", [6, 8, 12, 20, 50, 200])
def test_the_mean_square_of_error_over_uncertainty_is_one(method: Method, count: int) -> None:
    rng = np.random.default_rng(count)
    frames = rng.normal(3000, 60, (count, 200, 200)).round().astype(np.uint16)
    stack = combined(frames, method)
    # Of six values, clipping sometimes leaves four that are close together; a few of these pixels determine the mean.
    tolerance = 0.03 if count > 6 else 0.1
    assert np.mean(((stack.mean - 3000.0) / stack.uncertainty) ** 2) == pytest.approx(1, abs=tolerance)


@pytest.mark.deep
@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("count", [8, 20, 50, 200, 500])
def test_the_mean_chi_square_is_1_within_2_percent(method: Method, count: int) -> None:
    frames = np.random.default_rng(count).normal(3000, 60, (count, 300, 500)).round().astype(np.uint16)
    stack = combined(frames, method)
    assert np.mean(((stack.mean - 3000.0) / stack.uncertainty) ** 2) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("count", [8, 20, 50])
def test_noise_and_scatter_follow_from_the_uncertainty(method: Method, count: int) -> None:
    frames = np.random.default_rng(count).normal(3000, 60, (count, 200, 200)).round().astype(np.uint16)
    stack, trial = combined(frames, method), method_trial(count, method)
    squared = stack.uncertainty.astype(float) ** 2
    assert squared.mean() * trial.noise_fraction == pytest.approx(np.mean((stack.mean - 3000.0) ** 2), rel=0.03)
    factors = np.array(trial.scatter_fractions)
    scatter = squared * stack.counts * factors[np.minimum(count - stack.counts, len(factors) - 1)]
    assert np.mean(scatter) == pytest.approx(60**2, rel=0.02)


# ---- flats ----


@pytest.mark.parametrize("pattern", [None, "RGGB"])
def test_flats_equal_the_live_core_to_the_bit(pattern: str | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    dark = rng.uniform(300, 700, SHAPE).astype(np.float32)
    frames = rng.normal(np.linspace(9000, 20000, 30)[:, None, None], 120, (30, *SHAPE)).round().astype(np.uint16)
    scaler = FlatScaler(dark, pattern)
    factors = np.array([scaler.factors(frame) for frame in frames])
    stack = combine_columns(written(tmp_path, frames), Clipping(), Scaling(dark, factors))
    assert_same(stack, live(np.array([scaler.scale(frame).copy() for frame in frames]), Clipping()))
    floats = tmp_path / "floats"
    floats.mkdir()
    smooth = combine_columns(written(floats, frames.astype(np.float32)), Clipping(), Scaling(dark, factors))
    assert np.median(np.abs(smooth.mean - stack.mean)) < 0.1


# ---- what goes wrong ----


def test_frames_of_different_size_are_refused(tmp_path: Path) -> None:
    images = written(tmp_path, np.zeros((2, *SHAPE), np.uint16))
    (tmp_path / "odd.fits").write_bytes(fits_bytes(np.zeros((7, 44), np.uint16)))
    with pytest.raises(MixedShapesError, match=r"odd.fits has 44 x 7 pixels, but .*0000.fits has 43 x 7"):
        combine_columns([*images, open_image(tmp_path / "odd.fits", tmp_path)], Mean())


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="0 frames"):
        combine_columns([], Mean())


@pytest.mark.parametrize("loss", ["shorter", "gone"])
def test_a_file_that_is_lost_during_the_work_is_named(loss: str, tmp_path: Path) -> None:
    images = written(tmp_path, np.zeros((5, *SHAPE), np.uint16))
    if loss == "gone":
        images[3].path.unlink()
    else:
        os.truncate(images[3].path, 3000)
    with pytest.raises(FrameFileError, match=r"0003.fits: (the file was changed or replaced|No such file)"):
        combine_columns(images, Mean())


def test_the_limit_on_open_files_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource  # noqa: PLC0415 - for this test only

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(column_sort, "OTHER_FILES", 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        stack = combine_columns(written(tmp_path, np.ones((300, 2, 3), np.uint16)), Mean())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (stack.mean == 1).all()


# ---- networks ----


@given(st.integers(1, 130), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_networks_sort(rows: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, rows, (rows, 40))
    expected = np.sort(values, axis=0)
    middle = [(rows - 1) // 2, rows // 2]
    ends = [*range(sorted_ends(rows)), *range(rows - sorted_ends(rows), rows)]
    merged = values.copy()
    for first in range(0, rows - 7, 8):
        merged[first : first + 8].sort(axis=0)
    for network, table, known in [
        (sorting_network, values, range(rows)),
        (middle_network, merged.copy(), middle),
        (ends_network, merged.copy(), ends),
        (ends_and_middle_network, merged.copy(), [*middle, *ends]),
        (merging_network, merged, range(rows)),
    ]:
        for first, second in network(rows):
            table[[first, second]] = np.minimum(table[first], table[second]), np.maximum(table[first], table[second])
        np.testing.assert_array_equal(table[list(known)], expected[list(known)])


@given(st.integers(1, 300), st.sampled_from([merging_network, middle_network, ends_network]))
@settings(deadline=None)
def test_blocks_are_the_comparators_of_a_network_in_order(
    rows: int, network: Callable[[int], NDArray[np.int32]]
) -> None:
    blocks = blocks_of(network, rows).tolist()
    assert all(count <= second - first for first, second, count in blocks)  # the rows of a block are independent
    expanded = [[first + row, second + row] for first, second, count in blocks for row in range(count)]
    assert expanded == network(rows).tolist()


def test_the_networks_have_the_published_size() -> None:
    assert [len(sorting_network(rows)) for rows in (1, 2, 4, 8, 16)] == [0, 1, 5, 19, 63]
    assert len(middle_network(50)) < len(sorting_network(50)) == 403
    assert len(ends_network(50)) < len(ends_and_middle_network(50)) < len(merging_network(50))
