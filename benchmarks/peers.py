"""Compare `coldframe combine` with Siril, Gnuastro and ccdproc, as whole processes on the same files in one run.

Run `python -m benchmarks.peers [--frames 50 200] [--folder /dev/shm/peers] [--ccdproc /path/to/python]`. Files are
written once. All their bytes are read before each run, so that every program finds them in the page cache. Each program
runs three times (`--runs`), alternating with coldframe, and the median time is printed, with the machine, the versions
and the ratio to the goal. Results are compared pixel by pixel, and differences between the statistics are noted.
Programs that are not installed are listed and skipped. ccdproc should have a separate environment, so its interpreter
is an option. `--linear` also measures how coldframe's time grows with the number of frames.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.combining.frame_sets import open_frames
from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.stacking.column_sort import combine_columns
from coldframe.calibration.stacking.methods import Clipping, Mean, Median, MedianClipping, Winsorizing

CLAIMED = 1.1
"""Memory that is claimed before each run, relative to the size of the files: Siril stacks all of them in memory."""

LARGEST_FOR_ALL = 50
"""Largest number of frames with which all contests run. With more, only contests with a goal run, to save time."""
CCDPROC = """
import sys, warnings
warnings.simplefilter("ignore")
import ccdproc
combined = ccdproc.combine(sys.argv[2:], method="average", unit="adu", sigma_clip=True, mem_limit=2e9)
combined.data.astype("float32").tofile(sys.argv[1])
"""


class Cost(NamedTuple):
    """The time and memory of a process."""

    seconds: float
    gigabytes: float


class Contest(NamedTuple):
    """A statistic that coldframe and a peer compute.

    Attributes
    ----------
    peer, statistic
        Names of the other program and of the statistic.
    floor
        Factor by which coldframe must be faster, by number of frames.
    ours
        Options of `coldframe combine`.
    command
        Returns the peer's command for an output file and input files.
    read
        Reads the peer's result, in ADU.
    unlike
        Difference between the statistics; empty if there is none.
    """

    peer: str
    statistic: str
    floor: dict[int, float]
    ours: Sequence[str]
    command: Callable[[Path, list[Path]], list[str]]
    read: Callable[[Path], NDArray[np.float64]]
    unlike: str = ""


def render(folder: Path, count: int, shape: tuple[int, int]) -> list[Path]:
    """Write darks with hot pixels, noise and cosmic rays, but keep existing files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"dark_{number:05d}.fits" for number in range(1, count + 1)]
    rng = np.random.default_rng(1)
    level = rng.normal(500, 5, shape).astype(np.float32)
    spare = 2_000_000
    noise = rng.standard_normal(level.size + spare, np.float32) * np.float32(10)
    encoder = FrameEncoder()
    for number, path in enumerate(paths):
        if path.exists():
            continue
        start = int(rng.integers(0, spare))
        values = level + noise[start : start + level.size].reshape(shape)
        hits = rng.integers(0, level.size, level.size // 10_000)
        values.reshape(-1)[hits] += rng.exponential(3000, hits.size)
        cards = [
            Card("IMAGETYP", "Dark Frame"),
            Card("EXPTIME", 300.0),
            Card("DATE-OBS", f"2026-11-22T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}"),
        ]
        # No pixel is 0, because Siril ignores zeros.
        header, data = encoder.encode(np.clip(np.rint(values), 1, 65535).astype(np.uint16), cards)
        path.write_bytes(header + bytes(data))
    return paths


def claim_memory(files: Iterable[Path]) -> None:
    """Use as much memory as any program needs for the files, and free it again.

    A virtual machine may have returned free memory to its host. If so, the process that next uses this memory waits for
    the host, and the measured time depends on how long the machine was idle.
    """
    size = int(CLAIMED * sum(path.stat().st_size for path in files))
    subprocess.run([sys.executable, "-c", f"import numpy; numpy.ones({size}, numpy.uint8)"], check=True)


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a process until it ends, and return its time and memory.

    time(1) measures the peak memory, because the peak of a direct child would include the memory of this process.
    """
    with tempfile.NamedTemporaryFile("r") as peak:
        timed = ["/usr/bin/time", "-q", "-f", "%M", "-o", peak.name, *command]
        begin = time.perf_counter()
        ended = subprocess.run(timed, capture_output=True, env=environment, check=False)
        seconds = time.perf_counter() - begin
        if ended.returncode != 0:
            output = (ended.stdout[-300:] + ended.stderr[-300:]).decode(errors="replace")
            raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {output}")
        return Cost(seconds, float(peak.read()) / 1e6)


def ours(output: Path, files: list[Path], options: Sequence[str], cache: Path | None = None) -> Cost:
    """Combine with coldframe. If `cache` is given, store compiled kernels in that folder."""
    output.unlink(missing_ok=True)
    # An installation compiles byte code once, but some environments prevent this.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = str(cache)
    command = [sys.executable, "-m", "coldframe", "combine", *map(str, files), "-o", str(output), *options]
    return run(command, environment)


def siril(program: str, arguments: str) -> Callable[[Path, list[Path]], list[str]]:
    """Return the command of a version of Siril for a stacking method."""

    def command(output: Path, files: list[Path]) -> list[str]:
        script = output.with_suffix(".ssf")
        # Without 32-bit output, Siril would round the mean to whole ADU.
        script.write_text(f"requires 1.0.0\nsetext fits\nset32bits\nstack dark_ {arguments} -out={output}\n")
        return [program, "-d", str(files[0].parent), "-s", str(script)]

    return command


def astarithmetic(operator: str) -> Callable[[Path, list[Path]], list[str]]:
    """Return Gnuastro's command for an operator."""
    return lambda output, files: [
        "astarithmetic", *map(str, files), str(len(files)), *operator.split(), "-g0", f"--output={output}",
    ]  # fmt: skip


def ccdproc(python: str) -> Callable[[Path, list[Path]], list[str]]:
    """Return the command that runs ccdproc under the given interpreter."""
    return lambda output, files: [python, "-c", CCDPROC, str(output), *map(str, files)]


def read_siril(path: Path) -> NDArray[np.float64]:
    # Siril writes floats from 0 to 1, and starts with the bottom row. coldframe keeps the order of the input.
    return np.asarray(fits.getdata(path), np.float64) * 65535


def read_plain(path: Path) -> NDArray[np.float64]:
    with fits.open(path) as units:
        return np.asarray(next(unit.data for unit in units if unit.data is not None), np.float64)


def contests(python: str | None, sirils: Sequence[str]) -> list[Contest]:
    """Return the contests that can run here, and print the missing programs."""
    median_clip, mean_clip = ("--center", "median"), ("--start", "all")
    possible: list[Contest] = []
    for program in sirils:
        if not shutil.which(program):
            print(f"!! {program} is not installed: no comparison with it (apt-get install siril)")
            continue
        name = first_line(program, "--version").capitalize()
        possible += [
            Contest(name, "sigma clip, median", {50: 9, 200: 12}, median_clip,
                    siril(program, "rej sigma 3 3 -nonorm"), read_siril),
            Contest(name, "median", {50: 7}, ("--method", "median"), siril(program, "med -nonorm"), read_siril),
            Contest(name, "winsorized", {50: 7}, ("--method", "winsorized"),
                    siril(program, "rej winsorized 3 3 -nonorm"), read_siril),
        ]  # fmt: skip
    if shutil.which("astarithmetic"):
        possible.append(
            Contest(
                "Gnuastro",
                "sigclip-mean",
                {50: 15},
                median_clip,
                astarithmetic("3 0.00001 sigclip-mean"),
                read_plain,
                "its sigma has ddof 0",
            )
        )
    else:
        print("!! astarithmetic is not installed: no comparison with Gnuastro (apt-get install gnuastro)")
    if python is not None:
        possible.append(
            Contest(
                "ccdproc",
                "sigma_clip=True",
                {50: 25},
                mean_clip,
                ccdproc(python),
                lambda path: np.fromfile(path, np.float32).astype(np.float64),
                "it clips once, not until convergence",
            )
        )
    else:
        print("!! no --ccdproc PYTHON: no comparison with ccdproc")
    return possible


def wanted(contest: Contest, only: Sequence[str] | None) -> bool:
    """Return True if the peer of a contest was named without its version, or if no peers were named."""
    return only is None or contest.peer.split()[0] in only


def circumstances() -> str:
    """Return the machine, and the versions of coldframe and of the packages and programs that determine its speed."""
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("coldframe", "numpy", "numba"))
    programs = [first_line(name, "--version") for name in ("astarithmetic",) if shutil.which(name)]
    processor = models[0] if models else platform.machine()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    machine = f"{processor}, {cores} cores, Linux {platform.release()}, load {load:.1f} before the first run"
    return "\n".join([machine, f"Python {platform.python_version()}, {packages}", *programs])


