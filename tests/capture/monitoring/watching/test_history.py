"""The history for a new watcher, which is bounded but sufficient for the same dashboard."""

from datetime import UTC, datetime, timedelta

import numpy as np

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FrameAccepted,
    MasterGrew,
    NightStarted,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import PlannedStep, StepType
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.watching.history import History
from coldframe.capture.monitoring.watching.messages import decode_message
from coldframe.config.frames import FrameKind

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
STEPS = (PlannedStep(1, "dark 60 s", FrameKind.DARK, None, 300, 60.0, 18_000.0, StepType.SHOOT),)


def night(frames: int) -> list[Event]:
    """Return a night of one set, with a temperature each second."""
    events: list[Event] = [NightStarted(AT, "/night", "Camera", None, None, 100, 80, STEPS), StepStarted(AT, 1)]
    for index in range(1, frames + 1):
        began = AT + timedelta(seconds=60 * index)
        events.append(ExposureStarted(began, 1, FrameKind.DARK, 60.0))
        events += [TemperatureRead(began + timedelta(seconds=second), -10.0, -10.0, 40.0) for second in range(60)]
        events.append(CoolingProgress(began + timedelta(seconds=60), "-10.0 C"))
        end = began + timedelta(seconds=60)
        events.append(FrameShown(end, f"dark {index}", np.full((4, 6), index % 256, np.uint8), np.arange(128)))
        statistics = FrameStatistics(500.0, 500.0, 500.0, 10.0, 400, 600, 0.0)
        events.append(FrameAccepted(end, 1, index, f"/night/{index}.fits", 60.0, -10.0, statistics))
        events.append(MasterGrew(end, 1, index, 10.0 / index**0.5))
    return events


def state_of(events: list[Event]) -> DashboardState:
    state = DashboardState()
    for event in events:
        state.apply(event)
    return state


def decoded(history: History) -> list[Event]:
    messages = [decode_message(line.encode()) for line in history.lines()]
    return [message for message in messages if isinstance(message, Event)]


def test_later_watcher_reaches_the_same_state() -> None:
    history, events = History(), night(40)
    for event in events:
        history.add(event)
    later, live = state_of(decoded(history)), state_of(events)
    assert later.night == live.night
    assert later.steps == live.steps
    assert later.noise == live.noise
    assert later.exposure == live.exposure
    assert later.thermals == live.thermals
    assert later.cooling == live.cooling
    assert later.frame == live.frame
    assert later.shown is not None
    assert live.shown is not None
    np.testing.assert_array_equal(later.shown.picture, live.shown.picture)
    span = later.temperatures[-1].at - later.temperatures[0].at
    assert span > timedelta(minutes=29)
    assert later.latest[-1] == live.latest[-1]


def test_events_are_in_order() -> None:
    history = History()
    for event in night(30):
        history.add(event)
    times = [event.at for event in decoded(history)[:-1]]
    assert times == sorted(times)


def test_number_of_readings_is_limited() -> None:
    history = History()
    for event in night(100):
        history.add(event)
    kinds = [type(event) for event in decoded(history)]
    assert kinds.count(TemperatureRead) == 360
    assert kinds.count(CoolingProgress) == kinds.count(ExposureStarted) == kinds.count(FrameShown) == 1


def test_oldest_events_are_discarded_but_not_the_plan() -> None:
    history = History(most_bytes=20_000)
    for event in night(300):
        history.add(event)
    events = decoded(history)
    assert isinstance(events[0], NightStarted)
    assert state_of(events).steps[1].accepted == 300
    assert len("".join(history.lines())) < 20_000 + 360 * 200 + 10_000
