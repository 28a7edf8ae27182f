"""Publish the telemetry of a night over MQTT from a separate thread, so that the broker can never delay the night.

The night's event loop queues each event and continues. Encoding, network access and all waiting happen in the
publisher's thread, on a separate event loop (docs/decisions/0020). Every queue is bounded and drops its oldest entries
when full.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, NightEnded, Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.telemetry.commands import Command, CommandError, CommandGate, answer_document
from coldframe.capture.monitoring.telemetry.connection import (
    BACKOFF,
    FAREWELL_S,
    SPARE_S,
    BrokerConnection,
    prepare_loop,
    run_until_first,
)
from coldframe.capture.monitoring.telemetry.home_assistant import BIRTH, HomeAssistant
from coldframe.capture.monitoring.telemetry.known_commands import KnownCommands
from coldframe.capture.monitoring.telemetry.retained import RetainedDocuments
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics, topic_part
from coldframe.capture.session.steering import Steering
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import Access
from coldframe.devices.mqtt.message import Message

log = logging.getLogger(__name__)

MOST_QUEUED = 20_000
"""Maximum number of events queued for the publisher's thread, which normally processes them within milliseconds."""

REFRESH_S = 0.25
"""Time between checks for retained documents that are due."""

MOST_NOTICES = 5
"""Maximum number of notices per night about a lost or restored connection to the broker.

The log records every loss and every reconnection.
"""

NO_STEERING = "this run accepts no commands"
UNDER_WAY = "a night is already under way"


