"""A night keeps a few hundred bytes for each frame, and nothing but its masters of each set, while it is watched."""

import asyncio
import tracemalloc
from contextlib import aclosing
from pathlib import Path

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, MasterGrew, StepStarted
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.watching.server import WatchServer
from coldframe.capture.monitoring.watching.source import Attached
from coldframe.capture.night.assembly import assembled_night, open_night_files
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.simulators.devices import simulated_rig
from tests.nights.nights import tiny

COUNTS = (61, 65, 129)
"""Frames of each set. The running states of these sets have the same size, which their first 64 frames fill."""

MOST_BYTES_PER_FRAME = 10_000
"""A small frame has 38,400 bytes. What remains are mainly the lines for watchers, whose total is limited."""

MOST_BYTES_PER_SET = 300_000
"""Includes the lines for watchers. The running state of a set has 12 MB."""


def quick_rig() -> SimulatedRig:
    """Return a small rig that takes no time: without cooler and cover, and with an immediate readout."""
    rig = tiny(load_rig("small"))
    timing = rig.timing.model_copy(update={"readout_s": 0.0})
    panel = rig.panel.model_copy(update={"cover_travel_s": None, "switch_s": 0.0})
    return rig.model_copy(update={"cooler": None, "timing": timing, "panel": panel})


def three_sets() -> Settings:
    """Return a night with darks of three short exposures."""
    settings = load_settings(example_night("small"))
    dark = settings.sets[1]
    sets = tuple(
        dark.model_copy(update={"count": count, "exposure_s": 0.001 * number}) for number, count in enumerate(COUNTS, 1)
    )
    camera = settings.camera.model_copy(update={"setpoint_c": None})
    return settings.model_copy(update={"sets": sets, "camera": camera})


async def watch(storage: Path, attached: asyncio.Event) -> None:
    async with aclosing(LocalSource(storage).updates()) as updates:
        async for update in updates:
            if isinstance(update, Attached):
                attached.set()


async def test_a_watched_night_keeps_little_of_each_frame_and_set(tmp_path: Path) -> None:
    at_starts, at_ends = list[int](), list[int]()

    def measure(event: Event) -> None:
        # No exposure is under way at these events. After a set, the night itself must free its memory.
        if isinstance(event, StepStarted):
            at_starts.append(tracemalloc.get_traced_memory()[0])
        if isinstance(event, MasterGrew) and event.frames == COUNTS[len(at_ends)]:
            at_ends.append(tracemalloc.get_traced_memory()[0])

    clock, events, settings = NightClock(), EventStream(), three_sets()
    rig = simulated_rig(quick_rig(), clock.now)
    await rig.connect()
    files = open_night_files(tmp_path, None, settings, clock.now())
    async with (
        assembled_night(settings, rig, files, events, clock) as assembled,
        WatchServer(tmp_path, events, assembled.steering, allows_commands=False),
    ):
        attached = asyncio.Event()
        watching = asyncio.create_task(watch(tmp_path, attached))
        await attached.wait()
        events.subscribe(measure)
        tracemalloc.start()
        try:
            assert await assembled.night.run() is NightOutcome.COMPLETE
        finally:
            tracemalloc.stop()
            watching.cancel()
            await asyncio.wait([watching])
    per_frame = (at_ends[2] - at_ends[1]) / (COUNTS[2] - COUNTS[1])
    print(f"{per_frame:.0f} bytes per frame, {at_starts[2] - at_starts[1]} bytes per set")
    assert per_frame < MOST_BYTES_PER_FRAME
    assert at_starts[2] - at_starts[1] < MOST_BYTES_PER_SET
