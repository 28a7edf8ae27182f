"""Measure the cost of telemetry in the small simulated night without telemetry, with it, and with a hung broker.

``python -m benchmarks.telemetry [ROUNDS]`` uses real INDI and needs mosquitto. It prints the duration of the process,
the duration of the night, the CPU time and the number of frames.
"""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coldframe.config.examples import example_night

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
FEW = 10


@dataclass(frozen=True)
class Measured:
    """The measurements of one run."""

    process_s: float
    night_s: float
    cpu_s: float
    frames: int
    masters: int


def configuration(folder: Path, port: int | None) -> Path:
    """Write the configuration of the small night with few frames, and with a broker if a port is given."""
    lines = [
        f"count = {FEW}" if line.startswith("count") else line
        for line in example_night("small").read_text(encoding="utf-8").splitlines()
    ]
    if port is not None:
        lines += ["[mqtt]", f"port = {port}", "home_assistant = true", "commands = true"]
    path = folder / "night.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(folder: Path, port: int | None) -> Measured:
    """Run the night in a separate process."""
    config = configuration(folder, port)
    command = [sys.executable, "-m", "coldframe", "run", "--simulate", "small", "--no-dashboard"]
    began_s = time.monotonic()
    process = subprocess.Popen(
        [*command, "--config", config, "--folder", folder / "out"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process_s = time.monotonic() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    (journal,) = (folder / "out").glob("*/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    times = {event["event"]: datetime.fromisoformat(event["at"]) for event in events}
    kinds = [event["event"] for event in events]
    return Measured(
        process_s,
        (times["night-ended"] - times["night-started"]).total_seconds(),
        used.ru_utime + used.ru_stime,
        kinds.count("frame-accepted"),
        kinds.count("master-written"),
    )


def broker(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start mosquitto on a free port."""
    assert MOSQUITTO is not None, "mosquitto is not installed"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\n" + ("user root\n" if os.geteuid() == 0 else "")
    )
    process = subprocess.Popen([MOSQUITTO, "-c", config], stderr=subprocess.DEVNULL)
    time.sleep(1)
    return process, port


def measured(how: str) -> Measured:
    """Run one night with telemetry "off" or "on", or with a broker that is "hung"."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if how == "off":
            return run(folder, None)
        process, port = broker(folder)
        if how == "hung":
            process.send_signal(signal.SIGSTOP)
        try:
            return run(folder, port)
        finally:
            process.kill()
            process.wait()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    found: dict[str, list[Measured]] = {"off": [], "on": [], "hung": []}
    for _ in range(rounds):
        # Run all nights at the same time, so that other load on the machine affects them equally.
        with ThreadPoolExecutor() as threads:
            for how, result in zip(found, threads.map(measured, found), strict=True):
                found[how].append(result)
                print(how, result, flush=True)
    for what in ("process_s", "night_s", "cpu_s"):
        medians = {how: statistics.median(getattr(each, what) for each in results) for how, results in found.items()}
        print(
            f"{what}: "
            + ", ".join(f"{how} {medians[how]:.2f} ({medians[how] / medians['off']:.4f})" for how in medians)
        )


if __name__ == "__main__":
    main()
