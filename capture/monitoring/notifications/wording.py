"""Which events are worth a message to somebody's phone, and in what words."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    NightOutcome,
    NightStarted,
    Notice,
    SetResized,
    Severity,
    StepEnded,
)
from coldframe.capture.monitoring.progress.narrator import Narrator, severity_of
from coldframe.capture.monitoring.progress.quantities import duration_text
from coldframe.config.tables.notify import NotifySettings

MOST_PROBLEMS = 15
"""In a night; the end tells how many there were."""

LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Word:
    """A message.

    Attributes
    ----------
    severity
        How much it matters.
    """

    title: str
    text: str
    severity: Severity


@dataclass(slots=True)
class Wording:
    """Turns a night's events into few messages: the start, each kind of problem once, the end with what came of it.

    Attributes
    ----------
    rig
        Name for people.
    """

    settings: NotifySettings
    rig: str
    _narrator: Narrator = field(default_factory=Narrator)
    _told: set[tuple[type[Event], str]] = field(default_factory=set)
    _problems: int = 0
    _frames: int = 0
    _rejected: int = 0
    _masters: int = 0
    _began: datetime | None = None

    def word(self, event: Event) -> Word | None:
        """Return the message that an event is worth, None where it is worth none."""
        told = self._narrator.narrate(event)
        self._count(event)
        if told is None:
            return None
        match event:
            case NightStarted():
                what = "night goes on" if event.is_resumed else "night begins"
                return self._worded(what, told.text, Severity.INFO) if self.settings.start else None
            case NightEnded():
                return self._end(event) if self.settings.done else None
        if severity_of(event) is Severity.INFO:
            return None
        self._problems += 1
        return self._problem(event, told.text) if self.settings.problems else None

    def _count(self, event: Event) -> None:
        match event:
            case NightStarted():
                self._began = event.at
            case FrameAccepted():
                self._frames += 1
            case FrameRejected():
                self._rejected += 1
            case MasterWritten():
                self._masters += 1
            case _:
                pass

    def _problem(self, event: Event, text: str) -> Word | None:
        kind = (type(event), kind_of(event))
        if kind in self._told or len(self._told) >= MOST_PROBLEMS:
            return None
        self._told.add(kind)
        return self._worded("problem", text, severity_of(event))

    def _end(self, event: NightEnded) -> Word:
        counts = [_counted(self._frames, "frame"), _counted(self._masters, "master")]
        counts += [f"{self._rejected} rejected"] if self._rejected else []
        counts += [_counted(self._problems, "problem")] if self._problems else []
        took = f" in {duration_text((event.at - self._began).total_seconds())}" if self._began else ""
        severity = Severity.INFO if event.outcome is NightOutcome.COMPLETE else severity_of(event)
        return self._worded(f"night {event.outcome.value}", f"{event.summary}; {', '.join(counts)}{took}", severity)

    def _worded(self, what: str, text: str, severity: Severity) -> Word:
        short = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
        return Word(f"{self.rig}: {what}", short, severity)


def kind_of(event: Event) -> str:
    """Return what a problem has in common with others of its kind: its words, without numbers."""
    match event:
        case Notice(text=text) | FrameRejected(reason=text) | StepEnded(reason=text) | SetResized(reason=text):
            return re.sub(r"[-+]?\d[\d.,:]*", "#", text)
        case _:
            return ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
