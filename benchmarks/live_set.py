"""Measure the time per frame, the time to the master, and the memory of a set without a camera and a disk.

Run ``python -m benchmarks.live_set [--size 6248x4176 9576x6388] [--frames 30 100 200]``. Each set runs in a new
process. The code is the same as in a night. It judges, digests, accumulates and combines the frames. The frames arrive
from memory as fast as they are accepted, each in a new array. Nothing is written to the disk.

"one alone" is the time to judge and then accumulate a frame while nothing else runs, averaged over eight frames,
because every fourth frame is accumulated together with the three frames before it. "in the set" is the time from frame
to frame, when one frame is judged while the previous one is accumulated. "to master" is the time from the arrival
of the last frame until the master could be written. "memory of set" is the peak memory of the process minus its memory
before the first frame, which includes imports and compiled code. The goals are for 26 megapixels. live.md lists
earlier results.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine_line
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.capture.clock import NightClock
from coldframe.capture.events.stream import EventStream
from coldframe.capture.night.assembly import NightFiles, night_context
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.exposing_frame import Shot
from coldframe.capture.session.context import NightContext
from coldframe.capture.shooting.set_frames import SetFrames
from coldframe.capture.shooting.set_inputs import BiasInputs
from coldframe.capture.shooting.set_shooting import SetShooting
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import Settings
from coldframe.config.tables.rig import CameraSettings
from coldframe.config.tables.sets import FrameSet
from coldframe.devices.camera import CameraFeatures, Frame, Limits
from coldframe.devices.rig import Rig

NAME = "Camera in memory"
SPARE_PIXELS = 1_000_003
FRAME_S_GOAL = 0.06
MASTER_S_GOAL = 1.0
BYTES_PER_PIXEL_GOAL = 45
FRAMES_GOAL = 7
WARM_FRAMES = 4
ALONE_FRAMES = 8
BIAS = BiasInputs(0.0001)


@dataclass
class MemoryCamera:
    """A camera that delivers noise. Each frame starts at a different position in the same values."""

    shape: tuple[int, int]
    name: str = NAME
    is_ready: bool = True
    delivered_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.features = CameraFeatures(self.shape[1], self.shape[0], 16, Limits(0.0001, 1))
        rng = np.random.default_rng(1)
        self._values = np.empty(self.shape[0] * self.shape[1] + SPARE_PIXELS, np.uint16)
        for start in range(0, self._values.size, SPARE_PIXELS):
            part = self._values[start : start + SPARE_PIXELS]
            part[:] = rng.normal(500, 10, part.size).round()

    def pixels(self, number: int) -> NDArray[np.uint16]:
        """Return the values of a frame as an array with the shape (pixels,)."""
        start = number * 7919 % SPARE_PIXELS
        return self._values[start : start + self.shape[0] * self.shape[1]]

    async def ensure_ready(self) -> None:
        """Do nothing."""

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        """Accept all settings."""
        return settings

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        """Deliver a frame at once."""
        pixels = self.pixels(len(self.delivered_s)).reshape(self.shape).copy()
        self.delivered_s.append(time.perf_counter())
        return Frame(pixels, kind, exposure_s, datetime.now(UTC), ReadoutSettings(), None, None, NAME)


@dataclass(frozen=True, slots=True)
class NoDisk(NightFolder):
    """A folder that discards frames and masters, and records when a master could have been written."""

    ready_s: list[float] = field(default_factory=list)

    def save_frame(self, frame: Frame, filter_name: str | None, index: int) -> Path:  # noqa: ARG002 - as in its parent
        """Return a name for the frame."""
        return Path(f"{index}.fits")

    def save_master(self, master: MasterFrame) -> Path:
        """Return a name that contains the master's numbers of frames and of recomputed pixels."""
        self.ready_s.append(time.perf_counter())
        return Path(f"{master.stack.frames}-{master.stack.recomputed}.fits")

    def file_master(self, path: Path) -> Path:
        """Do nothing, because there is no library."""
        return path


def memory_night(camera: MemoryCamera, count: int, folder: NoDisk) -> tuple[NightContext, ShootStep]:
    settings = Settings(camera=CameraSettings(device=NAME), sets=(FrameSet(kind=FrameKind.BIAS, count=count),))
    rig = Rig(camera)  # type: ignore[arg-type] # all that a bias set needs from a camera
    events, clock = EventStream(), NightClock()
    context = night_context(settings, rig, NightFiles(folder), events, clock)
    return context, ShootStep(FrameKind.BIAS, count, None, None, ReadoutSettings(), None)


