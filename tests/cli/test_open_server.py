"""A server that is not on the loopback interface is used, with a warning."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from coldframe.config.examples import example_night
from tests.patience import PATIENCE_S
from tests.ports import free_port

COLDFRAME = [sys.executable, "-m", "coldframe"]
OTHER = "127.0.0.2"
"""An address of this machine that does not look local."""


def test_a_night_with_a_remote_server_starts_with_a_warning(tmp_path: Path) -> None:
    port = free_port(OTHER)
    server = subprocess.Popen(
        [*COLDFRAME, "simulate", "small", "--host", OTHER, "--port", str(port), "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stderr is not None
    assert "serving" in server.stdout.readline()
    config = tmp_path / "coldframe.toml"
    config.write_text(
        f'[server]\nhost = "{OTHER}"\nport = {port}\n\n' + example_night("small").read_text("utf-8"), "utf-8"
    )
    night = subprocess.Popen(
        [*COLDFRAME, "run", "--config", str(config), "--json", "--folder", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert night.stdout is not None
    first = json.loads(night.stdout.readline())
    while json.loads(night.stdout.readline())["event"] != "night-started":
        pass
    night.send_signal(signal.SIGINT)
    night.send_signal(signal.SIGINT)
    assert "night-ended" in night.stdout.read()
    night.stdout.close()
    night.wait(timeout=PATIENCE_S)
    server.stdin.close()
    assert server.wait(timeout=PATIENCE_S) == 0
    assert "INDI has no passwords" in server.stderr.read()
    server.stdout.close()
    server.stderr.close()
    assert (first["event"], first["severity"]) == ("notice", "warning")
    assert f"the INDI server {OTHER} is on another machine" in first["text"]
