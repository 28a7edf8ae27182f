"""Telemetry against a real broker: what is retained, what is obeyed, and that no broker holds anything up."""

import asyncio
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    Event,
    NightEnded,
    NightOutcome,
    NightStarted,
    Notice,
    PlannedStep,
    Severity,
    StepStarted,
    StepType,
    TemperatureRead,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.monitoring.telemetry import publisher
from coldframe.capture.monitoring.telemetry.digest import Digest
from coldframe.capture.monitoring.telemetry.outbox import MOST_EVENTS
from coldframe.capture.monitoring.telemetry.publisher import Telemetry
from coldframe.capture.monitoring.telemetry.remote import RemoteSource
from coldframe.capture.monitoring.telemetry.topics import Topics
from coldframe.capture.monitoring.watching.messages import Answer, Command, Request
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update
from coldframe.capture.session.steering import Steering
from coldframe.config.frames import FrameKind
from coldframe.config.tables.broker import PASSWORD_VARIABLE
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.client import BrokerLostError, access, connected
from coldframe.devices.mqtt.message import Message
from tests.capture.monitoring.telemetry.brokers import Mosquitto, free_port, mosquitto, needs_mosquitto
from tests.capture.monitoring.telemetry.schemas import FOLDER, check, check_message

pytestmark = needs_mosquitto

RIG = "Small Refractor"
TOPICS = Topics("coldframe/small_refractor")
MARK = "coldframe/mark"
"""Below what a listener hears, and nothing of ours."""
DEADLINE_S = 30.0
STEPS = (
    PlannedStep(1, "cool to -10 C", None, None, 0, None, 60.0, StepType.COOL),
    PlannedStep(2, "bias", FrameKind.BIAS, None, 5, 0.001, 10.0, StepType.SHOOT),
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


def to(broker: Mosquitto, **more: Any) -> MqttSettings:
    return MqttSettings(host="127.0.0.1", port=broker.port, rig=RIG, **more)


class Asked(Steering):
    """The night's steering, which remembers on which thread it was asked for what; no night is under way."""

    def __init__(self) -> None:
        super().__init__(EventStream(), NightClock())
        self.asked: list[str] = []
        self.threads: set[int] = set()

    def _ask(self, what: str) -> str:
        self.asked.append(what)
        self.threads.add(threading.get_ident())
        return f"{what} it is"

    def pause(self) -> str:
        return self._ask("pause")

    def resume(self) -> str:
        return self._ask("resume")

    def skip(self, step: int | None = None) -> str:
        return self._ask(f"skip {step}")

    def abort(self) -> str:
        return self._ask("abort")


class Told:
    """A night's loop with its telemetry."""

    def __init__(self, settings: MqttSettings, steering: Asked | None = None) -> None:
        self.clock, self.events, self.seen = NightClock(), EventStream(), list[Event]()
        self.telemetry = Telemetry(
            settings, access(settings), RIG, events=self.events, clock=self.clock, steering=steering
        )
        self.events.subscribe(self.seen.append)
        self.events.subscribe(self.telemetry)

    def begin(self) -> None:
        now = self.clock.now()
        self.events.publish(NightStarted(now, "/frames", "Camera", None, None, 160, 120, STEPS))
        self.events.publish(StepStarted(now, 1))
        self.events.publish(TemperatureRead(now, -3.5, -10.0, 50.0))

    def warn(self, text: str) -> None:
        self.events.publish(Notice(self.clock.now(), Severity.WARNING, text))

    def end(self) -> None:
        self.events.publish(NightEnded(self.clock.now(), NightOutcome.COMPLETE, "all planned masters were made"))

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.seen if isinstance(event, Notice)]


