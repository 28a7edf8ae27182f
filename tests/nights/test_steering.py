"""Nights that the user pauses, resumes and aborts, and whose sets are skipped. Each night ends with a safe rig."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FlatTested,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    NightPaused,
    NightResumed,
    NightStarted,
    PanelChanged,
    SetResized,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.session.steering import Steering
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from coldframe.devices.flat_panel import CoverState
from coldframe.devices.rig import Rig
from tests.nights.nights import START, NightRun, run_night, tiny

pytestmark = pytest.mark.looptime

SMALL = tiny(load_rig("small"))
Ask = Callable[[Steering], str]
When = Callable[[Event], bool]


def short() -> Settings:
    """Return the small rig's night with few frames."""
    settings = load_settings(example_night("small"))
    sets = tuple(each.model_copy(update={"count": 8}) for each in settings.sets)
    return settings.model_copy(update={"sets": sets})


class Steerer:
    """Makes a request at the first matching event, and further ones some time later; keeps the answers."""

    def __init__(self, when: When, ask: Ask, *later: tuple[float, Ask]) -> None:
        self._when, self._ask, self._later = when, ask, later
        self.answers: list[str] = []
        self.beats = 0
        self._asked = False

    def __call__(self, steering: Steering, events: EventStream) -> None:
        self.steering = steering
        events.subscribe(self._observe)
        events.subscribe_beats(self._beat)

    def _beat(self) -> None:
        self.beats += 1

    def _observe(self, event: Event) -> None:
        if self._asked or not self._when(event):
            return
        self._asked = True
        loop = asyncio.get_running_loop()
        loop.call_soon(self._do, self._ask)
        for seconds, ask in self._later:
            loop.call_later(seconds, self._do, ask)

    def _do(self, ask: Ask) -> None:
        self.answers.append(ask(self.steering))


async def steered(folder: Path, steerer: Steerer, settings: Settings | None = None, minutes: float = 600) -> NightRun:
    """Run a night, and check that it ends within six hours and leaves its rig safe."""
    rigs: list[Rig] = []

    def remember(rig: Rig) -> Rig:
        rigs.append(rig)
        return rig

    deadline = START + timedelta(minutes=minutes)
    async with asyncio.timeout(6 * 3600):
        night = await run_night(settings or short(), SMALL, folder, remember, deadline, steer=steerer)
    panel = rigs[0].panel
    assert panel is not None
    assert not panel.state().lit
    assert panel.state().cover is CoverState.CLOSED
    assert rigs[0].camera.thermals().cooler_on is False
    assert isinstance(night.events[-1], NightEnded)
    return night


def step_of(night: NightRun, title: str) -> int:
    (started,) = night.of(NightStarted)
    return next(step.number for step in started.steps if step.title == title)


def exposes(kind: FrameKind) -> When:
    return lambda event: isinstance(event, ExposureStarted) and event.kind is kind


def accepts(kind: str, index: int) -> When:
    return lambda event: isinstance(event, FrameAccepted) and f"/{kind}/" in event.path and event.index == index


PHASES = [
    pytest.param(lambda event: isinstance(event, FlatTested), id="tuning"),
    pytest.param(lambda event: isinstance(event, StepEnded), id="between steps"),
    pytest.param(exposes(FrameKind.DARK), id="dark"),
    pytest.param(lambda event: isinstance(event, NightStarted), id="start", marks=pytest.mark.deep),
    pytest.param(lambda event: isinstance(event, CoolingProgress), id="cooling", marks=pytest.mark.deep),
    pytest.param(lambda event: isinstance(event, MasterWritten), id="master", marks=pytest.mark.deep),
    pytest.param(lambda event: isinstance(event, PanelChanged) and event.lit, id="lamp", marks=pytest.mark.deep),
    pytest.param(exposes(FrameKind.BIAS), id="bias", marks=pytest.mark.deep),
    pytest.param(exposes(FrameKind.FLAT), id="flat", marks=pytest.mark.deep),
    pytest.param(exposes(FrameKind.DARK_FLAT), id="dark flat", marks=pytest.mark.deep),
]


def is_paused_for(night: NightRun) -> timedelta:
    (paused,), (resumed,) = night.of(NightPaused), night.of(NightResumed)
    return resumed.at - paused.at


@pytest.mark.parametrize("when", PHASES)
async def test_a_paused_night_makes_everything_that_was_planned(tmp_path: Path, when: When) -> None:
    steerer = Steerer(when, Steering.pause, (1000.0, Steering.resume))
    night = await steered(tmp_path, steerer)
    assert night.outcome is NightOutcome.COMPLETE
    assert len(night.of(MasterWritten)) == 6
    assert night.of(FrameRejected) == []
    assert is_paused_for(night) == timedelta(seconds=1000)
    (paused,), (resumed,) = night.of(NightPaused), night.of(NightResumed)
    assert not [each for each in night.of(ExposureStarted) if paused.at < each.at < resumed.at]
    assert steerer.beats > 900, "each second of a pause gives a beat"


