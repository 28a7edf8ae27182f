"""Compare `coldframe calibrate` with versions of Siril, as whole processes on the same files in one run.

Run `python -m benchmarks.calibrating [--lights 20] [--folder /dev/shm] [--siril siril-cli ...]`. The lights have 6248 x
4176 uint16 pixels. Both programs subtract the same master dark and divide by the same master flat; the library also
contains a bias, which this calibration does not need. All bytes of the inputs are read before each run, so that both
programs find them in the page cache. The runs alternate, and medians are printed. Without `--float`, coldframe writes
16-bit integers, its default. Siril writes 32-bit floats, as a user of its scripts would.

The pixels are compared in a separate run with `--float`. Siril replaces the hot pixels of the dark by a different rule,
so those that either program replaces are left out.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from benchmarks.peers import Cost, claim_memory, first_line, read_all, run
from coldframe.calibration.files.frame_file import FrameEncoder, primary_pieces
from coldframe.calibration.files.keywords import raw_cards
from coldframe.calibration.masters.master_frame import MasterFrame, master_name, write_master
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind, ReadoutSettings

SHAPE = (4176, 6248)
RUNS = 3
FASTER = 3.0
"""Goal for Siril's time divided by coldframe's."""

MOST_GIGABYTES = 0.5
LONGER_WITH_UNCERTAINTY = 1.6
"""Goal for the time with the uncertainty plane, relative to the time without."""

TOLERANCE = 2e-6
"""Largest difference between the pixels of both programs, relative to their level: a few roundings of float32."""

FRAMES = 20
"""Number of frames that each master states."""

STARTED = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
SETTINGS = ReadoutSettings(gain=100, offset=50)

F32 = NDArray[np.float32]


def render(folder: Path, lights: int) -> Mapping[FrameKind, F32]:
    """Write the masters and the lights; return the means of the masters."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(SHAPE[0] * SHAPE[1] + 1_000_000, np.float32)
    bias = np.float32(500) + 2 * _piece(noise, rng)
    dark = bias + 1 + np.float32(0.5) * _piece(noise, rng)
    hot = rng.integers(0, dark.size, dark.size // 5_000)
    dark.reshape(-1)[hot] += rng.exponential(2_000, hot.size).astype(np.float32)
    down, across = np.ogrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    flat = (1 - 0.15 * (down**2 + across**2)).astype(np.float32) * (1 + np.float32(0.005) * _piece(noise, rng))
    flat /= np.float32(flat.mean(dtype=np.float64))
    means = {FrameKind.BIAS: bias, FrameKind.DARK: dark, FrameKind.FLAT: flat}
    (folder / "library").mkdir(parents=True)
    for kind, mean in means.items():
        _write_master(folder, kind, mean, _piece(noise, rng))
    (folder / "lights").mkdir()
    encoder = FrameEncoder()
    for number in range(1, lights + 1):
        values = dark + 800 * flat + 12 * _piece(noise, rng)
        stars = rng.integers(0, dark.size - 1, 20_000)
        values.reshape(-1)[stars] += rng.exponential(3_000, stars.size)
        cards = raw_cards(
            kind=FrameKind.LIGHT,
            exposure_s=300.0,
            settings=SETTINGS,
            sensor_c=-10.0,
            setpoint_c=-10.0,
            filter_name="L",
            camera="Camera",
            started_at=STARTED + timedelta(minutes=6 * number),
            header={"EGAIN": 1.0},
        )
        header, data = encoder.encode(np.clip(np.rint(values), 1, 65535).astype(np.uint16), cards)
        (folder / "lights" / f"light_{number:05d}.fits").write_bytes(header + bytes(data))
    return means


def _piece(noise: F32, rng: np.random.Generator) -> F32:
    """Return a frame of noise that starts at a random place, which is much faster than new random numbers."""
    start = int(rng.integers(0, noise.size - SHAPE[0] * SHAPE[1]))
    return noise[start : start + SHAPE[0] * SHAPE[1]].reshape(SHAPE)


def _write_master(folder: Path, kind: FrameKind, mean: F32, noise: F32) -> None:
    """Write a master for coldframe, and one for Siril: floats from 0 to 1 without a flat's normalisation."""
    usual = np.float32(0.005 if kind is FrameKind.FLAT else 9)
    uncertainty = usual / np.float32(FRAMES**0.5) * (1 + np.float32(0.15) * noise).clip(0.3, 2)
    master = MasterFrame(
        kind=kind,
        stack=Stack(FRAMES, mean, uncertainty, np.full(SHAPE, FRAMES, np.uint16), 0, flat_level_adu=16_384.0),
        camera="Camera",
        settings=SETTINGS,
        exposure_s={FrameKind.BIAS: 0.0, FrameKind.DARK: 300.0}.get(kind, 2.0),
        sensor_c=-10.0,
        setpoint_c=-10.0,
        filter_name="L" if kind is FrameKind.FLAT else None,
        method=Clipping(),
        inputs=(),
        first_at=STARTED,
        last_at=STARTED + timedelta(hours=1),
        subtracted="dark flat" if kind is FrameKind.FLAT else None,
        header={"EGAIN": 1.0},
    )
    write_master(folder / "library" / master_name(master), master)
    scale = np.float32(0.25 if kind is FrameKind.FLAT else 1 / 65535)
    with (folder / f"{kind}.fits").open("wb") as file:
        file.writelines(primary_pieces(mean * scale, []))


def ours(folder: Path, options: Sequence[str] = ()) -> Cost:
    """Calibrate with coldframe; earlier results are removed first."""
    target = folder / "ours"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [
        sys.executable,
        "-m",
        "coldframe",
        "calibrate",
        str(folder / "lights" / "light_*.fits"),
        "-o",
        str(target),
    ]
    return run([*command, "--library", str(folder / "library"), *options], environment)


def siril(folder: Path, command: str, word: str) -> Cost:
    """Calibrate with Siril's command `word`; earlier results are removed first."""
    lights = folder / "lights"
    for path in {*lights.glob("pp_*"), *lights.glob("*.seq")}:
        path.unlink()
    script = folder / "calibrate.ssf"
    masters = f"-dark={folder / 'dark'} -flat={folder / 'flat'}"
    script.write_text(f"requires 1.0.0\nsetext fits\nset32bits\n{word} light_ {masters}\n")
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "LC_ALL": "C"}
    return run([command, "-d", str(lights), "-s", str(script)], os.environ | home)