class Listener:
    """A client of its own that hears everything."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    @asynccontextmanager
    async def of(self, broker: Mosquitto) -> AsyncIterator["Listener"]:
        ready = asyncio.Event()
        listening = asyncio.create_task(self._listen(broker, ready))
        await asyncio.wait_for(ready.wait(), DEADLINE_S)
        try:
            yield self
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening  # it fails where a message did not follow its schema

    async def _listen(self, broker: Mosquitto, ready: asyncio.Event) -> None:
        while True:
            with suppress(BrokerLostError):
                async with connected(access(to(broker)), name=None, largest_incoming=10**6) as client:
                    await client.subscribe(["coldframe/#", "homeassistant/device/#"])
                    ready.set()
                    async for received in client.messages():
                        if received.topic not in {TOPICS.command, MARK}:
                            check_message(TOPICS, received.topic, received.payload)
                        self.heard.append(received)
            await asyncio.sleep(0.05)

    def payloads(self, topic: str) -> list[bytes]:
        return [received.payload for received in self.heard if received.topic == topic]

    async def until(self, topic: str, wanted: Callable[[Any], bool], start: int = 0) -> Any:
        """Wait for a message and return it."""

        def find() -> Any:
            for received in self.heard[start:]:
                if received.topic == topic:
                    text = received.payload.decode()
                    document = json.loads(text) if text.startswith("{") else text
                    if wanted(document):
                        return document
            return None

        return await eventually(find)


async def eventually(find: Callable[[], Any]) -> Any:
    until_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < until_s:
        if found := find():
            return found
        await asyncio.sleep(0.02)
    pytest.fail("it never came")


async def retained(broker: Mosquitto) -> dict[str, Message]:
    """Return what the broker keeps for those who come later."""
    async with Listener().of(broker) as listener, connected(access(to(broker)), name=None) as client:
        # A broker sends what it keeps first, and then what comes after.
        await client.publish(Message(MARK, b"that is all"), confirmed=True)
        await eventually(lambda: listener.payloads(MARK))
    return {received.topic: received for received in listener.heard if received.is_retained}


async def send(broker: Mosquitto, payload: bytes, *, is_retained: bool = False) -> None:
    async with connected(access(to(broker)), name=None) as client:
        await client.publish(Message(TOPICS.command, payload, is_retained), confirmed=True)


def command(verb: str, command_id: str = "a1", seconds: float = 60, **more: object) -> bytes:
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    return json.dumps({"id": command_id, "command": verb, "expires": expires, **more}).encode()


async def test_a_night_is_told_and_kept_for_those_who_come_later(broker: Mosquitto) -> None:
    told = Told(to(broker, home_assistant=True))
    async with Listener().of(broker) as listener:
        async with told.telemetry.told():
            await listener.until(TOPICS.status, lambda word: word == "online")
            told.begin()
            await listener.until(TOPICS.state, lambda state: state["sensor_c"] == -3.5 and state["phase"] == "cooling")
            told.warn("the dew heater glows")
            told.end()
        await listener.until(TOPICS.status, lambda word: word == "ended")
    kinds = [json.loads(line)["event"] for line in listener.payloads(TOPICS.event)]
    assert kinds == ["night-started", "step-started", "temperature-read", "notice", "night-ended"]
    kept = await retained(broker)
    assert set(kept) == {
        TOPICS.status,
        TOPICS.state,
        TOPICS.plan,
        TOPICS.journal,
        "homeassistant/device/coldframe_small_refractor/config",
    }
    assert kept[TOPICS.status].payload == b"ended"
    last = check("state", kept[TOPICS.state].payload)
    assert (last["outcome"], last["problem_count"], last["problems"][0]["text"]) == (
        "complete",
        1,
        "warning: the dew heater glows",
    )


async def test_a_document_that_cannot_be_made_leaves_the_rest_told(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_document(*_: object, **__: object) -> bytes:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(publisher, "state_document", no_document)
    told = Told(to(broker))
    async with Listener().of(broker) as listener:
        async with told.telemetry.told():
            told.begin()
            await listener.until(TOPICS.plan, lambda plan: plan["camera"] == "Camera")
            await eventually(lambda: "state cannot be told" in caplog.text)
            told.end()
        await listener.until(TOPICS.status, lambda word: word == "ended")
    kinds = [json.loads(line)["event"] for line in listener.payloads(TOPICS.event)]
    assert kinds == ["night-started", "step-started", "temperature-read", "night-ended"]
    assert caplog.text.count("state cannot be told") == 1


async def test_a_watcher_sees_what_was_and_what_is_and_steers(broker: Mosquitto) -> None:
    steering = Asked()
    settings = to(broker, commands=True)
    told = Told(settings, steering)
    seen: list[Update] = []
    source = RemoteSource(settings, access(settings), RIG)

    async def watch() -> None:
        async for each in source.updates():
            seen.append(each)  # noqa: PERF401  # it never ends

    assert source.ask(Command(Request.PAUSE)) == "the MQTT broker is not reached"
    async with told.telemetry.told():
        told.begin()
        async with Listener().of(broker) as listener:
            await listener.until(TOPICS.state, lambda state: state["steps"] == 2)
        watching = asyncio.create_task(watch())
        await eventually(lambda: any(isinstance(each, Attached) for each in seen))
        (attached,) = (each for each in seen if isinstance(each, Attached))
        assert attached == Attached(tuple(told.seen), allows_commands=True)
        assert source.ask(Command(Request.SKIP, 2)) is None
        await eventually(lambda: Answer("skip 2 it is") in seen)
        told.end()
        await eventually(lambda: told.seen[-1] in seen)
    await eventually(lambda: Detached("the run is over") in seen)
    broker.kill()
    await eventually(lambda: isinstance(seen[-1], Detached) and "is not reached" in seen[-1].reason)
    watching.cancel()
    await asyncio.wait([watching])


def test_a_watcher_that_missed_events_begins_anew_with_the_next_journal() -> None:
    """The journal that it found was some seconds old, and events were lost between it and the first that came."""
    clock, digest = datetime(2026, 11, 22, 4, 0, tzinfo=UTC), Digest("0a1b2c3d")
    events = [NightStarted(clock, "/frames", "Camera", None, None, 160, 120, STEPS)]
    later = [StepStarted(clock, 1), StepStarted(clock, 2), Notice(clock, Severity.INFO, "x")]
    settings = MqttSettings(rig=RIG)
    source = RemoteSource(settings, access(settings), RIG)
    digest.add(events[0])

    def take(topic: str, payload: bytes) -> list[Update]:
        return source._take(Message(topic, payload, is_retained=False))

    assert take(TOPICS.status, b"online") == []
    assert take(TOPICS.journal, digest.packed()) == [Attached((events[0],), allows_commands=False)]
    lines = [digest.add(event).encode() for event in later]
    assert take(TOPICS.event, lines[2]) == [later[2]]
    assert take(TOPICS.journal, digest.packed()) == [Attached((events[0], *later), allows_commands=False)]
    assert take(TOPICS.journal, digest.packed()) == []


async def test_without_its_last_word_the_broker_says_that_it_is_gone(broker: Mosquitto, tmp_path: Path) -> None:
    """A process of its own is killed while it tells."""
    script = tmp_path / "told.py"
    script.write_text(
        "import asyncio\n"
        "from coldframe.capture.clock import NightClock\n"
        "from coldframe.capture.events.kinds import EventStream\n"
        "from coldframe.devices.mqtt.client import access\n"
        "from coldframe.capture.monitoring.telemetry.publisher import Telemetry\n"
        "from coldframe.config.tables.mqtt import MqttSettings\n"
        "async def main():\n"
        f"    settings = MqttSettings(port={broker.port})\n"
        f"    told = Telemetry(settings, access(settings), {RIG!r}, events=EventStream(), clock=NightClock())\n"
        "    async with told.told():\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    async with Listener().of(broker) as listener:
        process = await asyncio.create_subprocess_exec(sys.executable, str(script))
        await listener.until(TOPICS.status, lambda word: word == "online")
        process.kill()
        await process.wait()
        await listener.until(TOPICS.status, lambda word: word == "offline")
    assert (await retained(broker))[TOPICS.status].payload == b"offline"


async def test_home_assistant_is_told_again_when_it_starts(broker: Mosquitto) -> None:
    told = Told(to(broker, home_assistant=True))
    topic = "homeassistant/device/coldframe_small_refractor/config"
    async with Listener().of(broker) as listener, told.telemetry.told():
        await listener.until(topic, bool)
        heard = len(listener.heard)
        async with connected(access(to(broker)), name=None) as home:
            await home.publish(Message("homeassistant/status", b"online"), confirmed=True)
        await listener.until(topic, bool, heard)


def is_refused(said: str, answer: dict[str, Any]) -> bool:
    return said in answer["text"] and not answer["accepted"]


async def test_commands_are_obeyed_once_on_the_nights_own_thread(broker: Mosquitto) -> None:
    steering = Asked()
    told = Told(to(broker, commands=True), steering)
    async with Listener().of(broker) as listener, told.telemetry.told():
        await listener.until(TOPICS.status, lambda word: word == "online")
        await send(broker, command("pause"))
        answer = await listener.until(TOPICS.answer, lambda answer: answer["id"] == "a1")
        assert (answer["accepted"], answer["text"]) == (True, "pause it is")
        await send(broker, command("skip", "a2", step=2))
        await listener.until(TOPICS.answer, lambda answer: answer["id"] == "a2")
        refusals = {
            command("abort", "a1"): "came before",
            command("abort", "a3", seconds=-1): "expired",
            command("abort", "a4", seconds=6000): "minutes ahead",
            command("run", "a5"): "under way",
            b"nonsense": "no JSON",
        }
        for payload, said in refusals.items():
            await send(broker, payload)
            await listener.until(TOPICS.answer, partial(is_refused, said))
        assert steering.asked == ["pause", "skip 2"]
        assert steering.threads == {threading.get_ident()}


async def test_a_retained_command_is_ignored_and_says_so(broker: Mosquitto) -> None:
    """It is fresh, and came while nobody listened: the broker delivers it at once."""
    await send(broker, command("abort"), is_retained=True)
    steering = Asked()
    told = Told(to(broker, commands=True), steering)
    async with Listener().of(broker) as listener, told.telemetry.told():
        answer = await listener.until(TOPICS.answer, lambda answer: "retained" in answer["text"])
        assert (answer["id"], answer["accepted"]) == ("a1", False)
    assert steering.asked == []


async def test_without_leave_no_command_is_heard(broker: Mosquitto) -> None:
    steering = Asked()
    told = Told(to(broker), steering)
    async with Listener().of(broker) as listener, told.telemetry.told():
        await listener.until(TOPICS.status, lambda word: word == "online")
        await send(broker, command("abort"))
        told.begin()
        await listener.until(TOPICS.state, lambda state: state["steps"] == 2)
    assert listener.payloads(TOPICS.answer) == []
    assert steering.asked == []


async def test_a_huge_command_is_not_even_delivered(broker: Mosquitto) -> None:
    steering = Asked()
    told = Told(to(broker, commands=True), steering)
    async with Listener().of(broker) as listener, told.telemetry.told():
        await listener.until(TOPICS.status, lambda word: word == "online")
        heard = len(listener.heard)
        async with connected(access(to(broker)), name=None) as client:
            with suppress(Exception):
                await client.publish(Message(f"{TOPICS.base}/command", b"{" * 900_000), confirmed=True)
        await send(broker, command("pause"))
        await listener.until(TOPICS.answer, lambda answer: answer["id"] == "a1", heard)
    assert steering.asked == ["pause"]


async def test_a_broker_that_died_gets_all_when_it_is_back(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "FIRST_PAUSE_S", 0.1)
    told = Told(to(broker))
    async with told.telemetry.told():
        told.begin()
        async with Listener().of(broker) as listener:
            await listener.until(TOPICS.state, lambda state: state["steps"] == 2)
        broker.kill()
        await eventually(lambda: any("is not reached" in text for text in told.notices))
        told.warn("while it was away")
        broker.start()
        await eventually(lambda: any("is back" in text for text in told.notices))
        kept = await eventually_retained(broker, TOPICS.journal)
        assert kept[TOPICS.status].payload == b"online"
        told.end()
    kept = await retained(broker)
    assert kept[TOPICS.status].payload == b"ended"
    texts = [problem["text"] for problem in check("state", kept[TOPICS.state].payload)["problems"]]
    assert "warning: while it was away" in texts


async def eventually_retained(broker: Mosquitto, topic: str) -> dict[str, Message]:
    for _ in range(50):
        kept = await retained(broker)
        if topic in kept:
            return kept
    pytest.fail("it is not kept")


async def test_a_hung_broker_holds_nothing_up_and_fills_no_memory(broker: Mosquitto) -> None:
    """While it is stopped far more is told than may wait; nobody waits, and the end is not waited for without bound."""
    told = Told(to(broker))
    async with Listener().of(broker) as listener, told.telemetry.told():
        await listener.until(TOPICS.status, lambda word: word == "online")
        broker.hang()
        told.begin()
        for number in range(20 * MOST_EVENTS):
            told.warn(f"{number} " + "x" * 400)
            if number % 100 == 0:
                await asyncio.sleep(0)
        teller = told.telemetry._publisher
        await eventually(lambda: teller._outbox.dropped > 0)
        assert len(teller._outbox) <= MOST_EVENTS + 10
        told.end()
    broker.go_on()


async def test_a_broker_that_is_not_there_is_told_once_and_costs_nothing() -> None:
    settings = MqttSettings(host="127.0.0.1", port=free_port())
    told = Told(settings)
    async with told.telemetry.told():
        told.begin()
        await eventually(lambda: told.notices)
        await asyncio.sleep(1.5)
        told.end()
    assert len(told.notices) == 1
    assert "the night goes on without it" in told.notices[0]


def hashed(user: str, password: str) -> str:
    """Return a line of mosquitto's password file: PBKDF2 with SHA-512."""
    salt, rounds = b"twelve bytes", 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 64)
    return f"{user}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


