"""A run somewhere, watched and steered through its broker."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

from coldframe.capture.events.kinds import FrameShown
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.telemetry.documents import to_json
from coldframe.capture.monitoring.telemetry.following import Follower, picture
from coldframe.capture.monitoring.telemetry.publisher import FIRST_PAUSE_S, ask_for
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics, topic_part
from coldframe.capture.monitoring.watching.messages import Answer, Command
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.devices.mqtt.client import Access, Broker, BrokerLostError, connected
from coldframe.devices.mqtt.message import Message

LARGEST_MESSAGE = 2_000_000

LONGEST_PAUSE_S = 10.0
"""Somebody waits for it: the broker is tried more often than a run tries it."""

COMMAND_LIFE = timedelta(seconds=30)
LONGEST_ANSWER = 500

_WHY_DETACHED = {
    Presence.ENDED.encode(): "the run is over",
    Presence.OFFLINE.encode(): "the run is gone without its last word, or its network is down",
}


class RemoteSource:
    """The run that tells a broker of a rig.

    Parameters
    ----------
    settings, access
        The broker; whether commands are sent is decided by `settings.commands`, here as there.
    rig
        Name of the rig, as in its own settings.
    """

    def __init__(self, settings: MqttSettings, access: Access, rig: str) -> None:
        self._settings = settings
        self._access = access
        self._rig = rig
        self._topics = Topics(f"{settings.base_topic}/{topic_part(rig)}")
        self._broker: Broker | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._asked: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._follower = Follower()
        self._presence = b""
        self._journal: bytes | None = None
        self._shown: FrameShown | None = None
        self._is_attached = False

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Yield what is new, without end; a broker that is lost is looked for again."""
        told, pause_s = "", FIRST_PAUSE_S
        while True:
            try:
                async with connected(self._access, name=None, largest_incoming=LARGEST_MESSAGE) as broker:
                    pause_s, told = FIRST_PAUSE_S, ""
                    self._forget()
                    yield Detached(f"the broker knows nothing of {self._rig} yet")
                    await ask_for(broker, self._wanted())
                    self._broker = broker
                    async for received in broker.messages():
                        for update in self._take(received):
                            yield update
            except BrokerLostError as error:
                reason = f"the MQTT broker {self._access.address} is not reached: {printable(str(error))}"
                if reason != told:
                    yield Detached(reason)
                    told = reason
            finally:
                self._broker = None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def ask(self, command: Command) -> str | None:
        """Send a command; return why that is not possible, None where an `Answer` will come."""
        broker = self._broker
        if broker is None:
            return "the MQTT broker is not reached"
        command_id = secrets.token_hex(8)
        document = {
            "id": command_id,
            "command": command.request.value,
            "expires": (datetime.now(UTC) + COMMAND_LIFE).isoformat(),
        }
        if command.step is not None:
            document["step"] = command.step  # type: ignore[assignment]
        self._asked.add(command_id)
        sending = asyncio.ensure_future(self._send(broker, Message(self._topics.command, to_json(document))))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        return None

    @staticmethod
    async def _send(broker: Broker, message: Message) -> None:
        try:
            await broker.publish(message)
        except BrokerLostError:
            return  # the connection tells so, too

    def _wanted(self) -> tuple[str, ...]:
        topics = self._topics
        return (topics.status, topics.journal, topics.event, topics.picture, topics.answer)

    def _take(self, received: Message) -> list[Update]:
        topics, payload = self._topics, received.payload
        if received.topic == topics.status:
            self._presence = payload
            return self._attach()
        if received.topic == topics.journal:
            return self._take_journal(payload)
        if received.topic == topics.picture:
            self._shown = picture(payload) or self._shown
            return [*self._frames_shown()] if self._is_attached else []
        if received.topic == topics.event:
            return [*self._follower.line(payload)] if self._is_attached else []
        return self._take_answer(payload)

    def _take_journal(self, payload: bytes) -> list[Update]:
        self._journal = payload
        if not self._is_attached or self._follower.is_behind:
            return self._attach()
        known = self._follower.run
        events = self._follower.journal(payload)
        return [*events] if self._follower.run == known else self._attach()

    def _attach(self) -> list[Update]:
        """Begin with all that has happened; of a run that is over, too, which is then let go."""
        if not self._presence or self._journal is None:
            return []
        self._follower = Follower()
        events = self._follower.journal(self._journal)
        self._is_attached = self._presence == Presence.ONLINE.encode()
        updates: list[Update] = [
            Attached((*events, *self._frames_shown()), self._settings.commands and self._is_attached)
        ]
        if not self._is_attached:
            updates.append(Detached(_WHY_DETACHED.get(self._presence, "the run tells something unknown")))
        return updates

    def _frames_shown(self) -> tuple[FrameShown, ...]:
        return () if self._shown is None else (self._shown,)

    def _take_answer(self, payload: bytes) -> list[Update]:
        try:
            answer = json.loads(payload)
            command_id, text = answer["id"], str(answer["text"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return []
        if not isinstance(command_id, str) or command_id not in self._asked:
            return []
        self._asked.discard(command_id)
        return [Answer(printable(text[:LONGEST_ANSWER]))]
