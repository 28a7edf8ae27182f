"""Twilight flats on the rig: waits for the sky, shoots what `SkyFlats` asks for, and keeps the good frames.

They are no master yet: which dark flats they need is known only when all exposures are.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from math import inf
from pathlib import Path

import numpy as np

from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.measuring.frame_shape import frame_shape
from coldframe.calibration.measuring.statistics import (
    FULL_SCALE_ADU,
    FrameMeasurement,
    FrameStatistics,
    measure,
    preview,
)
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.clock import clock_text
from coldframe.capture.events.kinds import FlatTested, FrameAccepted, FrameRejected, FrameShown, Severity
from coldframe.capture.flats.learned import FlatKey, LearnedFlats
from coldframe.capture.judging.frame_gate import Fault, FlatBand, FrameGate, FrameLook
from coldframe.capture.judging.thermometer import TemperatureWatch
from coldframe.capture.planning.sun import altitude_deg
from coldframe.capture.recovery.exposing import expose_once
from coldframe.capture.recovery.interference import reclaim
from coldframe.capture.recovery.pausing import until_resumed
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.rig.light_path import open_to_sky, select_filter
from coldframe.capture.rig.temperature import hold, watched
from coldframe.capture.session.context import NightContext
from coldframe.capture.steps import ShootStep, SkyStep
from coldframe.capture.storage.saved_frames import Wanted
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.twilight.schedule import Expose, Finished, SkyFlats, SkyLimits, Wait
from coldframe.capture.twilight.sky_brightness import GROWTH_PER_DEG, SkyLight
from coldframe.config.frames import FrameKind
from coldframe.config.tables.night import SiteSettings
from coldframe.devices.camera import Frame

DARKEST_DEG = -11.0
"""Altitude of the sun below which no telescope sees a sky that is bright enough."""

BRIGHTEST_DEG = 1.0
"""At dusk lower altitudes are waited for: the sky is too bright."""

LATEST_DEG = 10.0
"""Nothing is waited for any more when the sun has risen so far: the sky hardly changes."""

SHORTEST_TEST_S = 0.001
"""Of test frames: at sunset a hundredth of a second is too long for most filters."""

LOOK_S = 30.0
"""Longest sleep before the sky is thought of again."""

COLOUR_DRIFT = 0.5
"""Part of the faintest channel's allowance that remains when the colour of twilight changes."""

LARGEST_STARS = 0.01
"""Part of the pixels that may be saturated, by stars: they are clipped."""

_MINUTE = timedelta(minutes=1)
_LEAST_PACE_DEG_PER_S = 0.0005


@dataclass(slots=True)
class SkySet:
    """The good flats of one filter.

    Attributes
    ----------
    flat
        The set.
    full_scale_adu
        Level at which they saturate.
    paths, exposures_s, digests, sensor_c
        Of each; temperatures only where they are known.
    first
        The first frame, without its pixels.
    last_at
        Start of the last one.
    """

    flat: ShootStep
    full_scale_adu: float
    paths: list[Path] = field(default_factory=list)
    exposures_s: list[float] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    sensor_c: list[float] = field(default_factory=list)
    first: Frame | None = None
    last_at: datetime | None = None


def sun_pace(at: datetime, site: SiteSettings) -> tuple[float, float]:
    """Return the sun's altitude in degrees, and by how many degrees it rises in a second."""
    now_deg = altitude_deg(at, site)
    return now_deg, (altitude_deg(at + _MINUTE, site) - now_deg) / _MINUTE.total_seconds()


def is_twilight(altitude: float, pace_deg_per_s: float) -> bool:
    """Tell whether flats may be possible: from the sun's altitude in degrees, and its pace.

    A sun that has risen further does not end it: dawn is over when no exposure is short enough.
    """
    return altitude >= DARKEST_DEG and (pace_deg_per_s > 0 or altitude <= BRIGHTEST_DEG)


