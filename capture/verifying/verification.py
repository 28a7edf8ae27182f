"""Follow a night, and diagnose its lights and flats as soon as their masters exist, without delaying any step."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightStarted,
    Notice,
    StepEnded,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity, StepOutcome, StepType
from coldframe.capture.events.verification import Cleanness, LightsVerified, Verified
from coldframe.capture.verifying.diagnosis_process import DiagnosisError, DiagnosisProcess, Judgement
from coldframe.capture.verifying.light_sets import LightSet, light_sets
from coldframe.capture.verifying.masters_at_hand import MastersAtHand
from coldframe.config.frames import FrameKind

HELD_OUT = 2
"""Number of flats of each set that are judged as if they were lights."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The latest result for a set, and the steps that made its masters (None for a master from the library)."""

    event: LightsVerified
    dark_step: int | None
    flat_step: int | None


@dataclass(slots=True)
class _Flats:
    """The flats of a step: the accepted frames, and the latest master."""

    filter: str | None
    rotator_deg: float | None = None
    paths: list[Path] = field(default_factory=list)
    master: Path | None = None
    judged: Path | None = None


class LightsVerification:
    """An `EventStream` subscriber that diagnoses lights and flats in the background, one set at a time.

    A failed diagnosis is reported in a notice; this class does not raise an exception.

    Parameters
    ----------
    lights
        Setups of the lights by path, in the order in which they were shot, with the driver's name for the camera.
    masters
        The masters of the night and the library.
    events, clock
        The event stream of the night, and the clock that supplies the times of its events.
    process
        Process that runs the diagnoses.
    """

    def __init__(
        self,
        lights: Mapping[Path, FrameSetup],
        masters: MastersAtHand,
        events: EventStream,
        clock: NightClock,
        process: DiagnosisProcess | None = None,
    ) -> None:
        self._sets = light_sets(lights)
        self._masters = masters
        self._events = events
        self._clock = clock
        self._process = process or DiagnosisProcess()
        self._flats: dict[int, _Flats] = {}
        self._judged: dict[LightSet, tuple[Path, ...]] = {}
        self._verdicts: dict[object, Verdict] = {}
        self._working: asyncio.Task[None] | None = None
        self._is_due = False
        self._with_library = False
        events.subscribe(self)

    def __call__(self, event: Event) -> None:
        """Record an event of the night, and start the diagnoses that it makes possible."""
        match event:
            case NightStarted():
                self._flats = {
                    step.number: _Flats(step.filter, step.rotator_deg)
                    for step in event.steps
                    if step.kind is FrameKind.FLAT and step.step_type is StepType.SHOOT
                }
            case FrameAccepted() if event.step in self._flats:
                self._flats[event.step].paths.append(Path(event.path))
            case FrameRejected() if event.step in self._flats:
                names = {Path(event.path).name}
                flats = self._flats[event.step]
                flats.paths = [path for path in flats.paths if path.name not in names]
            case MasterWritten():
                self._masters.add(Path(event.path), event.step)
                if event.step in self._flats:
                    self._flats[event.step].master = Path(event.path)
            case StepEnded(outcome=StepOutcome.DONE):
                self._wake()
            case _:
                pass

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The latest result for each set."""
        return tuple(self._verdicts.values())

    @property
    def masters(self) -> MastersAtHand:
        """The night's masters so far, and those in the library."""
        return self._masters

    async def finish(self, most_s: float) -> bool:
        """Diagnose the remaining lights, and use masters from the library as well.

        Return False if this takes longer than `most_s`. In that case, the diagnoses continue.
        """
        self._with_library = True
        self._wake()
        assert self._working is not None
        done, _ = await asyncio.wait([self._working], timeout=max(most_s, 0.0))
        return bool(done)

    async def close(self) -> None:
        """Stop any running diagnosis, because the night is ending."""
        if self._working is None or self._working.done():
            return
        self._working.cancel()
        self._process.end()
        await asyncio.wait([self._working], timeout=1.0)
        self._notice("the verification of the lights was not finished: run coldframe diagnose on the lights")

    def announce(self, verdict: Verdict, *, reshoots: Remedy | None = None, hindrance: str = "") -> None:
        """Publish a result again, together with the night's reaction to it."""
        event = replace(verdict.event, at=self._clock.now(), reshoots=reshoots, hindrance=hindrance)
        self._keep(replace(verdict, event=event))

    def _wake(self) -> None:
        self._is_due = True
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="verification")

    async def _work(self) -> None:
        try:
            while self._is_due:
                self._is_due = False
                for step, flats in self._flats.items():
                    await self._verify_flats(step, flats)
                for lights in self._sets:
                    await self.verify_lights(lights)
        except Exception as error:  # an error here must not affect the night
            log.exception("the verification of the lights failed")
            self._notice(f"the lights are not verified: internal error {error!r}; see the log")

    async def verify_lights(self, lights: LightSet) -> None:
        """Verify a set of lights with the best masters so far, unless they have been verified with the same masters."""
        setup = lights.setup
        try:
            chosen = await asyncio.to_thread(self._masters.choose, setup, with_library=self._with_library)
            if chosen is None or self._judged.get(lights) == chosen.paths:
                return
            self._judged[lights] = chosen.paths
            masters = {"dark": chosen.dark, "flat": chosen.flat} | ({"bias": chosen.bias} if chosen.bias else {})
            found = await asyncio.to_thread(self._process.run, lights.paths, masters, are_flats=False)
        except (DiagnosisError, FrameFileError, OSError) as error:
            self._notice(f"the {setup.filter_name or ''} lights are not verified: {error}".replace("  ", " "))
            return
        names = tuple(path.name for path in chosen.paths)
        event = replace(
            self._event(Verified.LIGHTS, setup.filter_name, setup.exposure_s, found, names),
            rotator_deg=lights.rotator_deg,
        )
        self._keep(Verdict(event, self._masters.step_of(chosen.dark), self._masters.step_of(chosen.flat)))

    async def _verify_flats(self, step: int, flats: _Flats) -> None:
        master = flats.master
        if master is None or flats.judged == master or len(flats.paths) < HELD_OUT:
            return
        flats.judged = master
        try:
            subtracted = await asyncio.to_thread(self._masters.subtracted_from, flats.paths[-1])
            if subtracted is None:
                return
            masters = {"dark": subtracted, "flat": master}
            found = await asyncio.to_thread(self._process.run, tuple(flats.paths[-HELD_OUT:]), masters, are_flats=True)
        except (DiagnosisError, FrameFileError, OSError) as error:
            self._notice(f"the {flats.filter or ''} flats are not verified: {error}".replace("  ", " "))
            return
        event = replace(
            self._event(Verified.FLATS, flats.filter, None, found, (subtracted.name, master.name)),
            rotator_deg=flats.rotator_deg,
        )
        self._keep(Verdict(event, None, step))

    def _event(
        self,
        frames: Verified,
        filter_name: str | None,
        exposure_s: float | None,
        found: Judgement,
        masters: tuple[str, ...],
    ) -> LightsVerified:
        return LightsVerified(
            at=self._clock.now(),
            frames=frames,
            filter=filter_name,
            exposure_s=exposure_s,
            count=found.count,
            cleanness=found.cleanness,
            artifacts=found.artifacts,
            masters=masters,
            sky_adu=found.sky_adu,
            noise_adu=found.noise_adu,
        )

    def _keep(self, verdict: Verdict) -> None:
        self._verdicts[verdict.event.key] = verdict
        self._events.publish(verdict.event)

    def _notice(self, text: str) -> None:
        self._events.publish(Notice(self._clock.now(), Severity.WARNING, text))


def is_faulty(verdict: Verdict) -> bool:
    """Return whether the diagnosis found an artifact that matters."""
    return verdict.event.cleanness is Cleanness.FAULTY
