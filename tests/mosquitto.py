"""A real mosquitto broker on a free loopback port, which can be killed, frozen and restarted."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from coldframe.config.tables.broker import BrokerSettings
from tests.patience import block_until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt install mosquitto")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A broker that runs within a context, asynchronous or not. `rules` are more lines for its configuration."""

    def __init__(self, folder: Path, *rules: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self._log_file = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", *rules]
        if os.geteuid() == 0:
            lines.append("user root")  # mosquitto's own user could not read the test's folder
        if not any(line.startswith("allow_anonymous") for line in rules):
            lines.append("allow_anonymous true")
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> BrokerSettings:
        return BrokerSettings(port=self.port)

    @property
    def log(self) -> str:
        return self._log_file.read_text()

    def start(self) -> None:
        assert MOSQUITTO is not None
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log)
        block_until(self._accepts_connections)

    def _accepts_connections(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Make the broker hang. Its connections stay open, but it does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def broker_with_access(folder: Path, *rules: str) -> Mosquitto:
    """Return a broker with access rules for all clients, such as "topic write a/b"."""
    file = folder / "acl"
    file.write_text("\n".join(rules) + "\n", encoding="utf-8")
    file.chmod(0o600)
    return Mosquitto(folder, f"acl_file {file}")


@asynccontextmanager
async def without_mqtt_5(broker: Mosquitto) -> AsyncIterator[int]:
    """Run a proxy that refuses all MQTT versions except 3.1.1 in front of a broker, and yield its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(9)  # type, length, "MQTT" with its length, version
        if head[8] == 4:
            from_broker, to_broker = await asyncio.open_connection("127.0.0.1", broker.port)
            to_broker.write(head)
            await asyncio.gather(_forward(reader, to_broker), _forward(from_broker, writer))
        else:
            writer.write(bytes([0x20, 2, 0, 1]))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