class Telemetry:
    """An `EventStream` subscriber that publishes a night to an MQTT broker. Enter `publishing` before the first event.

    Parameters
    ----------
    settings, access
        MQTT settings, and the address and credentials of the broker.
    rig
        Display name of the rig.
    events, clock
        Event stream and clock of the night. A lost connection to the broker is reported as a notice in this
        stream.
    steering
        Object that carries out commands; None to refuse all commands.
    known
        Commands that were executed in earlier runs; None to remember only the commands of this run.
    backoff
        Pauses between attempts to connect.
    """

    def __init__(
        self,
        settings: MqttSettings,
        access: Access,
        rig: str,
        *,
        events: EventStream,
        clock: NightClock,
        steering: Steering | None = None,
        known: KnownCommands | None = None,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._publisher = MqttPublisher(
            settings, access, rig, clock=clock, steering=steering, known=known, notify=self._notify, backoff=backoff
        )
        self._events = events
        self._clock = clock
        self._notices = 0
        self._is_over = False

    @property
    def connection(self) -> BrokerConnection:
        """The connection to the broker. Its properties may be read at any time."""
        return self._publisher.connection

    def __call__(self, event: Event) -> None:
        """Queue an event without blocking."""
        self._is_over = self._is_over or isinstance(event, NightEnded)
        self._publisher.queue(event)

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Publish during the block, then wait at most `FAREWELL_S` for the broker to confirm the last message."""
        night = asyncio.get_running_loop()
        over = asyncio.Event()
        self._publisher.start(night, over.set)
        try:
            yield
        finally:
            self._is_over = True
            self._publisher.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S + SPARE_S):
                    await over.wait()

    def _notify(self, severity: Severity, text: str) -> None:
        """Publish a notice to the night's event stream. This method runs on the night's event loop."""
        if self._is_over or self._notices >= MOST_NOTICES:
            return
        self._notices += 1
        self._events.publish(Notice(self._clock.now(), severity, text))


class MqttPublisher:
    """A publisher in a separate thread. The night's thread may call only `queue`, `start` and `stop`."""

    def __init__(
        self,
        settings: MqttSettings,
        access: Access,
        rig: str,
        *,
        clock: NightClock,
        steering: Steering | None,
        known: KnownCommands | None,
        notify: Callable[[Severity, str], None],
        backoff: Backoff,
    ) -> None:
        self._address = access.address
        self._steering = steering
        self._known = known
        self._notify = notify
        self._topics = Topics.for_rig(settings.base_topic, rig)
        self._takes_commands = settings.commands
        self._home = HomeAssistant(settings.discovery_prefix, rig, self._topics, settings.commands)
        subscriptions = [self._topics.command] if settings.commands else []
        subscriptions += [self._home.birth_topic] if settings.home_assistant else []
        self.connection = BrokerConnection(
            access,
            client_id=f"coldframe-{topic_part(rig)}",
            status_topic=self._topics.status,
            farewell=Presence.ENDED,
            subscriptions=subscriptions,
            on_connected=self._found,
            on_lost=self._lost,
            on_refused=self._refused,
            on_message=self._receive,
            backoff=backoff,
        )
        if settings.home_assistant:
            self.connection.retain(self._home.topic, self._home.document())
        self._documents = RetainedDocuments(self.connection, self._topics, clock)
        self._gate = CommandGate()
        self._queue: deque[Event] = deque(maxlen=MOST_QUEUED)
        self._is_lost = False
        self._loop: asyncio.AbstractEventLoop | None = None

    # Called on the night's thread

    def queue(self, event: Event) -> None:
        """Queue an event and wake the thread."""
        self._queue.append(event)
        self._call(self._take_queued)

    def start(self, night: asyncio.AbstractEventLoop, on_end: Callable[[], object]) -> None:
        """Start the thread. When the thread ends, it calls `on_end` on the night's event loop."""
        self._night = night
        ready = threading.Event()

        def run() -> None:
            try:
                asyncio.run(self._run(ready))
            except Exception:  # a fault in the telemetry must not end the night
                log.exception("the MQTT telemetry failed; the night continues without it")
            finally:
                ready.set()
                self._call_night(on_end)

        threading.Thread(target=run, name="mqtt", daemon=True).start()
        ready.wait()

    def stop(self) -> None:
        """Publish the waiting messages and the final status, then end the thread."""
        self._call(self._finish)

    def _call(self, work: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the thread has ended
                loop.call_soon_threadsafe(work)

    def _call_night(self, work: Callable[..., object], *args: object) -> bool:
        try:
            self._night.call_soon_threadsafe(work, *args)
        except RuntimeError:  # the night's loop is closed
            return False
        return True

    # Called on the publisher's thread

    async def _run(self, ready: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        prepare_loop(loop)
        self._loop = loop
        ready.set()
        if self._known is not None:
            self._gate = CommandGate(self._known.unexpired(datetime.now(UTC)))
        await run_until_first(self.connection.run(), self._keep_documents_current())

    async def _keep_documents_current(self) -> None:
        while True:
            self._documents.renew_due()
            await asyncio.sleep(REFRESH_S)

    def _take_queued(self) -> None:
        while self._queue:
            self._documents.apply(self._queue.popleft())

    def _finish(self) -> None:
        self._take_queued()
        self._documents.renew_all()
        self.connection.finish()

    def _found(self) -> None:
        log.info("connected to the MQTT broker %s", self._address)
        if self._is_lost:
            self._is_lost = False
            self._call_night(self._notify, Severity.INFO, f"reconnected to the MQTT broker {self._address}")

    def _lost(self, reason: str) -> None:
        log.info("lost the connection to the MQTT broker %s: %s", self._address, reason)
        if not self._is_lost:
            self._is_lost = True
            text = f"cannot reach the MQTT broker {self._address} ({reason}); the night continues without it"
            self._call_night(self._notify, Severity.WARNING, text)

    def _refused(self, fault: str) -> None:
        text = (
            f"the MQTT broker {self._address} {fault}; check the broker's access rules for coldframe's user. The night "
            "continues"
        )
        self._call_night(self._notify, Severity.WARNING, text)

    def _receive(self, message: Message) -> None:
        if message.topic == self._home.birth_topic:
            if message.payload == BIRTH:
                # Home Assistant has just started, and needs the discovery document and the latest states.
                self.connection.resend_retained()
        elif message.topic == self._topics.command and self._takes_commands:
            self._obey(message)

    def _obey(self, message: Message) -> None:
        try:
            command = self._gate.admit(message.payload, datetime.now(UTC), is_retained=message.is_retained)
        except CommandError as error:
            log.warning("refused an MQTT command: %s", error)
            self._answer(error.id, str(error), accepted=False)
            return
        if command.verb == "run":
            self._answer(command.id, UNDER_WAY, accepted=False)
        elif self._steering is None:
            self._answer(command.id, NO_STEERING, accepted=False)
        elif not self._call_night(self._steer, self._steering, command):
            self._answer(command.id, "the run is over", accepted=False)
        elif self._known is not None:
            # The command has already been passed to the night, so a slow disk cannot delay it.
            self._known.keep(command, datetime.now(UTC))

    def _steer(self, steering: Steering, command: Command) -> None:
        """Pass a command to the night and publish the reply. This method runs on the night's event loop."""
        log.info("MQTT command %s: %s", command.id, command.verb)
        match command.verb:
            case "pause":
                text = steering.pause()
            case "resume":
                text = steering.resume()
            case "skip":
                text = steering.skip(command.step)
            case _:
                text = steering.abort()
        self._call(lambda: self._answer(command.id, text, accepted=True))

    def _answer(self, command_id: str | None, text: str, *, accepted: bool) -> None:
        answer = answer_document(command_id, text, datetime.now(UTC), accepted=accepted)
        self.connection.publish(self._topics.answer, answer)
