"""The listener with a real broker starts one night at a time, and answers each command once."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coldframe.capture.monitoring.telemetry.listener import ANSWER_DEADLINE_S, Listener
from coldframe.capture.monitoring.telemetry.topics import Presence
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.client import connect, read_access
from coldframe.devices.mqtt.message import Message
from tests.capture.monitoring.telemetry.clients import (
    RIG,
    TOPICS,
    PublishedNight,
    Recorder,
    RecordingSteering,
    access_to,
    broker_of_the_guide,
    command,
    eventually,
    retained,
    send,
    settings_for,
)
from tests.mosquitto import Mosquitto, broker_with_access, needs_mosquitto
from tests.patience import PATIENCE_S

pytestmark = needs_mosquitto


class Night:
    """A night whose state the test sets."""

    def __init__(self) -> None:
        self.holds_rig = False
        self.ending = "no INDI server"
        self.terminations = 0
        self.ended = asyncio.Event()
        self.is_cleaned_up = False

    @property
    def is_over(self) -> bool:
        return self.ended.is_set()

    def terminate(self) -> None:
        self.terminations += 1

    async def wait(self) -> None:
        await self.ended.wait()

    async def clean_up(self) -> None:
        self.is_cleaned_up = True


class Nights:
    """Records the nights that it starts."""

    def __init__(self) -> None:
        self.started: list[Night] = []
        self.user: str | None = None
        self.fault: OSError | None = None

    def rig_user(self) -> str | None:
        return self.user

    def start(self) -> Night:
        if self.fault is not None:
            raise self.fault
        self.started.append(Night())
        return self.started[-1]


class Scene:
    """A listener, the nights that it starts, the lines that it reports, and a recorder of all messages."""

    def __init__(self, broker: Mosquitto, recorder: Recorder, settings: MqttSettings, **deadlines: float) -> None:
        self.broker, self.recorder, self.nights, self.lines = broker, recorder, Nights(), list[str]()
        self.listener = Listener(settings, read_access(settings), RIG, self.nights, self.lines.append, **deadlines)

    @property
    def answers(self) -> list[tuple[str | None, bool, str]]:
        answers = map(json.loads, self.recorder.payloads(TOPICS.answer))
        return [(answer["id"], answer["accepted"], answer["text"]) for answer in answers]

    async def answered(self, command_id: str | None) -> tuple[bool, str]:
        answer = await self.recorder.until(TOPICS.answer, lambda answer: answer["id"] == command_id)
        return answer["accepted"], answer["text"]

    async def start_night(self, command_id: str = "r1") -> Night:
        await send(self.broker, command("run", command_id))
        await eventually(lambda: self.nights.started)
        return self.nights.started[-1]

    async def publish_presence(self, presence: Presence) -> None:
        async with connect(access_to(self.broker), client_id=None) as client:
            await client.publish(Message(TOPICS.status, presence.encode(), is_retained=True), confirmed=True)


@asynccontextmanager
async def listening(broker: Mosquitto, *, home_assistant: bool = False, **deadlines: float) -> AsyncIterator[Scene]:
    async with Recorder().recording(broker) as recorder:
        settings = settings_for(broker, commands=True, home_assistant=home_assistant)
        scene = Scene(broker, recorder, settings, **deadlines)
        running = asyncio.create_task(scene.listener.run())
        await recorder.until(TOPICS.listener, lambda word: word == "online")
        try:
            yield scene
        finally:
            for night in scene.nights.started:
                night.ended.set()
            scene.listener.stop()
            await asyncio.wait_for(running, PATIENCE_S)


async def test_answer_waits_until_the_night_holds_the_rig_and_is_online(broker: Mosquitto) -> None:
    async with listening(broker) as scene:
        night = await scene.start_night()
        night.holds_rig = True
        await asyncio.sleep(0.6)
        assert scene.answers == [], "the night is not online yet"
        await scene.publish_presence(Presence.ONLINE)
        assert await scene.answered("r1") == (True, "the night has begun")
        night.ending = "all planned masters were made"
        night.ended.set()
        await scene.publish_presence(Presence.ENDED)
        await eventually(lambda: "the night is over: all planned masters were made" in scene.lines)
        assert night.is_cleaned_up
        await send(broker, command("run", "r2"))
        await eventually(lambda: len(scene.nights.started) == 2)
    assert (await retained(broker))[TOPICS.listener].payload == b"offline"


async def test_night_that_ends_at_once_is_answered_with_its_reason(broker: Mosquitto) -> None:
    async with listening(broker) as scene:
        (await scene.start_night()).ended.set()
        assert await scene.answered("r1") == (False, "the night did not begin: no INDI server")
        scene.nights.fault = OSError(12, "Cannot allocate memory")
        await send(broker, command("run", "r2"))
        assert await scene.answered("r2") == (False, "cannot start a night: Cannot allocate memory")


async def test_slow_start_of_a_night_is_answered_after_the_deadline(broker: Mosquitto) -> None:
    async with listening(broker, begin_deadline_s=0.3) as scene:
        await scene.start_night()
        assert await scene.answered("r1") == (True, "the night is beginning")


async def test_refused_commands_start_nothing(broker: Mosquitto) -> None:
    await send(broker, command("run", "kept"), is_retained=True)
    async with listening(broker) as scene:
        assert "retained" in (await scene.answered("kept"))[1]
        for payload in (command("run", "late", seconds=-1), b"rm -rf /", command("run", "far", seconds=6000)):
            await send(broker, payload)
        assert "expired" in (await scene.answered("late"))[1]
        assert "invalid JSON" in (await scene.answered(None))[1]
        assert "minutes ahead" in (await scene.answered("far"))[1]
        for verb in ("pause", "resume", "skip", "abort"):
            await send(broker, command(verb, verb))
            assert await scene.answered(verb) == (False, "no night is under way")
        assert scene.nights.started == []
        assert len(scene.answers) == 8


async def test_of_two_commands_at_once_one_starts_a_night(broker: Mosquitto) -> None:
    async with listening(broker, answer_deadline_s=0.3) as scene:
        await send(broker, command("run", "r1"))
        await send(broker, command("run", "r2"))
        assert await scene.answered("r2") == (False, "a night is already under way")
        scene.nights.started[0].holds_rig = True
        scene.nights.user = "the rig on x:1 is in use by process 7"
        await send(broker, command("run", "r3"))
        assert await scene.answered("r3") == (False, "the rig on x:1 is in use by process 7")
        await send(broker, command("pause", "p1"))
        assert (await scene.answered("p1"))[0] is False
        assert len(scene.nights.started) == 1


async def test_listener_leaves_the_answer_to_a_run_that_is_online(broker: Mosquitto) -> None:
    steering = RecordingSteering()
    night = PublishedNight(settings_for(broker, commands=True), steering)
    async with listening(broker) as scene, night.telemetry.publishing():
        await scene.recorder.until(TOPICS.status, lambda word: word == "online")
        scene.nights.user = "the rig is in use by process 7"
        sent = [
            command("run", "r1"),
            command("pause", "p1"),
            b"nonsense",
            command("run", "x", -1),
            command("run", "r1"),
        ]
        for payload in sent:
            await send(broker, payload)
        await asyncio.sleep(ANSWER_DEADLINE_S + 0.5)
        # The answer of the night may come after those of its telemetry, which runs in a separate thread.
        answers = Counter((command_id, accepted) for command_id, accepted, _ in scene.answers)
        assert answers == {("r1", False): 2, ("p1", True): 1, (None, False): 1, ("x", False): 1}
        texts = sorted(text for command_id, _, text in scene.answers if command_id == "r1")
        assert texts[0].startswith("a night is already under way")
        assert "used before" in texts[1]
        assert steering.commands == ["pause"]
        assert scene.nights.started == []


@pytest.mark.deep
async def test_access_rules_of_the_guide_suffice_for_the_listener(tmp_path: Path) -> None:
    more_rules = "\nuser observer\ntopic readwrite #\n"
    with broker_of_the_guide(tmp_path, "rig", "observer", more_rules=more_rules) as broker:
        rig = settings_for(broker, commands=True, user="rig", password_file=tmp_path / "rig")
        observer = access_to(broker, user="observer", password_file=tmp_path / "observer")
        nights = Nights()
        listener = Listener(rig, read_access(rig), RIG, nights, print)
        night = PublishedNight(rig, RecordingSteering())
        running = asyncio.create_task(listener.run())
        answers: list[str] = []
        async with night.telemetry.publishing(), connect(observer, client_id=None, largest_incoming=10**6) as client:
            await eventually(lambda: listener.is_run_online)
            await client.subscribe([TOPICS.answer])
            await client.publish(Message(TOPICS.command, command("run", "r1")), confirmed=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_DEADLINE_S + 1):
                    async for message in client.messages():
                        answers.append(json.loads(message.payload)["text"])  # noqa: PERF401  # it never ends
        listener.stop()
        await asyncio.wait_for(running, PATIENCE_S)
    assert answers == ["a night is already under way"]
    assert nights.started == []


async def test_outdated_status_does_not_prevent_a_night(broker: Mosquitto) -> None:
    """A broker that died together with the run still retains its last status."""
    async with listening(broker, answer_deadline_s=0.3) as scene:
        await scene.publish_presence(Presence.ONLINE)
        night = await scene.start_night()
        night.holds_rig = True
        await asyncio.sleep(0.6)
        assert scene.answers == [], "the old status does not belong to this night"


async def test_stop_terminates_the_night_first_and_a_second_stop_again(broker: Mosquitto) -> None:
    async with Recorder().recording(broker) as recorder:
        scene = Scene(broker, recorder, settings_for(broker, commands=True))
        running = asyncio.create_task(scene.listener.run())
        await recorder.until(TOPICS.listener, lambda word: word == "online")
        night = await scene.start_night()
        scene.listener.stop()
        scene.listener.stop()
        assert night.terminations == 2
        await send(broker, command("run", "r2"))
        assert "listener is shutting down" in (await scene.answered("r2"))[1]
        assert not running.done()
        night.ended.set()
        await asyncio.wait_for(running, PATIENCE_S)
        await recorder.until(TOPICS.listener, lambda word: word == "offline")


async def test_restarted_broker_is_reconnected_to(broker: Mosquitto) -> None:
    async with listening(broker, home_assistant=True) as scene:
        await scene.recorder.until(
            "homeassistant/device/coldframe_small_refractor/config", lambda document: "run" in document["cmps"]
        )
        broker.restart()
        await eventually(lambda: len([line for line in scene.lines if line.startswith("listening for")]) == 2)
        assert any("cannot reach" in line for line in scene.lines)
        await eventually(lambda: scene.recorder.payloads(TOPICS.listener).count(b"online") >= 2)
        await scene.start_night()


async def test_listener_has_a_client_identifier_and_a_status_topic_of_its_own(broker: Mosquitto) -> None:
    """Otherwise the broker would disconnect the run, or publish the listener's last will as the run's."""
    async with listening(broker) as scene:
        pass
    assert {message.topic for message in scene.recorder.messages} == {TOPICS.listener}
    assert TOPICS.listener != TOPICS.status
    assert " as coldframe-small_refractor-listener " in broker.log


async def test_refused_telemetry_is_reported_once(tmp_path: Path) -> None:
    with broker_with_access(tmp_path, "topic read #") as broker:
        settings, lines = settings_for(broker, commands=True, home_assistant=True), list[str]()
        listener = Listener(settings, read_access(settings), RIG, Nights(), lines.append)
        running = asyncio.create_task(listener.run())
        await eventually(lambda: any("refuses messages" in line for line in lines))
        listener.stop()
        await asyncio.wait_for(running, PATIENCE_S)
    (line,) = [line for line in lines if "refuses" in line]
    assert (
        f"refuses messages on {TOPICS.listener} (this user is not authorized); check the broker's access rules" in line
    )
