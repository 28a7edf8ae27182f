"""A night told over MQTT, from a thread of its own: whatever the broker does, the night does not notice.

The night's loop hands each event over and goes on; all else (words, JSON, the network, waiting) happens in the thread,
on an event loop that is not the night's. What waits there has bounds, and the oldest is given up.
"""

import asyncio
import contextlib
import logging
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, FrameShown, NightEnded, NightStarted, Notice, Severity
from coldframe.capture.events.stream import EventStream
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.telemetry.commands import Command, CommandError, Gate, answer_document
from coldframe.capture.monitoring.telemetry.digest import Digest, is_told
from coldframe.capture.monitoring.telemetry.documents import picture_document, plan_document, state_document
from coldframe.capture.monitoring.telemetry.home_assistant import BIRTH, HomeAssistant
from coldframe.capture.monitoring.telemetry.outbox import Outbox
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics, topic_part
from coldframe.capture.session.steering import Steering
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.client import Access, Broker, BrokerLostError, connected
from coldframe.devices.mqtt.message import Message

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

MOST_WAITING = 20_000
"""Events between the night and the thread, which takes them within milliseconds."""

FAREWELL_S = 2.0
"""How long the end of a run may wait for its last word to arrive, where the broker has answered so far."""

SPARE_S = 0.5
"""For the thread to end in, and for one more attempt where the broker is not there."""

STATE_S, JOURNAL_S, PICTURE_S = 1.0, 5.0, 3.0
"""Shortest time between two messages of these topics."""

CALM_S = 30.0
"""Without an event the state is told anew after so long, for the time that is left."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between attempts to connect."""

MOST_NOTICES = 5
"""How often the night is told that the broker is gone; the log has every time."""

NO_STEERING = "this run takes no commands"
UNDER_WAY = "a night is under way already"


class Telemetry:
    """An `EventStream` subscriber that tells an MQTT broker; to be entered before the first event.

    Parameters
    ----------
    settings, access
        The broker, and what is told there.
    rig
        Name of the rig for people.
    events, clock
        The night's: it is told where the broker is gone.
    steering
        Who obeys commands; None: nobody does.
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
    ) -> None:
        self._publisher = MqttPublisher(
            settings, access, rig, clock=clock, steering=steering, tell_night=self._told_night
        )
        self._events = events
        self._clock = clock
        self._notices = 0
        self._is_over = False

    def __call__(self, event: Event) -> None:
        """Hand an event over; never blocks."""
        self._is_over = self._is_over or isinstance(event, NightEnded)
        self._publisher.hand_over(event)

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Tell for the length of the block; afterwards its last word has `FAREWELL_S` to arrive."""
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

    def _told_night(self, severity: Severity, text: str) -> None:
        """Let people know, on the night's loop."""
        if self._is_over or self._notices >= MOST_NOTICES:
            return
        self._notices += 1
        self._events.publish(Notice(self._clock.now(), severity, text))


class DetachedExecutor(ThreadPoolExecutor):
    """Does blocking work in threads that nobody waits for: a name server may take half a minute to say nothing."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do it in a new thread."""
        future: Future[T] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  # as an executor hands it over
                future.set_exception(error)

        threading.Thread(target=do, name="mqtt connect", daemon=True).start()
        return future


