"""An HTTP server on loopback that takes messages, or does not answer."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Taken:
    """What was posted, and whether the server answers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()


@contextmanager
def server() -> Iterator[Taken]:
    """Take JSON messages for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.answers.wait()
            taken.messages.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        taken = Taken(f"json://127.0.0.1:{running.server_address[1]}/")
        serving = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield taken
        finally:
            taken.answers.set()
            running.shutdown()
            serving.join()
