"""Run a real indiserver with one driver for the duration of a benchmark."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coldframe.devices.indi.pixels.blob_channel import ServerAddress

HOST = "127.0.0.1"
START_DEADLINE_S = 30.0
ALLOWED_LAG_MB = 1024
"""Lag at which indiserver disconnects a client. The default of 128 MB is two frames of 26 megapixels."""

BLOB_DRIVER = f"""#!/bin/sh
exec {sys.executable} -m benchmarks.indi.blob_driver
"""


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


@contextmanager
def indiserver(driver: str, **environment: str) -> Iterator[ServerAddress]:
    """Run the shell script `driver` under indiserver."""
    with tempfile.TemporaryDirectory(prefix="coldframe-bench-") as home:
        script = Path(home) / "driver"
        script.write_text(driver)
        script.chmod(0o755)
        port = free_port()
        unix_socket = f"/tmp/coldframe-bench-{port}"
        process = subprocess.Popen(
            ["indiserver", "-m", str(ALLOWED_LAG_MB), "-p", str(port), "-u", unix_socket, str(script)],
            env={**os.environ, **environment, "HOME": home},
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline_s = time.monotonic() + START_DEADLINE_S
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline_s:
                    sys.exit("indiserver did not start; is Debian's indi-bin installed?")
                time.sleep(0.02)
            yield ServerAddress(HOST, port, unix_socket)
        finally:
            process.terminate()
            process.wait()