class MqttPublisher:
    """All that happens in the thread; only `hand_over`, `start` and `stop` are called from outside."""

    def __init__(
        self,
        settings: MqttSettings,
        access: Access,
        rig: str,
        *,
        clock: NightClock,
        steering: Steering | None,
        tell_night: Callable[[Severity, str], None],
    ) -> None:
        self._access = access
        self._clock = clock
        self._steering = steering
        self._tell_night = tell_night
        self._topics = Topics(f"{settings.base_topic}/{topic_part(rig)}")
        self._name = f"coldframe-{topic_part(rig)}"
        self._takes_commands = settings.commands
        self._home = HomeAssistant(settings.discovery_prefix, rig, self._topics, settings.commands)
        self._for_home_assistant = settings.home_assistant
        self._arrived: deque[Event] = deque(maxlen=MOST_WAITING)
        self._outbox = Outbox()
        self._state = DashboardState()
        self._digest = Digest(secrets.token_hex(4))
        self._gate = Gate()
        # Of the last run something else is retained until this one has begun.
        self._changed = {"state", "journal"}
        self._due_s: dict[str, float] = {}
        self._untold = set[str]()
        self._is_lost = False
        self._is_connected = False
        self._loop: asyncio.AbstractEventLoop | None = None

    # From outside

    def hand_over(self, event: Event) -> None:
        """Take an event, and wake the thread."""
        self._arrived.append(event)
        self._call(self._wake)

    def start(self, night: asyncio.AbstractEventLoop, when_over: Callable[[], object]) -> None:
        """Start the thread."""
        self._night = night
        ready = threading.Event()

        def run() -> None:
            try:
                asyncio.run(self._run(ready))
            except Exception:  # the boundary: a fault of the telemetry is no fault of the night
                log.exception("the MQTT telemetry failed; the night goes on without it")
            finally:
                ready.set()
                self._on_night(when_over)

        threading.Thread(target=run, name="mqtt", daemon=True).start()
        ready.wait()

    def stop(self) -> None:
        """Have the last word said."""
        self._call(self._stopping_set)

    def _call(self, work: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the thread has ended
                loop.call_soon_threadsafe(work)

    def _on_night(self, work: Callable[..., object], *args: object) -> bool:
        try:
            self._night.call_soon_threadsafe(work, *args)
        except RuntimeError:  # the night's loop is closed
            return False
        return True

    # In the thread

    async def _run(self, ready: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DetachedExecutor(1))
        loop.set_exception_handler(log_fault)
        self._work = asyncio.Event()
        self._stopping = asyncio.Event()
        self._outbox.retain(self._topics.status, Presence.ONLINE.encode())
        if self._for_home_assistant:
            self._outbox.retain(self._home.topic, self._home.document())
        self._loop = loop
        ready.set()
        refreshing = asyncio.create_task(self._refresh(), name="mqtt refresh")
        telling = asyncio.create_task(self._keep_telling(), name="mqtt connection")
        stopping = asyncio.create_task(self._stopping.wait(), name="mqtt stop")
        await asyncio.wait([refreshing, telling, stopping], return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            await asyncio.wait([telling], timeout=FAREWELL_S if self._is_connected else SPARE_S)
        for task in (refreshing, telling, stopping):
            task.cancel()
        await asyncio.wait([refreshing, telling, stopping])
        for task in (refreshing, telling):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _wake(self) -> None:
        """Take in what has arrived."""
        while self._arrived:
            event = self._arrived.popleft()
            self._state.apply(event)
            if is_told(event):
                self._outbox.pass_on(self._topics.event, self._digest.add(event).encode("ascii"))
            self._changed |= {"picture"} if isinstance(event, FrameShown) else {"state", "plan", "journal"}
            if isinstance(event, NightStarted | NightEnded):
                self._due_s.clear()
        self._work.set()

    def _stopping_set(self) -> None:
        self._wake()
        self._renew_documents(at_once=True)
        self._stopping.set()
        self._work.set()

    async def _refresh(self) -> None:
        """Bring the retained documents up to date now and then."""
        while True:
            self._renew_documents(at_once=False)
            await asyncio.sleep(STATE_S / 4)

    def _renew_documents(self, *, at_once: bool) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._due_s.get("state", now_s) > CALM_S:
            self._changed.add("state")
        for name, pause_s in (("state", STATE_S), ("plan", STATE_S), ("journal", JOURNAL_S), ("picture", PICTURE_S)):
            if name in self._changed and (at_once or now_s >= self._due_s.get(name, now_s)):
                self._changed.discard(name)
                self._due_s[name] = now_s + pause_s
                self._renew_or_log(name)
                self._work.set()

    def _renew_or_log(self, name: str) -> None:
        """Bring one document up to date; where that fails, the others, the events and the last word are still told."""
        try:
            self._renew(name)
        except Exception:
            if name not in self._untold:
                log.exception("MQTT: %s cannot be told as it is now", name)
            self._untold.add(name)

    def _renew(self, name: str) -> None:
        topics, state = self._topics, self._state
        match name:
            case "state":
                document = state_document(state, self._clock.now(), dropped=self._outbox.dropped)
                self._outbox.retain(topics.state, document)
            case "plan" if state.night is not None:
                self._outbox.retain(topics.plan, plan_document(state))
            case "journal":
                self._outbox.retain(topics.journal, self._digest.packed())
            case "picture" if state.shown is not None:
                self._outbox.retain(topics.picture, picture_document(state.shown))

    async def _keep_telling(self) -> None:
        """Connect, tell, and connect again, until the last word is said; then there is one attempt more at most."""
        will = Message(self._topics.status, Presence.OFFLINE.encode(), is_retained=True)
        pause_s = FIRST_PAUSE_S
        while True:
            was_stopping = self._stopping.is_set()
            try:
                async with connected(self._access, name=self._name, will=will) as broker:
                    pause_s = FIRST_PAUSE_S
                    self._found()
                    self._outbox.renew()
                    await self._talk(broker)
                    return
            except BrokerLostError as error:
                self._lost(error)
            finally:
                self._is_connected = False
            if was_stopping:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _found(self) -> None:
        self._is_connected = True
        log.info("connected to the MQTT broker %s", self._access.address)
        if self._is_lost:
            self._is_lost = False
            self._on_night(self._tell_night, Severity.INFO, f"the MQTT broker {self._access.address} is back")

    def _lost(self, error: BrokerLostError) -> None:
        reason = printable(str(error))
        log.info("the MQTT broker %s is lost: %s", self._access.address, reason)
        if not self._is_lost:
            self._is_lost = True
            text = f"the MQTT broker {self._access.address} is not reached ({reason}); the night goes on without it"
            self._on_night(self._tell_night, Severity.WARNING, text)

    async def _talk(self, broker: Broker) -> None:
        """Send and listen until the last word is said, or the broker is lost."""
        await ask_for(broker, self._wanted())
        await first_of(self._send_all(broker), self._listen(broker))

    def _wanted(self) -> list[str]:
        wanted = [self._topics.command] if self._takes_commands else []
        return wanted + ([self._home.birth_topic] if self._for_home_assistant else [])

    async def _send_all(self, broker: Broker) -> None:
        while True:
            message = self._outbox.take()
            if message is not None:
                await self._send(broker, message)
            elif self._stopping.is_set():
                await broker.publish(
                    Message(self._topics.status, Presence.ENDED.encode(), is_retained=True), confirmed=True
                )
                return
            else:
                self._work.clear()
                await self._work.wait()

    async def _send(self, broker: Broker, message: Message) -> None:
        try:
            await broker.publish(message)
        except BrokerLostError:
            self._outbox.put_back(message)
            raise

    async def _listen(self, broker: Broker) -> None:
        async for received in broker.messages():
            if received.topic == self._home.birth_topic:
                if received.payload == BIRTH:
                    self._outbox.renew()
            elif received.topic == self._topics.command and self._takes_commands:
                self._obey(received)
            self._work.set()

    def _obey(self, received: Message) -> None:
        now = datetime.now(UTC)
        try:
            command = self._gate.admit(received.payload, now, is_retained=received.is_retained)
        except CommandError as error:
            log.warning("an MQTT command is not obeyed: %s", error)
            self._answer(error.id, str(error), accepted=False)
            return
        if command.verb == "run":
            self._answer(command.id, UNDER_WAY, accepted=False)
        elif self._steering is None:
            self._answer(command.id, NO_STEERING, accepted=False)
        elif not self._on_night(self._steer, self._steering, command):
            self._answer(command.id, "the run is over", accepted=False)

    def _steer(self, steering: Steering, command: Command) -> None:
        """Ask the night, on its own loop, and have its answer sent."""
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
        self._outbox.pass_on(self._topics.answer, answer)
        self._work.set()


def log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Write what the library left behind to the log, and not across the dashboard."""
    log.warning("MQTT: %s: %r", context.get("message"), context.get("exception"))


async def ask_for(broker: Broker, topics: Sequence[str]) -> None:
    """Subscribe to some topics; one that is not granted is logged.

    Raises
    ------
    BrokerLostError
        The broker did not answer.
    """
    for topic in await broker.subscribe(topics):
        log.warning("the MQTT broker grants no messages of %s: see its access rules", topic)


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things until the first of them ends; its error, if any, is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
