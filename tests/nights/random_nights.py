"""Draw whole nights from seeds: a plan, a rig, and its faults. The same seed gives the same night.

Only the devices, the time, and the results of calls to the disk are simulated. Faults of the link to an INDI server
(rows 15, 42, 43, 44 of the matrix), of the broker (45, 46), of the user's commands (11) and of the process (48, 49) are
tested with real servers, brokers, commands and processes in tests/indi, tests/devices, tests/capture and tests/crash.
The fault in row 21 is repaired before the first frame.
"""

import asyncio
import contextlib
import errno
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any
from unittest.mock import patch

from coldframe.calibration.camera.record import CAMERAS
from coldframe.calibration.library.library import LIBRARY
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.night.assembly import LEARNED_FLATS, assembled_night, open_night_files
from coldframe.capture.rig.safe_state import SafeState
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.devices.rig import Rig
from coldframe.simulators.faults.faulty_rig import FAULTS, faulty_rig
from coldframe.simulators.faults.striking import FOR_EVER, Fault
from tests.nights.disk import DiskFault, SimulatedDisk
from tests.nights.nights import START, Inline, tiny
from tests.nights.virtual_time import NightHangsError, VirtualTimeLoop
from tests.nights.witness import WitnessedTelescope
from tests.patience import PATIENCE_S

LONGEST_NIGHT_S = 6 * 3600.0
"""Virtual time after which a night counts as hanging."""

LONGEST_RUN_S = PATIENCE_S
"""Real time after which a night counts as hanging without letting virtual time pass."""

STUCK_S = 60.0
"""Additional real time after which a signal interrupts a night that blocks the event loop."""

DISK_FAULTS: dict[str, tuple[int, ...]] = {
    "full-disk": (40,),
    "no-room": (40,),
    "bad-disk": (50,),
    "bad-folder": (50,),
    "read-only-disk": (40, 50),
    "no-hard-links": (50,),
}
BROKEN_MEMORY, INTERRUPTION = "broken-memory", "interruption"
KINDS: dict[str, tuple[int, ...]] = {
    **{kind: fault.rows for kind, fault in FAULTS.items()},
    **DISK_FAULTS,
    BROKEN_MEMORY: (47,),
    INTERRUPTION: (49,),
}
"""All kinds of faults and their rows in the fault matrix."""

ENDING = ("full-disk", "bad-disk", "bad-folder", "read-only-disk", "wedged-firmware", INTERRUPTION)
"""Kinds that end a night or all its exposures. A night has at most one of them, and it occurs late."""

RARELY_MET = (
    "repeated-frame",
    "drifting-sensor",
    "stray-light",
    "burning-lamp",
    "bad-folder",
    "read-only-disk",
    INTERRUPTION,
)
"""Kinds that often do not occur before the night ends. A pack contains two of each."""

PACK = (*sorted(KINDS), *RARELY_MET)
HANDS = (1, 2, 3, 5, 7, 9, 12, 15, 17, 19)
"""Numbers of faults in the nights of a block of ten, in random order."""


@dataclass(frozen=True)
class TroubledNight:
    """A drawn night.

    Attributes
    ----------
    kinds
        Kinds of its faults.
    interrupted_after_s
        Time at which the user ends the night; None if the night runs to its end.
    knows_the_rig
        True if there was an earlier night without faults.
    """

    seed: int
    settings: Settings
    rig: SimulatedRig
    kinds: tuple[str, ...]
    disk_faults: dict[str, DiskFault]
    interrupted_after_s: float | None
    knows_the_rig: bool

    def __str__(self) -> str:
        sets = ", ".join(f"{each.count} {each.kind} {each.filter or ''}".strip() for each in self.settings.sets)
        return f"night {self.seed}: {sets}; {', '.join(self.kinds) or 'nothing'} goes wrong"


