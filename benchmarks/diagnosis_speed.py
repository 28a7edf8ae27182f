"""Measure the speed and the memory of the diagnosis of large lights, in whole processes.

Run `python -m benchmarks.diagnosis --speed`. The night is simulated by another process, because the simulation needs
more memory than the diagnosis.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from coldframe.calibration.diagnosis.master_files import read_masters
from coldframe.calibration.diagnosis.quick_look import MasterSummary, QuickLook
from coldframe.calibration.files.frame_file import read_frame, read_header
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.config.frames import FrameKind
from tests.calibration.diagnosis import nights

LARGE = (4176, 6248)
"""Height and width of lights of 26 megapixels."""

LIGHTS = 12


def process_cost(command: Sequence[str]) -> tuple[float, float]:
    """Return the wall time in seconds and the peak memory in GB of a process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {0, 1}, f"{command} ended with {process.returncode}"
    return time.perf_counter() - begin, usage.ru_maxrss / 1e6


def quick_look_seconds(lights: Sequence[Path], masters: Sequence[Path]) -> list[float]:
    """Return the seconds that the quick look takes for each light after the first, which compiles the code."""
    by_kind = {setup_of(read_header(path)).kind: path for path in masters}
    recipe = LightRecipe(by_kind[FrameKind.DARK], None, by_kind[FrameKind.FLAT])
    first = read_header(lights[0])
    setup = setup_of(first)
    whole = read_masters(recipe, (setup.height, setup.width))
    summary = MasterSummary(1)
    assert whole.dark is not None
    assert whole.flat is not None
    summary.add(FrameKind.DARK, whole.dark)
    summary.add(FrameKind.FLAT, whole.flat)
    look = QuickLook(setup, summary, whole.planes, float(str(first["EGAIN"])))
    seconds = []
    for path in lights:
        pixels, _ = read_frame(path)
        begin = time.perf_counter()
        look.measure(path, pixels)
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def write_large_night(folder: Path, size: tuple[int, int]) -> None:
    """Write a night with large frames."""
    nights.write(nights.simulate(nights.draw(1, size=size, lights=LIGHTS, program="nina")), folder)


def measure_speed(size: tuple[int, int]) -> None:
    """Print the speed and the memory of the diagnosis of large lights."""
    with TemporaryDirectory(prefix="coldframe-bench-") as name:
        folder = Path(name)
        make = [sys.executable, "-m", "benchmarks.diagnosis_speed", name, *map(str, size)]
        subprocess.run(make, check=True)
        lights, masters = (sorted((folder / each).iterdir()) for each in ("lights", "masters"))
        command = [
            sys.executable,
            "-m",
            "coldframe",
            "diagnose",
            str(folder / "lights"),
            "--library",
            str(folder / "masters"),
        ]
        seconds, peak_gb = process_cost(command)
        megapixels = size[0] * size[1] / 1e6
        print(f"coldframe diagnose, {len(lights)} lights of {megapixels:.1f} MP: {seconds:.1f} s, {peak_gb:.2f} GB")
        looks = quick_look_seconds(lights, masters)
        print(f"quick look at a light, {os.cpu_count()} cores: median {median(looks):.3f} s, most {max(looks):.3f} s")


if __name__ == "__main__":
    write_large_night(Path(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3])))