def word_of(folder: Path, command: str) -> str:
    """Return the name of the command that calibrates: "calibrate" since Siril 1.2, "preprocess" in older versions."""
    try:
        siril(folder, command, "calibrate")
    except RuntimeError:
        return "preprocess"
    return "calibrate"


def write_plainly(paths: Iterable[Path], folder: Path) -> tuple[float, float]:
    """Return the time to write the bytes of some files to new files, without anything else, and the gigabytes."""
    block = bytes(1 << 23)
    size = 0
    begin = time.perf_counter()
    for path in paths:
        with (folder / "plain").open("wb", buffering=0) as file:
            for start in range(0, left := path.stat().st_size, len(block)):
                file.write(block[: left - start])
        size += left
        (folder / "plain").unlink()
    return time.perf_counter() - begin, size / 1e9


def disagreement(folder: Path, command: str, word: str, means: Mapping[FrameKind, F32]) -> tuple[float, float]:
    """Return the largest relative difference of the first light's pixels, and the fraction of pixels left out."""
    siril(folder, command, word)
    ours(folder, ("--float", "--uncertainty"))
    with fits.open(folder / "ours" / "light_00001_calibrated.fits") as units:
        own, mask = units[0].data.astype(np.float64), units["MASK"].data
    theirs = fits.getdata(folder / "lights" / "pp_light_00001.fits").astype(np.float64) * 65535
    dark, flat = means[FrameKind.DARK].astype(np.float64), means[FrameKind.FLAT].astype(np.float64)
    raw = fits.getdata(folder / "lights" / "light_00001.fits").astype(np.float64)
    # Siril normalises the flat by its middle, coldframe by the mean of all pixels.
    scale = float(np.median(theirs / own))
    level = np.maximum(np.abs(own), raw / flat)  # float32 rounds before the dark is subtracted
    mended_by_siril = np.abs(theirs / scale - (raw - dark) / flat) > 0.01 * level
    left_out = (mask != 0) | mended_by_siril
    apart = np.abs(theirs / scale - own) / level
    return float(apart[~left_out].max()), float(left_out.mean())