@dataclass(repr=False)  # asyncio.Runner formats the result with the handler of Ctrl-C, arrays included
class TroubledRun:
    """Result of a drawn night."""

    night: TroubledNight
    folder: Path
    telescope: WitnessedTelescope
    faults: dict[str, Fault]
    disk: SimulatedDisk
    events: list[Event] = field(default_factory=list)
    outcome: NightOutcome | None = None
    safe_from_s: float = 0.0
    ended_s: float = 0.0
    leftovers: list[str] = field(default_factory=list)

    def met(self) -> dict[str, int]:
        """Return how often each kind took effect."""
        found = {kind: fault.met for kind, fault in self.faults.items()}
        found |= {kind: fault.met for kind, fault in self.night.disk_faults.items()}
        found[BROKEN_MEMORY] = int(BROKEN_MEMORY in self.night.kinds)
        found[INTERRUPTION] = int(self.outcome is NightOutcome.INTERRUPTED)
        return {kind: met for kind, met in found.items() if met}


def draw(seed: int) -> TroubledNight:
    """Draw a night. Ten nights of consecutive seeds have all kinds of faults about equally often."""
    random = Random(f"night {seed}")
    kinds = _dealt(seed)
    rig, knows_the_rig = _rig(random, kinds), random.random() < 0.5
    if not knows_the_rig:
        # This is a different specimen of the camera, which may need dark flats.
        sensor = rig.sensor.model_copy(update={"short_exposure_adu": random.choice([0.0, 300.0])})
        rig = rig.model_copy(update={"seed": random.randrange(1000), "sensor": sensor})
    return TroubledNight(
        seed=seed,
        settings=_settings(random, rig, turns=bool({"stuck-wheel", "late-wheel"} & set(kinds))),
        rig=rig,
        kinds=kinds,
        disk_faults={kind: _disk_fault(kind, random) for kind in kinds if kind in DISK_FAULTS},
        interrupted_after_s=random.uniform(2, 150) if INTERRUPTION in kinds else None,
        knows_the_rig=knows_the_rig,
    )


def _dealt(seed: int) -> tuple[str, ...]:
    """Deal the kinds to a block of nights, like cards from shuffled packs."""
    block, place = divmod(seed, len(HANDS))
    random = Random(f"hands {block}")
    sizes = random.sample(HANDS, len(HANDS))
    first = block * sum(HANDS) + sum(sizes[:place])
    hand: list[str] = []
    for position in range(first, first + sizes[place]):
        pack, card = divmod(position, len(PACK))
        kind = Random(f"pack {pack}").sample(PACK, len(PACK))[card]
        if kind not in hand and not (kind in ENDING and set(hand) & set(ENDING)):
            hand.append(kind)
    return tuple(hand)


def _rig(random: Random, kinds: tuple[str, ...]) -> SimulatedRig:
    small = tiny(load_rig("small"))
    modules = {FAULTS[kind].__module__.rpartition(".")[2] for kind in kinds if kind in FAULTS}
    is_cooled = "cooler_faults" in modules or random.random() < 0.8
    has_wheel = any("wheel" in kind for kind in kinds) or random.random() < 0.7
    has_cover = any("cover" in kind for kind in kinds) or random.random() < 0.7
    pattern = random.choice([None, None, "RGGB"])
    changes: dict[str, Any] = {
        "sensor": small.sensor.model_copy(update={"cfa_pattern": pattern}),
        "panel": small.panel if has_cover else small.panel.model_copy(update={"cover_travel_s": None}),
        "ambient_c": random.choice([18.0, 12.0]),
    }
    if not is_cooled:
        changes["cooler"] = None
    if not has_wheel:
        changes["wheel"] = None
    return small.model_copy(update=changes)


