"""A night's context over simulated devices, for tests of single packages."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event
from coldframe.capture.events.stream import EventStream
from coldframe.capture.session.context import NightContext
from coldframe.capture.session.retry_budget import Retries
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from coldframe.devices.camera import Frame
from coldframe.devices.rig import Rig
from coldframe.simulators.devices import simulated_rig
from tests.nights.nights import tiny

START = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
READOUT = ReadoutSettings(gain=100, offset=50)


def context_in(
    folder: Path, *, settings: Settings | None = None, rig: Rig | None = None, saved: Iterable[Path] = ()
) -> tuple[NightContext, list[Event]]:
    """Return the context of a night that starts now, and the list of its events. Call this within an event loop."""
    clock, events, seen = NightClock(START), EventStream(), list[Event]()
    events.subscribe(seen.append)
    night = NightFolder.create(folder, START)
    context = NightContext(
        settings or load_settings(example_night("small")),
        rig or simulated_rig(tiny(load_rig("small")), clock.now),
        night,
        events,
        clock,
        Retries(),
        SavedFrames(night, saved),
        Steering(events, clock),
    )
    return context, seen


def frame_of(
    seed: int,
    kind: FrameKind = FrameKind.BIAS,
    *,
    exposure_s: float = 1.0,
    level_adu: float = 500.0,
    sensor_c: float | None = -10.0,
    shape: tuple[int, int] = (64, 96),
) -> Frame:
    """Return a frame with normally distributed noise around a level."""
    pixels = np.random.default_rng(seed).normal(level_adu, 10, shape).round().astype(np.uint16)
    return Frame(pixels, kind, exposure_s, START, READOUT, sensor_c, -10.0, "Camera")
