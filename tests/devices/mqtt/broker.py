"""A mosquitto for tests, on a free port of this machine, that can be killed, frozen and started again."""

import asyncio
import contextlib
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from coldframe.config.tables.broker import BrokerSettings
from tests.patience import PATIENCE_S

needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin") is None,
    reason="mosquitto is not installed: apt install mosquitto",
)


class Mosquitto:
    """A broker that runs within an asynchronous context; `rules` are further lines of its configuration."""

    def __init__(self, folder: Path, *rules: str) -> None:
        self._file = folder / "mosquitto.conf"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        lines = (f"listener {self.port} 127.0.0.1", *(rules or ("allow_anonymous true",)))
        self._file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def settings(self) -> BrokerSettings:
        return BrokerSettings(port=self.port)

    async def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        assert program is not None
        self._process = await asyncio.create_subprocess_exec(
            *(program, "-c", str(self._file)), stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(PATIENCE_S):
            while not await self._listens():
                await asyncio.sleep(0.02)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def freeze(self) -> None:
        """Let it hang: its connections stay open, but it answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()


@contextlib.asynccontextmanager
async def without_mqtt_5(broker: Mosquitto) -> AsyncIterator[int]:
    """Run a proxy before a broker that refuses every version but MQTT 3.1.1; yield its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(9)  # type, length, "MQTT" with its length, version
        if head[8] == 4:
            there, to_broker = await asyncio.open_connection("127.0.0.1", broker.port)
            to_broker.write(head)
            await asyncio.gather(pass_on(reader, to_broker), pass_on(there, writer))
        else:
            writer.write(bytes([0x20, 2, 0, 1]))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