async def test_the_lamp_is_switched_off_in_a_long_pause_and_on_again_after_it(tmp_path: Path) -> None:
    night = await steered(tmp_path, Steerer(accepts("flats", 2), Steering.pause, (1000.0, Steering.resume)))
    (paused,), (resumed,) = night.of(NightPaused), night.of(NightResumed)
    changes = [each for each in night.of(PanelChanged) if paused.at < each.at]
    before = [each for each in night.of(PanelChanged) if each.at < paused.at][-1]
    assert before.lit
    assert not changes[0].lit
    assert changes[0].at - paused.at < timedelta(seconds=310)
    assert (changes[1].lit, changes[1].brightness) == (True, before.brightness)
    assert changes[1].at >= resumed.at


async def test_the_lamp_stays_lit_in_a_short_pause(tmp_path: Path) -> None:
    night = await steered(tmp_path, Steerer(accepts("flats", 2), Steering.pause, (100.0, Steering.resume)))
    (paused,), (resumed,) = night.of(NightPaused), night.of(NightResumed)
    assert not [each for each in night.of(PanelChanged) if paused.at < each.at < resumed.at]


async def test_a_repeated_request_is_answered_as_such(tmp_path: Path) -> None:
    asks = ((1.0, Steering.pause), (2.0, Steering.resume), (3.0, Steering.resume))
    steerer = Steerer(exposes(FrameKind.DARK), Steering.pause, *asks)
    night = await steered(tmp_path, steerer)
    assert steerer.answers[1:] == ["already paused", "the night continues", "not paused"]
    assert len(night.of(NightPaused)) == len(night.of(NightResumed)) == 1


async def test_a_night_paused_beyond_its_deadline_ends_in_the_safe_state(tmp_path: Path) -> None:
    night = await steered(tmp_path, Steerer(accepts("biases", 3), Steering.pause), minutes=20)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert START + timedelta(minutes=19) < night.events[-1].at < START + timedelta(minutes=25)
    assert len(night.of(FrameAccepted)) <= 4


async def test_a_skipped_set_gets_a_master_from_the_frames_that_it_has(tmp_path: Path) -> None:
    steerer = Steerer(accepts("darks", 6), Steering.skip, (0.5, Steering.skip))
    night = await steered(tmp_path, steerer)
    dark = step_of(night, "dark 2 s")
    (ended,) = [each for each in night.of(StepEnded) if each.step == dark]
    assert ended.outcome is StepOutcome.SKIPPED
    assert ended.reason == "by request; its master has 6 of 8 frames"
    (master,) = [each for each in night.of(MasterWritten) if each.step == dark]
    assert master.frames == 6
    assert len(night.of(MasterWritten)) == 6
    assert night.outcome is NightOutcome.INCOMPLETE
    assert steerer.answers[0].startswith("dark 2 s: skipped")


async def test_a_set_skipped_after_few_frames_keeps_them_and_gets_no_master(tmp_path: Path) -> None:
    night = await steered(tmp_path, Steerer(accepts("darks", 2), Steering.skip))
    dark = step_of(night, "dark 2 s")
    (ended,) = [each for each in night.of(StepEnded) if each.step == dark]
    assert (ended.outcome, ended.reason) == (StepOutcome.SKIPPED, "by request")
    assert len(list((night.folder / "darks").glob("*/*.fits"))) == 2
    assert len(night.of(MasterWritten)) == 5


async def test_a_skip_does_not_wait_for_a_long_exposure(tmp_path: Path) -> None:
    settings = short()
    sets = tuple(
        each.model_copy(update={"exposure_s": 1800.0}) if each.kind is FrameKind.DARK else each
        for each in settings.sets
    )
    steerer = Steerer(exposes(FrameKind.DARK), Steering.skip)
    night = await steered(tmp_path, steerer, settings.model_copy(update={"sets": sets}))
    dark = step_of(night, "dark 1800 s")
    (began,) = [each for each in night.of(StepStarted) if each.step == dark]
    (ended,) = [each for each in night.of(StepEnded) if each.step == dark]
    assert ended.at - began.at < timedelta(seconds=60)


async def test_skipping_a_tuning_skips_the_sets_that_need_it(tmp_path: Path) -> None:
    night = await steered(tmp_path, Steerer(lambda event: isinstance(event, FlatTested), Steering.skip))
    skipped = [each for each in night.of(StepEnded) if each.outcome is StepOutcome.SKIPPED]
    assert skipped[0].reason == "by request"
    assert {each.reason for each in skipped[1:]} == {"no exposure was found for its flats"}
    assert len(night.of(MasterWritten)) == 4


