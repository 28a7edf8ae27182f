"""Measure the milliseconds per frame in the calibration core, compared with plain NumPy in the same run.

Run `python -m benchmarks.core [--width W --height H]`.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine_line
from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder, parse
from coldframe.calibration.masters.flat_scaling import FlatScaler
from coldframe.calibration.measuring.digest import frame_digest
from coldframe.calibration.measuring.frame_shape import frame_shape
from coldframe.calibration.measuring.statistics import central_region, measure, preview
from coldframe.calibration.stacking.accumulator import Accumulator, pixel_digest
from coldframe.calibration.stacking.clipping import Clipping

Frame = NDArray[np.uint16]
REPEATS = 7


def milliseconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of repeated calls, after one call that compiles the code and fills the caches."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1000 * median(times)


def rendered(shape: tuple[int, int], level: float, sigma: float) -> Iterator[Frame]:
    rng = np.random.default_rng(1)
    while True:
        values = rng.standard_normal(shape, np.float32)
        values *= sigma
        values += level
        yield values.astype(np.uint16)


def numpy_measure(pixels: Frame) -> tuple[float, ...]:
    center = pixels[central_region(pixels.shape)]
    return (
        float(np.median(center)),
        float(np.median(pixels)),
        float(pixels.mean()),
        float(np.std(center[:, 2:].astype(np.float32) - center[:, :-2])),
        float((center == 65535).mean()),
        float(np.bincount(pixels.reshape(-1), minlength=65536).max()),
    )


def numpy_encode(pixels: Frame) -> int:
    data = (pixels ^ 0x8000).astype(">u2").tobytes()
    return int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))


def numpy_parse(content: bytes, shape: tuple[int, int]) -> Frame:
    words = np.frombuffer(content, ">u2", shape[0] * shape[1], 2880)
    return (words.astype(np.uint16) ^ np.uint16(0x8000)).reshape(shape)


class NumpyState:
    """The running state of an `Accumulator`, computed with whole-array operations."""

    def __init__(self, shape: tuple[int, int], tails: int) -> None:
        self.totals = np.zeros(shape, np.uint32)
        self.squares = np.zeros(shape, np.uint64)
        self.high = np.zeros((tails, *shape), np.uint16)
        self.low = np.full((tails, *shape), 65535, np.uint16)

    def add(self, pixels: Frame) -> None:
        """Add a frame."""
        self.totals += pixels
        wide = pixels.astype(np.uint64)
        self.squares += wide * wide
        rising, falling = pixels, pixels
        for high, low in zip(self.high, self.low, strict=True):
            rising_next, falling_next = np.minimum(high, rising), np.maximum(low, falling)
            np.maximum(high, rising, out=high)
            np.minimum(low, falling, out=low)
            rising, falling = rising_next, falling_next


def numpy_scale(pixels: Frame, dark: NDArray[np.float32]) -> Frame:
    signal = pixels - dark
    level = np.median(signal[central_region(pixels.shape)])
    return np.clip(np.round(signal * np.float32(16384 / level)), 0, 65535).astype(np.uint16)


def numpy_clip(frames: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Clip in memory around the mean until convergence, starting with all values."""
    kept = np.ones(frames.shape, bool)
    while True:
        mean = frames.mean(axis=0, where=kept)
        sigma = frames.std(axis=0, where=kept, ddof=1)
        chosen = np.abs(frames - mean) <= 3 * sigma
        if (chosen == kept).all():
            return np.asarray(mean)
        kept = chosen


def report(name: str, ours: float, numpy: float) -> None:
    print(f"{name:<34}{ours:9.1f}{numpy:11.1f}{numpy / ours:8.1f}x")


def folded(shape: tuple[int, int], planned: int, frames: Iterator[Frame]) -> tuple[float, float, float, int]:
    """Return the times for a frame alone, with three others, and with seven others, and the length of the tails."""
    state, alone, together = Accumulator(shape, planned), [], []
    batch = [next(frames) for _ in range(8)]
    for number, frame in enumerate(batch):
        begin = time.perf_counter()
        state.add(frame, bytes([number]))
        alone.append(time.perf_counter() - begin)
    held = time.perf_counter()
    for number, frame in enumerate(batch):
        state.hold(frame, bytes([0, number]))
    held = (time.perf_counter() - held) / len(batch)
    for number in range(1, 6):
        begin = time.perf_counter()
        state.add_together(batch, [bytes([number, frame]) for frame in range(8)])
        together.append((time.perf_counter() - begin) / 8)
    return 1000 * median(alone[1:]), 1000 * held, 1000 * median(together[1:]), state.tails


def combined(shape: tuple[int, int]) -> tuple[float, float]:
    """Return the times to combine 12 frames. The time for NumPy is measured on 1/16 of the frame and scaled up."""
    strip = (max(1, shape[0] // 16), shape[1])
    frames = [frame for _, frame in zip(range(12), rendered(shape, 500, 10), strict=False)]
    state = Accumulator(shape, 12)
    for number, frame in enumerate(frames):
        state.add(frame, bytes([number]))
    ours = milliseconds(lambda: state.combine(Clipping(), lambda places: (f.reshape(-1)[places] for f in frames)), 3)
    stacked = np.stack([frame[: strip[0]] for frame in frames])
    return ours, milliseconds(lambda: numpy_clip(stacked), 1) * shape[0] / strip[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=6248)
    parser.add_argument("--height", type=int, default=4176)
    options = parser.parse_args()
    shape = (options.height, options.width)
    frames = rendered(shape, 500, 10)
    pixels = next(frames)
    encoder = FrameEncoder()
    cards = [Card("EXPTIME", 0.5), Card("GAIN", 100)]
    header, data = encoder.encode(pixels, cards)
    content = header + bytes(data)

    print(machine_line())
    print(f"{shape[1]} x {shape[0]} pixels, ms per frame{'ours':>13}{'NumPy':>11}{'ratio':>9}")
    report("measure", milliseconds(lambda: measure(pixels)), milliseconds(lambda: numpy_measure(pixels), 3))
    print(f"{'preview':<34}{milliseconds(lambda: preview(pixels)):9.1f}")
    counts = measure(pixels).counts
    print(f"{'shape':<34}{milliseconds(lambda: frame_shape(pixels, (420.0, 580.0))):9.1f}")
    print(f"{'digest in a night':<34}{milliseconds(lambda: frame_digest(pixels, counts)):9.1f}")
    print(f"{'digest in a state (SHA-256)':<34}{milliseconds(lambda: pixel_digest(pixels)):9.1f}")
    report(
        "encode with checksum",
        milliseconds(lambda: encoder.encode(pixels, cards)),
        milliseconds(lambda: numpy_encode(pixels), 3),
    )
    report("parse", milliseconds(lambda: parse(content)), milliseconds(lambda: numpy_parse(content, shape), 3))
    for planned in (50, 500):
        alone, held, together, tails = folded(shape, planned, frames)
        plain = NumpyState(shape, tails)
        numpy = milliseconds(lambda: plain.add(pixels), 2)  # noqa: B023 - called at once
        report(f"add, {tails} values at each end", alone, numpy)
        report("  four together, each", held, numpy)
        report("  in a batch of eight, each", together, numpy)
    dark = np.full(shape, 100, np.float32)
    scaler = FlatScaler(dark)
    flat = next(rendered(shape, 25000, 150))
    report("flat: scale", milliseconds(lambda: scaler.scale(flat)), milliseconds(lambda: numpy_scale(flat, dark), 2))
    report("combine 12 frames (whole set)", *combined(shape))


if __name__ == "__main__":
    main()
