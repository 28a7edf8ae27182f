"""The state of the dashboard over recorded nights, and its contents at each size."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FilterChanged,
    FlatTested,
    FlatTuned,
    FrameAccepted,
    FrameRejected,
    MasterGrew,
    MasterWritten,
    NightEnded,
    NightStarted,
    Notice,
    PanelChanged,
    StepEnded,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
    StepType,
)
from coldframe.capture.monitoring.dashboard.layout import render, snapshot_svg, summary
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState

DUSK = datetime(2026, 11, 22, 2, 10, tzinfo=UTC)
SIZES = [(80, 24), (100, 30), (120, 40), (150, 40), (200, 50)]


def planned(number: int, title: str, kind: FrameKind | None, **values: object) -> PlannedStep:
    step_type = StepType.SHOOT if kind is not None else StepType.WARM
    fields: dict[str, object] = {"filter": None, "count": 0, "exposure_s": None, "estimate_s": 60.0}
    return PlannedStep(number, title, kind, **(fields | {"step_type": step_type} | values))  # type: ignore[arg-type]


PLAN = (
    planned(1, "cool to -10 C", None, estimate_s=420.0, step_type=StepType.COOL),
    planned(2, "flat L", FrameKind.FLAT, filter="L", count=20, estimate_s=60.0),
    planned(3, "flat Ha", FrameKind.FLAT, filter="Ha", count=20, estimate_s=80.0),
    planned(4, "dark flat L", FrameKind.DARK_FLAT, filter="L", count=20, estimate_s=40.0),
    planned(5, "dark flat Ha", FrameKind.DARK_FLAT, filter="Ha", count=20, estimate_s=60.0),
    planned(6, "bias", FrameKind.BIAS, count=100, exposure_s=0.000032, estimate_s=70.0),
    planned(7, "dark 300 s", FrameKind.DARK, count=20, exposure_s=300.0, estimate_s=6020.0),
    planned(8, "warm up", None, estimate_s=300.0),
)

STARTED = NightStarted(
    DUSK,
    folder="/home/astro/coldframe/2026-11-21",
    camera="ZWO CCD ASI2600MM Pro",
    panel="Flip Flat",
    wheel="ZWO EFW",
    width=6248,
    height=4176,
    steps=PLAN,
)


@dataclass
class RecordedNight:
    """Generates the events of a whole night, with a clock of its own."""

    started: NightStarted = STARTED
    failing: frozenset[int] = frozenset()
    setpoint_c: float | None = -10.0
    reads_temperature: bool = True

    def __post_init__(self) -> None:
        self.now = self.started.at
        self.sensor_c = 12.0
        self.random = np.random.default_rng(7)

    def events(self) -> Iterator[Event]:
        yield self.started
        for step in self.started.steps:
            yield StepStarted(self.now, step.number)
            yield from self.step(step)
        complete = not self.failing
        yield NightEnded(
            self.now,
            NightOutcome.COMPLETE if complete else NightOutcome.INCOMPLETE,
            "all masters made" if complete else f"{len(self.failing)} of {len(self.started.steps)} steps failed",
        )

    def step(self, step: PlannedStep) -> Iterator[Event]:
        if step.number in self.failing:
            yield from self.passing(30.0)
            yield Notice(self.now, Severity.ERROR, f"{step.title}: the source is too bright at the shortest exposure")
            yield StepEnded(self.now, step.number, StepOutcome.FAILED, "the source is too bright at 0.01 s: dim it")
            return
        if step.kind is None:
            yield from self.cooling(step)
        else:
            yield from self.frames(step)
        yield StepEnded(self.now, step.number, StepOutcome.DONE)

    def passing(self, seconds: float) -> Iterator[Event]:
        """Let time pass, with a temperature reading every two seconds."""
        end = self.now + timedelta(seconds=seconds)
        while self.reads_temperature and self.now + timedelta(seconds=2) <= end:
            self.now += timedelta(seconds=2)
            yield self.temperature()
        self.now = end

    def temperature(self) -> TemperatureRead:
        if self.setpoint_c is None:
            self.sensor_c += 0.002
            return TemperatureRead(self.now, round(self.sensor_c, 1), None, None)
        self.sensor_c += (self.setpoint_c - self.sensor_c) * 0.018
        power = 42 + 3.0 * min(abs(self.sensor_c - self.setpoint_c), 15)
        sensor_c = round(self.sensor_c + float(self.random.normal(0, 0.05)), 1)
        return TemperatureRead(self.now, sensor_c, self.setpoint_c, power)

    def cooling(self, step: PlannedStep) -> Iterator[Event]:
        for _ in range(int(step.estimate_s / 20)):
            yield from self.passing(20.0)
            verdict = (
                f"{self.sensor_c:.1f} C, {self.sensor_c - (self.setpoint_c or 0):.1f} C above the setpoint, falling"
            )
            yield CoolingProgress(self.now, verdict)

    def frames(self, step: PlannedStep) -> Iterator[Event]:
        if step.filter and self.started.wheel:
            yield from self.passing(3.0)
            yield FilterChanged(self.now, step.filter)
        lit = step.kind is FrameKind.FLAT
        if self.started.panel:
            yield PanelChanged(self.now, lit=lit, brightness=120 if lit else None, cover=CoverState.CLOSED)
        exposure_s = step.exposure_s or {"L": 0.842, "Ha": 2.31}.get(step.filter or "", 1.0)
        if lit:
            yield from self.tuning(step, exposure_s)
        for index in range(1, step.count + 1):
            yield from self.frame(step, index, exposure_s)
        name = f"Master{step.kind}_{step.filter or 'none'}_G100_O50_-10C_{exposure_s:g}s_1x1.fits"
        yield MasterWritten(
            self.now, step.number, f"{self.started.folder}/masters/{name}", step.count, 26_180.0, 3.1, 0.0004
        )

    def tuning(self, step: PlannedStep, exposure_s: float) -> Iterator[Event]:
        for factor, verdict in ((3.3, "saturated: a fifth of it"), (0.6, "23 %: longer"), (1.0, "40 %: well placed")):
            yield ExposureStarted(self.now, step.number, FrameKind.FLAT, exposure_s * factor)
            yield from self.passing(exposure_s * factor + 0.5)
            level = min(500 + 25_700 * factor, 65_535)
            yield FlatTested(
                self.now, step.number, step.filter, exposure_s * factor, 120, level, 500, 26_514, 20_010, 33_017,
                float(level >= 65_535), verdict,
            )  # fmt: skip
        yield FlatTuned(self.now, step.number, step.filter, exposure_s, 120, 3, 65535)

    def frame(self, step: PlannedStep, index: int, exposure_s: float) -> Iterator[Event]:
        assert step.kind is not None
        yield ExposureStarted(self.now, step.number, step.kind, exposure_s)
        yield from self.passing(exposure_s + 0.6)
        path = f"{self.started.folder}/raw/{step.title.replace(' ', '_')}_{index:04d}.fits"
        if step.number == 7 and index == 9:
            yield FrameRejected(self.now, step.number, path, "sensor drifted 0.6 C during the exposure")
            yield ExposureStarted(self.now, step.number, step.kind, exposure_s)
            yield from self.passing(exposure_s + 0.6)
        level = 26_180.0 if step.kind is FrameKind.FLAT else 501.0
        noise = 142.0 if step.kind is FrameKind.FLAT else 7.4
        figures = FrameStatistics(level, level - 9, level - 4, noise, int(level / 2), int(min(level * 2, 65_535)), 0.0)
        sensor_c = round(self.sensor_c, 1) if self.reads_temperature else None
        yield FrameAccepted(self.now, step.number, index, path, exposure_s, sensor_c, figures)
        yield self.shown(step, index, level, noise)
        scatter = float(self.random.normal(1, 0.004))
        yield MasterGrew(self.now, step.number, index, noise / math.sqrt(index) * scatter if index > 1 else None)

    def shown(self, step: PlannedStep, index: int, level: float, noise: float) -> FrameShown:
        rows, columns = np.mgrid[-1:1:64j, -1.5:1.5:96j]
        sky = 1 - 0.22 * (rows**2 + columns**2)
        for y, x, radius in ((0.3, -0.6, 0.18), (-0.5, 0.8, 0.12), (0.1, 1.1, 0.1)):
            distance = np.hypot(rows - y, columns - x) / radius
            sky -= 0.08 * np.exp(-((distance - 1) ** 2) * 9)
        if step.kind is not FrameKind.FLAT:
            sky = (
                0.3
                + 0.5 * np.exp(-((rows - 0.9) ** 2 + (columns - 1.4) ** 2) * 6)
                + self.random.normal(0, 0.05, sky.shape)
            )
        stretched = np.interp(sky, (sky.min(), sky.max()), (0, 255)).astype(np.uint8)
        spread = max(noise * 12, 500.0) if step.kind is FrameKind.FLAT else 600.0
        centres = np.arange(128) * 512 + 256
        counts = (1e7 * np.exp(-(((centres - level) / spread) ** 2) / 2)).astype(np.int64)
        return FrameShown(self.now, f"{step.title} {index}", stretched, counts)


def state_after(events: list[Event], count: int | None = None) -> DashboardState:
    state = DashboardState()
    for event in events[:count]:
        state.apply(event)
    return state


@pytest.fixture(scope="module")
def night() -> list[Event]:
    return list(RecordedNight().events())


@pytest.fixture(scope="module")
def bad_night() -> list[Event]:
    """Long names, a failing step, warnings."""
    long_name = "Starlight Xpress Trius Pro-694 with a name that no user would choose, but that some drivers do"
    steps = (*PLAN, planned(9, f"flat {long_name}", FrameKind.FLAT, filter=long_name, count=1000, estimate_s=1e6))
    started = replace(STARTED, camera=long_name, panel=long_name, wheel=long_name, folder="/a/b" * 60, steps=steps)
    return list(RecordedNight(started, failing=frozenset({2, 9})).events())


@pytest.fixture(scope="module")
def bare_night() -> list[Event]:
    """No panel, no wheel, no cooler, no temperature."""
    steps = (planned(1, "bias", FrameKind.BIAS, count=12, exposure_s=0.001, estimate_s=10.0), PLAN[6])
    started = replace(STARTED, panel=None, wheel=None, steps=steps)
    return list(RecordedNight(started, setpoint_c=None, reads_temperature=False).events())


def moments(events: list[Event]) -> list[int]:
    """Choose moments from before the first event to the end, at least one after each kind of event."""
    first_of_kind = {type(event): index + 1 for index, event in reversed(list(enumerate(events)))}
    return sorted({0, *first_of_kind.values(), *range(0, len(events), len(events) // 12), len(events)})


def screen(state: DashboardState, width: int, height: int, now: datetime, **options: object) -> list[str]:
    """Draw as on a terminal without colour, and return the lines."""
    fields: dict[str, object] = {"width": width, "height": height, "force_terminal": True, "color_system": None}
    console = Console(**(fields | {"file": io.StringIO()} | options))  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(render(state, width, height, now), end="")
    return capture.get().split("\n")


def text_at(events: list[Event], last: type[Event], size: tuple[int, int] = (80, 24), **fields: object) -> str:
    """Draw the moment after the first event of a kind that has the given values of its fields."""
    index = next(
        index
        for index, event in enumerate(events)
        if isinstance(event, last) and all(getattr(event, name) == value for name, value in fields.items())
    )
    return "\n".join(screen(state_after(events, index + 1), *size, events[index].at))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["night", "bad_night", "bare_night"])
def test_nothing_overflows_at_any_moment(kind: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
    events: list[Event] = request.getfixturevalue(kind)
    width, height = size
    for count in moments(events):
        now = events[max(count - 1, 0)].at
        lines = screen(state_after(events, count), width, height, now)
        assert len(lines) <= height
        assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (40, 10), (69, 19), (80, 12), (300, 90)])
def test_odd_sizes_are_drawn(size: tuple[int, int], bad_night: list[Event]) -> None:
    for count in (0, 500, len(bad_night)):
        lines = screen(state_after(bad_night, count), *size, DUSK)
        assert len(lines) <= size[1]
        assert all(len(line) <= size[0] for line in lines)


def test_night_without_events_is_waiting() -> None:
    assert "Waiting for the night to begin" in "\n".join(screen(DashboardState(), 80, 24, DUSK))


@pytest.mark.parametrize("size", SIZES)
def test_key_facts_are_shown_at_every_size(size: tuple[int, int], night: list[Event]) -> None:
    text = text_at(night, MasterGrew, size, step=3, frames=7)
    for fact in (
        "All well",
        "step 3 of 8",
        "02:18:",
        "done about",
        "flat Ha  7/20",
        "exposing 2.31 s",
        "26,180",
        "142",
    ):
        assert fact in text
    for fact in ("sensor -9.", "-10.0", "power", "filter Ha", "lit at 120", "cover closed", "ADU after 7", "20/20"):
        assert fact in text


@pytest.mark.parametrize("size", SIZES)
def test_tuning_shows_each_test_against_the_band(size: tuple[int, int], night: list[Event]) -> None:
    text = text_at(night, FlatTested, size, step=3, verdict="23 %: longer")
    for fact in ("7.623 s @120", "65,535", "1.386 s @120", "15,920", "band 20,010 to 33,017", "◆", "23 %: longer"):
        assert fact in text


@pytest.mark.parametrize("size", SIZES)
def test_problems_remain_visible(size: tuple[int, int]) -> None:
    events = list(RecordedNight(failing=frozenset({2})).events())
    text = text_at(events, MasterGrew, size, step=7, frames=15)
    assert "flat L not done, continuing" in text
    assert "failed" in text
    assert "too bright at the shortest exposure" in text


def test_long_exposures_show_their_progress(night: list[Event]) -> None:
    index = next(i for i, event in enumerate(night) if isinstance(event, ExposureStarted) and event.step == 7)
    state = state_after(night, index + 1)
    at = night[index].at
    assert "exposing 130 of 300 s" in "\n".join(screen(state, 80, 24, at + timedelta(seconds=130)))
    assert "reading out 300 s" in "\n".join(screen(state, 80, 24, at + timedelta(seconds=301)))


def test_end_of_the_night_is_shown(night: list[Event], bad_night: list[Event]) -> None:
    assert "Complete" in text_at(night, NightEnded)
    assert "all masters made" in text_at(night, NightEnded)
    assert "100 %" in text_at(night, NightEnded)
    assert "Ended, incomplete" in text_at(bad_night, NightEnded)


def test_rig_without_panel_wheel_or_cooler_is_shown(bare_night: list[Event]) -> None:
    text = text_at(bare_night, MasterGrew, frames=5)
    assert "no panel" in text
    assert "filter" not in text
    assert "sensor temperature unknown" in text


def test_uncooled_camera_has_no_setpoint() -> None:
    state = state_after([STARTED, TemperatureRead(DUSK, 14.2, None, None)])
    assert "sensor 14.2 °C" in "\n".join(screen(state, 80, 24, DUSK))


def test_ascii_terminals_get_ascii_characters(night: list[Event]) -> None:
    class AsciiFile(io.StringIO):
        encoding = "ascii"

    for count in moments(night):
        for size in SIZES:
            lines = screen(state_after(night, count), *size, DUSK, file=AsciiFile())
            assert all(line.isascii() for line in lines)


def test_colours_are_used_only_if_the_terminal_has_some(night: list[Event]) -> None:
    state = state_after(night, 1000)
    assert "\x1b" not in "\n".join(screen(state, 80, 24, DUSK))
    assert "▀" not in "\n".join(screen(state, 80, 24, DUSK, no_color=True, color_system="truecolor"))
    assert "▀" in "\n".join(screen(state, 80, 24, DUSK, color_system="256"))


def test_escape_sequences_from_drivers_do_not_reach_the_terminal() -> None:
    evil = "ZWO\x1b]0;owned\x07\x1b[2J"
    steps = (planned(1, evil, FrameKind.BIAS, count=3),)
    events = [replace(STARTED, camera=evil, steps=steps), StepStarted(DUSK, 1), Notice(DUSK, Severity.ERROR, evil)]
    events += [FilterChanged(DUSK, evil), CoolingProgress(DUSK, evil)]
    for size in SIZES:
        assert "\x1b" not in "\n".join(screen(state_after(events), *size, DUSK))


def test_svg_is_complete(night: list[Event]) -> None:
    svg = snapshot_svg(state_after(night, 1000), 120, 40, DUSK)
    assert svg.startswith("<svg")
    assert "All&#160;well" in svg


def test_summary_lists_masters_and_what_is_missing(bad_night: list[Event]) -> None:
    console = Console(file=io.StringIO(), width=500)
    with console.capture() as capture:
        console.print(summary(state_after(bad_night)))
    text = capture.get()
    assert "Night incomplete: 2 of 9 steps failed" in text
    assert "made     flat Ha, 20 frames: Masterflat_Ha" in text
    assert "missing  flat L: the source is too bright at 0.01 s: dim it" in text


def test_two_watchers_see_the_same(night: list[Event]) -> None:
    one, other = DashboardState(), DashboardState()
    half = len(night) // 2
    for event in night[:half]:
        one.apply(event)
    for event in night[:half]:
        other.apply(event)
    for event in night[half:]:
        one.apply(event)
        other.apply(event)
    assert screen(one, 120, 40, DUSK) == screen(other, 120, 40, DUSK)


def test_problems_remain_when_they_have_scrolled_off() -> None:
    state = state_after([STARTED, Notice(DUSK, Severity.ERROR, "the cover is stuck")])
    for number in range(200):
        state.apply(Notice(DUSK + timedelta(seconds=number), Severity.INFO, f"note {number}"))
    assert [problem.text for problem in state.problems] == ["error: the cover is stuck"]
    assert "the cover is stuck" in "\n".join(screen(state, 80, 24, DUSK))


def test_memory_is_bounded_over_a_long_night() -> None:
    state = state_after([STARTED])
    for second in range(0, 40_000, 2):
        state.apply(TemperatureRead(DUSK + timedelta(seconds=second), -10.0, -10.0, 40.0))
    assert len(state.temperatures) <= 1800 / 5 + 1


def test_frames_of_one_set_share_a_line(night: list[Event]) -> None:
    state = state_after(night)
    bias_lines = [line for line in state.latest if line.text.startswith("bias ") and "level" in line.text]
    assert [line.text for line in bias_lines] == ["bias 100/100 0.032 ms level 501 ADU noise 7.4"]


def test_late_frame_counts_for_its_own_step() -> None:
    figures = FrameStatistics(1, 1, 1, 1, 1, 1, 0)
    state = state_after([STARTED, StepStarted(DUSK, 2), StepEnded(DUSK, 2, StepOutcome.DONE), StepStarted(DUSK, 3)])
    state.apply(FrameAccepted(DUSK, 2, 20, "x", 1.0, None, figures))
    assert state.steps[2].accepted == 20
    assert state.steps[3].accepted == 0


def test_expected_end_is_steady_during_a_night_as_planned(night: list[Event]) -> None:
    state = DashboardState()
    ends = []
    for event in night:
        state.apply(event)
        ends.append(event.at + timedelta(seconds=state.outlook(event.at).remaining_s))
    true_end = night[-1].at
    # One rejected dark costs five minutes, which cannot be foreseen; the outlook includes it from then on.
    assert all(abs(end - true_end) < timedelta(minutes=7) for end in ends)
    jumps = [
        (abs(after - before), isinstance(event, FrameRejected))
        for event, (before, after) in zip(night[1:], pairwise(ends), strict=True)
    ]
    assert max(jump for jump, rejected in jumps if rejected) < timedelta(minutes=8)
    assert max(jump for jump, rejected in jumps if not rejected) < timedelta(minutes=1)
    assert ends[-1] == true_end


def a_frame(at: datetime, step: int, index: int, *, is_taken_over: bool = False) -> FrameAccepted:
    figures = FrameStatistics(1, 1, 1, 1, 1, 1, 0)
    return FrameAccepted(at, step, index, f"/raw/{index}.fits", 1.0, None, figures, is_taken_over=is_taken_over)


def test_frames_of_an_earlier_run_do_not_change_the_pace() -> None:
    state = state_after([STARTED, StepStarted(DUSK, 2)])
    later = [step for step in state.steps.values() if step.planned.kind is not None and step.planned.number > 2]
    expected = [state.pace.expected_s(step.planned) for step in later]
    count, whole_s = state.steps[2].planned.count, state.steps[2].planned.estimate_s
    for index in range(1, count // 2 + 1):
        state.apply(a_frame(DUSK + timedelta(milliseconds=index), 2, index, is_taken_over=True))
    assert [state.pace.expected_s(step.planned) for step in later] == expected
    left_s = state.pace.rest_of_step(state.steps[2], DUSK + timedelta(seconds=1)).remaining_s
    assert whole_s * 0.4 < left_s < whole_s * 0.6


def test_resumed_night_shows_each_master_once_and_no_remains_of_the_first_run() -> None:
    master = MasterWritten(DUSK, 2, "/masters/bias.fits", 100, 500.0, 0.7, 0.0)
    first = [STARTED, StepStarted(DUSK, 2), master, StepStarted(DUSK, 3), MasterGrew(DUSK, 3, 7, 1.0)]
    exposing = ExposureStarted(DUSK, 3, FrameKind.DARK, 300.0)
    state = state_after([*first, exposing, replace(STARTED, is_resumed=True)])
    assert (state.running, state.exposure, state.noise) == (None, None, [])
    state.apply(master)
    assert state.masters == [master]


def test_lost_night_has_no_good_verdict_and_no_expected_end() -> None:
    exposing = ExposureStarted(DUSK, 2, FrameKind.DARK, 300.0)
    state = state_after([STARTED, StepStarted(DUSK, 2), exposing])
    state.lose()
    text = "\n".join(screen(state, 120, 40, DUSK + timedelta(hours=2)))
    assert f"No contact since {DUSK:%H:%M:%S}" in text
    assert "was running" in text
    assert not any(words in text for words in ("All well", "done about", "done no earlier", "exposing", "reading out"))


def test_night_that_has_ended_is_not_lost() -> None:
    state = state_after([STARTED, NightEnded(DUSK, NightOutcome.COMPLETE, "all made; the rig is safe")])
    state.lose()
    assert "Complete" in "\n".join(screen(state, 80, 24, DUSK))


def test_set_that_is_shot_again_counts_from_one() -> None:
    state = state_after([STARTED, StepStarted(DUSK, 2), *(a_frame(DUSK, 2, index) for index in (1, 2, 3))])
    state.apply(FrameRejected(DUSK, 2, "/quarantine/1.fits", "light"))
    state.apply(a_frame(DUSK, 2, 1))
    assert state.steps[2].accepted == 1