def first_line(*command: str) -> str:
    """Return the first line that a program prints."""
    return (subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines() or [command[0]])[0]


def compare(contest: Contest, files: list[Path], folder: Path, runs: int) -> None:
    """Run coldframe and the peer in turn, and print a line."""
    mine, theirs = folder / "ours.fits", folder / "peer.fit"
    pairs = []
    for _ in range(runs):
        theirs.unlink(missing_ok=True)
        read_all(files)
        claim_memory(files)
        own_cost = ours(mine, files, contest.ours)
        read_all(files)
        claim_memory(files)
        pairs.append((own_cost, run(contest.command(theirs, files))))
    own, other = (
        Cost(median(c.seconds for c in costs), max(c.gigabytes for c in costs)) for costs in zip(*pairs, strict=True)
    )
    ratio = other.seconds / own.seconds
    floor = contest.floor.get(len(files))
    verdict = "" if floor is None else f"  goal {floor:g}x: {'yes' if ratio >= floor else 'NO'}"
    mean, peer = read_plain(mine), contest.read(theirs).reshape(-1)
    difference = np.abs(mean.reshape(-1) - peer)
    if contest.peer.startswith("Siril") and np.median(difference) > 1:
        difference = np.abs(mean[::-1].reshape(-1) - peer)
    unlike = f" ({contest.unlike})" if contest.unlike else ""
    print(
        f"{len(files):4d}  {contest.peer:12}{contest.statistic:21}{own.seconds:7.2f} s {own.gigabytes:5.2f} GB"
        f"{other.seconds:9.2f} s {other.gigabytes:5.2f} GB{ratio:7.1f}x{verdict:20}"
        f"  differs by at most {difference.max():.3g} ADU; by more than 0.01: {(difference > 0.01).mean():.1e}{unlike}",
        flush=True,
    )


