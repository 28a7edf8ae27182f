"""Signals that arrive while the rig is being made safe. Only a signal after a first one cuts the warm-up short."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Event, NightEnded, Notice, StepStarted
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.session.steering import Steering
from coldframe.config.settings import Settings
from tests.nights.nights import run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, short

pytestmark = pytest.mark.looptime

STOPPING = "another Ctrl-C skips the warm-up"


def plan() -> Settings:
    """Return a night of bias frames with a slow warm-up."""
    settings = short()
    cooling = settings.cooling.model_copy(update={"at_end": "warm", "warm_ramp_c_per_min": 2.0})
    return settings.model_copy(update={"sets": settings.sets[:1], "cooling": cooling})


async def signalled(
    folder: Path,
    rigged: Rigged,
    *waits_s: float,
    step: int = 3,
    steer: Callable[[Steering], object] | None = None,
) -> tuple[NightOutcome, list[Event]]:
    """Run a night with a signal `waits_s` after the start of a step; by default, of the warm-up."""
    seen, begun = list[Event](), asyncio.Event()

    def watch(steering: Steering, events: EventStream) -> None:
        def observe(event: Event) -> None:
            seen.append(event)
            if isinstance(event, StepStarted) and event.step == step:
                begun.set()
                if steer is not None:
                    asyncio.get_running_loop().call_later(0.1, steer, steering)

        events.subscribe(observe)

    running = asyncio.create_task(run_night(plan(), SMALL, folder, rigged, steer=watch))
    await begun.wait()
    for wait_s in waits_s:
        await asyncio.sleep(wait_s)
        running.cancel()
    try:
        return (await running).outcome, seen
    except asyncio.CancelledError:
        return NightOutcome.INTERRUPTED, seen


def stops(events: list[Event]) -> int:
    return sum(isinstance(event, Notice) and STOPPING in event.text for event in events)


def safe(events: list[Event]) -> bool:
    (ended,) = (event for event in events if isinstance(event, NightEnded))
    return ended.rig_is_safe is True


async def test_one_signal_during_the_ordinary_warm_up_does_not_shorten_it(tmp_path: Path) -> None:
    rigged = Rigged()
    outcome, events = await signalled(tmp_path, rigged, 60.0)
    assert outcome is NightOutcome.COMPLETE
    assert safe(events)
    assert stops(events) == 1
    rigged.assert_safe()


async def test_a_second_signal_during_the_warm_up_leaves_the_cooler_on(tmp_path: Path) -> None:
    rigged = Rigged()
    outcome, events = await signalled(tmp_path, rigged, 60.0, 5.0)
    assert outcome is NightOutcome.INTERRUPTED
    assert not safe(events)
    assert rigged.plain.camera.thermals().cooler_on is True


async def test_the_second_signal_of_an_interrupted_night_leaves_the_cooler_on(tmp_path: Path) -> None:
    rigged = Rigged()
    outcome, events = await signalled(tmp_path, rigged, 0.5, 60.0, step=2)
    assert outcome is NightOutcome.INTERRUPTED
    assert not safe(events)
    assert rigged.plain.camera.thermals().cooler_on is True


async def test_the_first_signal_after_an_abort_by_request_does_not_shorten_the_warm_up(tmp_path: Path) -> None:
    rigged = Rigged()
    outcome, events = await signalled(tmp_path, rigged, 60.0, step=2, steer=Steering.abort)
    assert outcome is NightOutcome.INTERRUPTED
    assert safe(events)
    rigged.assert_safe()
