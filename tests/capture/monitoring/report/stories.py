"""Events of nights that are built by hand, with a clock that advances only on `wait`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import (
    Event,
    ExposureStarted,
    FrameAccepted,
    FrameRejected,
    MasterGrew,
    MasterWritten,
    NightEnded,
    NightStarted,
    Notice,
    StepEnded,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
    StepType,
)
from coldframe.capture.storage.journal import encode_event
from coldframe.config.frames import FrameKind

BEGAN = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
FOLDER = "/nights/2026-11-22"

COOL = PlannedStep(1, "cool to -10 C", None, None, 0, None, 60.0, StepType.COOL, -10.0)
BIAS = PlannedStep(2, "bias", FrameKind.BIAS, None, 3, 0.0, 5.0, StepType.SHOOT)
TUNE = PlannedStep(3, "tune flat Ha", None, "Ha", 0, None, 30.0, StepType.TUNE)
FLAT = PlannedStep(4, "flat Ha", FrameKind.FLAT, "Ha", 3, None, 30.0, StepType.SHOOT)
DARK = PlannedStep(5, "dark 10 s", FrameKind.DARK, None, 3, 10.0, 40.0, StepType.SHOOT)
WARM = PlannedStep(6, "warm up", None, None, 0, None, 60.0, StepType.WARM)
PLAN = (COOL, BIAS, TUNE, FLAT, DARK, WARM)


@dataclass
class Story:
    """The events of a night."""

    events: list[Event] = field(default_factory=list)
    now: datetime = BEGAN

    def wait(self, seconds: float) -> "Story":
        self.now += timedelta(seconds=seconds)
        return self

    def add(self, kind: Callable[..., Event], *fields: Any) -> "Story":
        self.events.append(kind(self.now, *fields))
        return self

    def start(self, plan: tuple[PlannedStep, ...] = PLAN, camera: str = "Camera", folder: str = FOLDER) -> "Story":
        return self.add(NightStarted, folder, camera, "Panel", "Wheel", 40, 30, plan)

    def end(self, outcome: NightOutcome, result: str, *not_safe: str) -> "Story":
        summary = "; ".join((result, *(not_safe or ("the rig is safe",))))
        return self.add(NightEnded, outcome, summary, not not_safe, result, not_safe)

    def step(self, number: int) -> "Story":
        return self.add(StepStarted, number)

    def done(self, number: int, outcome: StepOutcome = StepOutcome.DONE, reason: str = "") -> "Story":
        return self.add(StepEnded, number, outcome, reason)

    def expose(self, step: int, seconds: float, kind: FrameKind = FrameKind.DARK) -> "Story":
        return self.add(ExposureStarted, step, kind, seconds)

    def accept(self, step: int, index: int, path: str, exposure_s: float = 10.0, level_adu: float = 500.0) -> "Story":
        statistics = FrameStatistics(level_adu, level_adu, level_adu, 9.0, 400, 600, 0.0)
        return self.add(FrameAccepted, step, index, f"{FOLDER}/{path}", exposure_s, -10.0, statistics)

    def reject(self, step: int, path: str, reason: str) -> "Story":
        return self.add(FrameRejected, step, f"{FOLDER}/quarantine/{path}", reason)

    def grow(self, step: int, frames: int, noise_adu: float | None) -> "Story":
        return self.add(MasterGrew, step, frames, noise_adu)

    def master(self, step: int, name: str, frames: int) -> "Story":
        return self.add(MasterWritten, step, f"{FOLDER}/masters/{name}.fits", frames, 500.0, 2.5, 0.01)

    def warn(self, text: str, severity: Severity = Severity.WARNING, *, will_retry: bool = False) -> "Story":
        return self.add(Notice, severity, text, will_retry)

    def temperature(self, sensor_c: float) -> "Story":
        return self.add(TemperatureRead, sensor_c, -10.0, 50.0)

    def set_of(self, step: int, kind: FrameKind, name: str, exposure_s: float, frames: int = 3) -> "Story":
        """Add a set without faults. Readouts take 1 s, and each frame is accepted during the next exposure."""
        self.step(step)
        for index in range(1, frames + 1):
            self.expose(step, exposure_s, kind).wait(exposure_s)
            self.wait(1)
            self.accept(step, index, f"{name}/{name}_{index:04d}.fits", exposure_s)
            self.grow(step, index, None if index == 1 else 9.0 / index**0.5)
        return self.wait(2).master(step, name, frames).done(step)

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "journal.jsonl").write_text("".join(encode_event(event) + "\n" for event in self.events), "ascii")
        return folder


def whole_night() -> Story:
    """Return a night without faults."""
    story = Story().start().step(1).temperature(15.0).wait(60).temperature(-10.0).done(1)
    story.set_of(2, FrameKind.BIAS, "bias", 0.0).step(3).wait(3).done(3)
    story.set_of(4, FrameKind.FLAT, "flat", 2.0).set_of(5, FrameKind.DARK, "dark", 10.0)
    return story.step(6).wait(30).done(6).end(NightOutcome.COMPLETE, "all planned masters were made")
