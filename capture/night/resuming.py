"""What an earlier run of the same night has left: found, tidied up, and told to the run that goes on with it.

A run that crashed, lost its power or was ended leaves frames, masters, a journal, and perhaps a half-written file.
Frames are counted again from their files (`SavedFrames`); of the journal only what no file tells is believed: the
flats' tuning, and which steps were done, so that what is done moves no hardware.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    NightEnded,
    NightOutcome,
    NightStarted,
    PlannedStep,
    StepEnded,
    StepOutcome,
    TuningKept,
)
from coldframe.capture.steps import TuneStep
from coldframe.capture.storage.journal import is_being_written
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import NightFolder, evening_of, nights_from_newest
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner.tuner import Tuned


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """What a resumed night goes on from.

    Attributes
    ----------
    saved
        Raw frames on the disk.
    tuned
        What the tuner found.
    curve
        What was known of the panel's brightness last.
    done
        Numbers of the steps that were done, where the plan is still the same; all of whose frames are still there.
    notes
        For people: what was found, and what had to be set aside.
    """

    saved: SavedFrames
    tuned: Mapping[TuneStep, Tuned] = field(default_factory=dict)
    curve: PanelCurve = PROPORTIONAL
    done: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def unfinished_night(storage: Path, now: datetime, camera: str) -> NightFolder | None:
    """Return the folder of this evening's last night with this camera, if it did not end with all it was to make.

    A journal that a power cut has taken is no reason to leave frames behind: whose they are, each tells itself. A night
    that another run is shooting is left to that one, and passed over as are those of other rigs in the same storage.

    Raises
    ------
    OSError
        The storage folder or the journal cannot be read.
    """
    for path in nights_from_newest(storage) if storage.is_dir() else ():
        if not path.name.startswith(evening_of(now)):
            return None
        if is_being_written(path / "journal.jsonl"):
            continue
        folder = NightFolder(path)
        started, ended = _start_and_end(folder)
        if started is None or started.camera == camera:
            is_whole = ended is not None and ended.outcome is NightOutcome.COMPLETE
            return None if is_whole else folder
    return None


def _start_and_end(folder: NightFolder) -> tuple[NightStarted | None, NightEnded | None]:
    """Return how the last run of a night began, and how it ended; None of what its journal does not tell."""
    started, ended = None, None
    for event in _journal(folder):
        match event:
            case NightStarted():
                started, ended = event, None
            case NightEnded():
                ended = event
    return started, ended


def earlier_run(folder: NightFolder, planned: Sequence[PlannedStep]) -> EarlierRun:
    """Set aside what is torn in a night's folder, and return what can be gone on from.

    Parameters
    ----------
    folder
        Of an unfinished night; no other run is using it.
    planned
        The steps of the run that goes on.

    Raises
    ------
    NotDurableError
        Something could not be set aside.
    OSError
        The folder or the journal cannot be read.
    """
    torn = folder.quarantine_partial_files()
    events, paths = list(_journal(folder)), folder.raw_frames().values()
    found = f"an earlier run of this night left {len(paths)} frames, which are checked and counted again"
    accepted = {event.path for event in events if isinstance(event, FrameAccepted)}
    gone = sorted(accepted - _still_there(folder, accepted))
    kept = [event for event in events if isinstance(event, TuningKept)]
    return EarlierRun(
        saved=SavedFrames(folder, paths),
        tuned={event.step: event.tuned for event in kept},
        curve=kept[-1].curve if kept else PROPORTIONAL,
        done=frozenset(_done(events, planned)) if not gone else frozenset(),
        notes=(
            *([f"{found}; run with --fresh to start anew beside them"] if paths else []),
            *(f"{path.name} was being written when that run ended; it is in quarantine" for path in torn),
            *(f"{name} was accepted and is not there any more: it will be shot again" for name in gone),
        ),
    )


def _journal(folder: NightFolder) -> Iterator[Event]:
    path = folder.path / "journal.jsonl"
    return read_journal(path) if path.is_file() else iter(())


def _still_there(folder: NightFolder, accepted: Iterable[str]) -> set[str]:
    """Return which of the accepted frames are still in the night's folder, in their set or in quarantine."""
    names = {path.name for path in folder.path.rglob("*.fits")}
    return {path for path in accepted if Path(path).name in names}


def _done(events: Iterable[Event], planned: Sequence[PlannedStep]) -> Iterator[int]:
    """Yield the steps that were done by a run with this very plan."""
    is_ours = False
    for event in events:
        match event:
            case NightStarted(steps=steps):
                is_ours = [_what(step) for step in steps] == [_what(step) for step in planned]
            case StepEnded(step=number, outcome=StepOutcome.DONE) if is_ours:
                yield number


def _what(step: PlannedStep) -> tuple[object, ...]:
    return step.step_type, step.kind, step.filter, step.count, step.exposure_s, step.setpoint_c
