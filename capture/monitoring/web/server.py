"""Serves the page to browsers over HTTP. This is the only module that imports the web server library."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from coldframe.calibration.files.regular import read_regular
from coldframe.capture.monitoring.report.page import chart_style
from coldframe.capture.monitoring.watching.source import NightSource
from coldframe.capture.monitoring.watching.watched_night import WatchedNight
from coldframe.capture.monitoring.web.access import Access
from coldframe.capture.monitoring.web.commands import Commands, night_id
from coldframe.capture.monitoring.web.live import LivePage
from coldframe.capture.monitoring.web.night_files import LOOK_S, NightFiles
from coldframe.capture.monitoring.web.sections import Sight, Theme, page, report_page, sections
from coldframe.capture.threads import in_thread
from coldframe.errors import ColdframeError

log = logging.getLogger(__name__)
_FOLDER = Path(__file__).parent

MOST_CONNECTIONS = 64

LONGEST_HEADERS_BYTES, LONGEST_BODY_BYTES = 16_384, 1_000

REQUEST_S = 30.0
"""Longest time that a browser may take to send a request, or to read a message."""

OWN_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of all answers but the report: no text in the page can load or run anything else."""

REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""Content-Security-Policy of the report, a file that contains its style sheet and pictures, and no scripts."""


class CannotListenError(ColdframeError):
    """The server cannot listen on an address. The error's text is the reason."""


class WebNight:
    """A night that browsers watch.

    Parameters
    ----------
    source
        Source of the events, and destination of the commands.
    storage
        The folder that contains the folders of the nights.
    access
        Requests to answer.
    now
        Returns the wall-clock time in the time zone to show.
    """

    def __init__(
        self,
        source: NightSource,
        storage: Path,
        access: Access,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).astimezone(),
    ) -> None:
        self.night = WatchedNight(storage)
        self.commands = Commands(source, self.night)
        self.files = NightFiles(storage, self.night)
        self.live = LivePage(lambda: sections(self.sight()))
        self.access = access
        self._source = source
        self._now = now

    def sight(self) -> Sight:
        """Return what the page shows now."""
        night, files = self.night, self.files
        picture = files.picture
        return Sight(
            state=night.state,
            now=self._now(),
            note=night.note,
            refusal=self._refusal,
            night_id="" if night.state.night is None else night_id(night.state.night),
            picture=None if picture is None else picture.number,
            picture_title="" if picture is None else picture.title,
            picture_facts="" if picture is None else picture.facts,
            report_at=files.report_at,
        )

    @property
    def _refusal(self) -> str | None:
        if self.access.token is None:
            return "This page is read-only. To control the night from here, start coldframe serve with --commands."
        # The note above the commands already says that no run is attached.
        return self.night.refusal if not self.night.note else "No run is attached, so there is nothing to control."

    async def run(self) -> None:
        """Follow the night until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="following")
            group.create_task(self.live.run(), name="sections")
            group.create_task(self._look_at_files(), name="files")

    async def _follow(self) -> None:
        async with aclosing(self._source.updates()) as updates:
            async for update in updates:
                await self.night.take(update)
                self.commands.take(update)

    async def _look_at_files(self) -> None:
        while True:
            if self.live.viewers:
                await self.files.look()
            await asyncio.sleep(LOOK_S)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the page is served."""

    address: str
    port: int

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}/"


