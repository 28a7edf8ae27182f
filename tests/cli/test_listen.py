"""`coldframe listen` as a process, with a real broker, a simulated rig, and nights that it starts."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coldframe.capture.host.rig_lock import listening_locked, lock_path, rig_holder, rig_in_use, rig_locked
from coldframe.capture.monitoring.telemetry.listener import BEGUN, CLEANING_UP
from coldframe.cli import app
from coldframe.config.examples import example_night
from coldframe.config.tables.rig import ServerSettings
from coldframe.operations.nights.simulated_server import simulated_server
from tests.capture.monitoring.telemetry.clients import RIG, TOPICS, Recorder, command, eventually, retained, send
from tests.mosquitto import Mosquitto, needs_mosquitto
from tests.patience import PATIENCE_S
from tests.ports import free_port


def configuration(folder: Path, broker_port: int, server: ServerSettings, mqtt: str = "commands = true") -> Path:
    """Return a configuration of the small rig's night, told to a broker."""
    tables = (
        f'[mqtt]\nport = {broker_port}\nrig = "{RIG}"\n{mqtt}\n\n'
        f'[server]\nport = {server.port}\nunix_socket = "{server.unix_socket}"\n\n'
        f'[storage]\nfolder = "{folder / "nights"}"\n\n'
    )
    path = folder / "night.toml"
    path.write_text(example_night("small").read_text().replace("[[sets]]", f"{tables}[[sets]]", 1))
    return path


def listen(config: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "coldframe", "listen", "-c", str(config)]
    return subprocess.Popen(command, text=True)


