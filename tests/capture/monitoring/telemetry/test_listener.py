"""The listener against a real broker: it has a night started once, and each command has one answer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.monitoring.telemetry import listener
from coldframe.capture.monitoring.telemetry.listener import Listener
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.client import access, connected
from coldframe.devices.mqtt.message import Message
from tests.capture.monitoring.telemetry.brokers import Mosquitto, mosquitto, needs_mosquitto
from tests.capture.monitoring.telemetry.schemas import FOLDER
from tests.capture.monitoring.telemetry.test_publisher import (
    RIG,
    TOPICS,
    Asked,
    Told,
    command,
    eventually,
    hashed,
    retained,
    send,
    to,
)
from tests.capture.monitoring.telemetry.test_publisher import Listener as Ear

pytestmark = needs_mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


class Night:
    """A night that does what the test says."""

    def __init__(self) -> None:
        self.holds_rig = False
        self.ending = "no INDI server"
        self.ends = 0
        self.ended = asyncio.Event()
        self.is_tidied = False

    @property
    def is_over(self) -> bool:
        return self.ended.is_set()

    def end(self) -> None:
        self.ends += 1

    async def over(self) -> None:
        await self.ended.wait()

    async def tidied(self) -> None:
        self.is_tidied = True


class Nights:
    """What was started."""

    def __init__(self) -> None:
        self.started: list[Night] = []
        self.holder: str | None = None
        self.fault: OSError | None = None

    def in_use(self) -> str | None:
        return self.holder

    def start(self) -> Night:
        if self.fault is not None:
            raise self.fault
        self.started.append(Night())
        return self.started[-1]


class Scene:
    """A listener, what it starts, what it says, and an ear at the broker."""

    def __init__(self, broker: Mosquitto, ear: Ear, settings: MqttSettings) -> None:
        self.broker, self.ear, self.nights, self.said = broker, ear, Nights(), list[str]()
        self.listener = Listener(settings, access(settings), RIG, self.nights, self.said.append)

    @property
    def answers(self) -> list[tuple[str | None, bool, str]]:
        told = map(json.loads, self.ear.payloads(TOPICS.answer))
        return [(each["id"], each["accepted"], each["text"]) for each in told]

    async def answered(self, command_id: str | None) -> tuple[bool, str]:
        answer = await self.ear.until(TOPICS.answer, lambda answer: answer["id"] == command_id)
        return answer["accepted"], answer["text"]

    async def begun(self, command_id: str = "r1") -> Night:
        await send(self.broker, command("run", command_id))
        await eventually(lambda: self.nights.started)
        return self.nights.started[-1]

    async def tell(self, presence: Presence) -> None:
        async with connected(access(to(self.broker)), name=None) as client:
            await client.publish(Message(TOPICS.status, presence.encode(), is_retained=True), confirmed=True)


@asynccontextmanager
async def listening(broker: Mosquitto, **more: Any) -> AsyncIterator[Scene]:
    async with Ear().of(broker) as ear:
        scene = Scene(broker, ear, to(broker, commands=True, **more))
        running = asyncio.create_task(scene.listener.run())
        await ear.until(TOPICS.listener, lambda word: word == "online")
        try:
            yield scene
        finally:
            for night in scene.nights.started:
                night.ended.set()
            scene.listener.stop()
            await asyncio.wait_for(running, 20)


async def test_a_night_is_started_and_the_answer_waits_for_it(broker: Mosquitto) -> None:
    async with listening(broker) as scene:
        night = await scene.begun()
        night.holds_rig = True
        await asyncio.sleep(0.6)
        assert scene.answers == [], "it is not told yet"
        await scene.tell(Presence.ONLINE)
        assert await scene.answered("r1") == (True, "the night has begun")
        night.ending = "all planned masters were made"
        night.ended.set()
        await scene.tell(Presence.ENDED)
        await eventually(lambda: "the night is over: all planned masters were made" in scene.said)
        assert night.is_tidied
        await send(broker, command("run", "r2"))
        await eventually(lambda: len(scene.nights.started) == 2)
    assert (await retained(broker))[TOPICS.listener].payload == b"offline"


async def test_a_night_that_ends_at_once_is_told_with_its_reason(broker: Mosquitto) -> None:
    async with listening(broker) as scene:
        (await scene.begun()).ended.set()
        assert await scene.answered("r1") == (False, "no night: no INDI server")
        scene.nights.fault = OSError(12, "Cannot allocate memory")
        await send(broker, command("run", "r2"))
        assert await scene.answered("r2") == (False, "no night could be started: Cannot allocate memory")


async def test_a_night_that_takes_its_time_is_not_waited_for_without_end(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "BEGUN_WITHIN_S", 0.3)
    async with listening(broker) as scene:
        await scene.begun()
        assert await scene.answered("r1") == (True, "the night is beginning")


async def test_what_may_not_be_obeyed_starts_nothing(broker: Mosquitto) -> None:
    await send(broker, command("run", "kept"), is_retained=True)
    async with listening(broker) as scene:
        assert "retained" in (await scene.answered("kept"))[1]
        for payload in (command("run", "late", seconds=-1), b"rm -rf /", command("run", "far", seconds=6000)):
            await send(broker, payload)
        assert "expired" in (await scene.answered("late"))[1]
        assert "no JSON" in (await scene.answered(None))[1]
        assert "minutes ahead" in (await scene.answered("far"))[1]
        for verb in ("pause", "resume", "skip", "abort"):
            await send(broker, command(verb, verb))
            assert await scene.answered(verb) == (False, "no night is under way")
        assert scene.nights.started == []
        assert len(scene.answers) == 8


async def test_of_two_at_once_one_is_started(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "ANSWERED_WITHIN_S", 0.3)
    async with listening(broker) as scene:
        await send(broker, command("run", "r1"))
        await send(broker, command("run", "r2"))
        assert await scene.answered("r2") == (False, "a night is under way already")
        scene.nights.started[0].holds_rig = True
        scene.nights.holder = "the rig on x:1 is in use by process 7"
        await send(broker, command("run", "r3"))
        assert await scene.answered("r3") == (False, "the rig on x:1 is in use by process 7")
        await send(broker, command("pause", "p1"))
        assert (await scene.answered("p1"))[0] is False
        assert len(scene.nights.started) == 1


async def test_a_run_that_is_told_answers_and_the_listener_does_not(broker: Mosquitto) -> None:
    steering = Asked()
    told = Told(to(broker, commands=True), steering)
    async with listening(broker) as scene, told.telemetry.told():
        await scene.ear.until(TOPICS.status, lambda word: word == "online")
        scene.nights.holder = "the rig is in use by process 7"
        sent = [
            command("run", "r1"),
            command("pause", "p1"),
            b"nonsense",
            command("run", "x", -1),
            command("run", "r1"),
        ]
        for payload in sent:
            await send(broker, payload)
        await asyncio.sleep(listener.ANSWERED_WITHIN_S + 0.5)
        assert [(each[0], each[1]) for each in scene.answers] == [
            ("r1", False),
            ("p1", True),
            (None, False),
            ("x", False),
            ("r1", False),
        ]
        assert "under way" in scene.answers[0][2] or "came before" in scene.answers[0][2]
        assert steering.asked == ["pause"]
        assert scene.nights.started == []


@pytest.mark.deep
async def test_the_access_rules_of_the_guide_let_it_hear_all_it_needs(tmp_path: Path) -> None:
    guide = (FOLDER.parent / "mqtt.md").read_text(encoding="utf-8")
    (rules,) = (block for block in guide.split("```") if block.startswith("\nuser rig"))
    for name, content in (("acl", f"{rules}\nuser ear\ntopic readwrite #\n"), ("r", "r"), ("e", "e")):
        (tmp_path / name).write_text(content)
    (tmp_path / "passwords").write_text(hashed("rig", "r") + hashed("ear", "e"))
    for name in ("acl", "passwords"):
        (tmp_path / name).chmod(0o600)
    lines = ("allow_anonymous false", f"password_file {tmp_path / 'passwords'}", f"acl_file {tmp_path / 'acl'}")
    with mosquitto(tmp_path, *lines) as broker:
        rig = to(broker, commands=True, user="rig", password_file=tmp_path / "r")
        ear = access(to(broker, user="ear", password_file=tmp_path / "e"))
        nights = Nights()
        waiting, told = Listener(rig, access(rig), RIG, nights, print), Told(rig, Asked())
        running = asyncio.create_task(waiting.run())
        answers: list[str] = []
        async with told.telemetry.told(), connected(ear, name=None, largest_incoming=10**6) as client:
            await eventually(lambda: waiting._presence == b"online")
            await client.subscribe([TOPICS.answer])
            await client.publish(Message(TOPICS.command, command("run", "r1")), confirmed=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(listener.ANSWERED_WITHIN_S + 1):
                    async for received in client.messages():
                        answers.append(json.loads(received.payload)["text"])  # noqa: PERF401  # it never ends
        waiting.stop()
        await asyncio.wait_for(running, 20)
    assert answers == ["a night is under way already"]
    assert nights.started == []


async def test_a_status_that_nobody_keeps_up_hinders_no_night(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that died together with the run still has its last status."""
    monkeypatch.setattr(listener, "ANSWERED_WITHIN_S", 0.3)
    async with listening(broker) as scene:
        await scene.tell(Presence.ONLINE)
        night = await scene.begun()
        night.holds_rig = True
        await asyncio.sleep(0.6)
        assert scene.answers == [], "the old status says nothing of this night"


