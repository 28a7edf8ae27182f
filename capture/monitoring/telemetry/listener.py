"""Waits at the broker for `run` while no night is under way, and has one started.

A night under way answers for itself: where one may be there, its answer is waited for, and only where none comes the
listener speaks. So each command has one answer, whoever gives it. The night is a process of its own, which needs the
listener for nothing and goes on without it.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.telemetry.commands import Command, CommandError, Gate, answer_document
from coldframe.capture.monitoring.telemetry.home_assistant import BIRTH, HomeAssistant
from coldframe.capture.monitoring.telemetry.outbox import Outbox
from coldframe.capture.monitoring.telemetry.publisher import (
    FAREWELL_S,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    UNDER_WAY,
    DetachedExecutor,
    ask_for,
    first_of,
    log_fault,
)
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics, topic_part
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.client import Access, Broker, BrokerLostError, connected
from coldframe.devices.mqtt.message import Message

log = logging.getLogger(__name__)

ANSWERED_WITHIN_S = 2.0
"""How long a run that may be there has to answer a command first."""

BEGUN_WITHIN_S = 60.0
"""After so long the answer is that the night is beginning; commands before the night may take longer."""

POLL_S = 0.25
MOST_WAITING = 32
"""Commands that wait for a run's answer; further ones are left to it."""

LONGEST_ANSWER = 500

NO_NIGHT = "no night is under way"
BEGUN = "the night has begun"
BEGINNING = "the night is beginning"
TIDYING = "the last night is being tidied up; ask again in a moment"
ENDING = "the listener is ending; start it again first"
EXPIRED = "ignored: it expired before it was known that no run answers"


class StartedNight(Protocol):
    """A night in a process of its own."""

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""

    @property
    def holds_rig(self) -> bool:
        """Whether it has taken the rig."""

    @property
    def ending(self) -> str:
        """How it ended, in a line: its first error where it has told one."""

    def end(self) -> None:
        """Ask it to end in the safe state; a second time: without the warm-up."""

    async def over(self) -> None:
        """Return when the process has ended."""

    async def tidied(self) -> None:
        """Return at once where the night ended by itself; where it died with the rig, once that was made safe."""


class Nights(Protocol):
    """Starts nights."""

    def in_use(self) -> str | None:
        """Return who has the rig, None where it is free."""

    def start(self) -> StartedNight:
        """Start a night.

        Raises
        ------
        OSError
            No process could be started.
        """


