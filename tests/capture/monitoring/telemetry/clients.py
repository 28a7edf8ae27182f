"""A night with telemetry, and MQTT clients that record what it publishes and send it commands."""

import asyncio
import base64
import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    Event,
    NightEnded,
    NightStarted,
    Notice,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepType,
)
from coldframe.capture.monitoring.telemetry.connection import BACKOFF
from coldframe.capture.monitoring.telemetry.known_commands import KnownCommands
from coldframe.capture.monitoring.telemetry.publisher import Telemetry
from coldframe.capture.monitoring.telemetry.topics import Topics
from coldframe.capture.session.steering import Steering
from coldframe.config.frames import FrameKind
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import Access, BrokerLostError, connect, read_access
from coldframe.devices.mqtt.message import Message
from tests.capture.monitoring.telemetry.schemas import FOLDER, check_message
from tests.mosquitto import Mosquitto
from tests.patience import PATIENCE_S

RIG = "Small Refractor"
TOPICS = Topics("coldframe/small_refractor")
MARK = "coldframe/mark"
"""A topic that a recorder receives and that coldframe does not use."""


STEPS = (
    PlannedStep(1, "cool to -10 C", None, None, 0, None, 60.0, StepType.COOL),
    PlannedStep(2, "bias", FrameKind.BIAS, None, 5, 0.001, 10.0, StepType.SHOOT),
)


def settings_for(broker: Mosquitto, **more: Any) -> MqttSettings:
    return MqttSettings(host="127.0.0.1", port=broker.port, rig=RIG, **more)


def access_to(broker: Mosquitto, **more: Any) -> Access:
    return read_access(settings_for(broker, **more))


class RecordingSteering(Steering):
    """A recorder of commands and the threads that gave them. There is no night to steer."""

    def __init__(self) -> None:
        super().__init__(EventStream(), NightClock())
        self.commands: list[str] = []
        self.threads: set[int] = set()

    def _record(self, command: str) -> str:
        self.commands.append(command)
        self.threads.add(threading.get_ident())
        return f"{command} it is"

    def pause(self) -> str:
        return self._record("pause")

    def resume(self) -> str:
        return self._record("resume")

    def skip(self, step: int | None = None) -> str:
        return self._record(f"skip {step}")

    def abort(self) -> str:
        return self._record("abort")


class PublishedNight:
    """The events of a night with its telemetry."""

    def __init__(
        self,
        settings: MqttSettings,
        steering: RecordingSteering | None = None,
        backoff: Backoff = BACKOFF,
        known: KnownCommands | None = None,
    ) -> None:
        self.clock, self.events, self.seen = NightClock(), EventStream(), list[Event]()
        self.telemetry = Telemetry(
            settings,
            read_access(settings),
            RIG,
            events=self.events,
            clock=self.clock,
            steering=steering,
            known=known,
            backoff=backoff,
        )
        self.events.subscribe(self.seen.append)
        self.events.subscribe(self.telemetry)

    def begin(self, steps: tuple[PlannedStep, ...] = STEPS) -> None:
        now = self.clock.now()
        self.events.publish(NightStarted(now, "/frames", "Camera", None, None, 160, 120, steps))
        self.events.publish(StepStarted(now, 1))
        self.events.publish(TemperatureRead(now, -3.5, -10.0, 50.0))

    def warn(self, text: str) -> None:
        self.events.publish(Notice(self.clock.now(), Severity.WARNING, text))

    def end(self) -> None:
        self.events.publish(NightEnded(self.clock.now(), NightOutcome.COMPLETE, "all planned masters were made"))

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.seen if isinstance(event, Notice)]


class Recorder:
    """A client that records every message and checks it against its schema."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    @asynccontextmanager
    async def recording(self, broker: Mosquitto) -> AsyncIterator["Recorder"]:
        ready = asyncio.Event()
        recording = asyncio.create_task(self._record(broker, ready))
        await asyncio.wait_for(ready.wait(), PATIENCE_S)
        try:
            yield self
        finally:
            recording.cancel()
            with suppress(asyncio.CancelledError):
                await recording  # raises an error if a message did not follow its schema

    async def _record(self, broker: Mosquitto, ready: asyncio.Event) -> None:
        while True:
            with suppress(BrokerLostError):
                async with connect(access_to(broker), client_id=None, largest_incoming=10**6) as client:
                    await client.subscribe(["coldframe/#", "homeassistant/device/#"])
                    ready.set()
                    async for message in client.messages():
                        if message.topic not in {TOPICS.command, MARK}:
                            check_message(TOPICS, message.topic, message.payload)
                        self.messages.append(message)
            await asyncio.sleep(0.05)

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.messages if message.topic == topic]

    async def until(self, topic: str, condition: Callable[[Any], bool], start: int = 0) -> Any:
        """Wait for a message that meets a condition, and return its document."""

        def find() -> Any:
            for message in self.messages[start:]:
                if message.topic == topic:
                    text = message.payload.decode()
                    document = json.loads(text) if text.startswith("{") else text
                    if condition(document):
                        return document
            return None

        return await eventually(find)


async def eventually(find: Callable[[], Any]) -> Any:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        if found := find():
            return found
        await asyncio.sleep(0.02)
    pytest.fail("it never happened")


async def retained(broker: Mosquitto) -> dict[str, Message]:
    """Return the messages that the broker retains."""
    async with Recorder().recording(broker) as recorder, connect(access_to(broker), client_id=None) as client:
        # A broker sends its retained messages before any later messages.
        await client.publish(Message(MARK, b"end"), confirmed=True)
        await eventually(lambda: recorder.payloads(MARK))
    return {message.topic: message for message in recorder.messages if message.is_retained}


async def send(broker: Mosquitto, payload: bytes, *, is_retained: bool = False) -> None:
    async with connect(access_to(broker), client_id=None) as client:
        await client.publish(Message(TOPICS.command, payload, is_retained), confirmed=True)


def command(verb: str, command_id: str = "a1", seconds: float = 60, **more: object) -> bytes:
    """Return a command that expires after a few seconds."""
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return json.dumps({"id": command_id, "command": verb, "expires": expires, **more}).encode()


def hashed(user: str, password: str) -> str:
    """Return a line of mosquitto's password file, hashed by PBKDF2 with SHA-512."""
    salt, rounds = b"twelve bytes", 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 64)
    return f"{user}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def broker_of_the_guide(folder: Path, *users: str, more_rules: str = "") -> Mosquitto:
    """Return a broker with the access rules of the guide. The password of each user is in the file with its name."""
    guide = (FOLDER.parent / "mqtt.md").read_text(encoding="utf-8")
    (rules,) = (block for block in guide.split("```") if block.startswith("\nuser rig"))
    passwords = "".join(hashed(user, f"password of {user}") for user in users)
    files = {"acl": rules + more_rules, "passwords": passwords, **{user: f"password of {user}" for user in users}}
    for name, content in files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    lines = ("allow_anonymous false", f"password_file {folder / 'passwords'}", f"acl_file {folder / 'acl'}")
    return Mosquitto(folder, *lines)
