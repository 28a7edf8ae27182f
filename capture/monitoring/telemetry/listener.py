"""Wait for the MQTT command `run` while no night is running, and start a night when the command arrives.

A run in progress answers commands directly. If a run might be in progress, the listener waits for the run's answer and
replies only if the run does not answer, so that each command gets exactly one answer. The night is a separate process
that does not depend on the listener and continues if the listener crashes.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from coldframe.capture.monitoring.telemetry.commands import Command, CommandError, CommandGate, answer_document
from coldframe.capture.monitoring.telemetry.connection import BrokerConnection, cancel_all, prepare_loop
from coldframe.capture.monitoring.telemetry.home_assistant import BIRTH, HomeAssistant
from coldframe.capture.monitoring.telemetry.publisher import UNDER_WAY
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics, topic_part
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.client import Access
from coldframe.devices.mqtt.message import Message

log = logging.getLogger(__name__)

ANSWER_DEADLINE_S = 2.0
"""Time that a run has to answer a command before the listener answers in its place."""

BEGIN_DEADLINE_S = 60.0
"""Time after which the listener answers `BEGINNING` if the night has not begun by then.

The hooks that run before the night can take longer.
"""

POLL_S = 0.25
MOST_REPLIES = 32
"""Maximum number of commands waiting for a run's answer. The listener does not answer any further commands."""

LONGEST_ANSWER = 500

NO_NIGHT = "no night is under way"
BEGUN = "the night has begun"
BEGINNING = "the night is beginning"
CLEANING_UP = "the last night is being cleaned up; try again in a moment"
ENDING = "the listener is shutting down; restart it first"
EXPIRED = "ignored: expired while the listener was waiting for an answer from a run"


class StartedNight(Protocol):
    """A night in a separate process."""

    @property
    def is_over(self) -> bool:
        """True once the process has ended."""

    @property
    def holds_rig(self) -> bool:
        """True while the process holds the rig's lock."""

    @property
    def ending(self) -> str:
        """The first error that the night reported or, if it reported no error, its result; a single line."""

    def terminate(self) -> None:
        """End the night with the rig in the safe state. A second call skips the warm-up."""

    async def wait(self) -> None:
        """Wait until the process has ended."""

    async def clean_up(self) -> None:
        """Make the rig safe if the process died while it held the rig's lock."""


class Nights(Protocol):
    """An object that starts nights."""

    def rig_user(self) -> str | None:
        """Return a sentence that names the user of the rig, or None if the rig is free."""

    def start(self) -> StartedNight:
        """Start a night.

        Raises
        ------
        OSError
            If the process cannot be started.
        """


