"""Nights on which pixels and drivers disagree. coldframe relies on the pixels, and loses little time."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from coldframe.capture.events.kinds import (
    ExposureStarted,
    FlatTuned,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    Notice,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.values import NightOutcome, Severity, StepOutcome
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import FaultModel, SimulatedRig, load_rig
from coldframe.config.tables.sets import FrameSet
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import FlatPanel, PanelState
from coldframe.devices.rig import Rig
from tests.nights.nights import NightRun, run_night, tiny
from tests.nights.test_troubled_nights import Rigged, Wrapped

pytestmark = pytest.mark.looptime

SMALL = tiny(load_rig("small"))
CHANGES = {"dark": 8, "bias": 8, "flat": 8, "dark-flat": 5}


def faulty(rig: SimulatedRig = SMALL, **faults: float | str | bool) -> SimulatedRig:
    """Return the rig with a fault."""
    return rig.model_copy(update={"faults": FaultModel.model_validate(faults)})


def night(gain: float = 150, change: Callable[[FrameSet], FrameSet] = lambda each: each) -> Settings:
    """Return a night of the small rig with few frames."""
    settings = load_settings(example_night("small"))
    sets = tuple(change(each.model_copy(update={"count": CHANGES[each.kind.value]})) for each in settings.sets)
    camera = settings.camera.model_copy(update={"gain": gain})
    return settings.model_copy(update={"sets": sets, "camera": camera})


def long_darks(each: FrameSet) -> FrameSet:
    """Return darks with realistic exposures."""
    return each.model_copy(update={"exposure_s": 600.0}) if each.kind is FrameKind.DARK else each


def warnings(run: NightRun) -> list[str]:
    """Return the warnings of a night, except those about the temperature of a fast cooler."""
    texts = [notice.text for notice in run.of(Notice) if notice.severity is not Severity.INFO]
    return [text for text in texts if "temperature has drifted" not in text]


def elapsed_min(run: NightRun, kind: FrameKind) -> float:
    """Return the minutes from the first frame of a kind to the end of the last step before the warm-up."""
    first = next(event.at for event in run.of(ExposureStarted) if event.kind is kind)
    return (run.of(StepEnded)[-2].at - first).total_seconds() / 60


def failed(run: NightRun) -> list[str]:
    return [ended.reason for ended in run.of(StepEnded) if ended.outcome is StepOutcome.FAILED]


async def test_a_constant_leak_is_found_by_turning_the_wheel(tmp_path: Path) -> None:
    run = await run_night(night(change=long_darks), faulty(leak_e_per_s=0.01, leak_side="right"), tmp_path)
    assert run.outcome is NightOutcome.INCOMPLETE
    (reason,) = failed(run)
    assert "on the right side" in reason
    assert "cover the telescope" in reason
    assert elapsed_min(run, FrameKind.DARK) < 60
    assert any("shooting the set again" in text for text in warnings(run))
    assert list((run.folder / "darks").glob("*/*.fits")) == []
    assert len(list((run.folder / "quarantine").glob("dark_*.fits"))) >= 4
    assert len(run.of(MasterWritten)) == len(night().sets) - 1


async def test_darks_after_a_leak_are_skipped(tmp_path: Path) -> None:
    settings = night()
    longer = FrameSet(kind=FrameKind.DARK, count=5, exposure_s=4.0)
    settings = settings.model_copy(update={"sets": (*settings.sets, longer)})
    run = await run_night(settings, faulty(leak_e_per_s=0.6, leak_side="top"), tmp_path)
    skipped = [ended.reason for ended in run.of(StepEnded) if ended.outcome is StepOutcome.SKIPPED]
    assert ["light leaks in: " in reason for reason in skipped] == [True]


async def test_a_leak_that_grows_at_dawn_ends_the_darks_and_keeps_the_earlier_ones(tmp_path: Path) -> None:
    settings = night(change=lambda each: each.model_copy(update={"count": 60}) if each.kind is FrameKind.DARK else each)
    # The leak doubles every twelve seconds: dark at first, a bright sky at the end of the darks.
    dawn = faulty(leak_e_per_s=2e-4, leak_side="left", leak_doubling_min=0.2)
    run = await run_night(settings, dawn, tmp_path)
    (reason,) = failed(run)
    assert "on the left side" in reason
    assert "of 60 frames" in reason
    assert len([event for event in run.of(FrameRejected) if "light on the sensor" in event.reason]) >= 3
    assert len(run.of(MasterWritten)) == len(settings.sets)


async def test_flicker_is_countered_by_a_longer_exposure(tmp_path: Path) -> None:
    settings = night()
    short = settings.flats.model_copy(update={"preferred_exposure_s": (0.02, 0.1), "filters": {}})
    sets = tuple(each for each in settings.sets if each.filter in {None, "L"})
    settings = settings.model_copy(update={"flats": short, "sets": sets})
    flickering = faulty(flicker_depth=0.4, flicker_hz=123.0, line_s=0.0005)
    run = await run_night(settings, flickering, tmp_path)
    assert run.outcome is NightOutcome.COMPLETE
    assert any("flickers" in text and "tuning again for" in text for text in warnings(run))
    (tuned,) = run.of(FlatTuned)
    assert tuned.exposure_s > 1
    assert run.of(FrameRejected) == []


async def test_a_dead_panel_costs_only_its_flats(tmp_path: Path) -> None:
    run = await run_night(night(), faulty(panel_dead=True), tmp_path)
    assert all("lamp does not respond" in reason for reason in failed(run))
    assert len(run.of(MasterWritten)) == 2
    began = next(event.at for event in run.of(ExposureStarted) if event.kind is FrameKind.FLAT)
    ended = [event.at for event in run.of(StepEnded) if event.outcome is StepOutcome.FAILED]
    assert (ended[-1] - began).total_seconds() < 60


async def test_a_stuck_wheel_is_recognised_by_earlier_nights_and_suspected_without(tmp_path: Path) -> None:
    first = await run_night(night(), faulty(wheel_stuck=True), tmp_path / "first")
    assert first.outcome is NightOutcome.COMPLETE
    assert any("pass the same amount of light" in text for text in warnings(first))
    await run_night(night(), SMALL, tmp_path)
    run = await run_night(night(), faulty(wheel_stuck=True), tmp_path)
    (reason,) = failed(run)
    assert "the light matches filter L, not Ha" in reason
    later = await run_night(night(), SMALL, tmp_path)
    assert later.outcome is NightOutcome.COMPLETE, "the wrong light was not learned"
    assert warnings(later) == []


class Bladed(Wrapped):
    """A camera whose shutter stops halfway."""

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        if kind is not FrameKind.FLAT:
            return frame
        pixels = frame.pixels.copy()
        bias_adu = np.uint16(500)
        pixels[:, :60] = bias_adu + (pixels[:, :60] - np.minimum(pixels[:, :60], bias_adu)) // 4
        return replace(frame, pixels=pixels)


async def test_a_shutter_blade_is_recognised_by_the_flats_of_earlier_nights(tmp_path: Path) -> None:
    await run_night(night(), SMALL, tmp_path)
    run = await run_night(night(), with_seed(1), tmp_path, Rigged(camera=Bladed))
    assert run.outcome is NightOutcome.INCOMPLETE
    assert len(failed(run)) == 2
    assert all("a shutter blade" in reason for reason in failed(run))
    assert sorted(Path(made.path).name.split("_")[0] for made in run.of(MasterWritten)) == ["MasterBias", "MasterDark"]


async def test_a_gain_that_is_not_applied_is_recognised_by_earlier_nights_and_suspected_without(tmp_path: Path) -> None:
    first = await run_night(night(gain=200), faulty(gain_ignored=True), tmp_path / "first")
    assert any("may ignore its gain setting" in text for text in warnings(first))
    for gain in (100, 200):
        clean = await run_night(night(gain=gain), SMALL, tmp_path)
        assert clean.outcome is NightOutcome.COMPLETE
        assert warnings(clean) == []
    run = await run_night(night(gain=200), faulty(gain_ignored=True), tmp_path)
    (reason,) = failed(run)
    assert "did not apply gain 200, offset 50" in reason
    assert "of gain 100, offset 50" in reason
    assert run.of(MasterWritten) == []


class DeafAtFirst(Wrapped):
    """A camera that ignores a gain until another one is set first, or until it reconnects."""

    def __init__(self, inner: Camera, *, until_reconnected: bool) -> None:
        super().__init__(inner)
        self._until_reconnected, self._hears, self._asked = until_reconnected, False, list[float | None]()

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        self._asked.append(settings.gain)
        self._hears |= not self._until_reconnected and self._asked == [200, 201]
        taken = settings if self._hears else replace(settings, gain=100)
        await self.inner.apply(taken)
        return settings

    async def reconnect(self) -> None:
        self._hears = True

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return replace(frame, settings=replace(frame.settings, gain=200))


@pytest.mark.parametrize("until_reconnected", [False, True])
async def test_a_gain_that_is_not_applied_is_written_again_and_the_camera_reconnected(
    until_reconnected: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    for gain in (100, 200):
        await run_night(night(gain=gain), SMALL, tmp_path)

    def deaf(camera: Camera) -> DeafAtFirst:
        return DeafAtFirst(camera, until_reconnected=until_reconnected)

    run = await run_night(night(gain=200), with_seed(1), tmp_path, Rigged(camera=deaf))
    assert run.outcome is NightOutcome.COMPLETE, run.events[-1]
    assert sum("did not apply gain 200" in text for text in warnings(run)) == 1 + until_reconnected


class StopsShort(Wrapped):
    """A wheel that reports Ha the first time without having moved."""

    def __init__(self, inner: FilterWheel) -> None:
        super().__init__(inner)
        self.orders: list[str] = []

    @property
    def current(self) -> str | None:
        return self.orders[-1] if self.orders else self.inner.current

    async def select(self, name: str) -> None:
        self.orders.append(name)
        if name != "Ha" or self.orders.count("Ha") > 1:
            await self.inner.select(name)


async def test_a_wheel_that_stopped_short_is_turned_away_and_back(tmp_path: Path) -> None:
    await run_night(night(), SMALL, tmp_path)
    wheels: list[StopsShort] = []

    def short(rig: Rig) -> Rig:
        assert rig.wheel is not None
        wheels.append(StopsShort(rig.wheel))
        wheel: FilterWheel = wheels[0]
        return replace(rig, wheel=wheel)

    run = await run_night(night(), with_seed(1), tmp_path, short)
    assert run.outcome is NightOutcome.COMPLETE, run.events[-1]
    assert wheels[0].orders[:3] == ["Ha", "R", "Ha"]
    assert any("turning the wheel away and back" in text for text in warnings(run))


class Inverted(Wrapped):
    """A panel whose lamp is on when it is switched off."""

    def __init__(self, inner: FlatPanel) -> None:
        super().__init__(inner)
        self._says_lit = False

    def state(self) -> PanelState:
        state: PanelState = self.inner.state()
        return replace(state, lit=self._says_lit)

    async def light_on(self, brightness: int | None = None) -> None:
        del brightness
        self._says_lit = True
        await self.inner.light_off()

    async def light_off(self) -> None:
        self._says_lit = False
        await self.inner.light_on(200)


async def test_an_inverted_panel_gives_no_master_with_stray_light(tmp_path: Path) -> None:
    run = await run_night(night(change=long_darks), SMALL, tmp_path, Rigged(panel=Inverted))
    assert run.outcome is NightOutcome.INCOMPLETE
    assert {Path(made.path).name.split("_")[0] for made in run.of(MasterWritten)} <= {"MasterBias"}
    assert any("saturated: is there light on the sensor" in reason for reason in failed(run))


class Glowing(Wrapped):
    """A camera with constant, uniform light during darks."""

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return replace(frame, pixels=frame.pixels + np.uint16(80)) if kind is FrameKind.DARK else frame


async def test_constant_light_is_recognised_by_the_dark_current_of_earlier_nights(tmp_path: Path) -> None:
    first = await run_night(night(), SMALL, tmp_path / "first", Rigged(camera=Glowing))
    assert first.outcome is NightOutcome.COMPLETE, "nothing to compare with"
    for seed in (0, 1):
        clean = await run_night(night(), with_seed(seed), tmp_path)
        assert clean.outcome is NightOutcome.COMPLETE, clean.events[-1]
    run = await run_night(night(), with_seed(2), tmp_path, Rigged(camera=Glowing))
    (reason,) = failed(run)
    assert "there is light although the lamp is off" in reason


class Blinking(Wrapped):
    """A camera with an internal lamp that is on for the first dark of each set."""

    darks = 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        self.darks += kind is FrameKind.DARK
        if kind is not FrameKind.DARK or self.darks != 1:
            return frame
        corner = np.zeros(frame.pixels.shape, np.uint16)
        corner += np.linspace(0, 40, frame.pixels.shape[1]).astype(np.uint16)
        return replace(frame, pixels=frame.pixels + corner)


async def test_an_internal_lamp_that_goes_out_costs_two_frames(tmp_path: Path) -> None:
    run = await run_night(night(), SMALL, tmp_path, Rigged(camera=Blinking))
    assert run.outcome is NightOutcome.COMPLETE, run.events[-1]
    assert len(list(run.folder.rglob("quarantine/dark_*.fits"))) == 2


def with_seed(number: int) -> SimulatedRig:
    return SMALL.model_copy(update={"seed": number})


async def no_alarm(numbers: range, folder: Path) -> None:
    """Run clean nights, each with another rig."""
    for number in numbers:
        run = await run_night(night(), with_seed(number), folder / str(number))
        assert run.outcome is NightOutcome.COMPLETE, (number, run.events[-1])
        assert warnings(run) == [], number
        rejected = [event.reason for event in run.of(FrameRejected)]
        assert [reason for reason in rejected if not reason.startswith("sensor temperature")] == [], number


@pytest.mark.deep
async def test_successive_clean_nights_raise_no_alarm(tmp_path: Path) -> None:
    for number in range(40):
        run = await run_night(night(), with_seed(number), tmp_path)
        assert run.outcome is NightOutcome.COMPLETE, (number, run.events[-1])
        # All nights begin in the same second.
        assert [text for text in warnings(run) if "File exists" not in text] == [], number


async def test_clean_nights_raise_no_alarm(tmp_path: Path) -> None:
    await no_alarm(range(4), tmp_path)


@pytest.mark.deep
@pytest.mark.parametrize("part", range(10))
async def test_five_hundred_clean_nights_raise_no_alarm(part: int, tmp_path: Path) -> None:
    await no_alarm(range(1000 + 50 * part, 1050 + 50 * part), tmp_path)


async def test_checks_and_tests_take_less_than_three_percent_of_a_standard_night(tmp_path: Path) -> None:
    rig, settings = tiny(load_rig("cooled-mono")), load_settings(example_night("cooled-mono"))
    red = tuple(each.model_copy(update={"filter": "R"}) for each in settings.sets if each.filter == "L")
    run = await run_night(settings.model_copy(update={"sets": (*settings.sets, *red)}), rig, tmp_path)
    assert run.outcome is NightOutcome.COMPLETE
    assert len(list((run.folder / "checks").glob("*.fits"))) == 4 + 3 * 2
    whole_s = (run.events[-1].at - run.events[0].at).total_seconds()
    assert 0 < lost_s(run) < 0.03 * whole_s


def lost_s(run: NightRun) -> float:
    """Return the time of all steps except cooling, minus that of their frames: tests, checks, panel and wheel."""
    began = {event.step: event.at for event in run.of(StepStarted)}
    lost_s = 0.0
    for ended in run.of(StepEnded):
        spent_s = (ended.at - began[ended.step]).total_seconds()
        accepted = [event.at for event in run.of(FrameAccepted) if event.step == ended.step]
        exposed = any(event.step == ended.step for event in run.of(ExposureStarted))
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(accepted)]
        lost_s += spent_s - len(accepted) * (median(gaps) if gaps else 0.0) if exposed else 0.0
    return lost_s