def read_all(files: list[Path]) -> float:
    """Return the time to read the bytes of the files from the page cache."""
    buffer = bytearray(1 << 20)
    begin = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - begin


def grow(files: list[Path], output: Path, runs: int) -> None:
    """Print how coldframe's time and memory grow with the number of frames."""
    for count in [count for count in (25, 50, 100, 200, 500) if count <= len(files)]:
        read_all(files[:count])
        costs = [ours(output, files[:count], ()) for _ in range(runs)]
        seconds = median(cost.seconds for cost in costs)
        print(
            f"{count:4d}  ours, default{seconds:22.2f} s {max(cost.gigabytes for cost in costs):5.2f} GB"
            f"{1000 * seconds / count:9.1f} ms per frame",
            flush=True,
        )


def stack_beside_reading(files: list[Path], folder: Path, runs: int) -> None:
    """Print the time for stacking alone, in this process, divided by the time for reading the same bytes."""
    frames, _ = open_frames(files, folder)
    images = [frame.image for frame in frames]
    for method in (Clipping(), MedianClipping(), Winsorizing(), Median(), Mean()):
        combine_columns(images, method)
        reading, stacking = [], []
        for _ in range(runs):
            reading.append(read_all(files))
            begin = time.perf_counter()
            combine_columns(images, method)
            stacking.append(time.perf_counter() - begin)
        ratio = median(stacking) / median(reading)
        print(f"stack alone {median(stacking):5.2f} s, {ratio:4.1f}x the time to read the bytes: {method}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[50])
    parser.add_argument("--width", type=int, default=6248)
    parser.add_argument("--height", type=int, default=4176)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "coldframe-peers")
    parser.add_argument("--linear", action="store_true", help="also measure 25, 50, 100, 200 and 500 frames")
    parser.add_argument(
        "--only", nargs="*", metavar="PEER", help="compare only with these programs (Siril, Gnuastro, ccdproc), or none"
    )
    parser.add_argument(
        "--siril", nargs="+", default=["siril-cli"], metavar="COMMAND", help="commands of Siril's versions"
    )
    parser.add_argument("--ccdproc", metavar="PYTHON", help="Python interpreter of an environment with ccdproc")
    parser.add_argument("--runs", type=int, default=3, help="number of runs of each program")
    options = parser.parse_args()
    print(circumstances(), flush=True)
    rivals = [each for each in contests(options.ccdproc, options.siril) if wanted(each, options.only)]
    for count in options.frames:
        files = render(options.folder / str(count), count, (options.height, options.width))
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            folder = Path(scratch)
            ours(folder / "warm.fits", files, ())
            print(f"\n{count} frames of {options.width} x {options.height}, medians of {options.runs}")
            print(f"time to read their bytes: {read_all(files):.2f} s")
            if count == options.frames[0]:
                cold = ours(folder / "cold.fits", files, ("--center", "median"), folder / "cache")
                print(f"first run, with compilation: {cold.seconds:.1f} s")
            stack_beside_reading(files, folder, options.runs)
            if options.linear:
                grow(files, folder / "grown.fits", options.runs)
            if rivals:
                print("   n  peer        statistic                 ours                   peer           ratio")
            for rival in rivals:
                if count <= LARGEST_FOR_ALL or count in rival.floor:
                    compare(rival, files, folder, options.runs)


if __name__ == "__main__":
    main()
