"""`coldframe safe` switches off a light on an MQTT broker, with or without the INDI server."""

import asyncio
import sys
from pathlib import Path

import pytest

from coldframe.config.simulated_rig import load_rig
from coldframe.config.tables.rig import ServerSettings
from coldframe.operations.nights.simulated_server import simulated_server
from coldframe.simulators.mqtt_light import SimulatedMqttLight
from coldframe.simulators.panel import Panel
from tests.mosquitto import Mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

CONFIG = """
[server]
port = {server.port}
unix_socket = "{server.unix_socket}"
[camera]
device = "Coldframe Camera"
[panel]
device = "the light"
kind = "mqtt"
[panel.mqtt]
port = {broker.port}
family = "esphome"
topic = "dome/light/panel"
"""


async def run_safe(folder: Path, server: ServerSettings, broker: Mosquitto, patience_s: float) -> tuple[int, str]:
    config = folder / "coldframe.toml"
    config.write_text(CONFIG.format(server=server, broker=broker), encoding="utf-8")
    command = (sys.executable, "-m", "coldframe", "safe", "--config", str(config), "--patience", str(patience_s))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_light_left_on_is_switched_off(tmp_path: Path) -> None:
    lamp = Panel(load_rig("small").panel)
    async with Mosquitto(tmp_path) as broker, simulated_server("small") as server:
        light = SimulatedMqttLight(broker.settings, "esphome", "dome/light/panel", lamp)
        async with light:
            await light.is_connected.wait()
            await light.switch(lit=True)
            assert lamp.lit
            code, output = await run_safe(tmp_path, server, broker, 10.0)
            assert (code, lamp.lit) == (0, False), output


@pytest.mark.deep
async def test_light_is_switched_off_without_the_indi_server(tmp_path: Path) -> None:
    lamp = Panel(load_rig("small").panel)
    async with Mosquitto(tmp_path) as broker:
        light = SimulatedMqttLight(broker.settings, "esphome", "dome/light/panel", lamp)
        async with light:
            await light.is_connected.wait()
            await light.switch(lit=True)
            nowhere = ServerSettings(port=1, unix_socket="/coldframe-nowhere")
            code, output = await run_safe(tmp_path, nowhere, broker, 0.0)
            assert (code, lamp.lit) == (4, False), output
            assert "NOT in the safe state" in output


@pytest.mark.deep
async def test_missing_broker_is_reported_and_the_rest_made_safe(tmp_path: Path) -> None:
    nowhere = Mosquitto(tmp_path)
    async with simulated_server("small") as server:
        code, output = await run_safe(tmp_path, server, nowhere, 0.0)
    assert code == 4
    assert "the light did not switch its lamp off: MQTT broker 127.0.0.1" in output
    assert "Check it by hand" in output
    assert "cooler" not in output
