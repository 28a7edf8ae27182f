"""Decide which events warrant a notification, and write the notifications. This module performs no I/O."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    NightStarted,
    Notice,
    SetResized,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, Severity
from coldframe.capture.events.verification import Cleanness, LightsVerified
from coldframe.capture.monitoring.progress.narrator import Narrator, severity_of
from coldframe.capture.monitoring.progress.quantities import duration_text
from coldframe.capture.monitoring.progress.verification_words import night_sentences
from coldframe.config.tables.notify import NotifySettings
from coldframe.counted import counted

MOST_PROBLEMS = 15
"""Maximum number of problem notifications per night. The final notification states the total number of problems."""

LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to the user's phone."""

    title: str
    text: str
    severity: Severity


@dataclass(slots=True)
class NotificationWriter:
    """A writer of notifications about the start of a night, each kind of problem, and the end of the night.

    Attributes
    ----------
    rig
        Display name of the rig.
    most_problems
        See `MOST_PROBLEMS`.
    """

    settings: NotifySettings
    rig: str
    most_problems: int = MOST_PROBLEMS
    _narrator: Narrator = field(default_factory=Narrator)
    _reported: set[tuple[type[Event], str]] = field(default_factory=set)
    _problems: int = 0
    # Paths rather than counts, because two sets can share frames and a master.
    _frames: set[str] = field(default_factory=set)
    _rejected: int = 0
    _masters: set[str] = field(default_factory=set)
    _verified: dict[object, LightsVerified] = field(default_factory=dict)
    _began: datetime | None = None

    def write(self, event: Event) -> Notification | None:
        """Return the notification about the event, or None if the event warrants none."""
        line = self._narrator.narrate(event)
        self._count(event)
        if line is None:
            return None
        match event:
            case NightStarted():
                subject = "night resumed" if event.is_resumed else "night begins"
                return self._notification(subject, line.text, Severity.INFO) if self.settings.start else None
            case NightEnded():
                return self._end(event) if self.settings.done else None
        if severity_of(event) is Severity.INFO:
            return None
        self._problems += 1
        return self._problem(event, line.text) if self.settings.problems else None

    def _count(self, event: Event) -> None:
        match event:
            case NightStarted():
                self._began = event.at
            case FrameAccepted():
                self._frames.add(event.path)
            case FrameRejected():
                self._rejected += 1
            case MasterWritten():
                self._masters.add(event.path)
            case LightsVerified():
                self._verified[event.key] = event
            case _:
                pass

    def _problem(self, event: Event, text: str) -> Notification | None:
        kind = (type(event), kind_of(event))
        if kind in self._reported or len(self._reported) >= self.most_problems:
            return None
        self._reported.add(kind)
        return self._notification("problem", text, severity_of(event))

    def _end(self, event: NightEnded) -> Notification:
        counts = [counted(len(self._frames), "frame"), counted(len(self._masters), "master")]
        counts += [f"{self._rejected} rejected"] if self._rejected else []
        counts += [counted(self._problems, "problem")] if self._problems else []
        took = f" in {duration_text((event.at - self._began).total_seconds())}" if self._began else ""
        is_faulty = any(each.cleanness is Cleanness.FAULTY for each in self._verified.values())
        severity = Severity.WARNING if is_faulty else Severity.INFO
        severity = severity if event.outcome is NightOutcome.COMPLETE else severity_of(event)
        text = f"{event.summary}; {', '.join(counts)}{took}"
        lights = night_sentences(self._verified.values())
        return self._notification(f"night {event.outcome.value}", f"{lights} {text}".lstrip(), severity)

    def _notification(self, subject: str, text: str, severity: Severity) -> Notification:
        short = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
        return Notification(f"{self.rig}: {subject}", short, severity)


def kind_of(event: Event) -> str:
    """Return a text that is the same for all problems of a kind, such as a message with its numbers replaced."""
    match event:
        case Notice(text=text) | FrameRejected(reason=text) | StepEnded(reason=text) | SetResized(reason=text):
            return re.sub(r"[-+]?\d[\d.,:]*", "#", text)
        case LightsVerified():
            return f"{event.frames} {event.filter} {event.artifacts[0].remedy if event.artifacts else ''}"
        case _:
            return ""
