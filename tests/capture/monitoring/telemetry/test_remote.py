"""Watching and steering a run through its broker."""

import asyncio
from datetime import UTC, datetime

from coldframe.capture.events.kinds import (
    Event,
    NightStarted,
    Notice,
    StepStarted,
)
from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.telemetry.digest import Digest
from coldframe.capture.monitoring.telemetry.following import RemoteNight
from coldframe.capture.monitoring.telemetry.remote import RemoteSource
from coldframe.capture.monitoring.watching.messages import Answer, Command, Request
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update
from coldframe.devices.mqtt.client import read_access
from tests.capture.monitoring.telemetry.clients import (
    RIG,
    STEPS,
    TOPICS,
    PublishedNight,
    Recorder,
    RecordingSteering,
    eventually,
    settings_for,
)
from tests.mosquitto import Mosquitto, needs_mosquitto


@needs_mosquitto
async def test_watcher_gets_all_events_and_steers_the_night(broker: Mosquitto) -> None:
    steering = RecordingSteering()
    settings = settings_for(broker, commands=True)
    night = PublishedNight(settings, steering)
    seen: list[Update] = []
    source = RemoteSource(settings, read_access(settings), RIG)

    async def watch() -> None:
        async for update in source.updates():
            seen.append(update)  # noqa: PERF401  # it never ends

    def events() -> list[Event]:
        """Return all events that the watcher has received, including the history."""
        found: list[Event] = []
        for update in seen:
            if isinstance(update, Attached):
                found = [*update.events]
            elif isinstance(update, Event):
                found.append(update)
        return found

    assert source.send(Command(Request.PAUSE)) == "not connected to the MQTT broker"
    async with night.telemetry.publishing():
        night.begin()
        async with Recorder().recording(broker) as recorder:
            await recorder.until(TOPICS.state, lambda state: state["steps"] == 2)
        watching = asyncio.create_task(watch())
        await eventually(lambda: events() == night.seen)
        # On a busy machine, the watcher may lose the broker and attach again.
        assert all(attached.allows_commands for attached in seen if isinstance(attached, Attached))
        assert source.send(Command(Request.SKIP, 2)) is None
        await eventually(lambda: Answer("skip 2 it is") in seen)
        night.end()
        await eventually(lambda: events() == night.seen)
    await eventually(lambda: Detached("the run is over") in seen)
    broker.kill()
    await eventually(lambda: isinstance(seen[-1], Detached) and "cannot reach" in seen[-1].reason)
    watching.cancel()
    await asyncio.wait([watching])


def test_watcher_that_missed_events_starts_again_with_the_next_journal() -> None:
    """The retained journal was some seconds old, and events were published between it and the first one received."""
    clock, digest = datetime(2026, 11, 22, 4, 0, tzinfo=UTC), Digest("0a1b2c3d")
    events = [NightStarted(clock, "/frames", "Camera", None, None, 160, 120, STEPS)]
    later = [StepStarted(clock, 1), StepStarted(clock, 2), Notice(clock, Severity.INFO, "x")]
    night = RemoteNight(TOPICS, allows_commands=False)
    digest.add(events[0])
    assert night.receive(TOPICS.status, b"online") == []
    assert night.receive(TOPICS.journal, digest.packed()) == [Attached((events[0],), allows_commands=False)]
    lines = [digest.add(event).encode() for event in later]
    assert night.receive(TOPICS.event, lines[2]) == [later[2]]
    assert night.receive(TOPICS.journal, digest.packed()) == [Attached((events[0], *later), allows_commands=False)]
    assert night.receive(TOPICS.journal, digest.packed()) == []