def _settings(random: Random, rig: SimulatedRig, *, turns: bool) -> Settings:
    """Draw a plan of a few small sets that the rig can shoot. The wheel has to turn if `turns` is true."""
    plan = _plan_for(rig)
    filters = random.sample(["L", "R", "Ha"], 3 if turns else random.choice([1, 2])) if rig.wheel else [None]

    def a_set(kind: str, **more: object) -> dict[str, object]:
        return {"kind": kind, "count": random.randint(6, 8), **{key: it for key, it in more.items() if it is not None}}

    sets = [a_set("bias")]
    has_dark_flats = random.random() < 0.6
    for name in filters:
        sets.append(a_set("flat", filter=name))
        if has_dark_flats:
            sets.append(a_set("dark-flat", filter=name))
    sets += [a_set("dark", exposure_s=each) for each in random.sample([1.0, 2.0, 5.0], random.choice([1, 1, 2]))]
    plan["sets"] = sets
    plan["flats"]["pedestal"] = random.choice(["auto", "dark-flat"]) if has_dark_flats else "bias"
    plan["panel"]["cover_at_end"] = random.choice(["closed", "closed", "open"])
    plan["cooling"] |= {
        "at_end": random.choice(["warm", "warm", "hold", "off"]),
        "fallback_c": random.choice([[], [0]]),
    }
    return Settings.model_validate(plan, strict=False)


def _plan_for(rig: SimulatedRig) -> dict[str, Any]:
    """Return the small rig's night without the devices that this rig lacks."""
    plan: dict[str, Any] = load_settings(example_night("small")).model_dump(mode="json", exclude_none=True)
    if rig.cooler is None:
        del plan["camera"]["setpoint_c"]
    if rig.wheel is None:
        del plan["wheel"]
    return plan


def _disk_fault(kind: str, random: Random) -> DiskFault:
    late = random.randint(30, 500)
    match kind:
        case "full-disk":
            return DiskFault("write", errno.ENOSPC, late, random.choice([1, 3, FOR_EVER]))
        case "no-room":
            return DiskFault("room", errno.ENOSPC, random.randint(2, 20), random.choice([1, 10, FOR_EVER]))
        case "bad-disk":
            return DiskFault("flush-file", errno.EIO, random.randint(5, 100), random.choice([1, FOR_EVER]))
        case "bad-folder":
            return DiskFault("flush-folder", errno.EIO, random.randint(3, 60), random.choice([1, FOR_EVER]))
        case "read-only-disk":
            return DiskFault("create", errno.EROFS, random.randint(5, 60), FOR_EVER)
    return DiskFault("link", errno.EPERM, 1, FOR_EVER)


@contextmanager
def run(
    night: TroubledNight, folder: Path | None = None, prepare: Callable[[EventStream], None] = lambda _: None
) -> Iterator[TroubledRun]:
    """Run a drawn night. Its files are in `folder`, or in a scratch folder for the duration of the block.

    `prepare` may subscribe to the night's events, or store them.

    Raises
    ------
    NightHangsError
        If the night does not end.
    """
    with contextlib.ExitStack() as stack:
        # The system reports the paths of open files without symbolic links.
        scratch = folder or Path(stack.enter_context(TemporaryDirectory(prefix="coldframe-night-")))
        storage = scratch.resolve() / "storage"
        storage.mkdir()
        if night.knows_the_rig:
            _remember(night, storage)
        if BROKEN_MEMORY in night.kinds:
            _break_memory(night, storage)
        # The frames are too small to justify a thread.
        stack.enter_context(patch("coldframe.calibration.threads.pool", _inline))
        yield _run(night, storage, prepare)


def _run(night: TroubledNight, storage: Path, prepare: Callable[[EventStream], None] = lambda _: None) -> TroubledRun:
    disk = SimulatedDisk(storage, list(night.disk_faults.values()))
    with alarm(), asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(LONGEST_NIGHT_S, LONGEST_RUN_S)) as runner:
        return runner.run(_watched(night, disk, prepare))


async def _watched(night: TroubledNight, disk: SimulatedDisk, prepare: Callable[[EventStream], None]) -> TroubledRun:
    clock, events = NightClock(START), EventStream()
    telescope = WitnessedTelescope(night.rig, asyncio.get_running_loop().time())
    kinds = [kind for kind in night.kinds if kind in FAULTS]
    faulty = faulty_rig(telescope, clock.now, kinds, night.seed)
    run = TroubledRun(night, disk.root, telescope, faulty.faults, disk)
    prepare(events)
    await faulty.rig.connect()
    await shoot(run, faulty.rig, events, clock)
    return run