async def test_a_later_set_is_skipped(tmp_path: Path) -> None:
    asks: list[Ask] = [lambda steering, number=number: steering.skip(number) for number in (9, 9, 3, 99)]  # type: ignore[misc]
    steerer = Steerer(
        lambda event: isinstance(event, CoolingProgress),
        asks[0],
        *((0.1 * delay, ask) for delay, ask in enumerate(asks[1:], start=1)),
    )
    night = await steered(tmp_path, steerer)
    assert step_of(night, "dark 2 s") == 9
    (ended,) = [each for each in night.of(StepEnded) if each.step == 9]
    assert (ended.outcome, ended.reason) == (StepOutcome.SKIPPED, "by request")
    assert [each.count for each in night.of(SetResized) if each.step == 9] == [0]
    assert not [each for each in night.of(ExposureStarted) if each.step == 9]
    assert steerer.answers == [
        "dark 2 s is skipped",
        "dark 2 s is already skipped",
        "tune flat L is not a set of frames, and only sets can be skipped",
        "there is no step 99",
    ]


async def test_a_step_that_others_need_cannot_be_skipped(tmp_path: Path) -> None:
    steerer = Steerer(lambda event: isinstance(event, CoolingProgress), Steering.skip)
    night = await steered(tmp_path, steerer)
    assert "cannot be skipped" in steerer.answers[0]
    assert night.outcome is NightOutcome.COMPLETE


async def test_a_complete_set_cannot_be_skipped(tmp_path: Path) -> None:
    night = await steered(tmp_path, Steerer(lambda event: isinstance(event, MasterWritten), Steering.skip))
    assert len(night.of(MasterWritten)) == 6
    assert night.outcome is NightOutcome.COMPLETE


@pytest.mark.parametrize("when", PHASES)
async def test_an_aborted_night_is_made_safe(tmp_path: Path, when: When) -> None:
    steerer = Steerer(when, Steering.abort, *((seconds, Steering.abort) for seconds in (0.0, 1.0, 2000.0)))
    with pytest.raises(asyncio.CancelledError):
        await steered_to_its_end(tmp_path, steerer)
    assert steerer.answers[0] == "the night is ending, and the rig is being made safe"
    assert set(steerer.answers[1:]) <= {"the night is already ending, and the rig is being made safe"}


async def test_a_paused_night_is_aborted(tmp_path: Path) -> None:
    steerer = Steerer(exposes(FrameKind.FLAT), Steering.pause, (400.0, Steering.abort), (401.0, Steering.resume))
    with pytest.raises(asyncio.CancelledError):
        await steered_to_its_end(tmp_path, steerer)
    assert len(steerer.answers) == 3


async def test_a_set_is_skipped_and_the_night_aborted_at_once(tmp_path: Path) -> None:
    steerer = Steerer(accepts("darks", 6), lambda steering: steering.skip() + steering.abort())
    with pytest.raises(asyncio.CancelledError):
        await steered_to_its_end(tmp_path, steerer)


async def test_skipping_a_set_does_not_end_a_pause(tmp_path: Path) -> None:
    steerer = Steerer(accepts("darks", 6), Steering.pause, (50.0, Steering.skip), (500.0, Steering.resume))
    night = await steered(tmp_path, steerer)
    (ended,) = [each for each in night.of(StepEnded) if each.step == step_of(night, "dark 2 s")]
    (paused,) = night.of(NightPaused)
    assert ended.outcome is StepOutcome.SKIPPED
    assert ended.at - paused.at < timedelta(seconds=60)
    assert is_paused_for(night) == timedelta(seconds=500)
    assert len(night.of(MasterWritten)) == 6


async def test_without_a_night_every_request_is_refused() -> None:
    events = EventStream()
    steering = Steering(events, NightClock())
    asks = (Steering.pause, Steering.resume, Steering.skip, Steering.abort)
    assert {ask(steering) for ask in asks} == {"no night is running"}
    assert not steering.is_paused


async def steered_to_its_end(folder: Path, steerer: Steerer) -> None:
    """Run a night that is aborted, and check that its events and its rig are in order before it is cancelled."""
    rigs: list[Rig] = []
    seen: list[Event] = []

    def steer(steering: Steering, events: EventStream) -> None:
        events.subscribe(seen.append)
        steerer(steering, events)

    def remember(rig: Rig) -> Rig:
        rigs.append(rig)
        return rig

    try:
        async with asyncio.timeout(6 * 3600):
            await run_night(short(), SMALL, folder, remember, steer=steer)
    finally:
        assert isinstance(seen[-1], NightEnded)
        assert seen[-1].outcome is NightOutcome.INTERRUPTED
        assert "; the rig is safe" in seen[-1].summary
        panel = rigs[0].panel
        assert panel is not None
        assert not panel.state().lit
        assert rigs[0].camera.thermals().cooler_on is False
