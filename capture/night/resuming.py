"""Find the files from an earlier run of the same night, tidy them up, and pass them to the run that resumes the night.

A run that crashed, lost power or was interrupted leaves frames, masters, a journal, and perhaps a half-written file.
Its frames are counted again from the files (`SavedFrames`). The journal supplies only data that no other file contains:
the tunings of flats, and the finished steps, for which no hardware needs to move (docs/decisions/0012).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path

from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    NightEnded,
    NightStarted,
    StepEnded,
    TuningKept,
)
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.values import UNKNOWN_ORIGIN, NightOutcome, Origin, PlannedStep, StepOutcome
from coldframe.capture.events.verification import LightsVerified
from coldframe.capture.steps import TuneStep
from coldframe.capture.storage.journal import is_being_written
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import NightFolder, evening_of, nights_from_newest
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner.tuner import Tuned
from coldframe.counted import counted


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The results from an unfinished run of a night.

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
    reshot
        Filters and rotator angles of the flats that were shot again with a longer exposure because of an artifact.
    notes
        Sentences for the user about the frames that were found, the quarantined files, and missing frames.
    rotator_found_deg
        Angle of the rotator before the night, degrees, if the run has not turned it back to this angle; otherwise None.
    """

    saved: SavedFrames
    tuned: dict[TuneStep, Tuned] = field(default_factory=dict)
    curve: PanelCurve = PROPORTIONAL
    done: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    reshot: frozenset[tuple[str | None, float | None]] = frozenset()
    rotator_found_deg: float | None = None


def unfinished_night(storage: Path, now: datetime, camera: str, origin: Origin = UNKNOWN_ORIGIN) -> NightFolder | None:
    """Return the folder of this evening's last night with the given rig if this night is unfinished, else None.

    Nights that another run is shooting, and nights of other rigs in the same storage, do not count. Nights with another
    date do not count either, even if this date is due to a wrong clock. A night whose journal was lost in a power
    cut is unfinished; the headers of its frames name the camera.

    Parameters
    ----------
    storage
        The folder of all nights.
    now
        Start of the run, UTC.
    camera, origin
        Name of the camera, and the rig of the run.

    Raises
    ------
    OSError
        If the storage folder or the journal cannot be read.
    """
    for folder in _nights(storage, lambda evening: evening == evening_of(now)):
        match _progress(folder, camera, origin):
            case _Progress.UNFINISHED:
                return folder
            case _Progress.WHOLE:
                return None
    return None


def later_nights(storage: Path, now: datetime, camera: str, origin: Origin = UNKNOWN_ORIGIN) -> tuple[NightFolder, ...]:
    """Return the rig's unfinished nights that are dated after this evening. Only a wrong clock can cause such dates.

    The parameters and errors are the same as for `unfinished_night`.
    """
    later = _nights(storage, lambda evening: evening > evening_of(now))
    return tuple(folder for folder in later if _progress(folder, camera, origin) is _Progress.UNFINISHED)


class _Progress(Enum):
    """How much of a night is complete.

    PARTIAL means that all sets of the night are complete, but that the user chose only some of the evening's sets. The
    other sets may be in an earlier, unfinished night.
    """

    UNFINISHED = "unfinished"
    WHOLE = "whole"
    PARTIAL = "partial"
    OF_ANOTHER_RUN = "of another run"


def _nights(storage: Path, is_wanted: Callable[[str], bool]) -> Iterator[NightFolder]:
    """Yield the folders of the nights whose dates `is_wanted` accepts, latest first."""
    for path in nights_from_newest(storage) if storage.is_dir() else ():
        if is_wanted(path.name[: len("2026-11-22")]):
            yield NightFolder(path)


