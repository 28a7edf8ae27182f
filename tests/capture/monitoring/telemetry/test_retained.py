"""The retained documents of a night, and the number of their publications, under virtual time."""

import asyncio
from datetime import UTC, datetime

import numpy as np
import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import NightStarted, Notice
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import PlannedStep, Severity, StepType
from coldframe.capture.monitoring.telemetry.connection import BrokerConnection
from coldframe.capture.monitoring.telemetry.retained import CALM_S, INTERVALS_S, RetainedDocuments
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics
from coldframe.config.frames import FrameKind
from coldframe.config.tables.broker import BrokerSettings
from coldframe.devices.mqtt.client import read_access

pytestmark = pytest.mark.looptime

START = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
TOPICS = Topics("rig")
STARTED = NightStarted(
    START,
    "/night",
    "Camera",
    None,
    None,
    40,
    30,
    (PlannedStep(1, "bias", FrameKind.BIAS, None, 5, 0.001, 9.0, StepType.SHOOT),),
)


class RecordingConnection(BrokerConnection):
    """Records the topics of what would be sent."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        super().__init__(
            read_access(BrokerSettings()),
            client_id="rig",
            status_topic=TOPICS.status,
            farewell=Presence.ENDED,
            subscriptions=[],
            on_connected=lambda: None,
            on_lost=lambda _: None,
            on_refused=lambda _: None,
            on_message=lambda _: None,
        )
        self.topics.clear()

    def publish(self, topic: str, payload: bytes) -> None:
        assert payload
        self.topics.append(topic.removeprefix("rig/"))

    def retain(self, topic: str, payload: bytes) -> None:
        self.publish(topic, payload)

    def taken(self) -> list[str]:
        """Return the topics since the last call."""
        found, self.topics = self.topics, []
        return found


@pytest.fixture
def connection() -> RecordingConnection:
    return RecordingConnection()


@pytest.fixture
async def documents(connection: RecordingConnection) -> RetainedDocuments:
    return RetainedDocuments(connection, TOPICS, NightClock(START))


def notice(number: int) -> Notice:
    return Notice(START, Severity.INFO, f"note {number}")


async def test_documents_of_the_last_run_are_replaced_before_the_first_event(
    connection: RecordingConnection, documents: RetainedDocuments
) -> None:
    documents.renew_due()
    assert connection.taken() == ["state", "journal"]


async def test_each_document_is_published_at_its_interval(
    connection: RecordingConnection, documents: RetainedDocuments
) -> None:
    documents.apply(STARTED)
    documents.renew_due()
    assert connection.taken() == ["event", "state", "plan", "journal"]
    counts = dict.fromkeys(INTERVALS_S, 0)
    for number in range(40):
        documents.apply(notice(number))
        documents.renew_due()
        for topic in connection.taken():
            if topic != "event":
                counts[topic] += 1
        await asyncio.sleep(0.25)
    assert counts == {"state": 9, "plan": 9, "journal": 1, "picture": 0}


async def test_picture_changes_no_other_document(connection: RecordingConnection, documents: RetainedDocuments) -> None:
    documents.renew_due()
    connection.taken()
    documents.apply(FrameShown(START, "bias 1", np.zeros((4, 6), np.uint8), np.zeros(128, np.int64)))
    documents.renew_due()
    assert connection.taken() == ["picture"]


async def test_state_is_published_again_during_a_calm(
    connection: RecordingConnection, documents: RetainedDocuments
) -> None:
    documents.renew_due()
    connection.taken()
    await asyncio.sleep(INTERVALS_S["state"] + CALM_S)
    documents.renew_due()
    assert connection.taken() == []
    await asyncio.sleep(0.25)
    documents.renew_due()
    assert connection.taken() == ["state"]


async def test_all_changes_can_be_published_at_once(
    connection: RecordingConnection, documents: RetainedDocuments
) -> None:
    documents.apply(STARTED)
    documents.renew_due()
    connection.taken()
    documents.apply(notice(1))
    documents.renew_all()
    assert connection.taken() == ["event", "state", "plan", "journal"]
    documents.renew_all()
    assert connection.taken() == []