class Listener:
    """A listener that accepts commands for a rig until `stop` is called.

    Parameters
    ----------
    settings, access
        MQTT settings, and the address and credentials of the broker.
    rig
        Display name of the rig.
    nights
        Object that starts nights.
    report
        Function that is called with each line for the user.
    answer_deadline_s
        See `ANSWER_DEADLINE_S`.
    begin_deadline_s
        See `BEGIN_DEADLINE_S`.
    """

    def __init__(
        self,
        settings: MqttSettings,
        access: Access,
        rig: str,
        nights: Nights,
        report: Callable[[str], object],
        *,
        answer_deadline_s: float = ANSWER_DEADLINE_S,
        begin_deadline_s: float = BEGIN_DEADLINE_S,
    ) -> None:
        self._address = access.address
        self._nights = nights
        self._report = report
        self._answer_deadline_s = answer_deadline_s
        self._begin_deadline_s = begin_deadline_s
        self._topics = Topics.for_rig(settings.base_topic, rig)
        self._home = HomeAssistant(settings.discovery_prefix, rig, self._topics, settings.commands)
        subscriptions = [self._topics.status, self._topics.answer, self._topics.command]
        subscriptions += [self._home.birth_topic] if settings.home_assistant else []
        self._connection = BrokerConnection(
            access,
            # The identifier differs from the run's, because two clients cannot be connected with the same identifier.
            client_id=f"coldframe-{topic_part(rig)}-listener",
            status_topic=self._topics.listener,
            farewell=Presence.OFFLINE,
            subscriptions=subscriptions,
            on_connected=self._found,
            on_lost=self._lost,
            on_refused=self._refused,
            on_message=self._receive,
        )
        if settings.home_assistant:
            self._connection.retain(self._home.topic, self._home.document())
        self._gate = CommandGate()
        self._run_presence = b""
        self._unanswered: dict[str | None, asyncio.Event] = {}
        self._replies: set[asyncio.Task[None]] = set()
        self._night: StartedNight | None = None
        self._following: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._is_lost = False

    @property
    def is_run_online(self) -> bool:
        """True while a run is online according to the broker."""
        return self._run_presence == Presence.ONLINE.encode()

    async def run(self) -> None:
        """Accept commands until `stop` is called, then wait until the night that was started, if any, has ended."""
        prepare_loop(asyncio.get_running_loop())
        ending = asyncio.create_task(self._finish_when_stopped(), name="mqtt stop")
        try:
            await self._connection.run()
        finally:
            await cancel_all(ending, *self._replies)

    def stop(self) -> None:
        """End a running night and make the rig safe, then stop the listener. A second call skips the warm-up."""
        self._stopped.set()
        if self._night is not None:
            self._report("ending the night and making the rig safe, then stopping")
            self._night.terminate()

    async def _finish_when_stopped(self) -> None:
        await self._stopped.wait()
        if self._following is not None:
            await asyncio.wait([self._following])
        self._connection.finish()

    # The connection

    def _found(self) -> None:
        # The broker sends the retained status again before any command.
        self._run_presence = b""
        self._is_lost = False
        self._report(f"listening for commands on {self._topics.command} at the MQTT broker {self._address}")

    def _lost(self, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._report(f"cannot reach the MQTT broker {self._address} ({reason}); trying again")

    def _refused(self, fault: str) -> None:
        self._report(f"the MQTT broker {self._address} {fault}; check the broker's access rules for coldframe's user")

    def _receive(self, message: Message) -> None:
        topics = self._topics
        if message.topic == topics.status:
            self._run_presence = message.payload
        elif message.topic == topics.answer:
            self._note_answer(message.payload)
        elif message.topic == topics.command:
            self._take_command(message)
        elif message.topic == self._home.birth_topic and message.payload == BIRTH:
            self._connection.resend_retained()

    # Commands and their answers

    def _note_answer(self, payload: bytes) -> None:
        """Record that the run or this listener has answered a command."""
        try:
            command_id = json.loads(payload)["id"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return
        if isinstance(command_id, str | None) and command_id in self._unanswered:
            self._unanswered[command_id].set()

    def _take_command(self, message: Message) -> None:
        try:
            command = self._gate.admit(message.payload, datetime.now(UTC), is_retained=message.is_retained)
        except CommandError as error:
            log.info("refused an MQTT command: %s", error)
            self._reply_unless_answered(error.id, partial(self._refuse, error.id, str(error)))
            return
        if command.verb == "run":
            self._reply_unless_answered(command.id, partial(self._begin, command))
        else:
            self._reply_unless_answered(command.id, partial(self._refuse, command.id, NO_NIGHT))

    def _reply_unless_answered(self, command_id: str | None, reply: Callable[[], None]) -> None:
        """Reply at once if no run can answer; otherwise reply only if no run answers in time."""
        if not self._may_run_answer():
            reply()
        elif len(self._replies) < MOST_REPLIES:
            answered = self._unanswered.setdefault(command_id, asyncio.Event())
            task = asyncio.create_task(self._reply_later(command_id, answered, reply))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)

    def _may_run_answer(self) -> bool:
        return self.is_run_online or self._nights.rig_user() is not None

    async def _reply_later(self, command_id: str | None, answered: asyncio.Event, reply: Callable[[], None]) -> None:
        try:
            await asyncio.wait_for(answered.wait(), self._answer_deadline_s)
        except TimeoutError:
            reply()
        finally:
            self._unanswered.pop(command_id, None)

    def _refuse(self, command_id: str | None, text: str) -> None:
        self._answer(command_id, text, accepted=False)

    def _answer(self, command_id: str | None, text: str, *, accepted: bool) -> None:
        answer = answer_document(command_id, text[:LONGEST_ANSWER], datetime.now(UTC), accepted=accepted)
        self._connection.publish(self._topics.answer, answer)

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
        rig_user = self._nights.rig_user()
        if rig_user is not None or self._following is None or self._following.done():
            return rig_user
        return CLEANING_UP if self._night is None else UNDER_WAY

    async def _follow(self, command_id: str) -> None:
        """Start a night, answer the command with the result, and follow the night to its end."""
        # The status that the broker retained from an earlier run does not describe this run.
        self._run_presence = b""
        try:
            self._night = night = self._nights.start()
        except OSError as error:
            self._refuse(command_id, f"cannot start a night: {error.strerror or error}")
            return
        self._report(f"starting a night on MQTT command {command_id}")
        begun = await self._wait_until_begun(night)
        if begun is None:
            self._refuse(command_id, f"the night did not begin: {night.ending}")
        else:
            self._answer(command_id, begun, accepted=True)
        await night.wait()
        self._report(f"the night is over: {night.ending}")
        self._night = None
        await night.clean_up()

    async def _wait_until_begun(self, night: StartedNight) -> str | None:
        """Wait until the night holds the rig and is online. Return the answer; None if the night ends before then."""
        clock = asyncio.get_running_loop().time
        deadline_s = clock() + self._begin_deadline_s
        while not night.is_over:
            if night.holds_rig and self.is_run_online:
                return BEGUN
            if clock() > deadline_s:
                return BEGINNING
            await asyncio.sleep(POLL_S)
        return None
