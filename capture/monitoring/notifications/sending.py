"""Send notifications through Apprise, in separate threads that cannot delay the frames."""

import importlib.util
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TypeAlias

from coldframe.capture.events.kinds import Event
from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.notifications.wording import Notification, NotificationWriter
from coldframe.capture.threads import in_thread
from coldframe.config.tables.notify import NotifySettings
from coldframe.errors import ColdframeError, MissingPackageError

log = logging.getLogger(__name__)

MOST_WAITING = 30
"""Maximum number of notifications waiting to be sent. If another one is added, the oldest is discarded."""

MOST_STUCK = 3
"""Number of attempts that may exceed the deadline. After this many, no more notifications are sent."""

LONGEST_FILE_BYTES = 100_000

Send: TypeAlias = Callable[[Notification], bool]
"""A function that sends a notification, and returns False if sending to one or more addresses failed.

The function blocks, and can raise any exception.
"""


class NotifySetupError(ColdframeError):
    """Notifications cannot be sent as configured. The error message is one line for the user, without addresses."""


def addresses(settings: NotifySettings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Read the addresses from the configured file and from the environment.

    Raises
    ------
    NotifySetupError
        If there are no addresses, or the addresses cannot be read.
    """
    found = _in_file(settings.urls_file) if settings.urls_file else []
    for name in settings.urls_from:
        if not environment.get(name):
            raise NotifySetupError(f"notify.urls_from: the environment variable {name} is not set")
        found.append(environment[name].strip())
    if not found:
        raise NotifySetupError(f"{settings.urls_file} contains no address; write one per line, such as ntfy://my-topic")
    return found


def _in_file(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise NotifySetupError(f"{path}: the addresses cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise NotifySetupError(f"{path}: the addresses are not encoded in UTF-8") from None
    if len(content) > LONGEST_FILE_BYTES:
        raise NotifySetupError(f"{path} is larger than {LONGEST_FILE_BYTES:,} bytes; expected one address per line")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def apprise_sender(settings: NotifySettings) -> Send:
    """Import Apprise, which takes about a second, and return a function that sends through it.

    Raises
    ------
    NotifySetupError
        If Apprise is not installed or does not support an address.
    """
    urls = addresses(settings)
    if importlib.util.find_spec("apprise") is None:
        raise NotifySetupError(str(MissingPackageError("apprise")))
    import apprise  # noqa: PLC0415  # slow to import, and an optional dependency

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # Apprise would log addresses, which contain passwords
    sender = apprise.Apprise()
    for number, url in enumerate(urls, start=1):
        if not sender.add(url):
            raise NotifySetupError(f"[notify]: Apprise does not support address {number} of {len(urls)}")
    kinds = {
        Severity.INFO: apprise.NotifyType.INFO,
        Severity.WARNING: apprise.NotifyType.WARNING,
        Severity.ERROR: apprise.NotifyType.FAILURE,
    }

    def send(notification: Notification) -> bool:
        kind = kinds[notification.severity]
        return bool(sender.notify(body=notification.text, title=notification.title, notify_type=kind))

    return send


class Notifier:
    """An `EventStream` subscriber that sends notifications about a night.

    Parameters
    ----------
    writer
        Object that decides which events warrant a notification, and writes the notification.
    send
        Function that sends a notification.
    deadline_s
        Maximum time that sending a notification may take, in seconds.
    """

    def __init__(self, writer: NotificationWriter, send: Send, deadline_s: float) -> None:
        self._writer = writer
        self._send = send
        self._deadline_s = deadline_s
        self._waiting: Queue[Notification | None] = Queue(MOST_WAITING)
        self._stuck = 0
        self._is_over = threading.Event()

    def __call__(self, event: Event) -> None:
        """Queue a notification about the event if the event warrants one, without blocking."""
        notification = self._writer.write(event)
        if notification is not None:
            self._put(notification)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send notifications during the block, then wait at most `deadline_s` for the notifications still queued."""
        threading.Thread(target=self._send_all, name="notify", daemon=True).start()
        try:
            yield
        finally:
            self._put(None)
            await in_thread(self._is_over.wait, self._deadline_s)

    def _put(self, notification: Notification | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(notification)
            except Full:
                with suppress(Empty):
                    self._waiting.get_nowait()
            else:
                return

    def _send_all(self) -> None:
        while (notification := self._waiting.get()) is not None:
            if self._stuck < MOST_STUCK:
                self._send_in_time(notification)
        self._is_over.set()

    def _send_in_time(self, notification: Notification) -> None:
        attempt = threading.Thread(target=self._send_once, args=(notification,), name="notify once", daemon=True)
        attempt.start()
        attempt.join(self._deadline_s)
        if attempt.is_alive():
            self._stuck += 1
            given_up = "; no more notifications will be sent" if self._stuck == MOST_STUCK else ""
            log.warning("notification not sent within %g s: %s%s", self._deadline_s, notification.title, given_up)

    def _send_once(self, notification: Notification) -> None:
        try:
            is_sent = self._send(notification)
        except Exception as error:  # noqa: BLE001  # an Apprise plugin may raise any exception
            # Do not log the error message, because it might contain the address.
            log.warning("notification not sent: %s: %s", notification.title, type(error).__name__)
            return
        if not is_sent:
            log.warning("notification could not be sent to one or more addresses: %s", notification.title)