async def shoot(run: TroubledRun, rig: Rig, events: EventStream, clock: NightClock) -> None:
    """Run a night on a connected rig, and note its result in `run`."""
    loop, night, disk = asyncio.get_running_loop(), run.night, run.disk
    events.subscribe(run.events.append)

    class TimedSafeState(SafeState):
        async def reach(self) -> tuple[str, ...]:
            run.safe_from_s = loop.time()
            return await super().reach()

    before = asyncio.all_tasks()
    files = open_night_files(disk.root, None, night.settings, clock.now())
    run.folder = files.folder.path
    safe_state = TimedSafeState(night.settings, rig, events, clock)
    with disk.watched():
        async with assembled_night(night.settings, rig, files, events, clock, safe_state=safe_state) as assembled:
            running = asyncio.ensure_future(assembled.night.run())
            if night.interrupted_after_s is not None:
                await asyncio.wait([running], timeout=night.interrupted_after_s)
                running.cancel()
            try:
                run.outcome = await running
            except asyncio.CancelledError:
                run.outcome = NightOutcome.INTERRUPTED
            run.ended_s = loop.time()
    run.leftovers = [task.get_name() for task in asyncio.all_tasks() - before]


def _remember(night: TroubledNight, storage: Path) -> None:
    """Copy the files with which a night without faults learns about this rig."""
    without_cover = night.rig.panel.model_copy(update={"cover_travel_s": None})
    alike = night.rig.model_copy(update={"panel": without_cover, "ambient_c": 12.0})
    for name, content in _earlier(alike.model_dump_json()).items():
        (storage / name).parent.mkdir(parents=True, exist_ok=True)
        (storage / name).write_bytes(content)


@cache
def _earlier(rig: str) -> dict[str, bytes]:
    earlier = SimulatedRig.model_validate_json(rig)
    plan, names = _plan_for(earlier), ["L", "R", "Ha"] if earlier.wheel else [None]
    flats = ({"kind": "flat", "count": 6} | ({"filter": name} if name else {}) for name in names)
    plan["sets"] = [{"kind": "bias", "count": 6}, *flats, {"kind": "dark", "count": 6, "exposure_s": 2.0}]
    clean = TroubledNight(0, Settings.model_validate(plan, strict=False), earlier, (), {}, None, False)
    with TemporaryDirectory(prefix="coldframe-night-") as scratch:
        storage = Path(scratch).resolve()
        _run(clean, storage)
        kept = [storage / LEARNED_FLATS, *(storage / CAMERAS).rglob("*.json")]
        return {str(path.relative_to(storage)): path.read_bytes() for path in kept}


def _break_memory(night: TroubledNight, storage: Path) -> None:
    """Replace the library's index and all learned values with garbage."""
    random = Random(f"garbage {night.seed}")
    (storage / LIBRARY).mkdir(exist_ok=True)
    (storage / CAMERAS / "Coldframe-Camera").mkdir(parents=True, exist_ok=True)
    for name in ("library/index.sqlite", LEARNED_FLATS, f"{CAMERAS}/Coldframe-Camera/broken.json"):
        (storage / name).write_bytes(random.randbytes(random.choice([0, 10, 5000])))


@cache
def _inline() -> Inline:
    return Inline()


class _OverdueError(KeyboardInterrupt):
    """A KeyboardInterrupt, because that is the only exception that an event loop does not catch."""


@contextmanager
def alarm() -> Iterator[None]:
    """Interrupt a night that takes too long and blocks its event loop, so that the loop cannot notice."""

    def ring(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise _OverdueError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_RUN_S + STUCK_S, STUCK_S)
    try:
        yield
    except _OverdueError:
        raise NightHangsError(f"stuck: it did not end within {LONGEST_RUN_S + STUCK_S:.0f} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
