"""Serve the page to browsers over HTTP. This is the only module that imports the web server library."""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from coldframe.calibration.files.regular import open_regular
from coldframe.capture.monitoring.report.page import chart_style
from coldframe.capture.monitoring.watching.source import NightSource
from coldframe.capture.monitoring.watching.watched_night import WatchedNight
from coldframe.capture.monitoring.web.access import Access
from coldframe.capture.monitoring.web.addresses import Address, listening_socket
from coldframe.capture.monitoring.web.commands import Commands, night_id
from coldframe.capture.monitoring.web.live import LivePage
from coldframe.capture.monitoring.web.night_files import LOOK_S, NightFiles
from coldframe.capture.monitoring.web.sections import Sight, Theme, page, report_page, sections
from coldframe.capture.threads import DiskHangsError, read_in_thread

log = logging.getLogger(__name__)
_FOLDER = Path(__file__).parent

MOST_CONNECTIONS, MOST_PER_ADDRESS = 64, 32
"""Maximum number of open connections, in total and from one IP address, so that no address can use all connections."""

BLOCK_BYTES = 1 << 18
"""Size of the blocks in which the report is sent."""

LONGEST_HEADERS_BYTES, LONGEST_BODY_BYTES = 16_384, 1_000

REQUEST_S = 30.0
"""Maximum time that a browser may take to send a request, or to read an answer, a message or a block of the report."""

STOPPED_READING = "it stopped reading"

OWN_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of all answers except the report, so that text in the page cannot load or run anything from
elsewhere."""

REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""Content-Security-Policy of the report. The report contains its style sheet and pictures, but no scripts."""


CANNOT_WRITE = (
    '<div class="verdict bad"><h1>✘ This page cannot be written</h1>'
    "<p>The log of coldframe serve states the reason.</p></div>"
)


class WebNight:
    """A night that browsers watch.

    Parameters
    ----------
    source
        Source of the events, and destination of the commands.
    storage
        The folder that contains the folders of the nights.
    access
        Rules that decide which requests are answered.
    now
        Function that returns the wall-clock time in the time zone to show.
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
        self.live = LivePage(self._sections)
        self.access = access
        self._source = source
        self._now = now
        self._opened = asyncio.Event()
        self._failed_for: str | None = None

    def opened(self) -> None:
        """Check the files soon, because a browser has opened the page."""
        self._opened.set()

    def _sections(self) -> dict[str, str]:
        """Return the sections. On an error, replace the headline with a message, and log the error once."""
        try:
            written = sections(self.sight())
        except Exception as error:  # an unusual event in one journal must not break the page for all nights
            if self._failed_for != repr(error):
                log.exception("the page cannot be written")
            self._failed_for = repr(error)
            return {"headline": CANNOT_WRITE}
        self._failed_for = None
        return written

    def sight(self) -> Sight:
        """Return the current input of the page."""
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
            report_at=None if files.report is None else files.report.written_at,
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
            if self.live.viewers or self._opened.is_set():
                self._opened.clear()
                await self.files.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._opened.wait()


async def serve(web: WebNight, address: Address, opened: Callable[[Address], None], end: asyncio.Event) -> None:
    """Serve the page until `end` is set.

    Parameters
    ----------
    web
        The night to show.
    address
        Address on which to listen. The port 0 stands for any free port, and the host ``::`` for all IPv6 and IPv4
        addresses.
    opened
        Function that is called with the address and its actual port once the server is listening.

    Raises
    ------
    CannotListenError
        If the address cannot be used.
    """
    # The library logs hostile requests, which are not errors in this program.
    logging.getLogger("tornado.general").setLevel(logging.ERROR)
    with listening_socket(address) as listener:
        server = _Server(
            _application(web),
            max_header_size=LONGEST_HEADERS_BYTES,
            max_body_size=LONGEST_BODY_BYTES,
            idle_connection_timeout=REQUEST_S,
            body_timeout=REQUEST_S,
        )
        server.add_socket(listener)
        try:
            opened(Address(address.host, listener.getsockname()[1]))
            await _serve_until(end, web)
        finally:
            server.stop()
            await server.close_all_connections()


async def _serve_until(end: asyncio.Event, web: WebNight) -> None:
    running = asyncio.create_task(web.run(), name="web")
    ended = asyncio.create_task(end.wait(), name="end")
    try:
        await asyncio.wait([running, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        web.live.close()
        for task in (running, ended):
            task.cancel()
        await asyncio.wait([running, ended])
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
    """A server that immediately closes connections beyond `MOST_CONNECTIONS` and `MOST_PER_ADDRESS`."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature is the library's
        super().initialize(*args, **kwargs)
        self._open = Counter[str]()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if self._open.total() >= MOST_CONNECTIONS or self._open[_place(address)] >= MOST_PER_ADDRESS:
            stream.close()
            return
        self._open[_place(address)] += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: HTTP1ServerConnection) -> None:  # type: ignore[override]  # of its subclass
        place = _place(server_conn.context.address)  # type: ignore[attr-defined]  # set in `handle_stream`
        self._open[place] -= 1
        if not self._open[place]:
            del self._open[place]
        super().on_close(server_conn)


