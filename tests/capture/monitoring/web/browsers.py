"""A page that this process serves over loopback, the run that it shows, and requests of browsers."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event
from coldframe.capture.events.stream import EventStream
from coldframe.capture.monitoring.watching.local import LocalSource
from coldframe.capture.monitoring.watching.server import WatchServer
from coldframe.capture.monitoring.web.access import Access
from coldframe.capture.monitoring.web.addresses import Address
from coldframe.capture.monitoring.web.server import WebNight, serve
from coldframe.capture.session.steering import Steering
from tests.patience import PATIENCE_S, until

LONGEST_LINE_BYTES = 1 << 24

TOKEN = "abcd-efgh-ijkl-mnop"


class Run:
    """The events of a run, and their server."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self.events = EventStream()
        self.steering = Steering(self.events, NightClock())

    def serving(self, *, allows_commands: bool = True) -> WatchServer:
        return WatchServer(self.storage, self.events, self.steering, allows_commands=allows_commands)

    def publish(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.publish(event)


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Browser:
    """Sends requests to the page."""

    port: int
    web: WebNight
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/"

    @asynccontextmanager
    async def open(
        self, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> AsyncIterator[asyncio.StreamReader]:
        """Send a request, and return its answer while the connection is open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=LONGEST_LINE_BYTES)
        try:
            sent = {"Host": self.host, "Connection": "close", "Content-Length": str(len(body))} | headers
            lines = [f"{name.replace('_', '-')}: {value}" for name, value in sent.items()]
            writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body)
            yield reader
        finally:
            writer.close()

    async def get(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Response:
        async with asyncio.timeout(PATIENCE_S), self.open(path, method, body, **headers) as reader:
            return response(await reader.read())

    async def command(self, do: str, night: str, token: str = TOKEN, **others: object) -> Response:
        body = json.dumps({"do": do, "night": night} | others).encode()
        return await self.post(body, Authorization=f"Bearer {token}")

    async def post(self, body: bytes, **headers: str) -> Response:
        own = {"Content_Type": "application/json", "Origin": f"http://{self.host}"}
        return await self.get("/command", "POST", body, **(own | headers))

    async def sections(self) -> AsyncGenerator[dict[str, str], None]:
        """Yield the sections of each message."""
        async with self.open("/events") as reader:
            while line := await reader.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))


def response(received: bytes) -> Response:
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Response(int(status.split(" ")[1]), headers, body)


@asynccontextmanager
async def served(storage: Path, *, token: str | None = None, address: str = "127.0.0.1") -> AsyncIterator[Browser]:
    """Serve the page of a storage folder."""
    web = WebNight(LocalSource(storage), storage, Access(frozenset({"localhost"}), token), lambda: datetime.now(UTC))
    listening: list[Address] = []
    end = asyncio.Event()
    serving = asyncio.create_task(serve(web, Address(address, 0), listening.append, end))
    try:
        await until(lambda: listening or serving.done())
        yield Browser(listening[0].port, web)
    finally:
        end.set()
        await serving
