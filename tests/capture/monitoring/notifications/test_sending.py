"""Messages arrive where they are taken, and hold nothing up where they are not."""

import importlib.util
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import NightEnded, NightOutcome, Notice, Severity
from coldframe.capture.monitoring.notifications.sending import (
    MOST_STUCK,
    MOST_WAITING,
    Notifier,
    NotifySetupError,
    addresses,
    apprise_sender,
)
from coldframe.capture.monitoring.notifications.wording import Word, Wording
from coldframe.config.tables.notify import NotifySettings
from tests.capture.monitoring.notifications.servers import Taken, server
from tests.patience import PATIENCE_S, until

START = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
ENDED = NightEnded(START, NightOutcome.COMPLETE, "all planned masters were made")
needs_apprise = pytest.mark.skipif(
    importlib.util.find_spec("apprise") is None, reason="apprise is not installed: pip install 'coldframe[notify]'"
)
# The library's own: it looks for a module that Python 3.13 no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:.*imghdr:DeprecationWarning")


@pytest.fixture
def taken() -> Iterator[Taken]:
    with server() as running:
        yield running


def problem(number: int) -> Notice:
    return Notice(START, Severity.WARNING, "a problem " + "x" * number)


def wording() -> Wording:
    return Wording(NotifySettings(urls_from=("X",)), "Rig")


@needs_apprise
async def test_messages_arrive(taken: Taken, tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text(f"# mine\n\n{taken.address}\n")
    settings = NotifySettings(urls_file=file)
    notifier = Notifier(Wording(settings, "Rig"), apprise_sender(settings), PATIENCE_S)
    async with notifier.sending():
        notifier(problem(1))
        notifier(ENDED)
    assert [(message["title"], message["type"]) for message in taken.messages] == [
        ("Rig: problem", "warning"),
        ("Rig: night complete", "info"),
    ]
    assert "all planned masters were made; 0 frames, 0 masters, 1 problem" in taken.messages[1]["message"]


@needs_apprise
async def test_a_server_that_does_not_answer_is_given_up(
    taken: Taken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken.answers.clear()
    file = tmp_path / "urls"
    file.write_text(f"{taken.address}?rto=60&cto=60&token=secret\n")
    settings = NotifySettings(urls_file=file)
    notifier = Notifier(Wording(settings, "Rig"), apprise_sender(settings), 0.2)
    async with notifier.sending():
        notifier(ENDED)
    assert taken.messages == []
    await until(lambda: caplog.text)  # the run does not wait for this line
    assert "not taken within 0.2 s" in caplog.text
    assert "secret" not in caplog.text


async def test_after_some_that_hang_no_more_are_tried() -> None:
    go_on, tried = threading.Event(), []

    def hang(word: Word) -> bool:
        tried.append(word)
        return go_on.wait(PATIENCE_S)

    notifier = Notifier(wording(), hang, 0.05)
    async with notifier.sending():
        for number in range(10):
            notifier(problem(number))
        await until(lambda: len(tried) >= MOST_STUCK)
    go_on.set()
    assert len(tried) == MOST_STUCK


async def test_what_raises_or_refuses_is_logged_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    answers: Iterator[bool | Exception] = iter([ValueError("https://secret@host"), False, True])

    def send(_word: Word) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    notifier = Notifier(wording(), send, PATIENCE_S)
    async with notifier.sending():
        for number in range(3):
            notifier(problem(number))
    assert [record.getMessage() for record in caplog.records] == [
        "a message was not sent: Rig: problem: ValueError",
        "a message was not taken by every address: Rig: problem",
    ]


def test_the_oldest_message_makes_room() -> None:
    notifier = Notifier(wording(), lambda _word: True, 1.0)
    for number in range(2 * MOST_WAITING):
        notifier._put(Word(str(number), "", Severity.INFO))
    assert notifier._waiting.qsize() == MOST_WAITING
    first = notifier._waiting.get_nowait()
    assert first is not None
    assert first.title == str(MOST_WAITING)


def test_addresses_come_from_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("ntfy://one\n\n# no\n  json://two  \n")
    settings = NotifySettings(urls_file=file, urls_from=("MY_URL",))
    assert addresses(settings, {"MY_URL": "gotify://three"}) == ["ntfy://one", "json://two", "gotify://three"]


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"", "no address"), (b"\xff", "UTF-8"), (b"x" * 200_000, "bytes")]
)
def test_a_file_without_addresses_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "urls"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NotifySetupError, match=said):
        addresses(NotifySettings(urls_file=file))
    with pytest.raises(NotifySetupError, match="no MY_URL"):
        addresses(NotifySettings(urls_from=("MY_URL",)), {})


@needs_apprise
def test_an_address_that_is_none_is_told_without_it(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("json://fine\nnonsense://secret\n")
    with pytest.raises(NotifySetupError, match="address 2 of 2") as refused:
        apprise_sender(NotifySettings(urls_file=file))
    assert "secret" not in str(refused.value)


def test_without_apprise_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "urls"
    file.write_text("json://fine\n")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NotifySetupError, match=r"coldframe\[notify\]"):
        apprise_sender(NotifySettings(urls_file=file))
