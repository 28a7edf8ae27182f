"""Assemble a night from a connected rig and a plan: its folder, journal, context and steering.

The command line and the tests of whole nights use this module, so a simulated night is assembled like a real night.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.clock import NightClock
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import UNKNOWN_ORIGIN, Origin
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.night.night import Night
from coldframe.capture.night.planned_steps import planned_steps
from coldframe.capture.night.resuming import EarlierRun, earlier_run
from coldframe.capture.planning.light_words import LightWords
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.rig.safe_state import SafeState
from coldframe.capture.session.context import NightContext
from coldframe.capture.session.retry_budget import Retries
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.journal import Journal
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.capture.verifying.masters_at_hand import MastersAtHand
from coldframe.capture.verifying.verification import LightsVerification
from coldframe.config.settings import Settings
from coldframe.devices.rig import Rig

LEARNED_FLATS = "learned-flats.json"


@dataclass(frozen=True, slots=True)
class NightFiles:
    """The folder of a night, the results of the night's earlier run (None for a new night), and the rig of this run."""

    folder: NightFolder
    earlier: EarlierRun | None = None
    origin: Origin = UNKNOWN_ORIGIN


@dataclass(frozen=True, slots=True)
class AssembledNight:
    """A night that is ready to run, and the objects that its observers need."""

    night: Night
    steering: Steering
    journal: Journal


def open_night_files(
    storage: Path, unfinished: NightFolder | None, settings: Settings, now: datetime, origin: Origin = UNKNOWN_ORIGIN
) -> NightFiles:
    """Create the folder of a new night, or examine the folder of an unfinished night.

    Parameters
    ----------
    storage
        The folder of all nights.
    unfinished
        Folder of an unfinished night, from `unfinished_night`; None starts a new night.
    settings
        Settings of the run that begins.
    now
        Start of the run, UTC.
    origin
        The rig of the run.

    Raises
    ------
    NotDurableError
        If the folder cannot be created, or damaged files cannot be quarantined.
    OSError
        If the folder or the journal cannot be read.
    """
    if unfinished is None:
        return NightFiles(NightFolder.create(storage, now), origin=origin)
    return NightFiles(unfinished, earlier_run(unfinished, planned_steps(plan_night(settings), settings)), origin)


@asynccontextmanager
async def assembled_night(
    settings: Settings,
    rig: Rig,
    files: NightFiles,
    events: EventStream,
    clock: NightClock,
    *,
    deadline: datetime | None = None,
    words: LightWords | None = None,
    lights: Mapping[Path, FrameSetup] | None = None,
    safe_state: SafeState | None = None,
) -> AsyncIterator[AssembledNight]:
    """Assemble a night. Open the observers of the night and run the night within the block.

    Parameters
    ----------
    settings
        Settings of the run, with the sets to shoot.
    rig
        The connected hardware. The plan depends on the camera's features.
    files
        See `open_night_files`.
    events, clock
        The night's event stream and time.
    deadline
        Time by which the last frame must be complete; None for no deadline. The warm-up may end later.
    words
        Names from the lights' headers for the night's frames; None if the sets were not planned for lights.
    lights
        Setups of the lights to verify, by path, in the order in which they were shot; None to verify no lights.
    safe_state
        Object that makes the rig safe at the end; by default, a `SafeState`.
    """
    folder = files.folder
    # The journal opens before the first event and closes after all observers that the caller opens in the block. The
    # journal therefore records their last notices, and the night counts as running until everything else has ended.
    async with Journal(folder.path / "journal.jsonl") as journal:
        events.subscribe(journal)
        # The next step begins only once the journal is on disk, because a run after a power cut relies on the journal.
        events.add_flush(journal.flush)
        context = night_context(settings, rig, files, events, clock, deadline=deadline, words=words)
        learned = LearnedFlats.load(folder.path.parent / LEARNED_FLATS)
        safe_state = safe_state or SafeState(settings, rig, events, clock)
        if files.earlier is not None and files.earlier.rotator_found_deg is not None and rig.rotator is not None:
            rig.rotator.found_at(files.earlier.rotator_found_deg)
        verification = None if lights is None or not settings.verify.lights else _verification(context, lights)
        night = Night(context, learned, safe_state, files.earlier, files.origin, verification=verification)
        yield AssembledNight(night, context.steering, journal)


def _verification(context: NightContext, lights: Mapping[Path, FrameSetup]) -> LightsVerification:
    masters = MastersAtHand(context.folder.path.parent, context.settings.camera_names)
    return LightsVerification(lights, masters, context.events, context.clock)


def night_context(
    settings: Settings,
    rig: Rig,
    files: NightFiles,
    events: EventStream,
    clock: NightClock,
    *,
    deadline: datetime | None = None,
    words: LightWords | None = None,
) -> NightContext:
    """Return the context of a night, with its full budget of retries."""
    saved = files.earlier.saved if files.earlier is not None else SavedFrames(files.folder)
    # `Steering` follows the night through its events, so it is created before the first event.
    steering = Steering(events, clock)
    return NightContext(
        settings,
        rig,
        files.folder,
        events,
        clock,
        Retries(),
        saved,
        steering,
        deadline,
        words or LightWords(),
        is_for_lights=words is not None,
    )
