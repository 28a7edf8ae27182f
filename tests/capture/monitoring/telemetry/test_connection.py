"""The persistent connection of a run or listener, with the order of its messages and its end."""

import asyncio
import threading
from pathlib import Path

import pytest

from coldframe.capture.monitoring.telemetry.connection import (
    READ_BACK_S,
    BrokerConnection,
    DetachedExecutor,
    cancel_all,
    run_until_first,
)
from coldframe.capture.monitoring.telemetry.topics import Presence
from coldframe.config.tables.broker import BrokerSettings
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import connect, read_access
from coldframe.devices.mqtt.message import Message
from tests.mosquitto import Mosquitto, broker_with_access, free_port, needs_mosquitto, without_mqtt_5
from tests.patience import PATIENCE_S, until

STATUS = "rig/status"


class Client:
    """A connection, with a record of what it reports."""

    def __init__(self, port: int) -> None:
        self.connections = 0
        self.faults: list[str] = []
        self.refusals: list[str] = []
        self.received: list[Message] = []
        self.connection = BrokerConnection(
            read_access(BrokerSettings(port=port)),
            client_id="rig",
            status_topic=STATUS,
            farewell=Presence.ENDED,
            subscriptions=["rig/command"],
            on_connected=self._count_connection,
            on_lost=self.faults.append,
            on_refused=self.refusals.append,
            on_message=self.received.append,
            backoff=Backoff(0.05, 0.2),
        )

    def _count_connection(self) -> None:
        self.connections += 1


async def messages_until_the_end(broker: Mosquitto, ready: asyncio.Event) -> list[tuple[str, bytes]]:
    """Record all messages up to the farewell."""
    found = []
    async with connect(read_access(broker.settings), client_id=None) as recorder:
        await recorder.subscribe(["rig/#"])
        ready.set()
        async for message in recorder.messages():
            found.append((message.topic, message.payload))
            if found[-1] == (STATUS, b"ended"):
                return found
    raise AssertionError("the connection ended")


@needs_mosquitto
async def test_farewell_follows_all_messages_that_wait(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        client, ready = Client(broker.port), asyncio.Event()
        recording = asyncio.create_task(messages_until_the_end(broker, ready))
        await ready.wait()
        client.connection.retain("rig/state", b"cooling")
        client.connection.retain("rig/state", b"dark")
        for number in range(3):
            client.connection.publish("rig/event", b"%d" % number)
        client.connection.finish()
        await client.connection.run()
        assert await asyncio.wait_for(recording, PATIENCE_S) == [
            (STATUS, b"online"),
            ("rig/state", b"dark"),
            ("rig/event", b"0"),
            ("rig/event", b"1"),
            ("rig/event", b"2"),
            (STATUS, b"ended"),
        ]
        assert not client.connection.is_connected


@needs_mosquitto
async def test_restarted_broker_gets_retained_messages_again_and_passes_on_others(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        client = Client(broker.port)
        running = asyncio.create_task(client.connection.run())
        await until(lambda: client.connections == 1 and client.connection.messages_waiting == 0)
        broker.restart()
        await until(lambda: client.connections == 2)
        assert len(client.faults) >= 1
        async with connect(read_access(broker.settings), client_id=None) as other:
            await other.subscribe([STATUS])
            status = await anext(other.messages())
            assert (status.topic, status.payload) == (STATUS, b"online")
            await until(lambda: client.connection.is_connected)
            await other.publish(Message("rig/command", b"pause"), confirmed=True)
        await until(lambda: client.received)
        client.connection.finish()
        await asyncio.wait_for(running, PATIENCE_S)
    assert [message.payload for message in client.received] == [b"pause"]


@needs_mosquitto
async def test_refused_topics_are_reported_once_and_logged_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with broker_with_access(tmp_path, "topic write rig/event") as broker:
        client = Client(broker.port)
        running = asyncio.create_task(client.connection.run())
        for number in range(3):
            client.connection.retain("rig/state", b"%d" % number)
            client.connection.publish("rig/event", b"%d" % number)
            await until(lambda: client.connections == 1 and client.connection.messages_waiting == 0)
        broker.restart()
        await until(lambda: client.connections == 2 and client.connection.messages_waiting == 0)
        client.connection.finish()
        await asyncio.wait_for(running, PATIENCE_S)
    assert client.refusals == ["refuses messages on rig/status (this user is not authorized)"]
    logged = [record.getMessage() for record in caplog.records if "access rules" in record.getMessage()]
    assert [text.split()[7] for text in logged] == ["rig/status", "rig/state"]


@needs_mosquitto
@pytest.mark.parametrize(
    ("rule", "refusals"),
    [
        ("topic readwrite rig/#", []),
        ("topic read rig/#", ["does not return the message retained on rig/status"]),
        ("topic write rig/#", ["does not return the message retained on rig/status"]),
    ],
)
async def test_old_broker_that_drops_the_status_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, refusals: list[str]
) -> None:
    monkeypatch.setattr(
        "coldframe.capture.monitoring.telemetry.connection.READ_BACK_S", 0.2 if refusals else READ_BACK_S + PATIENCE_S
    )
    with broker_with_access(tmp_path, rule) as broker:
        async with without_mqtt_5(broker) as port:
            client = Client(port)
            running = asyncio.create_task(client.connection.run())
            client.connection.publish("rig/event", b"1")
            await until(lambda: client.connections == 1 and client.connection.messages_waiting == 0)
            assert client.refusals == refusals
            client.connection.finish()
            await asyncio.wait_for(running, PATIENCE_S)


async def test_connection_without_a_broker_ends_with_messages_left() -> None:
    client = Client(free_port())
    client.connection.publish("rig/event", b"1")
    running = asyncio.create_task(client.connection.run())
    await until(lambda: client.faults)
    client.connection.finish()
    await asyncio.wait_for(running, PATIENCE_S)
    assert client.connections == 0
    assert client.connection.messages_waiting == 2


def test_detached_work_does_not_delay_the_end_of_the_loop() -> None:
    """As a name server that does not answer would."""
    released = threading.Event()

    async def leave_blocked_work_behind() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DetachedExecutor(1))
        blocked = loop.run_in_executor(None, released.wait, PATIENCE_S)
        assert await loop.run_in_executor(None, lambda: "other work") == "other work"
        blocked.cancel()

    asyncio.run(leave_blocked_work_behind())
    assert not released.is_set()
    released.set()


async def test_errors_of_detached_work_are_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await asyncio.wrap_future(DetachedExecutor(1).submit(lambda: 1 / 0))


async def test_first_of_several_coroutines_ends_the_others_and_its_error_is_raised() -> None:
    ended = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await run_until_first(wait(), fail())
    assert ended == ["other"]


async def test_cancelled_tasks_have_ended() -> None:
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(3)]
    await asyncio.sleep(0)
    await cancel_all(*tasks)
    await cancel_all()
    assert all(task.cancelled() for task in tasks)
