"""An INDI driver whose camera sends prepared frames, so that a benchmark does not measure the driver.

indiserver starts this driver like any other. COLDFRAME_BENCH_SIZE is the size of the frames, such as 6248x4176.
"""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import numpy as np

from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.simulators.cards import driver_cards
from coldframe.simulators.fits import MemoryFile, fits_file, fits_header
from coldframe.simulators.indi.device import IndiDevice, Publish
from coldframe.simulators.indi.driver import run_driver
from coldframe.simulators.indi.properties import State
from coldframe.simulators.indi.rig import IndiCamera
from coldframe.simulators.optics import Telescope
from coldframe.simulators.sensor import Exposure

READY_FRAMES = 6
"""Number of frames in rotation. A client may keep one frame fewer than this before the oldest is overwritten."""


class ReadyCamera(IndiCamera):
    """The simulated camera with prepared frames, which need only a new header."""

    def __init__(self, telescope: Telescope, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        super().__init__(telescope, tasks, publish)
        self._rig = telescope.rig
        bias = telescope.sensor.render(Exposure(number=1, exposure_s=0))
        self._frames = _in_turn([fits_file(bias, self._cards(FrameKind.BIAS, 0.0)) for _ in range(READY_FRAMES)])

    async def _expose(self, kind: FrameKind, exposure_s: float) -> None:
        self.report(self._exposure, State.BUSY)
        cards = self._cards(kind, exposure_s)
        await asyncio.sleep(exposure_s)
        number, file = next(self._frames)
        header = fits_header(self._rig.sensor.height, self._rig.sensor.width, cards)
        target = file.writable()
        target[: len(header)] = np.frombuffer(header, np.uint8)
        # The first pixels contain the frame's number, so that all frames differ.
        target[len(header) : len(header) + 8] = np.frombuffer(number.to_bytes(8, "big"), np.uint8)
        self.send(self._image, "CCD1", ".fits", file)
        self._exposure.set({"CCD_EXPOSURE_VALUE": 0.0})
        self.report(self._exposure, State.OK)

    def _cards(self, kind: FrameKind, exposure_s: float) -> dict[str, str | int | float | bool]:
        shot = Exposure(number=1, exposure_s=exposure_s, filter_slot=0)
        return driver_cards(self._rig, kind, shot, datetime.now(UTC), -10.0)


def _in_turn(files: list[MemoryFile]) -> Iterator[tuple[int, MemoryFile]]:
    return ((number, files[number % len(files)]) for number in count(1))


def bench_rig(size: str) -> SimulatedRig:
    """Return the mono rig with a sensor of a different size, given as "WIDTHxHEIGHT"."""
    width, height = map(int, size.split("x"))
    rig = load_rig("cooled-mono")
    return rig.model_copy(update={"sensor": rig.sensor.model_copy(update={"width": width, "height": height})})


def _build(tasks: asyncio.TaskGroup, publish: Publish) -> list[IndiDevice]:
    rig = bench_rig(os.environ.get("COLDFRAME_BENCH_SIZE", "6248x4176"))
    return [ReadyCamera(Telescope(rig, asyncio.get_running_loop().time()), tasks, publish)]


if __name__ == "__main__":
    run_driver(_build)
