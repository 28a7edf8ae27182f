"""Find the files of an earlier run of the same night, tidy them up, and pass them to the run that resumes the night.

A run that crashed, lost power or was ended leaves frames, masters, a journal, and perhaps a half-written file. Frames
are counted again from their files (`SavedFrames`). The journal supplies only data that no other file contains: the
tunings of flats, and the finished steps, for which no hardware needs to move (docs/decisions/0012).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    NightEnded,
    NightStarted,
    StepEnded,
    TuningKept,
)
from coldframe.capture.events.values import NightOutcome, PlannedStep, StepOutcome
from coldframe.capture.steps import TuneStep
from coldframe.capture.storage.journal import is_being_written
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import NightFolder, evening_of, nights_from_newest
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner.tuner import Tuned


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The results of an unfinished run of a night.

    Attributes
    ----------
    saved
        Raw frames on disk.
    tuned
        Tunings of flats.
    curve
        Last known brightness curve of the panel.
    done
        Numbers of the finished steps; empty if the plan has changed or frames are missing.
    notes
        Notices about the frames found and the files quarantined.
    """

    saved: SavedFrames
    tuned: Mapping[TuneStep, Tuned] = field(default_factory=dict)
    curve: PanelCurve = PROPORTIONAL
    done: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def unfinished_night(storage: Path, now: datetime, camera: str) -> NightFolder | None:
    """Return the folder of this evening's last night with the given camera if it is unfinished, else None.

    Nights that another run is shooting, and nights of other rigs in the same storage, do not count. A night whose
    journal was lost in a power cut is unfinished; the headers of its frames name the camera.

    Raises
    ------
    OSError
        If the storage folder or the journal cannot be read.
    """
    for path in nights_from_newest(storage) if storage.is_dir() else ():
        if not path.name.startswith(evening_of(now)):
            return None
        if is_being_written(path / "journal.jsonl"):
            continue
        folder = NightFolder.existing(path)
        started, ended = _start_and_end(folder)
        if started is None or started.camera == camera:
            is_whole = ended is not None and ended.outcome is NightOutcome.COMPLETE
            return None if is_whole else folder
    return None


def _start_and_end(folder: NightFolder) -> tuple[NightStarted | None, NightEnded | None]:
    """Return the start and end events of the night's last run; None for an event that is not in the journal."""
    started, ended = None, None
    for event in _journal(folder):
        match event:
            case NightStarted():
                started, ended = event, None
            case NightEnded():
                ended = event
    return started, ended


def earlier_run(folder: NightFolder, planned: Sequence[PlannedStep]) -> EarlierRun:
    """Quarantine half-written files in a night's folder, and return what can be resumed.

    Parameters
    ----------
    folder
        The folder of an unfinished night that no other run is using.
    planned
        The steps of the run that resumes the night.

    Raises
    ------
    NotDurableError
        If a file could not be quarantined.
    OSError
        If the folder or the journal cannot be read.
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
            *([f"{found}; run with --fresh to start a new night instead"] if paths else []),
            *(f"{path.name} was half-written when that run ended; it was quarantined" for path in torn),
            *(f"{name} was accepted but is gone: it will be shot again" for name in gone),
        ),
    )


def _journal(folder: NightFolder) -> Iterator[Event]:
    path = folder.path / "journal.jsonl"
    return read_journal(path) if path.is_file() else iter(())


def _still_there(folder: NightFolder, accepted: Iterable[str]) -> set[str]:
    """Return the accepted frames that are still in the night's folder, in their set or in quarantine."""
    names = {path.name for path in folder.path.rglob("*.fits")}
    return {path for path in accepted if Path(path).name in names}


def _done(events: Iterable[Event], planned: Sequence[PlannedStep]) -> Iterator[int]:
    """Yield the numbers of the steps that runs with the same plan have completed."""
    is_same_plan = False
    for event in events:
        match event:
            case NightStarted(steps=steps):
                is_same_plan = [_identity(step) for step in steps] == [_identity(step) for step in planned]
            case StepEnded(step=number, outcome=StepOutcome.DONE) if is_same_plan:
                yield number


def _identity(step: PlannedStep) -> tuple[object, ...]:
    return step.step_type, step.kind, step.filter, step.count, step.exposure_s, step.setpoint_c