class SkyShooting:
    """Shoots the flats of one twilight.

    Parameters
    ----------
    context
        The night.
    learned
        What earlier nights found of the camera's saturation.
    number
        The step's number in the night, for events.
    step
        The flats.
    bias_adu
        Level without light.
    """

    def __init__(
        self, context: NightContext, learned: LearnedFlats, number: int, step: SkyStep, bias_adu: float
    ) -> None:
        self._context = context
        self._number = number
        self._step = step
        self._bias_adu = bias_adu
        self._full_scale_adu = self._known_full_scale_adu(learned)
        self.sets = {flat.filter: SkySet(flat, self._full_scale_adu) for flat in step.flats}
        self._gates: dict[str | None, FrameGate] = {}
        # Binned colour pixels of most cameras are no Bayer mosaic any more.
        self.cfa_pattern = _known(context.rig.camera.features.cfa_pattern) if step.readout.binning == 1 else None
        self._settings = step.readout
        self._told: str | None = None

    async def run(self) -> str | None:
        """Shoot until each filter has its flats or its time is over; return what is missing, None if nothing is.

        Raises
        ------
        StepFailedError
            Too many exposures failed, or the time is up.
        DeviceError
            The rig failed.
        NotDurableError
            A file could not be brought onto the disk.
        """
        self._settings = await with_retries(self._context, partial(self._context.rig.camera.apply, self._step.readout))
        for flat in self._step.flats:
            await self._take_over(flat)
        if self._count >= self._step.count:
            return None
        pace_deg_per_s = await self._twilight()
        flats = self._planned(pace_deg_per_s)
        await open_to_sky(self._context)
        while not isinstance(decision := await self._decision(flats), Finished):
            if self._is_over(is_dawn=pace_deg_per_s > 0):
                return f"twilight is over, with {self._count} of {self._step.count} flats"
            if isinstance(decision, Wait):
                await self._wait(decision)
            else:
                await self._shoot(flats, decision)
        return "; ".join(f"{name or 'flats'}: {reason}" for name, reason in flats.given_up.items()) or None

    async def _take_over(self, flat: ShootStep) -> None:
        """Count what an earlier run of the night has shot of a set: it was judged when it came."""
        saved = self._context.saved
        wanted = Wanted.of(flat, self._context.rig.camera.name, None)
        while len(self.sets[flat.filter].paths) < flat.count:
            found = await in_thread(saved.take, wanted, self._settings)
            for fault in saved.faults():
                self._context.notice(Severity.WARNING, fault)
            if found is None:
                return
            saturation_adu = self._context.settings.flats.saturation_adu
            measurement = await in_thread(measure, found.frame.pixels, saturation_adu, self.cfa_pattern)
            digest = await in_thread(pixel_digest, found.frame.pixels)
            if digest in self.sets[flat.filter].digests:
                reason = "the same pixels as an earlier frame"
                await in_thread(self._context.folder.quarantine_saved, found.path, reason)
                self._context.publish(FrameRejected(self._context.clock.now(), self._number, str(found.path), reason))
                continue
            self._count_in(found.path, found.frame, measurement.statistics, digest, flat.filter, is_taken_over=True)

    async def _twilight(self) -> float:
        """Wait for twilight and return the sun's pace in it, degrees per second."""
        site, clock = self._context.settings.site, self._context.clock
        assert site is not None
        altitude, pace_deg_per_s = sun_pace(clock.now(), site)
        if not is_twilight(altitude, pace_deg_per_s):
            self._context.notice(Severity.INFO, f"the sun stands at {altitude:.0f} deg; waiting for twilight")
        while not is_twilight(altitude, pace_deg_per_s):
            self._context.require_time(0.0)
            await asyncio.sleep(LOOK_S)
            altitude, pace_deg_per_s = sun_pace(clock.now(), site)
        return pace_deg_per_s

    def _is_over(self, *, is_dawn: bool) -> bool:
        site = self._context.settings.site
        assert site is not None
        altitude = altitude_deg(self._context.clock.now(), site)
        return altitude > LATEST_DEG if is_dawn else altitude < DARKEST_DEG

    @property
    def _count(self) -> int:
        return sum(len(each.paths) for each in self.sets.values())

    def _planned(self, pace_deg_per_s: float) -> SkyFlats:
        is_dawn = pace_deg_per_s > 0
        pace_deg_per_s = max(abs(pace_deg_per_s), _LEAST_PACE_DEG_PER_S) * (1 if is_dawn else -1)
        planned = SkyFlats(SkyLight(GROWTH_PER_DEG * pace_deg_per_s), is_dawn)
        camera = self._context.rig.camera.features.exposure_s
        for flat in self._step.flats:
            flats = self._context.settings.flats.for_filter(flat.filter)
            limits = SkyLimits(
                shortest_s=max(flats.preferred_exposure_s[0], camera.minimum),
                longest_s=min(flats.exposure_limits_s[1], camera.maximum),
                test_s=max(SHORTEST_TEST_S, camera.minimum),
            )
            target = FlatTarget(self._bias_adu, self._full_scale_adu, flats.target, flats.band)
            missing = flat.count - len(self.sets[flat.filter].paths)
            if missing > 0:
                planned.plan(flat.filter, missing, target, limits)
        return planned

    def _known_full_scale_adu(self, learned: LearnedFlats) -> float:
        key = FlatKey.of(self._context.rig.camera.name, None, None, self._step.readout)
        known_adu = self._context.settings.flats.saturation_adu or learned.full_scale_adu(key)
        return FULL_SCALE_ADU if known_adu is None else known_adu

    async def _decision(self, flats: SkyFlats) -> Expose | Wait | Finished:
        """Return what to do now, with the filter in the beam: what holds before the wheel turns may not hold after."""
        await until_resumed(self._context)
        if self._step.setpoint_c is not None:
            await hold(self._context, self._step.setpoint_c)
        decision, in_beam = flats.decide(self._context.clock.elapsed_s()), None
        while not isinstance(decision, Finished) and decision.filter != in_beam:
            in_beam = decision.filter
            await select_filter(self._context, in_beam)
            decision = flats.decide(self._context.clock.elapsed_s())
        return decision

    async def _wait(self, wait: Wait) -> None:
        context, name = self._context, wait.filter or "flats"
        self._context.require_time(0.0)
        seconds = wait.until_s - context.clock.elapsed_s()
        if seconds > LOOK_S and self._told != name:
            self._told = name
            text = clock_text(context.clock.now() + timedelta(seconds=seconds))
            context.notice(Severity.INFO, f"waiting for the sky: {name} from about {text}")
        await asyncio.sleep(min(max(seconds, 0.0), LOOK_S))

    async def _shoot(self, flats: SkyFlats, shot: Expose) -> None:
        frame, start_s, fault = await with_retries(self._context, lambda: self._expose(shot.exposure_s))
        measurement = await in_thread(
            measure, frame.pixels, self._context.settings.flats.saturation_adu, self.cfa_pattern
        )
        statistics = measurement.statistics
        flats.saturates(shot.filter, statistics.saturation_adu)
        faintest_adu = statistics.faintest_adu if statistics.channels else None
        flats.observe(shot, start_s, statistics.brightest_adu, faintest_adu)
        target = flats.target(shot.filter)
        look, digest, judged = await in_thread(self._judge, frame, measurement, shot.filter, target)
        reason = fault or (judged.reason if judged is not None else None)
        await self._show(frame, measurement, shot)
        if reason is None:
            flats.accept(shot.filter)
            self.sets[shot.filter].full_scale_adu = target.full_scale_adu
            await self._keep(frame, look, digest, shot.filter)
        elif shot.is_test:
            self._tell_test(shot, look, target)
            await in_thread(self._context.folder.save_test, frame, shot.filter)
        else:
            flats.waste(shot.filter)
            path = await in_thread(self._context.folder.quarantine, frame, shot.filter, reason)
            self._context.publish(FrameRejected(self._context.clock.now(), self._number, str(path), reason))

    async def _expose(self, exposure_s: float) -> tuple[Frame, float, str | None]:
        """Return a frame, when its exposure began, and what is wrong with how it was shot, if anything."""
        context, setpoint_c = self._context, self._step.setpoint_c
        await until_resumed(context, exposure_s)
        context.require_time(exposure_s)
        start_s, fault = context.clock.elapsed_s(), None
        if setpoint_c is None:
            frame = await expose_once(context, self._number, FrameKind.FLAT, exposure_s)
        else:
            watch = TemperatureWatch(setpoint_c, context.settings.cooling.tolerance_c)
            async with watched(context.rig.camera, watch):
                frame = await expose_once(context, self._number, FrameKind.FLAT, exposure_s)
            verdict = watch.verdict()
            fault = None if verdict.within else f"sensor temperature {verdict.message}"
        if frame.settings != self._settings:
            fault = f"shot with {frame.settings} where {self._settings} was set"
            reclaim(context, self._settings, frame.settings)
            self._settings = await context.rig.camera.apply(self._step.readout)
        return frame, start_s, fault

    def _judge(
        self, frame: Frame, measurement: FrameMeasurement, name: str | None, target: FlatTarget
    ) -> tuple[FrameLook, bytes, Fault | None]:
        if name not in self._gates:
            self._gates[name] = FrameGate(FrameKind.FLAT, self._band(name, target))
        gate, digest = self._gates[name], pixel_digest(frame.pixels)
        shape = frame_shape(frame.pixels, gate.bounds_adu(measurement.statistics))
        look = FrameLook(measurement.statistics, digest, shape, frame.sensor_c)
        fault = gate.fault(look)
        if fault is None:
            gate.accept(look)
        return look, digest, fault

    def _band(self, name: str | None, target: FlatTarget) -> FlatBand:
        flats = self._context.settings.flats.for_filter(name)
        band = FlatBand.around(target, max(flats.maximum_saturated_fraction, LARGEST_STARS))
        faintest_adu = target.bias_adu + COLOUR_DRIFT * (band.faintest_adu - target.bias_adu)
        # The sky does not flicker, and rows with bright stars differ.
        return replace(band, faintest_adu=faintest_adu, largest_bands=inf)

    async def _keep(self, frame: Frame, look: FrameLook, digest: bytes, name: str | None) -> None:
        index = len(self.sets[name].paths) + 1
        path = await in_thread(self._context.folder.save_frame, frame, name, index)
        self._count_in(path, frame, look.statistics, digest, name, is_taken_over=False)

    def _count_in(
        self,
        path: Path,
        frame: Frame,
        statistics: FrameStatistics,
        digest: bytes,
        name: str | None,
        *,
        is_taken_over: bool,
    ) -> None:
        """Count a frame that is on the disk."""
        mine, context = self.sets[name], self._context
        mine.paths.append(path)
        mine.exposures_s.append(frame.exposure_s)
        mine.digests.append(digest)
        # Its header is wanted in the end, not its pixels.
        mine.first = mine.first or replace(frame, pixels=np.empty((0, 0), np.uint16))
        mine.last_at = frame.started_at
        if frame.sensor_c is not None:
            mine.sensor_c.append(frame.sensor_c)
        now, exposure_s, sensor_c = context.clock.now(), frame.exposure_s, frame.sensor_c
        context.publish(
            FrameAccepted(
                now, self._number, self._count, str(path), exposure_s, sensor_c, statistics, is_taken_over=is_taken_over
            )
        )

    async def _show(self, frame: Frame, measurement: FrameMeasurement, shot: Expose) -> None:
        title = f"sky flat {shot.filter or ''}, {shot.exposure_s:g} s"
        picture = await in_thread(preview, frame.pixels)
        self._context.publish(FrameShown(self._context.clock.now(), title, picture, measurement.histogram128()))

    def _tell_test(self, shot: Expose, look: FrameLook, target: FlatTarget) -> None:
        low_adu, high_adu = target.levels_adu
        self._context.publish(
            FlatTested(
                at=self._context.clock.now(),
                step=self._number,
                filter=shot.filter,
                exposure_s=shot.exposure_s,
                brightness=None,
                level_adu=look.statistics.brightest_adu,
                bias_adu=self._bias_adu,
                target_adu=target.bias_adu + target.signal_adu,
                low_adu=low_adu,
                high_adu=high_adu,
                saturated_fraction=look.statistics.saturated_fraction,
                verdict="shows how bright the sky is",
            )
        )


def _known(pattern: str | None) -> str | None:
    try:
        cfa_period(pattern)
    except ValueError:
        return None
    return pattern