async def shoot(camera: MemoryCamera, count: int) -> tuple[NoDisk, Path]:
    folder = NoDisk(Path())
    context, step = memory_night(camera, count, folder)

    def values_at(path: Path, places: NDArray[np.intp]) -> NDArray[np.uint16]:
        return camera.pixels(int(path.stem) - 1)[places]

    with patch("coldframe.capture.pipeline.frame_stack.values_at", values_at):
        made = await SetShooting(context, 1, step, BIAS).run()
    return folder, Path(made.master.name)


async def one_alone_s(shape: tuple[int, int], count: int) -> float:
    """Return the mean time to judge and then accumulate a frame."""
    camera, times = MemoryCamera(shape), list[float]()
    context, step = memory_night(camera, count, NoDisk(Path()))
    delivered = DeliveredFrames(context, 1)
    frames = SetFrames(context, 1, step, BIAS, delivered=delivered, give_up=lambda _error: None)
    for _ in range(WARM_FRAMES + ALONE_FRAMES):
        frame = await camera.expose(FrameKind.BIAS, BIAS.exposure_s)
        delivered.add(frame, None)
        begin = time.perf_counter()
        await frames.keep(await frames.judge(Shot(frame, 0.0, None)))
        times.append(time.perf_counter() - begin)
    return fmean(times[WARM_FRAMES:])


def memory_bytes(line: str) -> int:
    """Return a value of /proc/self/status, VmRSS or VmHWM, in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition(f"{line}:")[2].split()[0])


def measure_here(shape: tuple[int, int], count: int) -> None:
    """Shoot a set in this process, and print the measurements as JSON."""
    asyncio.run(shoot(MemoryCamera((64, 96)), 10))
    camera = MemoryCamera(shape)
    before = memory_bytes("VmRSS")
    folder, name = asyncio.run(shoot(camera, count))
    set_bytes, process_bytes = memory_bytes("VmHWM") - before, memory_bytes("VmHWM")
    # The first frame is excluded, because it waits for newly allocated memory.
    print(
        json.dumps(
            {
                "alone_s": asyncio.run(one_alone_s(shape, count)),
                "frame_s": (camera.delivered_s[-1] - camera.delivered_s[1]) / (count - 2),
                "master_s": folder.ready_s[-1] - camera.delivered_s[-1],
                "set_bytes": set_bytes,
                "process_bytes": process_bytes,
                "recomputed": int(name.stem.partition("-")[2]),
            }
        )
    )


def report(shape: tuple[int, int], count: int) -> None:
    """Measure a set in a new process, and print a line."""
    command = [sys.executable, "-m", "benchmarks.live_set", "--here", f"{shape[1]}x{shape[0]}", str(count)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    pixels = shape[0] * shape[1]
    beyond = (found["set_bytes"] - 2 * FRAMES_GOAL * pixels) / pixels
    print(
        f"{pixels / 1e6:5.0f} MP{count:6d}{1000 * found['alone_s']:9.0f} ms{1000 * found['frame_s']:9.0f} ms"
        f"{found['master_s']:9.2f} s{found['set_bytes'] / 1e9:10.2f} GB{beyond:8.1f} B/px + {FRAMES_GOAL} frames"
        f"{found['process_bytes'] / 1e9:10.2f} GB{found['recomputed']:8d}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=["6248x4176", "9576x6388"])
    parser.add_argument("--frames", type=int, nargs="+", default=[30, 100, 200])
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here is not None:
        width, height = map(int, options.here[0].split("x"))
        measure_here((height, width), int(options.here[1]))
        return
    print(machine_line())
    print(
        f"goals at 26 MP: {1000 * FRAME_S_GOAL:.0f} ms a frame, {MASTER_S_GOAL:g} s to the master,"
        f" {BYTES_PER_PIXEL_GOAL} B/px + {FRAMES_GOAL} frames\n"
        "         frames   one alone  in the set  to master    memory of set            process  pixels recomputed"
    )
    for number, size in enumerate(options.size):
        width, height = map(int, size.split("x"))
        for count in options.frames if number == 0 else options.frames[:1]:
            report((height, width), count)


if __name__ == "__main__":
    main()
