"""Watch and steer a run on another machine through an MQTT broker."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.telemetry.connection import subscribe
from coldframe.capture.monitoring.telemetry.documents import to_json
from coldframe.capture.monitoring.telemetry.following import RemoteNight
from coldframe.capture.monitoring.telemetry.topics import Topics
from coldframe.capture.monitoring.watching.messages import Answer, Command
from coldframe.capture.monitoring.watching.source import Detached, Update
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.backoff import Backoff
from coldframe.devices.mqtt.client import Access, Broker, BrokerLostError, connect
from coldframe.devices.mqtt.message import Message

LARGEST_MESSAGE_BYTES = 2_000_000

BACKOFF = Backoff(first_s=1.0, longest_s=10.0)
"""Pauses between attempts to connect, shorter than those of a run because a user is waiting."""

COMMAND_LIFE = timedelta(seconds=30)
LONGEST_ANSWER = 500


class RemoteSource:
    """A source that follows and steers the run of a rig through an MQTT broker.

    Parameters
    ----------
    settings, access
        MQTT settings, and the address and credentials of the broker. Commands have an effect only if
        `settings.commands` is true both here and in the run.
    rig
        Display name of the rig, as in the settings of the run.
    """

    def __init__(self, settings: MqttSettings, access: Access, rig: str) -> None:
        self._settings = settings
        self._access = access
        self._rig = rig
        self._topics = Topics.for_rig(settings.base_topic, rig)
        self._broker: Broker | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._unanswered: set[str] = set()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Yield updates indefinitely. Reconnect whenever the connection to the broker is lost."""
        topics = self._topics
        subscriptions = (topics.status, topics.journal, topics.event, topics.picture, topics.answer)
        reported, pauses_s = "", BACKOFF.pauses_s()
        while True:
            try:
                async with connect(self._access, client_id=None, largest_incoming=LARGEST_MESSAGE_BYTES) as broker:
                    reported, pauses_s = "", BACKOFF.pauses_s()
                    night = RemoteNight(topics, allows_commands=self._settings.commands)
                    yield Detached(f"the broker has no messages from {self._rig} yet")
                    await subscribe(broker, subscriptions)
                    self._broker = broker
                    async for message in broker.messages():
                        for update in (*self._answers(message), *night.receive(message.topic, message.payload)):
                            yield update
            except BrokerLostError as error:
                reason = f"cannot reach the MQTT broker {self._access.address}: {printable(str(error))}"
                if reason != reported:
                    yield Detached(reason)
                    reported = reason
            finally:
                self._broker = None
            await asyncio.sleep(next(pauses_s))

    def send(self, command: Command) -> str | None:
        """Send a command. Return None if an `Answer` is to follow, or the reason why the command cannot be sent."""
        broker = self._broker
        if broker is None:
            return "not connected to the MQTT broker"
        command_id = secrets.token_hex(8)
        document: dict[str, object] = {
            "id": command_id,
            "command": command.request.value,
            "expires": (datetime.now(UTC) + COMMAND_LIFE).isoformat(),
        }
        if command.step is not None:
            document["step"] = command.step
        self._unanswered.add(command_id)
        sending = asyncio.ensure_future(self._publish(broker, Message(self._topics.command, to_json(document))))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        return None

    @staticmethod
    async def _publish(broker: Broker, message: Message) -> None:
        try:
            await broker.publish(message)
        except BrokerLostError:
            return  # `updates` reports the lost connection

    def _answers(self, message: Message) -> list[Answer]:
        """Return the answer if the message answers a command from this watcher, otherwise an empty list."""
        if message.topic != self._topics.answer:
            return []
        try:
            answer = json.loads(message.payload)
            command_id, text = answer["id"], str(answer["text"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return []
        if not isinstance(command_id, str) or command_id not in self._unanswered:
            return []
        self._unanswered.discard(command_id)
        return [Answer(printable(text[:LONGEST_ANSWER]))]
