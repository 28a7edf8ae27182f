"""A simulated DSLR behind INDI in a process of its own, and the configuration of its nights."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE_S
from tests.ports import free_port

CAMERA = "Coldframe Camera"

RIG = """
title = "DSLR"
seed = 7
ambient_c = 14.0
[sensor]
model = "DSLR"
width = 256
height = 192
pixel_um = 6.0
bit_depth = 14
scaled_to_16_bit = false
e_per_adu = 4.0
full_well_e = 60000
read_noise_e = 4
converter_noise_adu = 0.8
pedestal_adu = 2048
dark_e_per_s = 0.3
dark_reference_c = 14.0
dark_doubling_c = 6.0
hot_fraction = 0.004
hot_e_per_s = 200.0
prnu = 0.008
vignetting = 0.2
cfa_pattern = "RGGB"
gain = { maximum = 1000 }
[panel]
brightness_maximum = 255
full_e_per_s = 200000
cover_travel_s = 0.2
[timing]
readout_s = 0.05
shortest_exposure_s = 0.00025
polling_s = 0.1
[dslr]
iso = [100, 200, 400, 800, 1600]
"""

SHUTTER = (
    *("bulb", "30", "2", "1.6", "1.3", "1", "0.8", "0.6", "0.5", "0.4", "0.3", "1/4", "1/5", "1/6", "1/8", "1/10"),
    *("1/13", "1/15", "1/20", "1/30", "1/60", "1/125", "1/4000"),
)
"""The steps of the shutter times are thirds of a stop where flats need them, as on real cameras."""

NIGHT = """
[server]
port = {port}
unix_socket = ""
[camera]
device = "Coldframe Camera"
gain = 800
file_format = "{file_format}"
[panel]
device = "Coldframe Flat Panel"
settle_s = 0.0
[flats]
pedestal = "dark-flat"
[storage]
folder = "{storage}"
[[sets]]
kind = "dark"
exposure_s = 1.5
count = 6
[[sets]]
kind = "bias"
count = 5
[[sets]]
kind = "flat"
count = 5
[[sets]]
kind = "dark-flat"
count = 5
"""


@contextmanager
def served(folder: Path, shutter: Sequence[str] = SHUTTER) -> Iterator[int]:
    """Serve the rig with the shutter times of its camera, and yield the port."""
    rig, port = folder / "dslr.toml", free_port()
    rig.write_text(f"{RIG}shutter = {json.dumps(shutter)}\n", "utf-8")
    command = [sys.executable, "-m", "coldframe", "simulate", str(rig), "--port", str(port)]
    command += ["--unix", f"/tmp/coldframe-test-{port}", "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert "serving" in server.stdout.readline()
            yield port
        finally:
            server.terminate()


def configured(folder: Path, port: int, file_format: str) -> Path:
    """Write the configuration of a night, and return its path."""
    config = folder / "coldframe.toml"
    text = NIGHT.format(port=port, file_format=file_format, storage=folder / "storage")
    config.write_text(text, "utf-8")
    return config


def coldframe(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    import os  # noqa: PLC0415

    command = [sys.executable, "-m", "coldframe", *map(str, arguments)]
    environ = {**os.environ, **environment}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE_S,
        env=environ,
        stdin=subprocess.DEVNULL,
    )


def kill(run: "subprocess.Popen[str]") -> None:
    """Kill a run, as if the machine had stopped."""
    run.send_signal(signal.SIGKILL)
    run.communicate()
