"""An HTTP server on loopback that receives notifications or does not answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """The notifications received, and a switch that keeps the server from answering."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()


@contextmanager
def server() -> Iterator[Receiver]:
    """Receive JSON messages during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.answers.wait()
            receiver.messages.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        receiver = Receiver(f"json://127.0.0.1:{running.server_address[1]}/")
        serving = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield receiver
        finally:
            receiver.answers.set()
            running.shutdown()
            serving.join()