async def test_a_stop_ends_the_night_first_and_a_second_one_again(broker: Mosquitto) -> None:
    async with Ear().of(broker) as ear:
        scene = Scene(broker, ear, to(broker, commands=True))
        running = asyncio.create_task(scene.listener.run())
        await ear.until(TOPICS.listener, lambda word: word == "online")
        night = await scene.begun()
        scene.listener.stop()
        scene.listener.stop()
        assert night.ends == 2
        await send(broker, command("run", "r2"))
        assert "listener is ending" in (await scene.answered("r2"))[1]
        assert not running.done()
        night.ended.set()
        await asyncio.wait_for(running, 20)
        await ear.until(TOPICS.listener, lambda word: word == "offline")


async def test_a_broker_that_comes_back_is_listened_to_again(broker: Mosquitto) -> None:
    async with listening(broker, home_assistant=True) as scene:
        await scene.ear.until(
            "homeassistant/device/coldframe_small_refractor/config", lambda told: "run" in told["cmps"]
        )
        broker.start_again()
        await eventually(lambda: len([line for line in scene.said if line.startswith("listening for")]) == 2)
        assert any("is not reached" in line for line in scene.said)
        await eventually(lambda: scene.ear.payloads(TOPICS.listener).count(b"online") >= 2)
        await scene.begun()


def test_the_listener_has_a_topic_and_a_name_of_its_own() -> None:
    """The last will of the run and its status are left to it."""
    settings = MqttSettings(commands=True, rig=RIG)
    ours = Listener(settings, access(settings), RIG, Nights(), print)
    assert Topics("x/y").listener != Topics("x/y").status
    assert ours._name == "coldframe-small_refractor-listener"
    published = []
    while message := ours._outbox.take():
        published.append(message.topic)
    assert published == [TOPICS.listener]
