"""Stock INDI servers, each with a separate home directory, and `coldframe` commands that connect to them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from tests.patience import PATIENCE_S, block_until
from tests.ports import free_port

HOST = "127.0.0.1"
CAMERA = "CCD Simulator"
PANEL = "Light Panel Simulator"
WHEEL = "Filter Simulator"
STOCK_DRIVERS = ("indi_simulator_ccd", "indi_simulator_lightpanel", "indi_simulator_wheel")
SCRIPTS = Path(sys.executable).parent
OUR_DRIVER = str(SCRIPTS / "indi_coldframe_rig")
NIGHT_DEADLINE_S = 4 * PATIENCE_S

LONG_S = 2000
"""An exposure longer than every deadline. Tests that start such an exposure must end it."""

NIGHT = """
# The stock cooler starts at 20 degrees and changes the temperature by half a degree a second.
[server]
port = {port}
unix_socket = "{unix_socket}"
[camera]
device = "CCD Simulator"
gain = 0.0
offset = 100.0
setpoint_c = 15.0
readout_deadline_s = 60.0
[panel]
device = "Light Panel Simulator"
settle_s = 0.0
[wheel]
device = "Filter Simulator"
settle_s = 0.0
[cooling]
tolerance_c = 0.5
dwell_s = 1.0
deadline_s = 600.0
ramp_c_per_min = 1000.0
at_end = "off"
[flats]
exposure_limits_s = [0.01, 3.0]
[storage]
folder = "{folder}"
"""

SHORT_SETS = """
[[sets]]
kind = "bias"
count = 5
[[sets]]
kind = "dark"
count = 3
exposure_s = 0.5
[[sets]]
kind = "flat"
filter = "Red"
count = 4
[[sets]]
kind = "dark-flat"
filter = "Red"
count = 4
[[sets]]
kind = "flat"
filter = "Blue"
count = 4
[[sets]]
kind = "dark-flat"
filter = "Blue"
count = 4
"""


def dark_set(exposure_s: float, count: int = 1) -> str:
    return f'[[sets]]\nkind = "dark"\ncount = {count}\nexposure_s = {exposure_s}\n'


@dataclass(frozen=True)
class Indiserver:
    """A running server, whose `process` is the leader of its process group."""

    port: int
    unix_socket: str
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> ServerAddress:
        return ServerAddress(HOST, self.port, self.unix_socket)

    def set(self, *assignments: str) -> None:
        command = ["indi_setprop", "-p", str(self.port), "-t", "60", *assignments]
        subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True)

    def get(self, prop: str) -> str:
        command = ["indi_getprop", "-w", "-p", str(self.port), "-t", "60", "-1", prop]
        return subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True, text=True).stdout.strip()

    def state(self, prop: str) -> str:
        """Return the state of a property, or an empty string if the property is not defined."""
        command = ["indi_getprop", "-p", str(self.port), "-t", "10", "-1", f"{prop}._STATE"]
        return subprocess.run(command, check=False, timeout=PATIENCE_S, capture_output=True, text=True).stdout.strip()

    def driver(self, program: str) -> int:
        """Return the process ID of one of this server's drivers."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", program], check=True, capture_output=True, text=True
        )
        return int(found.stdout.split()[0])

    def serves_locally(self) -> bool:
        """Return True if a client is connected to the local socket."""
        table = Path("/proc/net/unix").read_text()
        connected = "03"
        return any(
            line.split()[5] == connected and line.endswith(f"@{self.unix_socket}") for line in table.splitlines()[1:]
        )

    def see_everything(self) -> None:
        """Set up a telescope for the stock camera. Without a telescope, its frames contain only noise."""
        self.set(f"{CAMERA}.CONNECTION.CONNECT=On")
        self.set(f"{CAMERA}.SCOPE_INFO.FOCAL_LENGTH=500;APERTURE=100")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


@contextmanager
def indiserver(
    home: Path, drivers: tuple[str, ...] = STOCK_DRIVERS, port: int = 0, **environment: str
) -> Iterator[Indiserver]:
    """Run a server and its drivers for the duration of the block, on a free port if `port` is 0."""
    home.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    unix_socket = f"/tmp/coldframe-tests-{os.getpid()}-{port}"
    with (home / "indiserver.log").open("wb") as log:
        process = subprocess.Popen(
            ["indiserver", "-p", str(port), "-u", unix_socket, "-m", "1024", *drivers],
            env={**os.environ, **environment, "HOME": str(home)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        block_until(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (home / "indiserver.log").read_text()
        yield Indiserver(port, unix_socket, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_exposing(server: Indiserver, process: subprocess.Popen[str]) -> None:
    """Wait until the server shows a running exposure."""
    block_until(lambda: server.state(f"{CAMERA}.CCD_EXPOSURE") == "Busy" or process.poll() is not None)
    assert process.poll() is None


@dataclass(frozen=True)
class Run:
    """A `coldframe` process and the folder in which it writes nights."""

    process: subprocess.Popen[str]
    folder: Path

    @property
    def night(self) -> Path:
        (night,) = self.folder.glob("20*-*-*")
        return night

    def wait(self, timeout_s: float = NIGHT_DEADLINE_S) -> tuple[int, str]:
        """Wait for the process to end, and return its exit code and its output."""
        said, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, said


HEARING_HANG_UPS = ("env", "--default-signal=HUP")
"""Starts a program that does not ignore SIGHUP, even if nohup(1) started the tests."""


def coldframe(*arguments: str | Path, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*HEARING_HANG_UPS, str(SCRIPTS / "coldframe"), *map(str, arguments)],
        env={**os.environ, "HOME": str(home), "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def ended_at_last(process: subprocess.Popen[Any]) -> Iterator[None]:
    """End the process at the end of the block, even if the test fails."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def started_night(server: Indiserver, place: Path, sets: str, *, local: bool, night: str = NIGHT) -> Iterator[Run]:
    """Start `coldframe run` without its dashboard. All its files are below `place`."""
    place.mkdir(parents=True, exist_ok=True)
    folder, config = place / "out", place / "coldframe.toml"
    unix_socket = server.unix_socket if local else ""
    config.write_text(night.format(port=server.port, unix_socket=unix_socket, folder=folder) + sets)
    process = coldframe("run", "--config", config, "--no-dashboard", home=place)
    with ended_at_last(process):
        yield Run(process, folder)