class Place:
    """A broker, a rig, and a listener for both."""

    def __init__(self, broker: Mosquitto, ear: Recorder, server: ServerSettings, config: Path) -> None:
        self.broker, self.ear, self.server, self.config = broker, ear, server, config
        self.process = listen(config)

    async def answer(self, command_id: str | None, heard: int = 0) -> tuple[bool, str]:
        answer = await self.ear.until(TOPICS.answer, lambda answer: answer["id"] == command_id, heard)
        return answer["accepted"], answer["text"]

    async def answers(self, payload: bytes, command_id: str | None) -> tuple[bool, str]:
        heard = len(self.ear.messages)
        await send(self.broker, payload)
        return await self.answer(command_id, heard)

    @property
    def night(self) -> int:
        holder = rig_holder(self.server)
        assert holder is not None
        return holder.process

    async def over(self) -> int:
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), PATIENCE_S)

    def journal(self) -> list[dict[str, str]]:
        (path,) = (self.config.parent / "nights").glob("*/journal.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    def events(self) -> list[str]:
        return [each["event"] for each in self.journal()]

    def rig_says(self, *parts: str) -> list[str]:
        """Return what the bare server says of switches."""
        with socket.create_connection((self.server.host, self.server.port), timeout=PATIENCE_S) as server:
            server.sendall(b'<getProperties version="1.7"/>')
            told, found = "", list[re.Match[str] | None]()
            while not found or not all(found):
                received = server.recv(65536).decode()
                assert received, f"the server hung up before it sent {parts}"
                told += received
                found = [re.search(rf'name="{part}"[^>]*>\s*(On|Off)', told) for part in parts]
        return [each[1] for each in found if each]


@asynccontextmanager
async def placed(folder: Path, kept: bytes | None = None) -> AsyncIterator[Place]:
    async with AsyncExitStack() as resources:
        broker = resources.enter_context(Mosquitto(folder))
        server = await resources.enter_async_context(simulated_server("small"))
        ear = await resources.enter_async_context(Recorder().recording(broker))
        if kept is not None:
            await send(broker, kept, is_retained=True)
        place = Place(broker, ear, server, configuration(folder, broker.port, server))
        try:
            await ear.until(TOPICS.listener, lambda word: word == "online")
            yield place
        finally:
            place.process.kill()
            place.process.wait()
            lock_path(server).with_suffix(".listen").unlink(missing_ok=True)
            if rig_in_use(server) is not None:
                os.kill(place.night, signal.SIGKILL)
            lock_path(server).unlink(missing_ok=True)


@needs_mosquitto
async def test_run_starts_one_night_that_a_stop_leaves_safe(tmp_path: Path) -> None:
    async with placed(tmp_path, command("run", "kept")) as place:
        assert "retained" in (await place.answer("kept"))[1]
        assert (await place.answers(command("run", "late", -1), "late"))[0] is False
        assert (await place.answers(b'{"command": "run"}', None))[0] is False
        assert await place.answers(command("run", "r1"), "r1") == (True, "the night has begun")
        assert await place.answers(command("run", "r2"), "r2") == (False, "a night is already under way")
        await eventually(lambda: "temperature-read" in place.events())
        place.process.send_signal(signal.SIGTERM)
        assert await place.over() == 0
        assert place.events()[-1] == "night-ended"
        assert place.journal()[-1]["outcome"] == "interrupted"
        assert place.rig_says("COOLER_ON", "FLAT_LIGHT_ON") == ["Off", "Off"]
        assert rig_in_use(place.server) is None
        kept = await retained(place.broker)
        assert kept[TOPICS.status].payload == b"ended"
        assert kept[TOPICS.listener].payload == b"offline"
        # The broker delivers what it has kept to each who comes.
        answered = [json.loads(each)["id"] for each in place.ear.payloads(TOPICS.answer)]
        assert [each for each in answered if each != "kept"] == ["late", None, "r1", "r2"], "one answer for each"


@needs_mosquitto
@pytest.mark.deep
async def test_a_listener_that_is_killed_leaves_the_night_to_itself_and_to_the_next_listener(tmp_path: Path) -> None:
    async with placed(tmp_path) as place:
        assert (await place.answers(command("run", "r1"), "r1"))[0]
        night = place.night
        place.process.kill()
        await place.over()
        await place.ear.until(TOPICS.listener, lambda word: word == "offline")
        assert place.ear.payloads(TOPICS.status)[-1] == b"online", "the run's own is left alone"
        heard = len(place.ear.messages)
        place.process = listen(place.config)
        await place.ear.until(TOPICS.listener, lambda word: word == "online", heard)
        assert await place.answers(command("run", "r2"), "r2") == (False, "a night is already under way")
        assert (await place.answers(command("pause", "p1"), "p1"))[0]
        place.process.send_signal(signal.SIGTERM)
        assert await place.over() == 0
        assert place.night == night, "it is not this listener's"
        assert rig_in_use(place.server) is not None
        heard = len(place.ear.messages)
        assert (await place.answers(command("abort", "a1"), "a1"))[0]
        await place.ear.until(TOPICS.status, lambda word: word == "ended", heard)


@needs_mosquitto
@pytest.mark.deep
async def test_a_night_that_is_killed_is_made_safe_and_followed_by_another(tmp_path: Path) -> None:
    async with placed(tmp_path) as place:
        assert (await place.answers(command("run", "r1"), "r1"))[0]
        await eventually(lambda: place.rig_says("COOLER_ON") == ["On"])
        heard = len(place.ear.messages)
        os.kill(place.night, signal.SIGKILL)
        await place.ear.until(TOPICS.status, lambda word: word == "offline", heard)
        await eventually(lambda: place.rig_says("COOLER_ON") == ["Off"])
        await eventually(lambda: rig_holder(place.server) is None)
        # The process that made it safe may still be on its way out.
        answers = [await place.answers(command("run", "r2"), "r2")]
        while answers[-1] == (False, CLEANING_UP):
            await asyncio.sleep(0.5)
            command_id = f"again{len(answers)}"
            answers.append(await place.answers(command("run", command_id), command_id))
        assert answers[-1] == (True, BEGUN)


@needs_mosquitto
@pytest.mark.deep
async def test_what_hinders_a_night_is_answered(tmp_path: Path) -> None:
    async with placed(tmp_path) as place:
        with rig_locked(place.server):
            accepted, text = await place.answers(command("run", "r1"), "r1")
            assert not accepted
            assert f"is in use by process {os.getpid()} of user" in text
        with place.config.open("a") as file:
            file.write("\nbining = 2\n")
        accepted, text = await place.answers(command("run", "r2"), "r2")
        assert not accepted
        assert "night.toml" in text
        assert "bining" in text
        place.process.send_signal(signal.SIGINT)
        assert await place.over() == 0


@pytest.mark.parametrize("mqtt", ["", "[mqtt]\n", "[mqtt]\ncommands = false\n"])
def test_without_leave_to_take_commands_it_ends_with_one_line(tmp_path: Path, mqtt: str) -> None:
    path = tmp_path / "night.toml"
    path.write_text(f'[camera]\ndevice = "C"\nsetpoint_c = -10\n{mqtt}')
    ended = CliRunner().invoke(app, ["listen", "-c", str(path)])
    assert ended.exit_code == 2
    assert ended.stderr == f"{path}: commands over MQTT need commands = true in [mqtt]: coldframe explain mqtt\n"


def test_one_listener_for_each_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldframe.capture.host.rig_lock.FOLDERS", (tmp_path,))
    server = ServerSettings(port=free_port())
    path = configuration(tmp_path, free_port(), server)
    with listening_locked(server):
        ended = CliRunner().invoke(app, ["listen", "-c", str(path)])
    assert ended.exit_code == 2
    assert f"another listener is running for the rig on 127.0.0.1:{server.port}: process {os.getpid()}" in ended.stderr
