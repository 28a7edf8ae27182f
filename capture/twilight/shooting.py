"""Shoot twilight flats: wait for the sky, and take the scheduled exposures until all filters have their flats.

The flats are not combined here, because the dark flats that they need depend on the exposures of all flats.
"""

import asyncio
from datetime import timedelta
from functools import partial

from coldframe.calibration.measuring.statistics import FULL_SCALE_ADU
from coldframe.capture.clock import clock_text
from coldframe.capture.events.values import Severity
from coldframe.capture.flats.learned import FlatKey, LearnedFlats
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.exposing_frame import FrameExposer
from coldframe.capture.pipeline.frame_pipeline import FramePipeline
from coldframe.capture.pipeline.taking_over import take_over
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.rig.light_path import open_to_sky, select_filter
from coldframe.capture.rig.rotator import turn_rotator
from coldframe.capture.session.context import NightContext
from coldframe.capture.steps import ShootStep, SkyStep
from coldframe.capture.storage.saved_frames import Wanted
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.twilight.schedule import Expose, Finished, SkyLimits, SkySchedule, Wait
from coldframe.capture.twilight.sky_brightness import GROWTH_PER_DEG, SkyBrightness
from coldframe.capture.twilight.sky_frames import JudgedSkyFlat, SkyFrames, SkyShot
from coldframe.capture.twilight.sun_phase import is_over, wait_for_twilight
from coldframe.config.frames import FrameKind, ReadoutSettings

SHORTEST_TEST_S = 0.001
"""Shortest exposure of test frames. At sunset, a hundredth of a second is too long for most filters."""

LONGEST_SLEEP_S = 30.0
"""Maximum wait between two decisions of the schedule."""

_LEAST_PACE_DEG_PER_S = 0.0005


