"""Stay connected to the MQTT broker: reconnect whenever the connection is lost, and queue messages until then."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.telemetry.outbox import Outbox
from coldframe.capture.monitoring.telemetry.topics import Presence
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import Access, Broker, BrokerLostError, PublishRefusedError, connect
from coldframe.devices.mqtt.message import Message

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

FAREWELL_S = 2.0
"""Time allowed after `finish` for the broker to confirm the last message, if the broker is connected."""

SPARE_S = 0.5
"""Time allowed after `finish` for one more attempt to connect, and for the thread to end."""

READ_BACK_S = 5.0
"""Time allowed for a broker that uses MQTT 3.1.1 to return the status message that it should have retained."""

BACKOFF = Backoff(first_s=1.0, longest_s=60.0)


class DetachedExecutor(ThreadPoolExecutor):
    """An executor that runs blocking work in daemon threads and does not wait for them when it is shut down.

    The MQTT library resolves host names in the loop's executor, and a lookup can take half a minute to fail. An
    ordinary executor would wait for this failure when it is shut down.
    """

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the work in a new thread."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  # an executor passes on every exception
                future.set_exception(error)

        threading.Thread(target=run, name="mqtt connect", daemon=True).start()
        return future


class BrokerConnection:
    """A connection that publishes messages, and is re-established whenever it is lost.

    Call each method on the event loop that runs `run`. Other threads may only read the properties.

    Parameters
    ----------
    access
        Address and credentials of the broker.
    client_id
        Identifier of this client. If two clients have the same identifier, the broker disconnects the first.
    status_topic
        Retained topic for the status. Its message is `Presence.ONLINE` while the connection exists, `farewell` after
        `finish`, and `Presence.OFFLINE` (the last will) if the connection ends without `finish`.
    farewell
        Last message on the status topic.
    subscriptions
        Topics to subscribe to each time the connection is established.
    on_connected, on_lost
        Functions that are called when the connection changes: `on_connected` each time that it is established, and
        `on_lost`, with the reason, after each failed attempt to connect and each loss of the connection.
    on_refused
        Function that is called once, with a description such as "refuses messages on rig/status (this user is not
        authorized)". Further topics that the broker refuses are only logged.
    on_message
        Function that is called with each message that arrives.
    backoff
        Pauses between attempts to connect.
    """

    def __init__(
        self,
        access: Access,
        *,
        client_id: str,
        status_topic: str,
        farewell: Presence,
        subscriptions: Sequence[str],
        on_connected: Callable[[], object],
        on_lost: Callable[[str], object],
        on_refused: Callable[[str], object],
        on_message: Callable[[Message], object],
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._access = access
        self._client_id = client_id
        self._farewell = Message(status_topic, farewell.encode(), is_retained=True)
        self._will = Message(status_topic, Presence.OFFLINE.encode(), is_retained=True)
        self._subscriptions = subscriptions
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_refused = on_refused
        self._on_message = on_message
        self._backoff = backoff
        self._outbox = Outbox()
        self._has_work = asyncio.Event()
        self._finishing = asyncio.Event()
        self._is_connected = False
        self._tried = set[str]()
        """Topics on which a message has been confirmed or refused during the current connection."""
        self._refused = set[str]()
        self._status_returned = asyncio.Event()
        self.retain(status_topic, Presence.ONLINE.encode())

    @property
    def is_connected(self) -> bool:
        """True while the broker is connected."""
        return self._is_connected

    @property
    def messages_waiting(self) -> int:
        """Number of messages that have not been sent yet."""
        return len(self._outbox)

    @property
    def messages_dropped(self) -> int:
        """Number of messages that were discarded because too many were waiting."""
        return self._outbox.dropped

    def publish(self, topic: str, payload: bytes) -> None:
        """Queue a message to be sent once. If too many messages are waiting, drop the oldest."""
        self._outbox.add(topic, payload)
        self._has_work.set()

    def retain(self, topic: str, payload: bytes) -> None:
        """Send a retained message now and after each reconnection, until another message replaces it on its topic."""
        self._outbox.retain(topic, payload)
        self._has_work.set()

    def resend_retained(self) -> None:
        """Send all retained messages again."""
        self._outbox.resend_retained()
        self._has_work.set()

    def finish(self) -> None:
        """Make `run` send the waiting messages and the farewell, and then return."""
        self._finishing.set()
        self._has_work.set()

    async def run(self) -> None:
        """Stay connected until `finish` is called, then send the waiting messages.

        Sending takes at most `FAREWELL_S`, or `SPARE_S` if the broker is not connected.
        """
        connecting = asyncio.create_task(self._stay_connected(), name="mqtt connection")
        finishing = asyncio.create_task(self._finishing.wait(), name="mqtt finish")
        try:
            await asyncio.wait([connecting, finishing], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([connecting], timeout=FAREWELL_S if self._is_connected else SPARE_S)
        finally:
            await cancel_all(connecting, finishing)
        if not connecting.cancelled():
            connecting.result()

    async def _stay_connected(self) -> None:
        """Connect and reconnect until the farewell is confirmed. After `finish`, make at most one more attempt."""
        pauses_s = self._backoff.pauses_s()
        while True:
            was_finishing = self._finishing.is_set()
            try:
                async with connect(self._access, client_id=self._client_id, will=self._will) as broker:
                    pauses_s = self._backoff.pauses_s()
                    self._is_connected = True
                    self._tried.clear()
                    # A restarted broker may have lost its retained messages.
                    self._outbox.resend_retained()
                    self._on_connected()
                    await subscribe(broker, self._subscriptions)
                    await run_until_first(self._send_all(broker), self._receive_all(broker))
                    return
            except BrokerLostError as error:
                self._on_lost(printable(str(error)))
            finally:
                self._is_connected = False
            if was_finishing:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._finishing.wait(), next(pauses_s))

    async def _send_all(self, broker: Broker) -> None:
        while True:
            message = self._outbox.take()
            if message is not None:
                await self._send(broker, message)
            elif self._finishing.is_set():
                # The confirmation of this message (QoS 1) proves that all earlier messages have arrived.
                with contextlib.suppress(PublishRefusedError):
                    await broker.publish(self._farewell, confirmed=True)
                return
            else:
                self._has_work.clear()
                await self._has_work.wait()

    async def _send(self, broker: Broker, message: Message) -> None:
        # Use QoS 1 only for the first message on each topic, to learn whether the broker accepts messages on it. With
        # QoS 1, a hung broker delays each message until a deadline (docs/decisions/0020).
        is_first = message.topic not in self._tried and not self._finishing.is_set()
        try:
            await broker.publish(message, confirmed=is_first)
            if is_first and message.topic == self._will.topic and not broker.names_refusals:
                await self._read_back_status(broker)
        except PublishRefusedError as error:
            self._refuse(message.topic, f"refuses messages on {message.topic} ({printable(str(error))})")
        except BrokerLostError:
            self._outbox.put_back(message)
            raise
        self._tried.add(message.topic)

    async def _read_back_status(self, broker: Broker) -> None:
        """Check that the broker has retained the status, because some brokers drop messages without an error."""
        topic = self._will.topic
        self._status_returned.clear()
        await broker.subscribe([topic])
        try:
            async with asyncio.timeout(READ_BACK_S):
                await self._status_returned.wait()
        except TimeoutError:
            self._refuse(topic, f"does not return the message retained on {topic}")

    def _refuse(self, topic: str, fault: str) -> None:
        """Log, once per topic, that the broker does not accept messages on a topic. Report the first of the topics."""
        if topic in self._refused:
            return
        log.warning("the MQTT broker %s %s; check its access rules", self._access.address, fault)
        if not self._refused:
            self._on_refused(fault)
        self._refused.add(topic)

    async def _receive_all(self, broker: Broker) -> None:
        async for message in broker.messages():
            if message.topic == self._will.topic:
                self._status_returned.set()
            self._on_message(message)


def prepare_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Prevent the MQTT library from delaying the end of the event loop and from printing errors on the terminal."""
    loop.set_default_executor(DetachedExecutor(1))
    loop.set_exception_handler(_log_fault)


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # asyncio's own handler would write a traceback across the dashboard.
    log.warning("MQTT: %s: %r", context.get("message"), context.get("exception"))


async def subscribe(broker: Broker, topics: Sequence[str]) -> None:
    """Subscribe to the given topics, and log each topic that the broker refuses.

    Raises
    ------
    BrokerLostError
        If the broker does not respond.
    """
    for topic in await broker.subscribe(topics):
        log.warning("the MQTT broker refused the subscription to %s; check its access rules", topic)


async def run_until_first(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until one of them ends, then cancel the rest. If that coroutine failed, raise its error."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(*tasks)
    for task in done:
        task.result()


async def cancel_all(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the given tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
