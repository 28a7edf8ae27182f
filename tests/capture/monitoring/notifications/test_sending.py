"""Notifications reach a server that answers. A server that does not answer causes no delay."""

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import NightEnded, Notice
from coldframe.capture.events.values import NightOutcome, Severity
from coldframe.capture.monitoring.notifications.sending import (
    MOST_STUCK,
    MOST_WAITING,
    Notifier,
    NotifySetupError,
    addresses,
    apprise_sender,
)
from coldframe.capture.monitoring.notifications.wording import Notification, NotificationWriter
from coldframe.config.tables.notify import NotifySettings
from tests.capture.monitoring.notifications.servers import Receiver, server
from tests.patience import PATIENCE_S

START = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
ENDED = NightEnded(START, NightOutcome.COMPLETE, "all planned masters were made")
needs_apprise = pytest.mark.skipif(
    importlib.util.find_spec("apprise") is None, reason="apprise is not installed: pip install apprise"
)

# Apprise looks for a module that Python 3.13 no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with server() as running:
        yield running


def problem(number: int) -> Notice:
    return Notice(START, Severity.WARNING, "a problem " + "x" * number)


def a_writer() -> NotificationWriter:
    return NotificationWriter(NotifySettings(urls_from=("X",)), "Rig")


@needs_apprise
async def test_notifications_arrive(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text(f"# mine\n\n{receiver.address}\n")
    settings = NotifySettings(urls_file=file)
    notifier = Notifier(NotificationWriter(settings, "Rig"), apprise_sender(settings), PATIENCE_S)
    async with notifier.sending():
        notifier(problem(1))
        notifier(ENDED)
    assert [(message["title"], message["type"]) for message in receiver.messages] == [
        ("Rig: problem", "warning"),
        ("Rig: night complete", "info"),
    ]
    assert "all planned masters were made; 0 frames, 0 masters, 1 problem" in receiver.messages[1]["message"]


@needs_apprise
async def test_server_that_does_not_answer_is_given_up(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.clear()
    file = tmp_path / "urls"
    file.write_text(f"{receiver.address}?rto=60&cto=60&token=secret\n")
    settings = NotifySettings(urls_file=file)
    notifier = Notifier(NotificationWriter(settings, "Rig"), apprise_sender(settings), 0.2)
    async with notifier.sending():
        notifier(ENDED)
    assert receiver.messages == []
    while not caplog.text:  # the run does not wait for this line
        await asyncio.sleep(0.02)
    assert "not sent within 0.2 s" in caplog.text
    assert "secret" not in caplog.text


async def test_no_more_are_sent_after_several_that_hang() -> None:
    released, tried = threading.Event(), []

    def hang(notification: Notification) -> bool:
        tried.append(notification)
        return released.wait(PATIENCE_S)

    notifier = Notifier(a_writer(), hang, 0.05)
    async with notifier.sending():
        for number in range(10):
            notifier(problem(number))
        while len(tried) < MOST_STUCK:
            await asyncio.sleep(0.02)
    released.set()
    assert len(tried) == MOST_STUCK


async def test_failures_are_logged_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    answers: Iterator[bool | Exception] = iter([ValueError("https://secret@host"), False, True])

    def send(_notification: Notification) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    notifier = Notifier(a_writer(), send, PATIENCE_S)
    async with notifier.sending():
        for number in range(3):
            notifier(problem(number))
    assert [record.getMessage() for record in caplog.records] == [
        "notification not sent: Rig: problem: ValueError",
        "notification could not be sent to one or more addresses: Rig: problem",
    ]


async def test_oldest_notification_is_discarded_when_too_many_wait() -> None:
    released, sent = threading.Event(), list[str]()

    def send(notification: Notification) -> bool:
        sent.append(notification.text)
        return released.wait(PATIENCE_S)

    # Every problem has other words, and is of another kind.
    settings = NotifySettings(urls_from=("X",))
    writer = NotificationWriter(settings, "Rig", most_problems=1000)
    notifier = Notifier(writer, send, PATIENCE_S)
    async with notifier.sending():
        notifier(problem(0))
        while not sent:
            await asyncio.sleep(0.02)
        for number in range(1, 2 * MOST_WAITING + 1):
            notifier(problem(number))
        released.set()
    # The first was being sent, and the end of the block takes one place.
    assert [text.count("x") for text in sent] == [0, *range(MOST_WAITING + 2, 2 * MOST_WAITING + 1)]


def test_addresses_are_read_from_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("ntfy://one\n\n# no\n  json://two  \n")
    settings = NotifySettings(urls_file=file, urls_from=("MY_URL",))
    assert addresses(settings, {"MY_URL": "gotify://three"}) == ["ntfy://one", "json://two", "gotify://three"]


@pytest.mark.parametrize(
    ("content", "text"), [(None, "No such file"), (b"", "no address"), (b"\xff", "UTF-8"), (b"x" * 200_000, "larger")]
)
def test_file_without_addresses_is_an_error(tmp_path: Path, content: bytes | None, text: str) -> None:
    file = tmp_path / "urls"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NotifySetupError, match=text):
        addresses(NotifySettings(urls_file=file))
    with pytest.raises(NotifySetupError, match="MY_URL is not set"):
        addresses(NotifySettings(urls_from=("MY_URL",)), {})


@needs_apprise
def test_unknown_address_is_reported_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("json://fine\nnonsense://secret\n")
    with pytest.raises(NotifySetupError, match="address 2 of 2") as refused:
        apprise_sender(NotifySettings(urls_file=file))
    assert "secret" not in str(refused.value)


def test_missing_apprise_is_reported_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "urls"
    file.write_text("json://fine\n")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NotifySetupError, match=r"pip install apprise"):
        apprise_sender(NotifySettings(urls_file=file))
