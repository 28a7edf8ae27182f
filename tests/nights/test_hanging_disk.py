"""A disk that hangs, at any moment of a night, keeps neither the lamp lit nor the cooler on."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest.mock import patch

import pytest

from coldframe.capture import threads
from coldframe.capture.events.kinds import Event, NightEnded, Notice, PanelChanged
from coldframe.capture.events.values import AbortedBy, NightOutcome
from coldframe.capture.night.night import STOP_DEADLINE_S
from coldframe.capture.recovery.disk_hangs import SLOW_S
from coldframe.capture.threads import DISK_DEADLINE_S
from coldframe.config.settings import Settings
from tests.nights import nights
from tests.nights.nights import START, Inline, NightRun, run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, short
from tests.nights.virtual_time import VirtualTimeLoop
from tests.patience import PATIENCE_S

LONGEST_S = 7200.0
NEVER = 1 << 30
SAFE_WITHIN_S = 600.0
"""Time for the safe state, including a warm-up of 2.5 min."""

P = ParamSpec("P")
T = TypeVar("T")


class HangingDisk(Inline):
    """An executor whose work never ends once the disk hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.hangs_from = NEVER
        self.hung_at_s: float | None = None

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        self.calls += 1
        if self.calls < self.hangs_from:
            return super().submit(work, *args, **kwargs)
        if self.hung_at_s is None:
            self.hung_at_s = asyncio.get_running_loop().time()
        return Future()


@pytest.fixture
def disk() -> Iterator[HangingDisk]:
    """Yield the disk of the test's nights."""
    disk = HangingDisk()
    with patch.object(nights, "Inline", lambda: disk), patch.object(threads, "under_way", set()):
        yield disk


def plan() -> Settings:
    """Return a night with bias frames and flats, whose warm-up takes minutes."""
    settings = short()
    sets = tuple(each for each in settings.sets if each.kind.value in {"bias", "flat"})
    cooling = settings.cooling.model_copy(update={"warm_ramp_c_per_min": 10.0})
    return settings.model_copy(update={"sets": sets, "cooling": cooling})


def night_of(
    folder: Path, rigged: Rigged, hear: Callable[[Event], None] = lambda _: None, *, stop_at_s: float | None = None
) -> NightRun:
    """Run a night, which a signal may end, and check that its rig is safe afterwards."""
    seen = list[Event]()

    def hear_all(event: Event) -> None:
        seen.append(event)
        hear(event)

    async def run() -> NightRun:
        night = asyncio.ensure_future(run_night(plan(), SMALL, folder, rigged, hear=hear_all))
        if stop_at_s is not None:
            await asyncio.sleep(stop_at_s)
            night.cancel()
        try:
            return await night
        except asyncio.CancelledError:
            return NightRun(NightOutcome.INTERRUPTED, seen, folder)
        finally:
            rigged.assert_safe()

    with asyncio.Runner(loop_factory=partial(VirtualTimeLoop, LONGEST_S, PATIENCE_S)) as runner:
        return runner.run(run())


def is_dark(event: Event) -> bool:
    return isinstance(event, PanelChanged) and not event.lit


def seconds(later: Event, earlier: Event) -> float:
    return (later.at - earlier.at).total_seconds()


def test_a_lit_lamp_is_switched_off_and_the_night_ends(tmp_path: Path, disk: HangingDisk) -> None:
    def hear(event: Event) -> None:
        if isinstance(event, PanelChanged) and event.lit and disk.hangs_from == NEVER:
            disk.hangs_from = disk.calls + 3

    night = night_of(tmp_path, Rigged(), hear)
    (ended,) = night.of(NightEnded)
    assert (night.outcome, ended.aborted_by) == (NightOutcome.ABORTED, AbortedBy.DISK)
    assert "the disk has not answered" in ended.result
    assert ended.rig_is_safe
    (notice,) = [event for event in night.of(Notice) if "after 180 s, the night ends" in event.text]
    dark = next(event for event in night.events if is_dark(event) and event.at > notice.at)
    assert seconds(dark, notice) < DISK_DEADLINE_S - SLOW_S + 5.0


@pytest.mark.parametrize("calls", range(3, 130, 9))
def test_at_any_moment_the_night_ends_safely(tmp_path: Path, disk: HangingDisk, calls: int) -> None:
    disk.hangs_from = calls
    night = night_of(tmp_path, Rigged())
    assert disk.hung_at_s is not None
    (ended,) = night.of(NightEnded)
    assert ended.rig_is_safe
    assert night.outcome is NightOutcome.ABORTED
    assert (ended.at - START).total_seconds() < disk.hung_at_s + DISK_DEADLINE_S + SAFE_WITHIN_S


@pytest.mark.parametrize("stop_at_s", [5.0, 21.0, 25.0, 30.0, 40.0])
@pytest.mark.parametrize("hangs_s", [0.0, 10.0])
def test_a_signal_makes_the_rig_safe_at_once(
    tmp_path: Path, disk: HangingDisk, stop_at_s: float, hangs_s: float
) -> None:
    def hear(_: Event) -> None:
        if asyncio.get_running_loop().time() >= stop_at_s - hangs_s and disk.hangs_from == NEVER:
            disk.hangs_from = 0

    night = night_of(tmp_path, Rigged(), hear, stop_at_s=stop_at_s)
    assert night.outcome is NightOutcome.INTERRUPTED
    (stopping,) = [event for event in night.of(Notice) if "another Ctrl-C" in event.text]
    dark = next(event for event in night.events if is_dark(event) and event.at >= stopping.at)
    assert seconds(dark, stopping) <= STOP_DEADLINE_S + 5.0
    (ended,) = night.of(NightEnded)
    assert ended.rig_is_safe