class Listener:
    """Listens for commands of a rig until it is stopped.

    Parameters
    ----------
    settings, access
        The broker.
    rig
        Name of the rig for people.
    nights
        Starts a night.
    say
        Tells people a line.
    """

    def __init__(
        self, settings: MqttSettings, access: Access, rig: str, nights: Nights, say: Callable[[str], object]
    ) -> None:
        self._access = access
        self._nights = nights
        self._say = say
        self._topics = Topics(f"{settings.base_topic}/{topic_part(rig)}")
        # Another name than the run's: of two of the same name the broker ends one.
        self._name = f"coldframe-{topic_part(rig)}-listener"
        self._home = HomeAssistant(settings.discovery_prefix, rig, self._topics, settings.commands)
        self._outbox = Outbox()
        self._outbox.retain(self._topics.listener, Presence.ONLINE.encode())
        if settings.home_assistant:
            self._outbox.retain(self._home.topic, self._home.document())
        self._wanted = [self._topics.status, self._topics.answer, self._topics.command]
        self._wanted += [self._home.birth_topic] if settings.home_assistant else []
        self._gate = Gate()
        self._presence = b""
        self._unanswered: dict[str | None, asyncio.Event] = {}
        self._replies: set[asyncio.Task[None]] = set()
        self._night: StartedNight | None = None
        self._following: asyncio.Task[None] | None = None
        self._work = asyncio.Event()
        self._stopped = asyncio.Event()
        self._leaving = asyncio.Event()
        self._is_lost = False

    async def run(self) -> None:
        """Listen until `stop`, and until a night of ours is over then."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DetachedExecutor(1))
        loop.set_exception_handler(log_fault)
        connection = asyncio.create_task(self._keep_listening(), name="mqtt connection")
        ending = asyncio.create_task(self._ended(), name="mqtt stop")
        await asyncio.wait([connection, ending], return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            await asyncio.wait([connection], timeout=FAREWELL_S)
        tasks = [connection, ending, *self._replies]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in (connection, ending):
            if not task.cancelled():
                task.result()

    def stop(self) -> None:
        """End; a night under way is ended in the safe state first. A second time cuts its warm-up short."""
        self._stopped.set()
        if self._night is not None:
            self._say("the night is ended, and waited for")
            self._night.end()

    async def _ended(self) -> None:
        await self._stopped.wait()
        if self._following is not None:
            await asyncio.wait([self._following])
        self._leaving.set()
        self._work.set()

    # The connection

    async def _keep_listening(self) -> None:
        will = Message(self._topics.listener, Presence.OFFLINE.encode(), is_retained=True)
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with connected(self._access, name=self._name, will=will) as broker:
                    pause_s = FIRST_PAUSE_S
                    self._found()
                    await ask_for(broker, self._wanted)
                    await first_of(self._send_all(broker), self._listen(broker))
                    return
            except BrokerLostError as error:
                self._lost(error)
            if self._leaving.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _found(self) -> None:
        self._outbox.renew()
        # The broker tells it anew, ahead of any command.
        self._presence = b""
        self._is_lost = False
        self._say(f"listening for {self._topics.command} at the MQTT broker {self._access.address}")

    def _lost(self, error: BrokerLostError) -> None:
        if not self._is_lost:
            self._is_lost = True
            reason = printable(str(error))
            self._say(f"the MQTT broker {self._access.address} is not reached ({reason}); it is tried again")

    async def _send_all(self, broker: Broker) -> None:
        while True:
            message = self._outbox.take()
            if message is not None:
                await self._send(broker, message)
            elif self._leaving.is_set():
                offline = Message(self._topics.listener, Presence.OFFLINE.encode(), is_retained=True)
                await broker.publish(offline, confirmed=True)
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
            self._hear(received)

    # What is heard

    def _hear(self, received: Message) -> None:
        topics = self._topics
        if received.topic == topics.status:
            self._presence = received.payload
        elif received.topic == topics.answer:
            self._hear_answer(received.payload)
        elif received.topic == topics.command:
            self._take(received)
        elif received.topic == self._home.birth_topic and received.payload == BIRTH:
            self._outbox.renew()
            self._work.set()

    def _hear_answer(self, payload: bytes) -> None:
        """Notice that a command has its answer, whoever gave it."""
        try:
            command_id = json.loads(payload)["id"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return
        if isinstance(command_id, str | None) and command_id in self._unanswered:
            self._unanswered[command_id].set()

    def _take(self, received: Message) -> None:
        try:
            command = self._gate.admit(received.payload, datetime.now(UTC), is_retained=received.is_retained)
        except CommandError as error:
            log.info("an MQTT command is not obeyed: %s", error)
            self._unless_answered(error.id, partial(self._refuse, error.id, str(error)))
            return
        if command.verb == "run":
            self._unless_answered(command.id, partial(self._begin, command))
        else:
            self._unless_answered(command.id, partial(self._refuse, command.id, NO_NIGHT))

    def _unless_answered(self, command_id: str | None, reply: Callable[[], None]) -> None:
        """Reply at once where no run can; else only where none has answered in time."""
        if not self._may_be_answered():
            reply()
        elif len(self._replies) < MOST_WAITING:
            answered = self._unanswered.setdefault(command_id, asyncio.Event())
            task = asyncio.create_task(self._reply_later(command_id, answered, reply))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)

    def _may_be_answered(self) -> bool:
        return self._presence == Presence.ONLINE.encode() or self._nights.in_use() is not None

    async def _reply_later(self, command_id: str | None, answered: asyncio.Event, reply: Callable[[], None]) -> None:
        try:
            await asyncio.wait_for(answered.wait(), ANSWERED_WITHIN_S)
        except TimeoutError:
            reply()
        finally:
            self._unanswered.pop(command_id, None)

    def _refuse(self, command_id: str | None, text: str) -> None:
        self._answer(command_id, text, accepted=False)

    def _answer(self, command_id: str | None, text: str, *, accepted: bool) -> None:
        answer = answer_document(command_id, text[:LONGEST_ANSWER], datetime.now(UTC), accepted=accepted)
        self._outbox.pass_on(self._topics.answer, answer)
        self._work.set()

    # The night

    def _begin(self, command: Command) -> None:
        refusal = self._refusal(command)
        if refusal is not None:
            self._refuse(command.id, refusal)
            return
        self._following = asyncio.create_task(self._follow(command.id), name="night")

    def _refusal(self, command: Command) -> str | None:
        if self._stopped.is_set():
            return ENDING
        if datetime.now(UTC) >= command.expires:
            return EXPIRED
        in_use = self._nights.in_use()
        if in_use is not None or self._following is None or self._following.done():
            return in_use
        return TIDYING if self._night is None else UNDER_WAY

    async def _follow(self, command_id: str) -> None:
        """Start a night, tell what becomes of it, and stay with it to its end."""
        self._presence = b""  # what a broker kept of an earlier run says nothing of this one
        try:
            self._night = night = self._nights.start()
        except OSError as error:
            self._refuse(command_id, f"no night could be started: {error.strerror or error}")
            return
        self._say(f"a night is started, as MQTT command {command_id} asks")
        begun = await self._begun(night)
        if begun is None:
            self._refuse(command_id, f"no night: {night.ending}")
        else:
            self._answer(command_id, begun, accepted=True)
        await night.over()
        self._say(f"the night is over: {night.ending}")
        self._night = None
        await night.tidied()

    async def _begun(self, night: StartedNight) -> str | None:
        """Wait until the night has taken the rig and is told; None: it ended instead."""
        until_s = asyncio.get_running_loop().time() + BEGUN_WITHIN_S
        while not night.is_over:
            if night.holds_rig and self._presence == Presence.ONLINE.encode():
                return BEGUN
            if asyncio.get_running_loop().time() > until_s:
                return BEGINNING
            await asyncio.sleep(POLL_S)
        return None