async def serve(
    web: WebNight, address: str, port: int, opened: Callable[[Listening], None], end: asyncio.Event
) -> None:
    """Serve the page until `end` is set.

    Parameters
    ----------
    web
        The night to show.
    address, port
        IP address and TCP port to listen on; 0 for any free port.
    opened
        Called once the server listens.

    Raises
    ------
    CannotListenError
        If the address cannot be used.
    """
    # The library logs hostile requests, which are no faults of this program.
    logging.getLogger("tornado.general").setLevel(logging.ERROR)
    try:
        sockets = bind_sockets(port, address)
    except OSError as error:
        raise CannotListenError(error.strerror or str(error)) from error
    server = _Server(
        _application(web),
        max_header_size=LONGEST_HEADERS_BYTES,
        max_body_size=LONGEST_BODY_BYTES,
        idle_connection_timeout=REQUEST_S,
        body_timeout=REQUEST_S,
    )
    server.add_sockets(sockets)
    opened(Listening(address, sockets[0].getsockname()[1]))
    running = asyncio.create_task(web.run(), name="web")
    ended = asyncio.create_task(end.wait(), name="end")
    try:
        await asyncio.wait([running, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.stop()
        web.live.close()
        for task in (running, ended):
            task.cancel()
        await asyncio.wait([running, ended])
        await server.close_all_connections()
    if not running.cancelled():
        running.result()


def _application(web: WebNight) -> Application:
    script = (_FOLDER / "page.js").read_text("utf-8")
    style = chart_style() + (_FOLDER / "page.css").read_text("utf-8")
    with_web = {"web": web}
    return Application(
        [
            ("/", _PageHandler, with_web),
            ("/page.js", _TextHandler, {**with_web, "text": script, "kind": "text/javascript"}),
            ("/page.css", _TextHandler, {**with_web, "text": style, "kind": "text/css"}),
            ("/events", _EventsHandler, with_web),
            ("/picture", _PictureHandler, with_web),
            ("/report", _ReportPageHandler, with_web),
            ("/report.html", _ReportHandler, with_web),
            ("/command", _CommandHandler, with_web),
        ],
        default_handler_class=_Handler,
        default_handler_args=with_web,
        log_function=lambda handler: log.debug("%s %s", handler.get_status(), handler.request.path),
        compress_response=False,
    )


class _Server(HTTPServer):
    """Closes connections beyond `MOST_CONNECTIONS` at once."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature is the library's
        super().initialize(*args, **kwargs)
        self._open = 0

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if self._open >= MOST_CONNECTIONS:
            stream.close()
            return
        self._open += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self._open -= 1
        super().on_close(server_conn)


class _Handler(RequestHandler):
    """Answers with 404. The other handlers derive from it, so that all of them check the host."""

    web: WebNight

    def initialize(self, web: WebNight) -> None:
        self.web = web

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Security-Policy": OWN_PAGES,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
        }.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        if not self.web.access.is_served(self.request.headers.get("Host", "")):
            raise HTTPError(
                HTTPStatus.MISDIRECTED_REQUEST,
                reason="this name is not served. Open the page by the IP address of the machine, or start coldframe "
                "serve with --name and this name",
            )

    def write_error(self, status_code: int, **_details: object) -> None:
        self.finish(f"{status_code}: {self._reason}\n")

    async def get(self) -> None:
        raise HTTPError(HTTPStatus.NOT_FOUND)

    @property
    def theme(self) -> Theme:
        given = self.get_query_argument("theme", "")
        return Theme(given) if given in set(Theme) else Theme.DARK


class _PageHandler(_Handler):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        await self.web.files.look()
        self.finish(page(self.web.sight(), self.theme))


class _TextHandler(_Handler):
    def initialize(self, web: WebNight, text: str = "", kind: str = "") -> None:
        super().initialize(web)
        self._text, self._kind = text, kind

    async def get(self) -> None:
        self.set_header("Content-Type", f"{self._kind}; charset=utf-8")
        self.finish(self._text)


class _EventsHandler(_Handler):
    """Sends the sections that change as server-sent events, without end."""

    async def get(self) -> None:
        live = self.web.live
        if live.is_full:
            raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, reason="too many browsers; close the page in one of them")
        self.set_header("Content-Type", "text/event-stream")
        version = 0
        with live.viewer():
            try:
                while not live.is_closed:
                    version, changed = await live.after(version)
                    self.write(f"event: sections\ndata: {json.dumps(changed)}\n\n")
                    async with asyncio.timeout(REQUEST_S):
                        await self.flush()
            except TimeoutError:
                log.info("disconnected a browser that does not read")
                connection = self.request.connection
                assert isinstance(connection, HTTP1Connection)
                connection.close()
            except StreamClosedError:
                pass


class _PictureHandler(_Handler):
    async def get(self) -> None:
        picture = self.web.files.picture
        if picture is None:
            raise HTTPError(HTTPStatus.NOT_FOUND)
        self.set_header("Content-Type", "image/png")
        self.finish(picture.png)


class _ReportPageHandler(_Handler):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(report_page(self.theme))


class _ReportHandler(_Handler):
    async def get(self) -> None:
        await self.web.files.look()
        path = self.web.files.report
        if path is None:
            raise HTTPError(HTTPStatus.NOT_FOUND, reason="there is no report of this night yet")
        try:
            content = await in_thread(read_regular, path)
        except OSError as error:
            raise HTTPError(HTTPStatus.NOT_FOUND, reason="the report cannot be read") from error
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", REPORT)
        self.finish(content)


class _CommandHandler(_Handler):
    """Passes a command to the night, if the token and the origin of the request are right."""

    async def post(self) -> None:
        access, headers = self.web.access, self.request.headers
        if access.token is None:
            raise HTTPError(HTTPStatus.FORBIDDEN, reason="read-only: start coldframe serve with --commands")
        if not access.is_own_page(headers.get("Origin", ""), headers.get("Host", "")):
            raise HTTPError(HTTPStatus.FORBIDDEN, reason="commands are accepted only from the page itself")
        if headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise HTTPError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if not access.has_token(headers.get("Authorization", "")):
            raise HTTPError(HTTPStatus.UNAUTHORIZED, reason="wrong token; press the button again and enter it")
        reply = await self.web.commands.send(self.request.body)
        self.set_status(reply.status)
        self.finish(f"{reply.text}\n")
