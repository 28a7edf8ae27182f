"""Flat tuning on the rig: shoots what the tuner asks for and tells it what was seen."""

import asyncio
from dataclasses import dataclass

from coldframe.calibration.statistics import FULL_SCALE_ADU, FrameStatistics, measure, preview
from coldframe.capture.context import NightContext, StepFailedError
from coldframe.capture.events import FlatTested, FlatTuned, FrameShown, Severity
from coldframe.capture.exposing import expose_once, patiently
from coldframe.capture.learned_flats import FlatKey, LearnedFlat, LearnedFlats
from coldframe.capture.light_path import flat_light, select_filter, set_brightness
from coldframe.capture.panel_curve import PanelCurve
from coldframe.capture.plan import TuneStep
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner import (
    BrightnessRange,
    ExposureSpan,
    FlatTarget,
    FlatTest,
    FlatTuner,
    KnownLight,
    OutOfReach,
    Shoot,
    Tuned,
    TuningLimits,
)
from coldframe.config.frames import FrameKind
from coldframe.config.settings import FlatSettings
from coldframe.devices.flat_panel import FlatPanel


@dataclass(frozen=True, slots=True)
class FlatTuning:
    """Tunes the flats of one filter.

    Attributes
    ----------
    number
        The step's number in the night, for events.
    bias_adu
        Level of a bias frame with the same readout settings.
    curve
        What is known of the panel's brightness from other filters.
    """

    context: NightContext
    learned: LearnedFlats
    step: TuneStep
    number: int
    bias_adu: float
    curve: PanelCurve

    async def run(self) -> tuple[Tuned, PanelCurve]:
        """Find exposure and brightness, and return them with what is known of the panel then; the lamp is out again.

        Raises
        ------
        StepFailedError
            No allowed setting gives a good flat, or the time was up.
        DeviceError
            The rig failed.
        """
        flats = self.context.settings.flats.for_filter(self.step.filter)
        try:
            async with asyncio.timeout(flats.tuning_deadline_s):
                tuned, curve = await self._tune(flats)
        except TimeoutError:
            raise StepFailedError(f"no exposure was found within {flats.tuning_deadline_s:g} s") from None
        self.context.tell(
            FlatTuned(
                self.context.clock.now(), self.number, self.step.filter, tuned.exposure_s, tuned.brightness, tuned.tests
            )
        )
        if not ExposureSpan(*flats.preferred_exposure_s).contains(tuned.exposure_s):
            self.context.notice(Severity.INFO, f"{self.step.title}: {tuned.message}")
        await self._remember(tuned)
        return tuned, curve

    async def _remember(self, tuned: Tuned) -> None:
        panel = self.context.rig.panel
        assert panel is not None
        self.learned.remember(
            self._key(panel),
            LearnedFlat(
                exposure_s=tuned.exposure_s,
                brightness=tuned.brightness,
                rate_adu_per_s=tuned.rate_adu_per_s,
                full_scale_adu=tuned.full_scale_adu,
                learned_at=self.context.clock.now(),
            ),
        )
        try:
            await in_thread(self.learned.save)
        except OSError as error:
            self.context.notice(Severity.WARNING, f"what was learned of {self.step.title} was not kept: {error}")

    async def _tune(self, flats: FlatSettings) -> tuple[Tuned, PanelCurve]:
        panel = self.context.rig.panel
        if panel is None or not panel.has_light:
            raise StepFailedError("there is no panel that can be lit")
        await self.context.rig.camera.apply(self.step.readout)
        await select_filter(self.context, self.step.filter)
        try:
            tuner = self._tuner(flats, panel)
        except ValueError as error:  # what the camera or the panel can do does not go with what is wanted
            raise StepFailedError(str(error)) from error
        decision = tuner.decide()
        assert isinstance(decision, Shoot)
        async with flat_light(self.context, panel, decision.brightness):
            brightness = decision.brightness
            while isinstance(decision, Shoot):
                if decision.brightness is not None and decision.brightness != brightness:
                    brightness = decision.brightness
                    await set_brightness(self.context, panel, brightness)
                statistics = await self._test(decision, flats)
                tuner.observe(
                    FlatTest(
                        decision.exposure_s,
                        decision.brightness,
                        statistics.level_adu,
                        statistics.saturated_fraction,
                        statistics.noise_adu,
                    )
                )
                shot, decision = decision, tuner.decide()
                self._tell(shot, statistics, tuner.target, decision)
        if isinstance(decision, OutOfReach):
            raise StepFailedError(decision.message)
        return decision, tuner.curve

    def _tuner(self, flats: FlatSettings, panel: FlatPanel) -> FlatTuner:
        camera = self.context.rig.camera.features
        limits = TuningLimits(
            exposure=ExposureSpan(
                max(flats.exposure_limits_s[0], camera.exposure_s.minimum),
                min(flats.exposure_limits_s[1], camera.exposure_s.maximum),
            ),
            preferred=ExposureSpan(*flats.preferred_exposure_s),
            brightness=_brightness_range(panel),
            maximum_tests=flats.maximum_tests,
        )
        known = self.learned.recall(self._key(panel))
        learned_adu = known.full_scale_adu if known is not None else FULL_SCALE_ADU
        target = FlatTarget(self.bias_adu, flats.saturation_adu or learned_adu, flats.target, flats.band)
        light = KnownLight(known.rate_adu_per_s, known.brightness) if known is not None else None
        return FlatTuner(target, limits, light, self.curve)

    def _key(self, panel: FlatPanel) -> FlatKey:
        return FlatKey.of(self.context.rig.camera.name, self.step.filter, panel.name, self.step.readout)

    async def _test(self, shot: Shoot, flats: FlatSettings) -> FrameStatistics:
        frame = await patiently(
            self.context, lambda: expose_once(self.context, self.number, FrameKind.FLAT, shot.exposure_s)
        )
        measurement = await in_thread(measure, frame.pixels, flats.saturation_adu)
        picture = await in_thread(preview, frame.pixels)
        title = f"{self.step.title}, test of {shot.exposure_s:g} s"
        self.context.tell(FrameShown(self.context.clock.now(), title, picture, measurement.histogram128()))
        await in_thread(self.context.folder.save_test, frame, self.step.filter)
        return measurement.statistics

    def _tell(
        self, shot: Shoot, statistics: FrameStatistics, target: FlatTarget, decision: Shoot | Tuned | OutOfReach
    ) -> None:
        low_adu, high_adu = (self.bias_adu + part * target.range_adu for part in target.band)
        self.context.tell(
            FlatTested(
                at=self.context.clock.now(),
                step=self.number,
                filter=self.step.filter,
                exposure_s=shot.exposure_s,
                brightness=shot.brightness,
                level_adu=statistics.level_adu,
                bias_adu=self.bias_adu,
                target_adu=self.bias_adu + target.signal_adu,
                low_adu=low_adu,
                high_adu=high_adu,
                saturated_fraction=statistics.saturated_fraction,
                verdict=decision.message,
            )
        )


def _brightness_range(panel: FlatPanel) -> BrightnessRange | None:
    limits = panel.brightness_limits
    if limits is None or limits.maximum <= limits.minimum:
        return None
    return BrightnessRange(round(limits.minimum), round(limits.maximum), max(1, round(limits.step)))
