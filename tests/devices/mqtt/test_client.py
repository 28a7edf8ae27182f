"""One connection, with all protocol versions, brokers that hang up or never answer, and cancellation."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coldframe.config.tables.broker import BrokerSettings
from coldframe.devices.mqtt.client import BrokerLostError, BrokerSetupError, PublishRefusedError, connect, read_access
from coldframe.devices.mqtt.message import Message
from tests.mosquitto import Mosquitto, broker_with_access, needs_mosquitto, without_mqtt_5
from tests.patience import PATIENCE_S

ACCEPTED_3_1_1 = bytes([0x20, 2, 0, 0])


class Scripted:
    """A broker that answers CONNECT according to its protocol version, and then only reads."""

    def __init__(self, answers: dict[int, bytes | None]) -> None:
        self._answers = answers
        self.versions: list[int] = []
        self.is_disconnected = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(9)  # type, length, "MQTT" with its length, version
        self.versions.append(head[8])
        answer = self._answers[head[8]]
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            await reader.read()
            self.is_disconnected.set()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BrokerSettings]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield BrokerSettings(port=server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    "refusal",
    [bytes([0x20, 2, 0, 1]), bytes([0x20, 3, 0, 0x84, 0]), None],
    ids=["refused in 3.1.1", "refused in 5", "hung up"],
)
async def test_broker_without_mqtt_5_is_connected_to_with_3_1_1(refusal: bytes | None) -> None:
    broker = Scripted({5: refusal, 4: ACCEPTED_3_1_1})
    async with broker.running() as settings, connect(read_access(settings), client_id=None):
        pass
    assert broker.versions == [5, 4]


async def test_broker_that_hangs_up_on_every_version_fails_at_once() -> None:
    broker = Scripted({5: None, 4: None})
    async with broker.running() as settings:
        with pytest.raises(BrokerLostError, match="hung up without an answer"):
            async with connect(read_access(settings), client_id=None):
                pass
    assert broker.versions == [5, 4]


async def test_cancelled_attempt_leaves_no_connection_open() -> None:
    broker = Scripted({5: b""})  # accepts the connection, and never answers

    async def attempt(settings: BrokerSettings) -> None:
        async with connect(read_access(settings), client_id=None):
            pytest.fail("the broker has not answered")

    async with broker.running() as settings:
        connecting = asyncio.create_task(attempt(settings))
        async with asyncio.timeout(PATIENCE_S):
            while not broker.versions:
                await asyncio.sleep(0.01)
        connecting.cancel()
        await asyncio.wait([connecting], timeout=PATIENCE_S)
        assert connecting.cancelled()
        async with asyncio.timeout(PATIENCE_S):
            await broker.is_disconnected.wait()


async def test_broker_that_never_answers_leaves_no_connection_and_no_log_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Scripted({5: b""})
    async with broker.running() as settings:
        with pytest.raises(BrokerLostError, match="timed out"):
            async with connect(read_access(settings), client_id=None, answer_s=0.3):
                pass
        async with asyncio.timeout(PATIENCE_S):
            await broker.is_disconnected.wait()
    gc.collect()
    assert caplog.records == []


@needs_mosquitto
async def test_one_cancellation_ends_a_publisher(broker: Mosquitto) -> None:
    """Each is cancelled at another moment, many of them just when the broker's answer arrives."""

    async def publish_until_cancelled(reached: asyncio.Event) -> None:
        async with connect(read_access(broker.settings), client_id=None) as client:
            reached.set()
            while True:
                await client.publish(Message("a/b", b"c"), confirmed=True)

    for number in range(20):
        reached = asyncio.Event()
        publishing = asyncio.create_task(publish_until_cancelled(reached))
        await asyncio.wait_for(reached.wait(), PATIENCE_S)
        for _ in range(10 + number):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.wait([publishing], timeout=PATIENCE_S)
        assert publishing.cancelled()


@needs_mosquitto
@pytest.mark.parametrize("is_old", [False, True])
async def test_messages_larger_than_the_limit_are_ignored(broker: Mosquitto, is_old: bool) -> None:  # noqa: FBT001
    async with (
        with_version(broker, is_old=is_old) as settings,
        connect(read_access(settings), client_id=None, largest_incoming=1000) as client,
    ):
        assert await client.subscribe(["a/b"]) == []
        await client.publish(Message("a/b", b"x" * 1001), confirmed=True)
        await client.publish(Message("a/b", b"short"), confirmed=True)
        assert await anext(client.messages()) == Message("a/b", b"short")


@needs_mosquitto
async def test_refused_messages_are_named_one_by_one(tmp_path: Path) -> None:
    with broker_with_access(tmp_path, "topic readwrite a/allowed") as broker:
        async with connect(read_access(broker.settings), client_id=None) as client:
            assert client.names_refusals
            await client.subscribe(["a/allowed"])
            await client.publish(Message("a/refused", b"1"))
            for _ in range(2):
                with pytest.raises(PublishRefusedError, match="this user is not authorized"):
                    await client.publish(Message("a/refused", b"2"), confirmed=True)
                await client.publish(Message("a/allowed", b"3"), confirmed=True)
            assert await anext(client.messages()) == Message("a/allowed", b"3")


@needs_mosquitto
async def test_confirmed_messages_that_are_sent_together_each_get_their_own_answer(tmp_path: Path) -> None:
    topics = ["a/allowed", "a/refused"] * 5
    with broker_with_access(tmp_path, "topic write a/allowed") as broker:
        async with connect(read_access(broker.settings), client_id=None) as client:
            sending = (client.publish(Message(topic, b"1"), confirmed=True) for topic in topics)
            answers = await asyncio.gather(*sending, return_exceptions=True)
    assert [isinstance(answer, PublishRefusedError) for answer in answers] == [False, True] * 5


@needs_mosquitto
async def test_mqtt_3_1_1_names_no_refusals(tmp_path: Path) -> None:
    with broker_with_access(tmp_path, "topic write a/allowed") as broker:
        async with (
            without_mqtt_5(broker) as port,
            connect(read_access(BrokerSettings(port=port)), client_id=None) as client,
        ):
            assert not client.names_refusals
            await client.publish(Message("a/refused", b"1"), confirmed=True)


@asynccontextmanager
async def with_version(broker: Mosquitto, *, is_old: bool) -> AsyncIterator[BrokerSettings]:
    if not is_old:
        yield broker.settings
        return
    async with without_mqtt_5(broker) as port:
        yield BrokerSettings(port=port)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerSetupError, match="No such file"):
        read_access(BrokerSettings(user="rig", password_file=tmp_path / "none"))
    with pytest.raises(BrokerSetupError, match="cannot read a PEM certificate"):
        read_access(BrokerSettings(tls=True, ca_file=tmp_path / "none"))
    with pytest.raises(BrokerSetupError, match="cannot read a PEM certificate with its unencrypted key"):
        read_access(BrokerSettings(tls=True, client_certificate=tmp_path / "none"))
