"""The commands `devices`, `init`, `safe` and `run` with stock servers, and nights that end early or lose a driver."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from coldframe.config.loading import load_settings
from tests.indi.servers import (
    CAMERA,
    LONG_S,
    NIGHT,
    PANEL,
    WHEEL,
    Indiserver,
    coldframe,
    dark_set,
    started_night,
    wait_until_exposing,
)
from tests.patience import PATIENCE_S, block_until

pytestmark = pytest.mark.indi


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


def test_devices_lists_devices_and_their_features(stock: Indiserver, tmp_path: Path) -> None:
    code, said = finished(coldframe("devices", "--port", str(stock.port), home=tmp_path))
    assert code == 0, said
    for expected in (CAMERA, PANEL, WHEEL, "1280 x 1024 pixels", "brightness 0 to 255", "cooler power", "abort"):
        assert expected in said


def test_devices_as_json(stock: Indiserver, tmp_path: Path) -> None:
    code, said = finished(coldframe("devices", "--json", "--port", str(stock.port), home=tmp_path))
    assert code == 0, said
    roles = {device["name"]: device["roles"] for device in json.loads(said)}
    assert "camera" in roles[CAMERA]
    assert roles[WHEEL] == ["filter wheel"]


def test_init_writes_a_configuration_that_run_accepts(stock: Indiserver, tmp_path: Path) -> None:
    config = tmp_path / "coldframe.toml"
    code, said = finished(coldframe("init", "--port", str(stock.port), "--config", config, home=tmp_path))
    assert code == 0, said
    settings = load_settings(config)
    assert settings.camera.device == CAMERA
    assert settings.panel is not None
    assert settings.panel.device == PANEL
    assert settings.wheel is not None
    assert settings.wheel.device == WHEEL
    code, said = finished(coldframe("run", "--dry-run", "--config", config, home=tmp_path))
    assert code == 0, said
    code, said = finished(coldframe("init", "--port", str(stock.port), "--config", config, home=tmp_path))
    assert code == 2
    assert "already exists" in said


def test_safe_ends_an_exposure_and_switches_the_light_off(stock: Indiserver, tmp_path: Path) -> None:
    config = tmp_path / "coldframe.toml"
    config.write_text(
        NIGHT.format(port=stock.port, unix_socket=stock.unix_socket, folder=tmp_path / "out") + dark_set(1)
    )
    for device in (CAMERA, PANEL):
        stock.set(f"{device}.CONNECTION.CONNECT=On")
    stock.set(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON=On")
    stock.set(f"{CAMERA}.CCD_EXPOSURE.CCD_EXPOSURE_VALUE={LONG_S}")
    block_until(lambda: stock.state(f"{CAMERA}.CCD_EXPOSURE") == "Busy")
    code, said = finished(coldframe("safe", "--config", config, home=tmp_path))
    assert code == 0, said
    assert stock.get(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_OFF") == "On"
    assert stock.state(f"{CAMERA}.CCD_EXPOSURE") != "Busy"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_dark_leaves_the_rig_safe(stock: Indiserver, tmp_path: Path, number: signal.Signals) -> None:
    with started_night(stock, tmp_path, dark_set(LONG_S), local=True) as run:
        wait_until_exposing(stock, run.process)
        stock.set(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON=On")
        run.process.send_signal(number)
        code, said = run.wait()
    assert code == 130, said
    assert "night interrupted" in said
    assert stock.state(f"{CAMERA}.CCD_EXPOSURE") != "Busy"
    assert stock.get(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_OFF") == "On"
    assert stock.get(f"{CAMERA}.CCD_COOLER.COOLER_OFF") == "On"


def test_a_driver_killed_during_a_dark_costs_that_dark(stock: Indiserver, tmp_path: Path) -> None:
    with started_night(stock, tmp_path, dark_set(6, count=2), local=True) as run:
        wait_until_exposing(stock, run.process)
        # Kill the driver neither during a short test exposure nor when the dark has nearly ended.
        while not 2 < float(stock.get(f"{CAMERA}.CCD_EXPOSURE.CCD_EXPOSURE_VALUE")) < 6:
            assert run.process.poll() is None
            time.sleep(0.1)
        os.kill(stock.driver("indi_simulator_ccd"), signal.SIGKILL)
        code, said = run.wait()
        assert code == 0, said
        assert "driver disappeared" in said
        assert len(list((run.night / "darks").rglob("*.fits"))) == 2
        assert len(list((run.night / "masters").glob("MasterDark_*"))) == 1
