"""Stated uncertainties of masters, compared with the known truth of simulated frames.

Run `python -m benchmarks.truth [--pixels N]`. The levels of the pixels are anywhere within a step of the converter, and
the frames are combined from files, as with `coldframe combine`.

The table has a row for each method, number of frames N, step of the converter and noise in steps. Chi-square is the
mean squared ratio of error to uncertainty: 1 is right, and more means that the uncertainty is too small. The ratio of
uncertainty to error is that of the root mean squares; JCGM 101:2008 makes it larger than 1 for few frames. The noise of
a frame, as derived from the master, is relative to the true noise. Zeros are pixels with the uncertainty 0.

The second table shows calibrated lights of an even sky, with a gain of 1 e-/ADU and a read noise of 1.5 e-.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from coldframe.calibration.combining.combine import combine_frames
from coldframe.calibration.combining.frame_sets import open_frames
from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.lights.arithmetic import calibrate, correction, dark_subtraction
from coldframe.calibration.masters.master_frame import write_master
from coldframe.calibration.masters.reading import MasterPlanes, kept_scatter, read_master
from coldframe.calibration.stacking.methods import Clipping, Mean, Median, MedianClipping, Method, Winsorizing

METHODS: tuple[Method, ...] = (Clipping(), Mean(), Median(), MedianClipping(), Winsorizing())
SMALL_SETS = (5, 6, 8, 10, 12, 16, 20, 30, 50)
SKIES_E = (2, 5, 10, 20, 50, 200)
READ_NOISE_E = 1.5
NOISE_STEPS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)


class Truth(NamedTuple):
    """The comparison of a master with the truth."""

    chi_square: float
    width: float
    frame_noise: float
    zeros_ppm: float


def compared(method: Method, frames: int, noise_steps: float, step_adu: int, shape: tuple[int, int]) -> Truth:
    """Simulate bias frames, combine them, write and read the master, and compare it with the truth."""
    rng = np.random.default_rng(round(1000 * noise_steps) + frames)
    level = rng.uniform(100, 101, shape)
    with TemporaryDirectory(prefix="coldframe-bench-") as name:
        folder, encoder = Path(name), FrameEncoder()
        for number in range(frames):
            pixels = (rng.normal(level, noise_steps).round() * step_adu).astype(np.uint16)
            card = Card("IMAGETYP", "Bias Frame", "type of frame")
            (folder / f"{number:04d}.fits").write_bytes(b"".join(encoder.encode(pixels, [card])))
        opened, _ = open_frames(sorted(folder.glob("*.fits")), folder)
        write_master(folder / "master.fits", combine_frames(opened, method))
        master = read_master(folder / "master.fits")
    error, uncertainty = master.mean - level * step_adu, master.uncertainty.astype(np.float64)
    known = uncertainty > 0
    # A rounded value differs from its level by the noise and the rounding.
    frame_variance = (noise_steps**2 + 1 / 12) * step_adu**2 if noise_steps > 1 / 2 else np.nan
    return Truth(
        float(np.mean((error[known] / uncertainty[known]) ** 2)) if known.any() else np.inf,
        float(np.sqrt(np.mean(uncertainty**2) / np.mean(error**2))),
        float(np.sqrt(kept_scatter(master).mean() / frame_variance)),
        1e6 * float(np.mean(~known)),
    )


def print_row(method: Method, frames: int, noise_steps: float, step_adu: int, shape: tuple[int, int]) -> None:
    """Print the comparison as a row of a Markdown table."""
    truth = compared(method, frames, noise_steps, step_adu, shape)
    print(
        f"| {type(method).__name__} | {frames} | {step_adu} | {noise_steps:g} | {truth.chi_square:.2f}"
        f" | {truth.width:.2f} | {truth.frame_noise:.2f} | {truth.zeros_ppm:.0f} |",
        flush=True,
    )


def print_sky(sky_e: float, shape: tuple[int, int]) -> None:
    """Print the chi-square of a calibrated light, and the weighted mean of its pixels, as a row of a table."""
    rng = np.random.default_rng(round(sky_e))
    read_noise = float(np.hypot(READ_NOISE_E, 12**-0.5))
    variance = np.full(shape, read_noise**2, np.float32)
    dark = MasterPlanes(
        rng.normal(500, read_noise / 50**0.5, shape).astype(np.float32), np.sqrt(variance / 50), variance, None, {}
    )
    pixels = np.rint(rng.poisson(sky_e, shape) + rng.normal(500, READ_NOISE_E, shape)).astype(np.uint16)
    light = calibrate(pixels, correction(dark_subtraction(dark), None), 1.0)
    uncertainty = light.uncertainty.astype(np.float64)
    chi_square = np.mean(((light.signal - sky_e) / uncertainty) ** 2)
    mean_e = np.average(light.signal, weights=uncertainty**-2)
    print(f"| {sky_e:g} | {chi_square:.3f} | {100 * (mean_e / sky_e - 1):+.2f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=40_000, help="number of simulated pixels")
    width = 200
    shape = (parser.parse_args().pixels // width, width)
    print("| method | N | step | noise | chi-square | uncertainty / error | noise of a frame | zeros, ppm |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for method in METHODS:
        for frames in SMALL_SETS:
            print_row(method, frames, 5.0, 1, shape)
    for method in METHODS:
        for frames in (8, 100):
            for noise_steps in NOISE_STEPS:
                print_row(method, frames, noise_steps, 1, shape)
    for frames in (20, 100):
        for noise_steps in NOISE_STEPS:
            print_row(Clipping(), frames, noise_steps, 16, shape)
    print("\n| sky, e- | chi-square | weighted mean, % from the truth |")
    print("|---:|---:|---:|")
    for sky_e in SKIES_E:
        print_sky(sky_e, shape)


if __name__ == "__main__":
    main()