def _place(address: tuple[Any, ...]) -> str:
    return str(address[0])


class _Handler(RequestHandler):
    """A handler that answers with 404. The other handlers inherit from it, so that all of them check the host."""

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
                reason="this name is not served. Open the page with the IP address of the machine, or start coldframe "
                "serve with --name and this name",
            )

    def finish(self, chunk: str | bytes | dict[Any, Any] | None = None) -> "asyncio.Future[None]":
        """Send the answer, and disconnect a browser that does not read it."""
        finishing = super().finish(chunk)
        timer = asyncio.get_running_loop().call_later(REQUEST_S, self.disconnect, STOPPED_READING)
        finishing.add_done_callback(lambda _: timer.cancel())
        return finishing

    def disconnect(self, reason: str) -> None:
        """Close the connection, and log the reason."""
        log.info("disconnected a browser: %s", reason)
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        connection.close()

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
        self.web.opened()
        self.finish(page(self.web.sight(), self.theme))


class _TextHandler(_Handler):
    def initialize(self, web: WebNight, text: str = "", kind: str = "") -> None:
        super().initialize(web)
        self._text, self._kind = text, kind

    async def get(self) -> None:
        self.set_header("Content-Type", f"{self._kind}; charset=utf-8")
        self.finish(self._text)


class _EventsHandler(_Handler):
    """A handler that sends changed sections as an endless stream of server-sent events."""

    async def get(self) -> None:
        live = self.web.live
        self.set_header("Content-Type", "text/event-stream")
        if live.is_full:
            # A browser would hide the text of an error response from the page.
            self.finish(_message("refusal", "Too many browsers are showing this page. Close it in one of them."))
            return
        version = 0
        with live.viewer():
            try:
                while not live.is_closed:
                    version, changed = await live.after(version)
                    self.write(_message("sections", changed))
                    async with asyncio.timeout(REQUEST_S):
                        await self.flush()
            except TimeoutError:
                self.disconnect(STOPPED_READING)
            except StreamClosedError:
                pass


def _message(event: str, content: object) -> str:
    return f"event: {event}\ndata: {json.dumps(content)}\n\n"


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
        await self.web.files.find_report()
        report = self.web.files.report
        if report is None:
            raise HTTPError(HTTPStatus.NOT_FOUND, reason="there is no report on this night yet")
        try:
            file = await read_in_thread(open_regular, report.path)
        except (OSError, DiskHangsError) as error:
            raise HTTPError(HTTPStatus.NOT_FOUND, reason="the report cannot be read") from error
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", REPORT)
        with file:
            await self._send(file)

    async def _send(self, file: BufferedReader) -> None:
        """Send a file in blocks, so that slow browsers do not cause high memory use."""
        left = os.fstat(file.fileno()).st_size
        self.set_header("Content-Length", str(left))
        try:
            while left and (block := await read_in_thread(file.read, min(left, BLOCK_BYTES))):
                left -= len(block)
                self.write(block)
                async with asyncio.timeout(REQUEST_S):
                    await self.flush()
        except StreamClosedError:
            return
        except TimeoutError:
            left, reason = -1, STOPPED_READING
        except (OSError, DiskHangsError) as error:
            left, reason = -1, f"the report could not be read: {error}"
        else:
            reason = "the report became shorter while it was being sent"
        # The browser must not mistake a part of the report for the whole.
        self.disconnect(reason) if left else self.finish()


class _CommandHandler(_Handler):
    """A handler that passes a command to the night if the token and the origin of the request are valid."""

    async def post(self) -> None:
        access, headers = self.web.access, self.request.headers
        if access.token is None:
            raise HTTPError(HTTPStatus.FORBIDDEN, reason="read-only: start coldframe serve with --commands")
        if not access.is_own_page(headers.get("Origin", ""), headers.get("Host", "")):
            raise HTTPError(HTTPStatus.FORBIDDEN, reason="commands are accepted only from the page itself")
        if headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise HTTPError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if not access.has_token(headers.get("Authorization", "")):
            raise HTTPError(HTTPStatus.UNAUTHORIZED, reason="wrong token; press the button again to enter another")
        reply = await self.web.commands.send(self.request.body)
        self.set_status(reply.status)
        self.finish(f"{reply.text}\n")
