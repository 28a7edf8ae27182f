"""Checks that every night must pass, regardless of its faults. Each violation is reported as one sentence.

According to docs/pixel-checks.md, coldframe cannot detect some faults. The oracle accepts and counts these cases:

- light that is the same in all frames of a set without light, because it looks like dark current (`CONSTANT_LIGHT`);
- frames of a set that all have the same error, because there is no correct frame to compare (`ALL_ALIKE`);
- flats through a wrong filter, if no other flats of the night have the same light (`OTHER_FILTER`);
- a gain that the camera ignores, if no earlier night measured the camera's actual gain, so that there is only a warning
  (`UNKNOWN_GAIN`);
- a temperature that leaves the setpoint in the first minute after a thermometer falls silent, or while the reading at
  the end of the frame is impossible (`SILENCE`);
- a lamp that stays on at the end although its driver reports it as off, because no later frame shows its light
  (`UNSEEN_LAMP`).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from coldframe.calibration.combining.verify import recombined
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.frame_file import read_frame, read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    NightStarted,
    Notice,
    StepEnded,
)
from coldframe.capture.events.values import (
    AbortedBy,
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
    Topic,
)
from coldframe.capture.judging.cooler import GRID_C
from coldframe.capture.rig.safe_state import (
    ABORT_DEADLINE_S,
    COOLER_DEADLINE_S,
    LAMP_DEADLINE_S,
    PATIENCE_S,
    WARM_MARGIN_S,
)
from coldframe.capture.rig.temperature import SILENCE_S
from coldframe.capture.storage.journal import is_journalled
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState
from coldframe.simulators.faults.camera_faults import SpoilingCamera
from coldframe.simulators.faults.cooler_faults import SilentThermometer
from tests.nights.random_nights import TroubledRun
from tests.nights.witness import Truth

E = TypeVar("E", bound=Event)
CONSTANT_LIGHT, ALL_ALIKE, OTHER_FILTER = "constant light", "all frames wrong alike", "another filter"
UNKNOWN_GAIN, SILENCE, UNSEEN_LAMP = "gain never seen", "silent thermometer", "lamp not seen"
BLOCK = 2880
TEMPERATURE_SLACK_C = 0.15
"""Allowance for the noise of the thermometer, which is read once a second."""

NOISES = {FrameKind.BIAS: 8.5, FrameKind.DARK: 1.5, FrameKind.DARK_FLAT: 1.5}
"""Accepted differences in light within a set, in units of a pixel's noise (see `frame_gate` and `light_leak`)."""

LEAST_BIAS_LIGHT_ADU = 21.0
"""Smallest limit on the difference in light between bias frames."""

LATE_S = 2.0


@dataclass
class Verdict:
    """The violations that an oracle found, and the documented limits that it accepted."""

    wrong: list[str] = field(default_factory=list)
    limits: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class SavedFrame:
    """An accepted frame on the disk."""

    name: str
    step: int
    digest: bytes
    header: dict[str, HeaderValue]
    truth: Truth | None


