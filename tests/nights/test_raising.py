"""Whatever raises in a night, the rig is made safe by its deadline, and the night reports whether it is."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest

from coldframe.capture.events.kinds import NightEnded
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage import journal
from coldframe.config.settings import Settings
from coldframe.devices.camera import Thermals
from coldframe.devices.flat_panel import CoverState, PanelState
from coldframe.devices.rig import Rig
from coldframe.simulators.faults.striking import FOR_EVER
from tests.nights.nights import Inline, NightRun, run_night
from tests.nights.test_troubled_nights import SMALL, Wrapped, short
from tests.nights.virtual_time import VirtualTimeLoop
from tests.patience import PATIENCE_S

SUBSCRIBER, LINE, WRITE, READ = "subscriber", "journal line", "journal write", "property"
PLACES = (SUBSCRIBER, LINE, READ, WRITE, READ)
ERRORS: tuple[Callable[[], Exception], ...] = (
    lambda: ValueError("could not convert string to float: 'cold'"),
    lambda: KeyError("CCD_TEMPERATURE_VALUE"),
    lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    lambda: RuntimeError("a bug"),
    MemoryError,
)
READS = {
    *("features", "is_ready", "transport"),
    *("brightness_limits", "has_light", "has_cover", "current", "filters"),
}
READING_METHODS = {"thermals", "state"}
LONGEST_S = 3600.0
NIGHTS = 80
STANDARD_NIGHTS = 25
"""Five nights for each place; the other nights belong to the long suites."""


@dataclass
class Stumble:
    """Raises an exception in some calls in one place, and counts the calls in all places, once the night has begun."""

    place: str = ""
    first: int = 0
    times: int = 0
    error: Callable[[], Exception] = RuntimeError
    has_begun: bool = False
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))

    def step(self, place: str) -> None:
        self.calls[place] += self.has_begun
        if self.has_begun and place == self.place and self.first <= self.calls[place] < self.first + self.times:
            raise self.error()


class Stumbling(Wrapped):
    """A device whose properties may raise exceptions when they are read."""

    def __init__(self, inner: Any, stumble: Stumble) -> None:
        super().__init__(inner)
        self._stumble = stumble

    def __getattr__(self, name: str) -> Any:
        if name in READS:
            self._stumble.step(READ)
        found = getattr(self.inner, name)
        if name not in READING_METHODS:
            return found

        def read() -> Any:
            self._stumble.step(READ)
            return found()

        return read


def plan() -> Settings:
    """Return a night with one set of each kind."""
    settings = short()
    sets = [each for each in settings.sets if each.filter in {None, "L"}]
    return settings.model_copy(update={"sets": tuple(each.model_copy(update={"count": 3}) for each in sets)})


@dataclass(frozen=True)
class Left:
    """A night that has ended, and the true state of its rig."""

    night: NightRun
    panel: PanelState
    thermals: Thermals


def stumbling_run(stumble: Stumble, folder: Path) -> Left:
    """Run a night that stumbles."""
    plain: list[Rig] = []

    def meddle(rig: Rig) -> Rig:
        plain.append(rig)
        camera, panel, wheel = (Stumbling(device, stumble) for device in (rig.camera, rig.panel, rig.wheel))
        return Rig(camera, panel, wheel)

    def steer(_: Steering, events: EventStream) -> None:
        def stumbling(subscriber: Callable[..., Any], *arguments: Any) -> Any:
            stumble.step(SUBSCRIBER)
            return subscriber(*arguments)

        # The first subscriber is the test's.
        mine, *others = events.subscribers
        events.subscribers[:] = [mine, *(partial(stumbling, each) for each in others)]
        events.subscribe_beats(partial(stumbling, lambda: None))
        stumble.has_begun = True

    async def run() -> Left:
        night = await run_night(plan(), SMALL, folder, meddle, steer=steer)
        assert plain[0].panel is not None
        return Left(night, plain[0].panel.state(), plain[0].camera.thermals())

    loops = partial(VirtualTimeLoop, LONGEST_S, PATIENCE_S)
    with stumbling_journal(stumble), asyncio.Runner(loop_factory=loops) as runner:
        return runner.run(run())


@contextmanager
def stumbling_journal(stumble: Stumble) -> Iterator[None]:
    encode, write = journal.encode_event, os.write

    def stumbling_encode(event: Any) -> str:
        stumble.step(LINE)
        return encode(event)

    def stumbling_write(descriptor: int, data: Any) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "journal.jsonl":
            stumble.step(WRITE)
        return write(descriptor, data)

    with (
        patch.object(journal, "encode_event", stumbling_encode),
        patch.object(os, "write", stumbling_write),
        patch("coldframe.calibration.threads.pool", Inline),
    ):
        yield


@cache
def calls_of_a_night() -> dict[str, int]:
    """Return the number of calls in each place during a night in which nothing raises."""
    stumble = Stumble()
    with TemporaryDirectory() as folder:
        left = stumbling_run(stumble, Path(folder))
    assert left.night.outcome is NightOutcome.COMPLETE
    return stumble.calls


def drawn(seed: int) -> Stumble:
    random = Random(f"raising {seed}")
    place = PLACES[seed % len(PLACES)]
    return Stumble(
        place,
        random.randint(1, calls_of_a_night()[place]),
        random.choice([1, 1, 3, FOR_EVER]),
        random.choice(ERRORS),
    )


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=pytest.mark.deep if seed >= STANDARD_NIGHTS else ()) for seed in range(NIGHTS)],
)
def test_whatever_raises_the_rig_is_made_safe(seed: int, tmp_path: Path) -> None:
    assert min(calls_of_a_night().values()) > 50
    stumble = drawn(seed)
    left = stumbling_run(stumble, tmp_path)
    (ended,) = left.night.of(NightEnded)
    assert not left.panel.lit
    assert left.thermals.cooler_on is False
    if stumble.times == 1 or stumble.place != READ:
        assert ended.rig_is_safe
    if ended.rig_is_safe:
        assert left.panel.cover is CoverState.CLOSED
    if stumble.place != READ:
        assert left.night.outcome is NightOutcome.COMPLETE, ended
