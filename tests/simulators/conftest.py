"""A served rig, a stock indiserver, and a client that receives every byte."""

import asyncio
import mmap
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pytest

from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.simulators.indi.serve import serve
from tests.patience import PATIENCE_S
from tests.ports import free_port

CAMERA = "Coldframe Camera"
PANEL = "Coldframe Flat Panel"
WHEEL = "Coldframe Filter Wheel"


class RawClient:
    """A connection that stores all received text and descriptors."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.text = ""
        self.descriptors: list[int] = []
        stream.setblocking(False)

    async def send(self, text: str) -> None:
        await asyncio.get_running_loop().sock_sendall(self.stream, text.encode())

    async def read(self) -> bool:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self.stream, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self.stream)
        data, descriptors, _, _ = socket.recv_fds(self.stream, 1 << 16, 16)
        self.text += data.decode()
        self.descriptors += descriptors
        return bool(data)

    async def find(self, pattern: str) -> re.Match[str]:
        """Read until `pattern` is found."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (found := re.search(pattern, self.text, re.DOTALL)):
                    assert await self.read(), f"hung up before {pattern!r}; last: {self.text[-500:]}"
        except TimeoutError:
            pytest.fail(f"no {pattern!r} within {PATIENCE_S} s; last: {self.text[-1000:]}")
        return found

    async def until(self, pattern: str) -> re.Match[str]:
        """Read until `pattern` is found, and discard everything up to its end."""
        found = await self.find(pattern)
        self.text = self.text[found.end() :]
        return found

    async def until_state(self, name: str, state: str) -> str:
        found = await self.until(rf'<set\w+ device="[^"]*" name="{name}" state="{state}".*?</set\w+>')
        return found.group()

    async def connect(self, *devices: str) -> None:
        await self.send('<getProperties version="1.7"/>')
        async with asyncio.timeout(PATIENCE_S):
            while not all(f'device="{device}" name="CONNECTION"' in self.text for device in devices or (CAMERA,)):
                assert await self.read(), "hung up before it told its devices"
        for device in devices:
            await self.switch(device, "CONNECTION", "CONNECT")
            await self.until(f'<setSwitchVector device="{device}" name="CONNECTION" state="Ok"')

    async def switch(self, device: str, name: str, element: str) -> None:
        part = f"<oneSwitch name='{element}'>On</oneSwitch>"
        await self.send(f"<newSwitchVector device='{device}' name='{name}'>{part}</newSwitchVector>")

    async def number(self, device: str, name: str, **values: float | str) -> None:
        parts = "".join(f"<oneNumber name='{key}'>{value}</oneNumber>" for key, value in values.items())
        await self.send(f"<newNumberVector device='{device}' name='{name}'>{parts}</newNumberVector>")

    def take_file(self, size: int) -> bytes:
        """Map the oldest descriptor, and return its bytes."""
        descriptor = self.descriptors.pop(0)
        try:
            with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as view:
                return bytes(view)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.stream.close()


@dataclass(frozen=True)
class Server:
    """The addresses of a server."""

    port: int
    unix_socket: str

    def tcp(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    def unix(self) -> socket.socket:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect("\0" + self.unix_socket)
        except OSError:
            stream.close()
            raise
        return stream


def new_address() -> Server:
    port = free_port()
    return Server(port, f"/tmp/coldframe-test-{os.getpid()}-{port}")


async def wait_for(server: Server) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(ConnectionRefusedError):
                server.unix().close()
                server.tcp().close()
                return
            await asyncio.sleep(0.02)


@pytest.fixture
def small() -> SimulatedRig:
    return load_rig("small")


Serving = Callable[[SimulatedRig], Awaitable[Server]]


@asynccontextmanager
async def rig_server() -> AsyncIterator[Serving]:
    """Yield a function that serves rigs within the running loop."""
    tasks: list[asyncio.Task[None]] = []

    async def start(rig: SimulatedRig) -> Server:
        address = new_address()
        tasks.append(asyncio.create_task(serve(rig, "127.0.0.1", address.port, address.unix_socket)))
        await wait_for(address)
        return address

    yield start
    for task in tasks:
        assert not task.done(), f"the server ended by itself: {task}"
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    async with rig_server() as start:
        yield start


@pytest.fixture
async def clients() -> AsyncIterator[Callable[[socket.socket], RawClient]]:
    """Yield a function that wraps connections, and close the connections at the end."""
    opened: list[RawClient] = []

    def wrap(stream: socket.socket) -> RawClient:
        opened.append(RawClient(stream))
        return opened[-1]

    yield wrap
    for client in opened:
        client.close()


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **environment}, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


FRAMES_BEFORE = 7


@pytest.fixture
async def indiserver(tmp_path: Path) -> AsyncIterator[Server]:
    """Serve the rig `small` with `FRAMES_BEFORE`, as a driver under a stock indiserver."""
    if not shutil.which("indiserver"):
        pytest.skip("indiserver is not installed: apt install indi-bin")
    address = new_address()
    driver = Path(sys.executable).with_name("indi_coldframe_rig")
    command = ["indiserver", "-p", str(address.port), "-u", address.unix_socket, str(driver)]
    shipped = (resources.files("coldframe.config") / "rigs" / "small.toml").read_text("utf-8")
    (tmp_path / "small.toml").write_text(f"frames_before = {FRAMES_BEFORE}\n{shipped}")
    async with running(*command, COLDFRAME_RIG=str(tmp_path / "small.toml")):
        await wait_for(address)
        yield address