async def test_user_and_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(hashed("rig", "grün"))
    passwords.chmod(0o600)
    secret = tmp_path / "secret"
    secret.write_text("grün\n", encoding="utf-8")
    with mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker:
        right = to(broker, user="rig", password_file=secret)
        async with connected(access(right), name=None) as client:
            await client.publish(Message("x", b"y"), confirmed=True)
        assert "gr" not in repr(access(right))
        monkeypatch.setenv(PASSWORD_VARIABLE, "blue")
        for wrong in (to(broker, user="rig"), to(broker)):
            with pytest.raises(BrokerLostError, match=r"password|let this user in"):
                async with connected(access(wrong), name=None):
                    pass


async def test_the_access_rules_of_the_guide_are_enough_and_not_too_much(tmp_path: Path) -> None:
    guide = (FOLDER.parent / "mqtt.md").read_text(encoding="utf-8")
    (rules,) = (block for block in guide.split("```") if block.startswith("\nuser rig"))
    for name, content in (
        ("acl", rules),
        ("passwords", hashed("rig", "r") + hashed("phone", "p")),
        ("r", "r"),
        ("p", "p"),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    lines = ("allow_anonymous false", f"password_file {tmp_path / 'passwords'}", f"acl_file {tmp_path / 'acl'}")
    with mosquitto(tmp_path, *lines) as broker:
        own = {"commands": True, "home_assistant": True, "user": "rig", "password_file": tmp_path / "r"}
        phone = access(to(broker, user="phone", password_file=tmp_path / "p"))
        steering, heard = Asked(), dict[str, bytes]()
        told = Told(to(broker, **own), steering)
        async with told.telemetry.told(), connected(phone, name=None, largest_incoming=10**6) as client:
            await client.subscribe(["coldframe/#"])
            told.begin()
            await client.publish(Message(TOPICS.command, command("abort")), confirmed=True)
            async for received in client.messages():
                heard[received.topic] = received.payload
                if {TOPICS.status, TOPICS.state, TOPICS.plan, TOPICS.event, TOPICS.journal} <= set(heard):
                    break
            rig = access(to(broker, **own))
            async with connected(rig, name=None) as sender:
                await sender.publish(Message(TOPICS.command, command("pause", "a2")), confirmed=True)
            await eventually(lambda: steering.asked)
    assert steering.asked == ["pause"], "of the phone none was heard"


def made_certificates(folder: Path) -> None:
    """Make a throw-away authority, with certificates for the broker and for a client."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=test ca",
        "-days",
        "2",
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("broker", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            f"{name}.pem",
            "-days",
            "2",
            "-extfile",
            "names",
        )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: apt install openssl")
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")  # the library's
async def test_tls_with_the_certificates_of_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldframe.devices.mqtt.client.ANSWER_S", 1.0)
    made_certificates(tmp_path)
    lines = [
        f"{key} {tmp_path / name}"
        for key, name in (("cafile", "ca.pem"), ("certfile", "broker.pem"), ("keyfile", "broker.key"))
    ]
    with mosquitto(tmp_path, *lines, "require_certificate true") as broker:
        certificate = {"client_certificate": tmp_path / "client.pem", "client_key": tmp_path / "client.key"}
        right = to(broker, tls=True, ca_file=tmp_path / "ca.pem", **certificate)
        told = Told(right)
        async with told.telemetry.told():
            told.begin()
            async with connected(access(right), name=None, largest_incoming=10**6) as client:
                await client.subscribe([TOPICS.state])
                async for received in client.messages():
                    assert check("state", received.payload)
                    break
        wrong = (
            to(broker, tls=True, ca_file=tmp_path / "ca.pem"),  # no certificate of ours
            to(broker, tls=True, **certificate),  # an authority that the system does not know
            to(broker),  # no TLS
        )
        for settings in wrong:
            with pytest.raises(BrokerLostError):
                async with connected(access(settings), name=None) as client:
                    await client.publish(Message("x", b"y"), confirmed=True)
