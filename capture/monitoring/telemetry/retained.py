"""Publish the retained documents about a night, each at most once per interval."""

import asyncio
import logging
import secrets

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, NightEnded, NightStarted
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.telemetry.connection import BrokerConnection
from coldframe.capture.monitoring.telemetry.digest import Digest, is_in_digest
from coldframe.capture.monitoring.telemetry.documents import picture_document, plan_document, state_document
from coldframe.capture.monitoring.telemetry.topics import Topics

log = logging.getLogger(__name__)

INTERVALS_S = {"state": 1.0, "plan": 1.0, "journal": 5.0, "picture": 3.0}
"""Shortest time between two messages on each of these topics."""

CALM_S = 30.0
"""Time without events after which the state is published again to update the remaining time."""


class RetainedDocuments:
    """The events of a night and the documents derived from them, published over a connection."""

    def __init__(self, connection: BrokerConnection, topics: Topics, clock: NightClock) -> None:
        self._connection = connection
        self._topics = topics
        self._clock = clock
        self._state = DashboardState()
        self._digest = Digest(secrets.token_hex(4))
        # Replace the documents that the broker still retains from the previous run.
        self._changed = {"state", "journal"}
        self._due_s: dict[str, float] = {}
        self._failed = set[str]()

    def apply(self, event: Event) -> None:
        """Publish an event, and record which documents it changes."""
        self._state.apply(event)
        if is_in_digest(event):
            self._connection.publish(self._topics.event, self._digest.add(event).encode("ascii"))
        self._changed |= {"picture"} if isinstance(event, FrameShown) else {"state", "plan", "journal"}
        if isinstance(event, NightStarted | NightEnded):
            self._due_s.clear()

    def renew_due(self) -> None:
        """Publish each changed document whose interval has passed."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._due_s.get("state", now_s) > CALM_S:
            self._changed.add("state")
        for name, interval_s in INTERVALS_S.items():
            if name in self._changed and now_s >= self._due_s.get(name, now_s):
                self._due_s[name] = now_s + interval_s
                self._renew_or_log(name)

    def renew_all(self) -> None:
        """Publish all documents that have changed."""
        for name in INTERVALS_S:
            if name in self._changed:
                self._renew_or_log(name)

    def _renew_or_log(self, name: str) -> None:
        self._changed.discard(name)
        try:
            self._renew(name)
        except Exception:  # one faulty document, e.g. with a year after 9999, must not block others
            if name not in self._failed:
                log.exception("MQTT: cannot build the document %s", name)
            self._failed.add(name)

    def _renew(self, name: str) -> None:
        topics, state = self._topics, self._state
        match name:
            case "state":
                document = state_document(state, self._clock.now(), dropped=self._connection.messages_dropped)
                self._connection.retain(topics.state, document)
            case "plan" if state.night is not None:
                self._connection.retain(topics.plan, plan_document(state))
            case "journal":
                self._connection.retain(topics.journal, self._digest.packed())
            case "picture" if state.shown is not None:
                self._connection.retain(topics.picture, picture_document(state.shown))
