"""Telemetry with real brokers, including retained documents, commands, and brokers that crash or hang."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.values import PlannedStep, StepType
from coldframe.capture.monitoring.telemetry.commands import LONGEST_BYTES
from coldframe.capture.monitoring.telemetry.known_commands import KnownCommands
from coldframe.capture.monitoring.telemetry.outbox import MOST_EVENTS
from coldframe.config.frames import FrameKind
from coldframe.config.tables.broker import PASSWORD_VARIABLE
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import LARGEST_INCOMING, BrokerLostError, PublishRefusedError, connect, read_access
from coldframe.devices.mqtt.message import Message
from tests.capture.monitoring.telemetry.clients import (
    RIG,
    STEPS,
    TOPICS,
    PublishedNight,
    Recorder,
    RecordingSteering,
    access_to,
    broker_of_the_guide,
    command,
    eventually,
    hashed,
    retained,
    send,
    settings_for,
)
from tests.capture.monitoring.telemetry.schemas import check
from tests.mosquitto import Mosquitto, broker_with_access, free_port, needs_mosquitto

pytestmark = needs_mosquitto


async def test_night_is_published_and_retained_for_later_subscribers(broker: Mosquitto) -> None:
    night = PublishedNight(settings_for(broker, home_assistant=True))
    async with Recorder().recording(broker) as recorder:
        async with night.telemetry.publishing():
            await recorder.until(TOPICS.status, lambda word: word == "online")
            night.begin()
            await recorder.until(TOPICS.state, lambda state: state["sensor_c"] == -3.5 and state["phase"] == "cooling")
            night.warn("the dew heater glows")
            night.end()
        await recorder.until(TOPICS.status, lambda word: word == "ended")
    kinds = [json.loads(line)["event"] for line in recorder.payloads(TOPICS.event)]
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


async def test_document_that_cannot_be_made_leaves_the_others(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """The expected end of this night lies beyond the year 9999."""
    endless = (*STEPS, PlannedStep(3, "dark", FrameKind.DARK, None, 5, 1.0, 1e12, StepType.SHOOT))
    night = PublishedNight(settings_for(broker))
    async with Recorder().recording(broker) as recorder:
        async with night.telemetry.publishing():
            night.begin(endless)
            await recorder.until(TOPICS.plan, lambda plan: plan["camera"] == "Camera")
            await eventually(lambda: "cannot build the document state" in caplog.text)
            night.warn("the next attempt fails, too")
            await asyncio.sleep(1.5)
            night.end()
        await recorder.until(TOPICS.status, lambda word: word == "ended")
    kinds = [json.loads(line)["event"] for line in recorder.payloads(TOPICS.event)]
    assert kinds == ["night-started", "step-started", "temperature-read", "notice", "night-ended"]
    assert caplog.text.count("cannot build the document state") == 1


async def test_last_will_says_offline_if_the_run_is_killed(broker: Mosquitto, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import asyncio\n"
        "from coldframe.capture.clock import NightClock\n"
        "from coldframe.capture.events.stream import EventStream\n"
        "from coldframe.devices.mqtt.client import read_access\n"
        "from coldframe.capture.monitoring.telemetry.publisher import Telemetry\n"
        "from coldframe.config.tables.mqtt import MqttSettings\n"
        "async def main():\n"
        f"    settings = MqttSettings(port={broker.port})\n"
        f"    access, rig = read_access(settings), {RIG!r}\n"
        "    telemetry = Telemetry(settings, access, rig, events=EventStream(), clock=NightClock())\n"
        "    async with telemetry.publishing():\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    async with Recorder().recording(broker) as recorder:
        process = await asyncio.create_subprocess_exec(sys.executable, str(script))
        await recorder.until(TOPICS.status, lambda word: word == "online")
        process.kill()
        await process.wait()
        await recorder.until(TOPICS.status, lambda word: word == "offline")
    assert (await retained(broker))[TOPICS.status].payload == b"offline"


async def test_discovery_document_is_published_again_when_home_assistant_starts(broker: Mosquitto) -> None:
    night = PublishedNight(settings_for(broker, home_assistant=True))
    topic = "homeassistant/device/coldframe_small_refractor/config"
    async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
        await recorder.until(topic, bool)
        received = len(recorder.messages)
        async with connect(access_to(broker), client_id=None) as home:
            await home.publish(Message("homeassistant/status", b"online"), confirmed=True)
        assert await recorder.until(topic, bool, received)


def is_refused(text: str, answer: dict[str, Any]) -> bool:
    return text in answer["text"] and not answer["accepted"]


async def test_commands_are_obeyed_once_and_on_the_thread_of_the_night(broker: Mosquitto) -> None:
    steering = RecordingSteering()
    night = PublishedNight(settings_for(broker, commands=True), steering)
    async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
        await recorder.until(TOPICS.status, lambda word: word == "online")
        await send(broker, command("pause"))
        answer = await recorder.until(TOPICS.answer, lambda answer: answer["id"] == "a1")
        assert (answer["accepted"], answer["text"]) == (True, "pause it is")
        await send(broker, command("skip", "a2", step=2))
        await recorder.until(TOPICS.answer, lambda answer: answer["id"] == "a2")
        refusals = {
            command("abort", "a1"): "used before",
            command("abort", "a3", seconds=-1): "expired",
            command("abort", "a4", seconds=6000): "minutes ahead",
            command("run", "a5"): "already under way",
            b"nonsense": "invalid JSON",
        }
        for payload, text in refusals.items():
            await send(broker, payload)
            await recorder.until(TOPICS.answer, partial(is_refused, text))
        assert steering.commands == ["pause", "skip 2"]
        assert steering.threads == {threading.get_ident()}


async def test_a_command_that_an_earlier_run_carried_out_is_refused(broker: Mosquitto, tmp_path: Path) -> None:
    earlier, later = RecordingSteering(), RecordingSteering()
    for steering, text in ((earlier, "abort it is"), (later, "used before")):
        known = KnownCommands(tmp_path / "known.json")
        night = PublishedNight(settings_for(broker, commands=True), steering, known=known)
        async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
            await recorder.until(TOPICS.status, lambda word: word == "online")
            await send(broker, command("abort"))
            answer = await recorder.until(TOPICS.answer, lambda answer: answer["id"] == "a1")
            assert text in answer["text"]
    assert (earlier.commands, later.commands) == (["abort"], [])


async def test_retained_command_is_refused_with_an_answer(broker: Mosquitto) -> None:
    """It has not expired, and the broker delivers it as soon as the run subscribes."""
    await send(broker, command("abort"), is_retained=True)
    steering = RecordingSteering()
    night = PublishedNight(settings_for(broker, commands=True), steering)
    async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
        answer = await recorder.until(TOPICS.answer, lambda answer: "retained" in answer["text"])
        assert (answer["id"], answer["accepted"]) == ("a1", False)
    assert steering.commands == []


async def test_commands_are_ignored_unless_they_are_allowed(broker: Mosquitto) -> None:
    steering = RecordingSteering()
    night = PublishedNight(settings_for(broker), steering)
    async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
        await recorder.until(TOPICS.status, lambda word: word == "online")
        await send(broker, command("abort"))
        night.begin()
        await recorder.until(TOPICS.state, lambda state: state["steps"] == 2)
    assert recorder.payloads(TOPICS.answer) == []
    assert steering.commands == []


@pytest.mark.parametrize("size", [LONGEST_BYTES + 1, LARGEST_INCOMING - 1000])
async def test_too_long_command_is_refused_with_an_answer(broker: Mosquitto, size: int) -> None:
    steering = RecordingSteering()
    night = PublishedNight(settings_for(broker, commands=True), steering)
    async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
        await recorder.until(TOPICS.status, lambda word: word == "online")
        await send(broker, command("abort", "long").ljust(size))
        answer = await recorder.until(TOPICS.answer, lambda answer: answer["id"] == "long")
    assert is_refused(f"too long: {size:,} bytes; a command has at most 1,024", answer)
    assert steering.commands == []


async def test_refused_telemetry_is_reported_once(tmp_path: Path) -> None:
    with broker_with_access(tmp_path, "topic read #", f"topic write {TOPICS.event}") as broker:
        night = PublishedNight(settings_for(broker, home_assistant=True))
        async with night.telemetry.publishing():
            night.begin()
            await eventually(lambda: night.notices)
            for _ in range(3):
                night.warn("more to tell")
            connection = night.telemetry.connection
            await eventually(lambda: connection.messages_waiting == 0)
            night.end()
    (notice,) = [text for text in night.notices if text != "more to tell"]
    assert f"refuses messages on {TOPICS.status} (this user is not authorized)" in notice
    assert notice.endswith("The night continues")


async def test_huge_command_is_not_delivered(broker: Mosquitto) -> None:
    steering = RecordingSteering()
    night = PublishedNight(settings_for(broker, commands=True), steering)
    async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
        await recorder.until(TOPICS.status, lambda word: word == "online")
        received = len(recorder.messages)
        async with connect(access_to(broker), client_id=None) as client:
            with suppress(Exception):
                await client.publish(Message(f"{TOPICS.base}/command", b"{" * 900_000), confirmed=True)
        await send(broker, command("pause"))
        await recorder.until(TOPICS.answer, lambda answer: answer["id"] == "a1", received)
    assert steering.commands == ["pause"]


async def test_restarted_broker_gets_everything_again(broker: Mosquitto) -> None:
    night = PublishedNight(settings_for(broker), backoff=Backoff(0.1, 1.0))
    async with night.telemetry.publishing():
        night.begin()
        async with Recorder().recording(broker) as recorder:
            await recorder.until(TOPICS.state, lambda state: state["steps"] == 2)
        broker.kill()
        await eventually(lambda: any("cannot reach" in text for text in night.notices))
        night.warn("without a broker")
        broker.start()
        await eventually(lambda: any("reconnected to" in text for text in night.notices))
        kept = await eventually_retained(broker, TOPICS.journal)
        assert kept[TOPICS.status].payload == b"online"
        night.end()
    kept = await retained(broker)
    assert kept[TOPICS.status].payload == b"ended"
    texts = [problem["text"] for problem in check("state", kept[TOPICS.state].payload)["problems"]]
    assert "warning: without a broker" in texts


async def eventually_retained(broker: Mosquitto, topic: str) -> dict[str, Message]:
    for _ in range(50):
        kept = await retained(broker)
        if topic in kept:
            return kept
    pytest.fail("it is not retained")


async def test_hung_broker_delays_nothing_and_fills_no_memory(broker: Mosquitto) -> None:
    """While it hangs, far more events are published than may wait; the night still ends in time."""
    night = PublishedNight(settings_for(broker))
    async with Recorder().recording(broker) as recorder, night.telemetry.publishing():
        await recorder.until(TOPICS.status, lambda word: word == "online")
        broker.freeze()
        night.begin()
        for number in range(20 * MOST_EVENTS):
            night.warn(f"{number} " + "x" * 400)
            if number % 100 == 0:
                await asyncio.sleep(0)
        connection = night.telemetry.connection
        await eventually(lambda: connection.messages_dropped > 0)
        assert connection.messages_waiting <= MOST_EVENTS + 10
        night.end()
    broker.thaw()


async def test_missing_broker_is_reported_once_however_often_it_is_tried() -> None:
    settings = MqttSettings(host="127.0.0.1", port=free_port())
    night = PublishedNight(settings)
    async with night.telemetry.publishing():
        night.begin()
        await eventually(lambda: night.notices)
        await asyncio.sleep(1.5)
        night.end()
    assert len(night.notices) == 1
    assert "the night continues without it" in night.notices[0]


async def test_user_and_password_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(hashed("rig", "grün"))
    passwords.chmod(0o600)
    secret = tmp_path / "secret"
    secret.write_text("grün\n", encoding="utf-8")
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker:
        right = settings_for(broker, user="rig", password_file=secret)
        async with connect(read_access(right), client_id=None) as client:
            await client.publish(Message("x", b"y"), confirmed=True)
        assert "gr" not in repr(read_access(right))
        monkeypatch.setenv(PASSWORD_VARIABLE, "blue")
        for wrong in (settings_for(broker, user="rig"), settings_for(broker)):
            with pytest.raises(BrokerLostError, match=r"password|not authorized"):
                async with connect(read_access(wrong), client_id=None):
                    pass


async def test_access_rules_of_the_guide_suffice_and_grant_no_more(tmp_path: Path) -> None:
    with broker_of_the_guide(tmp_path, "rig", "phone") as broker:
        own = {"commands": True, "home_assistant": True, "user": "rig", "password_file": tmp_path / "rig"}
        phone = read_access(settings_for(broker, user="phone", password_file=tmp_path / "phone"))
        steering, heard = RecordingSteering(), dict[str, bytes]()
        night = PublishedNight(settings_for(broker, **own), steering)
        async with night.telemetry.publishing(), connect(phone, client_id=None, largest_incoming=10**6) as client:
            await client.subscribe(["coldframe/#"])
            night.begin()
            with pytest.raises(PublishRefusedError):
                await client.publish(Message(TOPICS.command, command("abort")), confirmed=True)
            async for received in client.messages():
                heard[received.topic] = received.payload
                if {TOPICS.status, TOPICS.state, TOPICS.plan, TOPICS.event, TOPICS.journal} <= set(heard):
                    break
            rig = read_access(settings_for(broker, **own))
            async with connect(rig, client_id=None) as sender:
                await sender.publish(Message(TOPICS.command, command("pause", "a2")), confirmed=True)
            await eventually(lambda: steering.commands)
    assert steering.commands == ["pause"], "the phone may not send commands"
    assert night.notices == []


def make_certificates(folder: Path) -> None:
    """Make a certificate authority, and certificates for the broker and a client."""

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
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")  # aiomqtt's
async def test_tls_with_certificates_of_broker_and_client(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    lines = [
        f"{key} {tmp_path / name}"
        for key, name in (("cafile", "ca.pem"), ("certfile", "broker.pem"), ("keyfile", "broker.key"))
    ]
    with Mosquitto(tmp_path, *lines, "require_certificate true") as broker:
        certificate = {"client_certificate": tmp_path / "client.pem", "client_key": tmp_path / "client.key"}
        right = settings_for(broker, tls=True, ca_file=tmp_path / "ca.pem", **certificate)
        night = PublishedNight(right)
        async with night.telemetry.publishing():
            night.begin()
            async with connect(read_access(right), client_id=None, largest_incoming=10**6) as client:
                await client.subscribe([TOPICS.state])
                async for received in client.messages():
                    assert check("state", received.payload)
                    break
        wrong = (
            settings_for(broker, tls=True, ca_file=tmp_path / "ca.pem"),  # no client certificate
            settings_for(broker, tls=True, **certificate),  # an unknown authority
            settings_for(broker),  # no TLS
        )
        for settings in wrong:
            with pytest.raises(BrokerLostError):
                async with connect(read_access(settings), client_id=None, answer_s=1.0) as client:
                    await client.publish(Message("x", b"y"), confirmed=True)