class Oracle:
    """A judge of the results of a night."""

    def __init__(self, run: TroubledRun) -> None:
        self.run = run
        self.verdict = Verdict()
        self.frames: dict[str, SavedFrame] = {}
        self.spoilt = {
            pixel_digest(pixels): kind
            for kind, fault in run.faults.items()
            if isinstance(fault, SpoilingCamera)
            for pixels in fault.spoilt
        }

    def judge(self) -> Verdict:
        """Check all results."""
        self.verdict.wrong += self.run.disk.missing()
        self.verdict.wrong += [f"task {name!r} was left behind" for name in self.run.leftovers]
        for check in (self._ending, self._journal, self._accepted, self._masters, self._safety):
            self.verdict.wrong += check()
        return self.verdict

    def _of(self, kind: type[E]) -> list[E]:
        return [event for event in self.run.events if isinstance(event, kind)]

    def _has_noticed(self, severity: Severity, topic: Topic) -> bool:
        return any(notice.severity is severity and notice.topic is topic for notice in self._of(Notice))

    @property
    def _has_errors(self) -> bool:
        return any(notice.severity is Severity.ERROR for notice in self._of(Notice))

    @property
    def _steps(self) -> tuple[PlannedStep, ...]:
        return self._of(NightStarted)[0].steps

    # ---- the run ends with a matching outcome ----

    def _ending(self) -> Iterator[str]:
        run, met = self.run, self.run.met()
        ended = self._of(NightEnded)
        if len(ended) != 1 or run.events[-1] is not ended[0] or run.outcome is not ended[0].outcome:
            yield f"{len(ended)} last words, and the outcome {run.outcome}"
            return
        if ended[0].aborted_by is AbortedBy.INTERNAL_ERROR or self._has_noticed(Severity.ERROR, Topic.INTERNAL_ERROR):
            yield f"a fault of ours: {ended[0].summary}"
        all_made = len(self._of(MasterWritten)) == len(run.night.settings.sets)
        troubles = [each for each in self._of(StepEnded) if each.outcome is not StepOutcome.DONE]
        match run.outcome:
            case NightOutcome.COMPLETE if not all_made or troubles or self._has_errors:
                if not all_made or troubles:
                    yield "complete, and not all was made"
            case NightOutcome.INCOMPLETE if not troubles and not self._has_errors:
                yield "incomplete, and nothing is missing"
            case NightOutcome.ABORTED if not met.keys() & {*run.night.disk_faults, "other-client"}:
                yield f"aborted by neither a disk that fails nor another program: {ended[0].summary}"
            case NightOutcome.INTERRUPTED if run.night.interrupted_after_s is None:
                yield "interrupted by nobody"

    def _journal(self) -> Iterator[str]:
        lines = (self.run.folder / "journal.jsonl").read_bytes().splitlines()
        if self.run.met().keys() & self.run.night.disk_faults.keys():
            return
        told = [json.loads(line)["event"] for line in lines]
        seen = sum(is_journalled(event) for event in self.run.events)
        if len(told) != seen or told[-1] != "night-ended":
            yield f"the journal has {len(told)} of {seen} events, the last {told[-1:]}"

    # ---- accepted frames ----

    def _accepted(self) -> Iterator[str]:
        counted: dict[str, FrameAccepted] = {}
        for event in self.run.events:
            match event:
                case FrameAccepted():
                    name = Path(event.path).name
                    if name in counted:
                        yield f"{name} was accepted twice"
                    counted[name] = event
                case FrameRejected():
                    # A frame that was accepted and later moved to quarantine, because its set is lit, keeps its name.
                    aside = Path(event.path)
                    if counted.pop(_first_name(aside), None) is not None:
                        yield from self._file(aside)
        for name, event in counted.items():
            yield from self._counted(name, event)
        digests = Counter(frame.digest for frame in self.frames.values())
        if any(count > 1 for count in digests.values()):
            names = [frame.name for frame in self.frames.values() if digests[frame.digest] > 1]
            yield f"counted more than once: {', '.join(names)}"

    def _counted(self, name: str, event: FrameAccepted) -> Iterator[str]:
        aside = Path(event.path).parents[2] / "quarantine" / name
        is_gone = aside.exists() and not Path(event.path).exists()
        if is_gone and self.run.met().keys() & self.run.night.disk_faults.keys():
            # The disk failed during the move to quarantine, so no event could report it.
            yield from self._file(aside)
            return
        try:
            yield from self._file(Path(event.path))
            pixels, header = read_frame(Path(event.path))
        except (OSError, FrameFileError) as error:
            yield f"{name} was accepted and cannot be read: {error}"
            return
        digest = pixel_digest(pixels)
        frame = SavedFrame(name, event.step, digest, header, self.run.telescope.truths.get(digest))
        self.frames[name] = frame
        if frame.truth is None and digest not in self.spoilt:
            yield f"{name} has pixels that no camera delivered"
        yield from self._settings(frame, event)

    def _file(self, path: Path) -> Iterator[str]:
        """Check the structure and the checksums without coldframe's code."""
        content = path.read_bytes()
        words = int(np.frombuffer(content[: len(content) // 4 * 4], ">u4").sum(dtype=np.uint64))
        while words >> 32:
            words = (words & 0xFFFFFFFF) + (words >> 32)
        if len(content) % BLOCK or not content.startswith(b"SIMPLE  =") or words not in {0, 0xFFFFFFFF}:
            yield f"{path.name} is no sound FITS file"

    def _settings(self, frame: SavedFrame, event: FrameAccepted) -> Iterator[str]:
        step, camera = self._steps[event.step - 1], self.run.night.settings.camera
        header, truth = frame.header, frame.truth
        wanted = {"EXPTIME": event.exposure_s, "GAIN": camera.gain, "OFFSET": camera.offset, "FILTER": step.filter}
        if step.exposure_s is not None:
            wanted["EXPTIME"] = step.exposure_s
        for keyword, value in wanted.items():
            if value is not None and header.get(keyword) != value:
                yield f"{frame.name} has {keyword} {header.get(keyword)} where {value} was planned"
        if truth is None or frame.digest in self.spoilt:
            return
        shot = truth.shot
        if truth.kind is not step.kind or shot.exposure_s != event.exposure_s or shot.offset != camera.offset:
            yield f"{frame.name} is in truth a {truth.kind} of {shot.exposure_s} s, offset {shot.offset}"
        if shot.gain != camera.gain:
            yield from self._other_gain(frame)
        yield from self._temperature(frame, truth)

    def _other_gain(self, frame: SavedFrame) -> Iterator[str]:
        if "ignored-gain" not in self.run.faults:
            yield f"{frame.name} has another gain than it says"
        elif not self._spoilt_checks() and not self._has_noticed(Severity.WARNING, Topic.GAIN):
            # The check needs two frames that are not spoilt.
            yield f"{frame.name} has another gain than it says, and nothing was said of it"
        else:
            self.verdict.limits[UNKNOWN_GAIN] += 1

    def _spoilt_checks(self) -> bool:
        """Return True if the frames that could show the gain may have been spoilt or lit."""
        biases = (truth for truth in self.run.telescope.truths.values() if truth.kind is FrameKind.BIAS)
        return bool(self.spoilt) or any(truth.unwanted_adu > LEAST_BIAS_LIGHT_ADU / 100 for truth in biases)

    @property
    def _remembers(self) -> bool:
        return self.run.night.knows_the_rig and "broken-memory" not in self.run.night.kinds

    def _temperature(self, frame: SavedFrame, truth: Truth) -> Iterator[str]:
        setpoint_c, cooling = frame.header.get("SET-TEMP"), self.run.night.settings.cooling
        if not isinstance(setpoint_c, float | int) or self.run.night.settings.camera.setpoint_c is None:
            return
        planned_c = {self.run.night.settings.camera.setpoint_c, *cooling.fallback_c}
        if setpoint_c not in planned_c and setpoint_c % GRID_C:
            yield f"{frame.name} was shot at a setpoint of {setpoint_c} C, which nobody planned"
        away_c = max(abs(each - setpoint_c) for each in truth.sensor_c)
        if away_c <= cooling.tolerance_c + TEMPERATURE_SLACK_C:
            return
        silent = self.run.faults.get("silent-thermometer")
        since_s = silent.silent_since_s if isinstance(silent, SilentThermometer) else None
        # Impossible readings during a frame count as missing. Only the readings before and after the frame count.
        hidden = {"nonsense-reading", "drifting-sensor"} <= self.run.met().keys()
        is_unread = hidden or frame.header.get("CCD-TEMP") is None
        # Without cooling, nothing waits for a thermometer that repeats its last reading.
        is_uncooled = since_s is not None and setpoint_c not in planned_c
        if is_unread or is_uncooled or (since_s is not None and truth.began_s <= since_s + SILENCE_S):
            self.verdict.limits[SILENCE] += 1
        else:
            yield f"{frame.name} was shot {away_c:.2f} C off its setpoint"

    # ---- masters ----

    def _masters(self) -> Iterator[str]:
        folder = NightFolder(self.run.folder)
        raw, told = folder.raw_frames(), {Path(event.path).name for event in self._of(MasterWritten)}
        for master in folder.masters():
            yield from self._file(master)
            try:
                result = recombined(master, raw)
            except FrameFileError as error:
                yield f"{master.name}: {error}"
                continue
            if not result.equal:
                yield f"{master.name}: {result}"
            told.discard(master.name)
            inputs = [str(value) for key, value in read_header(master).items() if key.startswith("IMCOM")]
            strange = [name for name in inputs if name not in self.frames]
            if strange or len(set(inputs)) != len(inputs):
                yield f"{master.name} is made of frames that were not accepted, or twice: {strange}"
                continue
            yield from self._members(master.name, [self.frames[name] for name in inputs])
        if told:
            yield f"masters were told and are not there: {told}"
        yield from self._filters()

    def _members(self, master: str, frames: list[SavedFrame]) -> Iterator[str]:
        if len({frame.step for frame in frames}) > 1:
            yield f"{master} mixes frames of several sets"
        kinds = [self.spoilt.get(frame.digest) for frame in frames]
        if any(kinds) and len(set(kinds)) == 1:
            self.verdict.limits[ALL_ALIKE] += 1
            return
        for frame, kind in zip(frames, kinds, strict=True):
            if kind is not None:
                yield f"{master} holds {frame.name}, which {kind} has spoilt"
        truths = [frame.truth for frame, kind in zip(frames, kinds, strict=True) if frame.truth and kind is None]
        if truths and truths[0].kind.needs_darkness:
            yield from self._darkness(master, truths)
        elif len({truth.shot.filter_slot for truth in truths}) > 1:
            yield f"{master} holds flats of several filters"

    def _darkness(self, master: str, truths: list[Truth]) -> Iterator[str]:
        """Check that no frame has more light than other frames. Light that is equal in all frames is undetectable."""
        light_adu, shot = [truth.unwanted_adu for truth in truths], truths[0].shot
        sensor = self.run.telescope.sensor
        e_per_adu = sensor.e_per_adu(shot.gain)
        noise_adu = float(np.hypot(sensor.read_noise_e(shot.gain) / e_per_adu, np.sqrt(min(light_adu) / e_per_adu)))
        limit_adu = NOISES[truths[0].kind] * noise_adu
        if truths[0].kind is FrameKind.BIAS:
            limit_adu = max(limit_adu, LEAST_BIAS_LIGHT_ADU)
        if max(light_adu) - min(light_adu) > limit_adu:
            lit = ", ".join(f"{each:.1f}" for each in light_adu)
            yield f"{master} holds frames with light in them: {lit} ADU, at a noise of {noise_adu:.1f} ADU"
        elif max(light_adu) > limit_adu:
            self.verdict.limits[CONSTANT_LIGHT] += 1

    def _filters(self) -> Iterator[str]:
        """Check that flats were shot through the correct filters, where a wrong filter can be detected."""
        wheel = self.run.night.rig.wheel
        if wheel is None:
            return
        names = [each.name for each in wheel.filters]
        used = {
            str(frame.header.get("FILTER")): names[frame.truth.shot.filter_slot]
            for frame in self.frames.values()
            if frame.truth and frame.truth.kind is FrameKind.FLAT and frame.truth.shot.filter_slot is not None
        }
        wrong = {name: true for name, true in used.items() if name != true}
        if not wrong:
            return
        if "stuck-wheel" not in self.run.faults:
            yield f"flats of other filters than they say: {wrong}"
        elif self.spoilt or self.run.met().keys() & {"unsteady-light", "ignored-brightness"}:
            # Filters are identified by their light at a known brightness. Spoilt test frames, an unsteady lamp, and a
            # lamp that ignores its brightness make this impossible.
            self.verdict.limits[OTHER_FILTER] += 1
        elif len(set(used.values())) < len(used) and self._remembers:
            yield f"a stuck wheel was not found, though the filters are known: {used}"
        elif len(set(used.values())) < len(used) and not self._has_noticed(Severity.WARNING, Topic.FILTER):
            yield f"nothing was said of a wheel that does not turn: {used}"
        else:
            self.verdict.limits[OTHER_FILTER] += 1

    # ---- the safe state ----

    def _safety(self) -> Iterator[str]:
        run, settings = self.run, self.run.night.settings
        panel, cooler = run.telescope.panel, run.telescope.cooler
        assert settings.panel is not None
        deadline_s = ABORT_DEADLINE_S + 2 * LAMP_DEADLINE_S + settings.panel.cover_deadline_s + PATIENCE_S
        if cooler is not None and settings.cooling.at_end != "hold":
            span_c = abs(settings.cooling.warm_to_c - (-120.0))
            deadline_s += 60 * span_c / settings.cooling.warm_ramp_c_per_min + WARM_MARGIN_S + COOLER_DEADLINE_S
        took_s = run.ended_s - run.safe_from_s
        if run.safe_from_s <= 0 or took_s > deadline_s + LATE_S:
            yield f"the safe state took {took_s:.0f} s, allowed are {deadline_s:.0f} s"
        if panel.lit and panel.e_per_s() > 0 and not self._has_noticed(Severity.ERROR, Topic.LAMP):
            yield from self._burning()
        cover = panel.cover(run.ended_s)
        wanted = CoverState.CLOSED if settings.panel.cover_at_end == "closed" else CoverState.OPEN
        lies = {"lying-cover"} & run.faults.keys()
        is_told = self._has_noticed(Severity.ERROR, Topic.COVER)
        if cover is not None and cover is not wanted and not is_told and not lies:
            yield f"the cover is {cover}, wanted was {wanted}"
        if cooler is None:
            return
        is_told = self._has_noticed(Severity.ERROR, Topic.COOLER)
        # If the thermometer is silent, coldframe relies on the driver's report that the cooler is off.
        is_hidden = {"cooler-stays-on", "silent-thermometer"} <= run.met().keys()
        if settings.cooling.at_end != "hold" and cooler.setpoint_c is not None and not (is_told or is_hidden):
            yield f"the cooler is on at {cooler.setpoint_c} C, though it was to be switched off"
        if settings.cooling.at_end == "hold" and not run.night.kinds and cooler.setpoint_c is None:
            yield "the cooler is off, though it was to hold"

    def _burning(self) -> Iterator[str]:
        """Report a lamp that is on, unless its driver reports it as off."""
        if {"burning-lamp", "inverted-panel"} & self.run.faults.keys():
            self.verdict.limits[UNSEEN_LAMP] += 1
        else:
            yield "the lamp burns, and nothing was said of it"


def _first_name(path: Path) -> str:
    """Return a file's name without the suffix that was added because the name already existed."""
    return re.sub(r"(_\d{4})-\d+$", r"\1", path.stem) + path.suffix


def judge(run: TroubledRun) -> Verdict:
    """Judge the results of a night."""
    return Oracle(run).judge()