def main() -> None:
    """Print times, memory and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lights", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=None, help="folder in memory, such as /dev/shm/calibrate")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument(
        "--siril", nargs="*", default=["siril-cli"], metavar="COMMAND", help="commands of Siril's versions, or none"
    )
    options = parser.parse_args()
    found = [command for command in options.siril if shutil.which(command)]
    if not found:
        print("!! Siril is not compared (Debian package siril)")
    folder = options.folder or Path("/dev/shm")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        compare(Path(name), options.lights, options.runs, found)


def compare(folder: Path, lights: int, runs: int, sirils: Sequence[str]) -> None:
    """Measure the programs in turn, and print a line for each."""
    means = render(folder, lights)
    raw = sorted((folder / "lights").glob("light_*.fits"))
    inputs = [*raw, *sorted((folder / "library").iterdir()), *sorted(folder.glob("*.fits"))]
    print(f"{os.cpu_count()} CPUs; coldframe {version('coldframe')}; {lights} lights of {SHAPE[1]} x {SHAPE[0]} pixels")
    ours(folder, ("--uncertainty",))  # compiles the kernels
    words = {command: word_of(folder, command) for command in sirils}
    versions = {command: first_line(command, "--version") for command in sirils}
    contestants: dict[str, Callable[[], Cost]] = {
        "coldframe": partial(ours, folder),
        "coldframe --no-diagnose": partial(ours, folder, ("--no-diagnose",)),
        "coldframe --uncertainty": partial(ours, folder, ("--uncertainty",)),
        **{versions[command]: partial(siril, folder, command, word) for command, word in words.items()},
    }
    costs: dict[str, list[Cost]] = {contestant: [] for contestant in contestants}
    for _ in range(runs):
        for contestant, calibrate in contestants.items():
            read_all(inputs)
            claim_memory(4 * inputs)  # on a disk in memory, the results need memory, and those of Siril are the largest
            costs[contestant].append(calibrate())
    medians = {
        each: Cost(median(c.seconds for c in some), max(c.gigabytes for c in some)) for each, some in costs.items()
    }
    for contestant, cost in medians.items():
        seconds = cost.seconds / lights
        print(f"{contestant:28}{cost.seconds:7.2f} s {cost.gigabytes:5.2f} GB{1000 * seconds:7.0f} ms per light")
    ours(folder)
    written, gigabytes = write_plainly(list((folder / "ours").iterdir()), folder)
    print(f"writing the same {gigabytes:.2f} GB without calibrating: {written:.2f} s")
    own = medians["coldframe"]
    longer = medians["coldframe --uncertainty"].seconds / own.seconds
    print(f"memory {own.gigabytes:.2f} GB: {_verdict(own.gigabytes <= MOST_GIGABYTES)} (goal {MOST_GIGABYTES:g} GB)")
    print(f"with uncertainty {longer:.2f}x: {_verdict(longer <= LONGER_WITH_UNCERTAINTY)} (goal 1.6x)")
    for command, word in words.items():
        ratio = medians[versions[command]].seconds / own.seconds
        print(f"{versions[command]}: time / coldframe's {ratio:.2f}: {_verdict(ratio >= FASTER)} (goal {FASTER:g})")
        apart, left_out = disagreement(folder, command, word, means)
        print(
            f"pixels differ by at most {apart:.1e} of their level: {_verdict(apart <= TOLERANCE)} (tolerance"
            f" {TOLERANCE:g}); {left_out:.1e} of them are replaced by either program, and not compared"
        )


def _verdict(reached: bool) -> str:  # noqa: FBT001 - one argument
    return "yes" if reached else "NO"


if __name__ == "__main__":
    main()
