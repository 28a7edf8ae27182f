"""A headless Chromium that tests steer over its DevTools protocol, which no security policy of a page restricts."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.capture.monitoring.report.browser import CHROMIUM, QUIET
from tests.patience import PATIENCE_S, until

LONGEST_MESSAGE_BYTES = 1 << 26


class Tab:
    """A tab with one page.

    Attributes
    ----------
    complaints
        Errors of scripts, and violations of the security policy.
    """

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                received = await self._socket.read_message()
                assert received is not None, "the browser is gone"
                message = json.loads(received)
                if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                    self.complaints.append(json.dumps(message["params"]))
                if message.get("id") == number:
                    assert "error" not in message, message
                    return dict(message["result"])

    async def evaluate(self, expression: str) -> Any:
        done = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.05)

    async def open(self, url: str, width: int) -> None:
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 800
        )
        await self.call("Page.navigate", url=url)
        await self.wait_for(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")


@asynccontextmanager
async def tab() -> AsyncIterator[Tab]:
    """Start a browser with one empty tab."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *QUIET, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}",
            "--remote-debugging-port=0", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            address = Path(profile) / "DevToolsActivePort"
            await until(lambda: address.is_file() and address.read_text().count("\n"))
            port = int(address.read_text().split("\n")[0])
            socket = await _socket_of_a_tab(port)
            yield Tab(socket)
            socket.close()
        finally:
            process.kill()
            await process.wait()


async def _socket_of_a_tab(port: int) -> WebSocketClientConnection:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /json/list HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        listed = json.loads(await reader.readexactly(length))
    writer.close()
    found = next(each["webSocketDebuggerUrl"] for each in listed if each["type"] == "page")
    return await websocket_connect(found, max_message_size=LONGEST_MESSAGE_BYTES)
