"""Sends messages beside the night, in threads that nobody waits for, through Apprise."""

import importlib.util
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TypeAlias

from coldframe.capture.events.kinds import Event, Severity
from coldframe.capture.monitoring.notifications.wording import Word, Wording
from coldframe.capture.threads import in_thread
from coldframe.config.tables.notify import NotifySettings
from coldframe.errors import ColdframeError

log = logging.getLogger(__name__)

MOST_WAITING = 30
"""Messages on their way; the oldest is given up for a new one."""

MOST_STUCK = 3
"""Attempts that outlived their deadline; after so many no more are made."""

LONGEST_FILE_BYTES = 100_000

Send: TypeAlias = Callable[[Word], bool]
"""Sends a message; False where an address did not take it. Blocks, and may raise anything."""


class NotifySetupError(ColdframeError):
    """Messages cannot be sent as configured; one line for people, without the addresses."""


def addresses(settings: NotifySettings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Read the addresses from their file and from the environment.

    Raises
    ------
    NotifySetupError
        There are none, or they cannot be read.
    """
    found = _in_file(settings.urls_file) if settings.urls_file else []
    for name in settings.urls_from:
        if not environment.get(name):
            raise NotifySetupError(f"notify.urls_from: the environment has no {name}")
        found.append(environment[name].strip())
    if not found:
        raise NotifySetupError(f"{settings.urls_file}: holds no address; one in each line, such as ntfy://my-topic")
    return found


def _in_file(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise NotifySetupError(f"{path}: the addresses cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise NotifySetupError(f"{path}: the addresses are not UTF-8") from None
    if len(content) > LONGEST_FILE_BYTES:
        raise NotifySetupError(f"{path}: holds more than {LONGEST_FILE_BYTES:,} bytes, which are no addresses")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def apprise_sender(settings: NotifySettings) -> Send:
    """Return what sends through Apprise; takes a second, for its many services.

    Raises
    ------
    NotifySetupError
        Apprise is not installed, or knows no such address.
    """
    urls = addresses(settings)
    if importlib.util.find_spec("apprise") is None:
        raise NotifySetupError("[notify] needs Apprise, which is not installed: pip install 'coldframe[notify]'")
    import apprise  # noqa: PLC0415  # slow, and an extra

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would tell addresses
    sender = apprise.Apprise()
    for number, url in enumerate(urls, start=1):
        if not sender.add(url):
            raise NotifySetupError(f"[notify]: address {number} of {len(urls)} is none that Apprise knows")
    kinds = {
        Severity.INFO: apprise.NotifyType.INFO,
        Severity.WARNING: apprise.NotifyType.WARNING,
        Severity.ERROR: apprise.NotifyType.FAILURE,
    }

    def send(word: Word) -> bool:
        return bool(sender.notify(body=word.text, title=word.title, notify_type=kinds[word.severity]))

    return send


class Notifier:
    """An `EventStream` subscriber that sends the few messages that a night is worth.

    Parameters
    ----------
    wording
        What is worth one.
    send
        How it is sent.
    deadline_s
        Longest time for one message.
    """

    def __init__(self, wording: Wording, send: Send, deadline_s: float) -> None:
        self._wording = wording
        self._send = send
        self._deadline_s = deadline_s
        self._waiting: Queue[Word | None] = Queue(MOST_WAITING)
        self._stuck = 0
        self._is_over = threading.Event()

    def __call__(self, event: Event) -> None:
        """Have the event's message sent, if it is worth one; never blocks."""
        word = self._wording.word(event)
        if word is not None:
            self._put(word)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send for the length of the block; afterwards what waits has one deadline to arrive."""
        threading.Thread(target=self._send_all, name="notify", daemon=True).start()
        try:
            yield
        finally:
            self._put(None)
            await in_thread(self._is_over.wait, self._deadline_s)

    def _put(self, word: Word | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(word)
            except Full:
                with suppress(Empty):
                    self._waiting.get_nowait()
            else:
                return

    def _send_all(self) -> None:
        while (word := self._waiting.get()) is not None:
            if self._stuck < MOST_STUCK:
                self._send_in_time(word)
        self._is_over.set()

    def _send_in_time(self, word: Word) -> None:
        attempt = threading.Thread(target=self._send_once, args=(word,), name="notify once", daemon=True)
        attempt.start()
        attempt.join(self._deadline_s)
        if attempt.is_alive():
            self._stuck += 1
            given_up = "; no more are sent" if self._stuck == MOST_STUCK else ""
            log.warning("a message was not taken within %g s: %s%s", self._deadline_s, word.title, given_up)

    def _send_once(self, word: Word) -> None:
        try:
            is_sent = self._send(word)
        except Exception as error:  # noqa: BLE001  # the boundary: other people's code for a hundred services
            log.warning("a message was not sent: %s: %s", word.title, type(error).__name__)
            return
        if not is_sent:
            log.warning("a message was not taken by every address: %s", word.title)