class SkyShooting:
    """Shoots the flats of one twilight.

    Parameters
    ----------
    context
        The night.
    learned
        Saturation of the camera, measured on earlier nights.
    number
        Number of the step, for events.
    step
        The flats.
    bias_adu
        Level of frames without light.
    """

    def __init__(
        self, context: NightContext, learned: LearnedFlats, number: int, step: SkyStep, bias_adu: float
    ) -> None:
        self._context = context
        self._step = step
        self._bias_adu = bias_adu
        self._full_scale_adu = self._known_full_scale_adu(learned)
        self._delivered = DeliveredFrames(context, number)
        self._exposer = FrameExposer(
            context, number, FrameKind.FLAT, step.readout, step.setpoint_c, delivered=self._delivered
        )
        self.frames = SkyFrames(context, number, step, self._full_scale_adu, self._delivered)
        self._announced: str | None = None

    async def run(self) -> str | None:
        """Shoot until each filter has its flats or its time is over. Return a message about missing flats, or None.

        Raises
        ------
        StepFailedError
            If too many exposures failed, or the deadline passed.
        DeviceError
            If the rig failed.
        ContestedError
            If another program keeps changing the camera's settings.
        NotDurableError
            If a file could not be written to disk.
        """
        context = self._context
        settings = await with_retries(context, self._exposer.apply_settings)
        for flat in self._step.flats:
            await self._take_over(flat, settings)
        if self.frames.count >= self._step.count:
            return None
        # Turn the rotator while the sky is still too bright or too dark, because twilight is short.
        await turn_rotator(context, self._step.rotator_deg)
        schedule = self._schedule(await wait_for_twilight(context))
        await open_to_sky(context)
        pipeline = FramePipeline[SkyShot, JudgedSkyFlat](
            self._delivered, partial(self.frames.judge, schedule), self.frames.keep
        )
        if not await pipeline.run(partial(self._expose_all, schedule, pipeline)):
            return f"twilight is over with {self.frames.count} of {self._step.count} flats"
        return "; ".join(f"{name or 'flats'}: {reason}" for name, reason in schedule.given_up.items()) or None

    async def _take_over(self, flat: ShootStep, settings: ReadoutSettings) -> None:
        """Count the flats of one filter that an earlier run of the night shot, regardless of their exposures."""
        accepted = self.frames.sets[flat.filter].accepted
        context = self._context
        wanted = Wanted.of(flat, context.rig.camera.name, None, context.settings.rotator_tolerance_deg)
        await take_over(
            self._context,
            wanted,
            settings,
            lambda: len(accepted) >= flat.count,
            partial(self.frames.keep_saved, flat),
        )

    def _schedule(self, pace_deg_per_s: float) -> SkySchedule:
        is_dawn = pace_deg_per_s > 0
        # Avoid a division by zero when the sun's altitude hardly changes, as near its culmination at high latitudes.
        pace_deg_per_s = max(abs(pace_deg_per_s), _LEAST_PACE_DEG_PER_S) * (1 if is_dawn else -1)
        schedule = SkySchedule(SkyBrightness(GROWTH_PER_DEG * pace_deg_per_s), is_dawn)
        for flat in self._step.flats:
            missing = flat.count - len(self.frames.sets[flat.filter].accepted)
            if missing > 0:
                self._plan(schedule, flat, missing)
        return schedule

    def _plan(self, schedule: SkySchedule, flat: ShootStep, missing: int) -> None:
        camera, flats = self._context.rig.camera.features, self._context.settings.flats.for_filter(flat.filter)
        limits = SkyLimits(
            shortest_s=max(flats.preferred_exposure_s[0], camera.exposure_s.minimum),
            longest_s=min(flats.exposure_limits_s[1], camera.exposure_s.maximum),
            test_s=max(SHORTEST_TEST_S, camera.exposure_s.minimum),
        )
        schedule.plan(
            flat.filter, missing, FlatTarget(self._bias_adu, self._full_scale_adu, flats.target, flats.band), limits
        )

    def _known_full_scale_adu(self, learned: LearnedFlats) -> float:
        key = FlatKey.of(self._context.rig.camera.name, None, None, self._step.readout)
        known_adu = self._context.settings.flats.saturation_adu or learned.full_scale_adu(key)
        return FULL_SCALE_ADU if known_adu is None else known_adu

    async def _expose_all(self, schedule: SkySchedule, pipeline: FramePipeline[SkyShot, JudgedSkyFlat]) -> bool:
        """Take the scheduled exposures. Return True when the schedule is finished, or False if twilight ends first."""
        while not isinstance(decision := await self._decide(schedule), Finished):
            if is_over(self._context, is_dawn=schedule.is_dawn):
                return False
            if isinstance(decision, Wait):
                await self._wait(decision)
                continue
            expose = partial(self._exposer.expose, decision.exposure_s, decision.filter)
            await pipeline.submit(SkyShot(await with_retries(self._context, expose), decision))
            # The next exposure depends on the brightness of this frame, but need not wait until the frame has been
            # saved.
            await pipeline.until_judged()
        return True

    async def _decide(self, schedule: SkySchedule) -> Expose | Wait | Finished:
        """Return the next decision, after turning the wheel to the filter of the decision.

        After the wheel has turned, the schedule decides again, because the sky has changed while the wheel was turning.
        """
        context = self._context
        await with_retries(context, self._exposer.prepare)
        decision, in_beam = schedule.decide(context.clock.elapsed_s()), None
        while not isinstance(decision, Finished) and decision.filter != in_beam:
            in_beam = decision.filter
            await select_filter(context, in_beam)
            decision = schedule.decide(context.clock.elapsed_s())
        return decision

    async def _wait(self, wait: Wait) -> None:
        context, name = self._context, wait.filter or "flats"
        context.require_time(0.0)
        seconds = wait.until_s - context.clock.elapsed_s()
        if seconds > LONGEST_SLEEP_S and self._announced != name:
            self._announced = name
            text = clock_text(context.clock.now() + timedelta(seconds=seconds))
            context.notice(Severity.INFO, f"waiting for the sky: {name} from about {text}")
        await asyncio.sleep(min(max(seconds, 0.0), LONGEST_SLEEP_S))
