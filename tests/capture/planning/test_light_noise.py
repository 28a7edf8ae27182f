"""Measuring the noise of lights, and the smaller sets that it allows."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.calibration.camera.record import CAMERAS, CameraRecord, CameraRecords
from coldframe.calibration.files.cards import BLOCK_LENGTH, Card, HeaderValue, format_card
from coldframe.capture.planning.light_noise import light_noises
from coldframe.capture.planning.read_lights import read_lights
from coldframe.capture.planning.sets_for_lights import plan_for_lights
from coldframe.config.counts import LightNoise, NoiseGoal
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from tests.capture.planning.headers import EVENING, Cards, nina

CAMERA = "ZWO CCD ASI2600MM Pro"


def write(path: Path, cards: Cards, sky_adu: float, noise_adu: float) -> None:
    pixels = np.random.default_rng(9).normal(sky_adu, noise_adu, (120, 160)).astype(np.uint16)
    structure: dict[str, HeaderValue] = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 160, "NAXIS2": 120}
    every = structure | {"BZERO": 32768, "BSCALE": 1} | cards
    header = ("".join(format_card(Card(key, value)) for key, value in every.items()) + "END".ljust(80)).encode()
    data = (pixels ^ 0x8000).astype(">u2").tobytes()
    padded = (part + fill * (-len(part) % BLOCK_LENGTH) for part, fill in ((header, b" "), (data, b"\0")))
    path.write_bytes(b"".join(padded))


def settings(folder: Path, **lights: Any) -> Settings:
    camera = {"device": CAMERA, "gain": 100.0, "offset": 50.0, "setpoint_c": -10.0}
    wheel = {"device": "W", "names": ["L", "Ha"]}
    storage = {"folder": str(folder)}
    return Settings.model_validate(
        {"camera": camera, "panel": {"device": "P"}, "wheel": wheel, "storage": storage, "lights": lights}
    )


@pytest.fixture
def lights_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "lights"
    folder.mkdir()
    for number, (name, sky_adu, noise_adu) in enumerate([("L", 1500.0, 40.0), ("Ha", 600.0, 12.0)] * 2):
        at: datetime = EVENING + timedelta(minutes=3 * number)
        write(folder / f"{number}.fits", nina(name, 120.0, -10.0, at), sky_adu, noise_adu)
    return folder


def test_one_light_of_each_kind_is_measured(lights_folder: Path, tmp_path: Path) -> None:
    lights = read_lights(lights_folder, [CAMERA])
    assert light_noises(lights, settings(tmp_path)) == {}
    noises = light_noises(lights, settings(tmp_path, dark="2 %"))
    found = {lights.setups[path].filter_name: noise for path, noise in noises.items()}
    assert len(noises) == 2
    assert found["L"].noise_adu == pytest.approx(40, rel=0.05)
    assert found["Ha"].noise_adu == pytest.approx(12, rel=0.05)
    assert found["L"].signal_adu is None


def test_the_sky_level_is_known_if_the_bias_level_is(lights_folder: Path, tmp_path: Path) -> None:
    lights = read_lights(lights_folder, [CAMERA])
    readout = next(iter(lights.setups.values())).readout
    record = CameraRecord(
        camera=CAMERA, gain=readout.gain, offset=readout.offset, binning=readout.binning,
        readout_mode=readout.readout_mode, measured_at=EVENING, bias_adu=500.0,
    )  # fmt: skip
    CameraRecords(tmp_path / CAMERAS).save(record)
    noises = light_noises(lights, settings(tmp_path, flat="2 %"))
    assert sorted(round(noise.signal_adu or 0.0, -1) for noise in noises.values()) == [100, 1000]


def test_each_set_takes_the_light_that_it_could_harm_most(lights_folder: Path, tmp_path: Path) -> None:
    own = settings(tmp_path, dark="2 %", flat="1 %")
    lights = read_lights(lights_folder, [CAMERA])
    paths = {lights.setups[path].filter_name: path for path in lights.setups}
    noises = {paths["L"]: LightNoise(40.0, 1000.0), paths["Ha"]: LightNoise(12.0, 100.0)}
    plan = plan_for_lights(replace(lights, noises=noises), {}, own)
    goals = {(each.kind, each.filter): each.count for each in plan.sets}
    assert goals[FrameKind.DARK, None] == NoiseGoal(0.02, LightNoise(12.0, 100.0))
    assert goals[FrameKind.FLAT, "L"] == NoiseGoal(0.01, LightNoise(40.0, 1000.0))
    assert goals[FrameKind.BIAS, None] == 100