def _progress(folder: NightFolder, camera: str, origin: Origin) -> _Progress:
    """Return how much of the rig's night is complete. A run that shoots only chosen sets does not complete a night."""
    if is_being_written(folder.path / "journal.jsonl"):
        return _Progress.OF_ANOTHER_RUN
    runs = list(_starts_and_ends(folder))
    if any(started.camera != camera or not started.origin.is_same_rig(origin) for started, _ in runs):
        return _Progress.OF_ANOTHER_RUN
    of_all_sets = [each for each in runs if not each[0].origin.is_partial]
    endings = [ended for _, ended in of_all_sets or runs]
    if not endings or endings[-1] is None or endings[-1].outcome is not NightOutcome.COMPLETE:
        return _Progress.UNFINISHED
    return _Progress.WHOLE if of_all_sets else _Progress.PARTIAL


def _starts_and_ends(folder: NightFolder) -> Iterator[tuple[NightStarted, NightEnded | None]]:
    """Yield the start and end events of each run of a night; the end event is None if the run published none."""
    started, ended = None, None
    for event in _journal(folder):
        match event:
            case NightStarted():
                if started is not None:
                    yield started, ended
                started, ended = event, None
            case NightEnded():
                ended = event
    if started is not None:
        yield started, ended


def earlier_run(folder: NightFolder, planned: Sequence[PlannedStep]) -> EarlierRun:
    """Quarantine half-written files in a night's folder, and return the work that can be resumed.

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
    found = f"an earlier run of this night left {counted(len(paths), 'frame')}; each frame is checked and counted again"
    accepted = {event.path for event in events if isinstance(event, FrameAccepted)}
    gone = sorted(accepted - _still_there(folder, accepted))
    kept = [event for event in events if isinstance(event, TuningKept)]
    return EarlierRun(
        saved=SavedFrames(folder, paths),
        tuned={event.step: event.tuned for event in kept},
        curve=kept[-1].curve if kept else PROPORTIONAL,
        done=frozenset(_done(events, planned)) if not gone else frozenset(),
        reshot=frozenset(
            (event.filter, event.rotator_deg)
            for event in events
            if isinstance(event, LightsVerified) and event.reshoots is Remedy.LONGER_FLATS
        ),
        rotator_found_deg=_last_found_deg(events),
        notes=(
            *([f"{found}; run with --fresh to start a new night instead"] if paths else []),
            *(f"{path.name} was half-written when that run ended; it was quarantined" for path in torn),
            *(f"{name} was accepted but no longer exists: it will be shot again" for name in gone),
        ),
    )


def angle_before_night(folder: NightFolder) -> float | None:
    """Return the angle of the rotator before a night, if the night's runs have not turned it back; otherwise None.

    Raises
    ------
    OSError
        If the journal cannot be read.
    """
    return _last_found_deg(_journal(folder))


def _last_found_deg(events: Iterable[Event]) -> float | None:
    return next((event.found_deg for event in reversed([*events]) if isinstance(event, RotatorTurned)), None)


def _journal(folder: NightFolder) -> Iterator[Event]:
    path = folder.path / "journal.jsonl"
    return read_journal(path) if path.is_file() else iter(())


def _still_there(folder: NightFolder, accepted: Iterable[str]) -> set[str]:
    """Return the accepted frames that are still in the night's folder, in their set or in quarantine."""
    names = folder.kept_names()
    return {path for path in accepted if Path(path).name in names}


def _done(events: Iterable[Event], planned: Sequence[PlannedStep]) -> Iterator[int]:
    """Yield the numbers of the steps that were completed by runs with the same plan."""
    is_same_plan = False
    for event in events:
        match event:
            case NightStarted(steps=steps):
                is_same_plan = [_identity(step) for step in steps] == [_identity(step) for step in planned]
            case StepEnded(step=number, outcome=StepOutcome.DONE) if is_same_plan:
                yield number


def _identity(step: PlannedStep) -> tuple[object, ...]:
    return step.step_type, step.kind, step.filter, step.count, step.exposure_s, step.setpoint_c, step.rotator_deg
