"""A broker that crashes, hangs and returns in every phase of a night neither changes a frame nor costs time.

The nights run in virtual time. Telemetry has a thread with a separate event loop, so it connects in real time.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    Event,
    NightEnded,
    NightStarted,
    Notice,
    StepStarted,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.monitoring.telemetry.publisher import Telemetry
from coldframe.capture.night.assembly import assembled_night, open_night_files
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import read_access
from coldframe.simulators.devices import simulated_rig
from tests.mosquitto import Mosquitto, needs_mosquitto
from tests.nights.nights import START, Inline, tiny
from tests.patience import block_until

pytestmark = [needs_mosquitto, pytest.mark.looptime]


Trouble = Callable[[Mosquitto, Event, Telemetry], None]


@dataclass(frozen=True)
class Outcome:
    """The results that must not depend on the broker."""

    outcome: NightOutcome
    frames: dict[str, str]
    steps: int
    took_s: float


def few_frames() -> Settings:
    settings = load_settings(example_night("small"))
    sets = tuple(each.model_copy(update={"count": 6}) for each in settings.sets if each.filter != "Ha")
    return settings.model_copy(update={"sets": sets})


async def night(folder: Path, broker: Mosquitto | None, trouble: Trouble | None = None) -> Outcome:
    """Run a night; `trouble` may disturb the broker at each event, before the event is published."""
    asyncio.get_running_loop().set_default_executor(Inline())
    settings, clock, events, seen = few_frames(), NightClock(START), EventStream(), list[Event]()
    events.subscribe(seen.append)
    async with AsyncExitStack() as resources:
        if broker is not None:
            mqtt = MqttSettings(host="127.0.0.1", port=broker.port, home_assistant=True, commands=True)
            telemetry = Telemetry(
                mqtt, read_access(mqtt), "rig", events=events, clock=clock, backoff=Backoff(0.05, 0.2)
            )
            await resources.enter_async_context(telemetry.publishing())
            events.subscribe(lambda event: trouble(broker, event, telemetry) if trouble else None)
            events.subscribe(telemetry)
        rig = simulated_rig(tiny(load_rig("small")), clock.now)
        await rig.connect()
        files = open_night_files(folder, None, settings, clock.now())
        assembled = await resources.enter_async_context(assembled_night(settings, rig, files, events, clock))
        outcome = await assembled.night.run()
    (started,) = (event for event in seen if isinstance(event, NightStarted))
    (ended,) = (event for event in seen if isinstance(event, NightEnded))
    return Outcome(outcome, digests(folder), len(started.steps), (ended.at - started.at).total_seconds())


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.fits")
    }


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


_undisturbed: list[Outcome] = []


async def undisturbed(folder: Path) -> Outcome:
    if not _undisturbed:
        _undisturbed.append(await night(folder, None))
    return _undisturbed[0]


class Phases:
    """Disturbs the broker whenever a step begins and when the night ends, each time in another way."""

    def __init__(self, *troubles: Callable[[Mosquitto], None]) -> None:
        self._troubles = troubles
        self.met = 0

    def __call__(self, broker: Mosquitto, event: Event, telemetry: Telemetry) -> None:
        if isinstance(event, StepStarted | NightEnded):
            trouble = self._troubles[self.met % len(self._troubles)]
            trouble(broker)
            # Block the night until the thread has noticed the trouble, so that every phase meets it.
            if trouble is Mosquitto.kill:
                block_until(lambda: not telemetry.connection.is_connected)
            elif trouble in (Mosquitto.start, Mosquitto.restart):
                block_until(lambda: telemetry.connection.is_connected)
            self.met += 1


def test_the_night_has_the_phases_that_count() -> None:
    kinds = {each.kind for each in few_frames().sets}
    assert len(kinds) == 4


@pytest.mark.parametrize(
    "troubles",
    [
        pytest.param((Mosquitto.kill, Mosquitto.start), id="killed, back"),
        pytest.param((Mosquitto.restart, Mosquitto.kill), id="back, killed", marks=pytest.mark.deep),
        pytest.param((Mosquitto.freeze, Mosquitto.thaw), id="hung, back"),
        pytest.param((Mosquitto.thaw, Mosquitto.freeze), id="back, hung", marks=pytest.mark.deep),
    ],
)
async def test_broker_in_trouble_in_every_phase_changes_no_frame(
    broker: Mosquitto, tmp_path: Path, troubles: tuple[Callable[[Mosquitto], None], ...]
) -> None:
    expected = await undisturbed(tmp_path / "alone")
    phases = Phases(*troubles)
    assert await night(tmp_path / "published", broker, phases) == expected
    assert phases.met == expected.steps + 1, "each step, and the end"
    assert expected.outcome is NightOutcome.COMPLETE
    assert len(expected.frames) > 20


async def test_broker_that_hangs_all_night_changes_no_frame(broker: Mosquitto, tmp_path: Path) -> None:
    expected = await undisturbed(tmp_path / "alone")
    broker.freeze()
    assert await night(tmp_path / "published", broker) == expected


async def test_missing_broker_is_reported_and_changes_no_frame(broker: Mosquitto, tmp_path: Path) -> None:
    expected = await undisturbed(tmp_path / "alone")
    broker.kill()
    notices: list[str] = []

    def collect(_broker: Mosquitto, event: Event, _telemetry: Telemetry) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)

    assert await night(tmp_path / "published", broker, collect) == expected
    assert [text for text in notices if "cannot reach" in text or "the cooler is off" in text] == notices
