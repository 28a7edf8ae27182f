"""Tune the flats for one filter on the rig: shoot the requested tests, then check the lamp, shadows and filter.

`coldframe.capture.tuner` and `light_checks` make the decisions; this module exposes, moves and reports.
"""

from dataclasses import dataclass

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.library.library import LIBRARY
from coldframe.calibration.measuring.frame_shape import Bands, FrameShape, bands_between, is_large_enough
from coldframe.calibration.measuring.statistics import FULL_SCALE_ADU, FrameStatistics
from coldframe.capture.events.kinds import FlatTested, FlatTuned
from coldframe.capture.events.values import Severity, Topic
from coldframe.capture.flats.learned import FlatKey, LearnedFlat, LearnedFlats
from coldframe.capture.flats.light_checks import (
    FLICKER_RETRIES,
    NO_BANDS_FROM_S,
    doubtful_pairs,
    exposures_without_bands,
    filters_of_equal_light,
    find_shadow,
    is_flickering,
    library_flat_shape,
    other_filter_in_beam,
)
from coldframe.capture.flats.tuning_frames import TuningFrames
from coldframe.capture.recovery.exposing import apply_with_retries
from coldframe.capture.rig.light_path import flat_light, select_filter, set_brightness
from coldframe.capture.rig.rotator import turn_rotator
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.steps import TuneStep
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.limits import BrightnessRange, ExposureSpan, TuningLimits
from coldframe.capture.tuner.panel_curve import PanelCurve
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.tuner.tuner import FlatTuner, KnownLight, OutOfReach, Shoot, Tuned
from coldframe.config.tables.flats import FlatSettings
from coldframe.devices.camera import CameraFeatures
from coldframe.devices.flat_panel import FlatPanel


@dataclass(frozen=True, slots=True)
class FlatTuning:
    """The tuning of the flats for one filter.

    Attributes
    ----------
    context
        The night.
    learned
        Settings learned from earlier tunings.
    step
        The tuning step to run.
    number
        Number of the step in the night, for events.
    bias_adu
        Bias level with the same readout settings.
    curve
        Response of the panel, as measured with other filters.
    same_light
        Tuning of the same flats at another rotator angle; None if there is none. Its exposure is tried first, so that
        the dark flats for that exposure can be used again.
    """

    context: NightContext
    learned: LearnedFlats
    step: TuneStep
    number: int
    bias_adu: float
    curve: PanelCurve
    same_light: Tuned | None = None

    async def run(self) -> tuple[Tuned, PanelCurve]:
        """Find the exposure and brightness, switch the lamp off, and return the result with the panel's response.

        Raises
        ------
        StepFailedError
            If no allowed setting gives a good flat, or the time runs out.
        DeviceError
            If a device fails.
        """
        flats = self.context.settings.flats.for_filter(self.step.filter)
        try:
            async with self.context.steering.timeout(self._deadline_s(flats)):
                tuned, curve = await self._tune(flats)
                if other := self._other_filter(tuned, curve):
                    # A wheel can stop short of the filter. A second turn often reaches the filter.
                    await self._turn_away(other)
                    tuned, curve = await self._tune(flats)
        except TimeoutError:
            raise StepFailedError(f"no exposure was found within {self._deadline_s(flats):g} s") from None
        self._check_filter(tuned, curve)
        self._publish_result(tuned, flats)
        await self._remember(tuned)
        return tuned, curve

    def _deadline_s(self, flats: FlatSettings) -> float:
        """Return the time, in seconds, that the tests may take, plus the time for the user to switch a manual lamp."""
        panel = self.context.settings.panel
        switched_s = panel.manual_deadline_s if panel is not None and panel.kind == "manual" else 0.0
        return flats.tuning_deadline_s + switched_s

    async def _tune(self, flats: FlatSettings) -> tuple[Tuned, PanelCurve]:
        panel = self.context.rig.panel
        if panel is None or not panel.has_light:
            raise StepFailedError("there is no panel with a light")
        await apply_with_retries(self.context, self.step.readout)
        await turn_rotator(self.context, self.step.rotator_deg)
        await select_filter(self.context, self.step.filter)
        try:
            known = self.same_light or self.learned.recall(self._key(panel))
            tuner = self._tuner(flats, panel, None if known is None else known.known_light)
        except ValueError as error:  # the ranges of the camera or panel contradict the settings
            raise StepFailedError(str(error)) from error
        shot = self._next_shot(tuner, panel)
        assert shot is not None
        async with flat_light(self.context, panel, shot.brightness):
            tuned = await self._search(tuner, panel, flats, shot.brightness)
            tuned, curve = await self._without_flicker(tuned, tuner.curve, panel, flats)
            await self._check_for_shadows(tuned)
            return tuned, curve

    # ---- the search ----

    async def _search(self, tuner: FlatTuner, panel: FlatPanel, flats: FlatSettings, brightness: int | None) -> Tuned:
        """Shoot the tests that the tuner requests, with the panel initially at `brightness`; return the result.

        Raises
        ------
        StepFailedError
            If the tuner finds no setting.
        """
        while (shot := self._next_shot(tuner, panel)) is not None:
            brightness = await self._set_brightness(panel, shot.brightness, brightness)
            statistics = await self._frames.measure(shot.exposure_s, flats.saturation_adu)
            tuner.observe(_flat_test(shot, statistics))
            self._publish_test(shot, statistics, tuner.target, tuner.decide())
        decision = tuner.decide()
        if isinstance(decision, Tuned):
            await self._set_brightness(panel, decision.brightness, brightness)
            return decision
        raise StepFailedError(decision.message)

    def _next_shot(self, tuner: FlatTuner, panel: FlatPanel) -> Shoot | None:
        """Return the next test of the search, then a test that measures an unknown saturation level, then None."""
        decision = tuner.decide()
        if isinstance(decision, Shoot):
            return decision
        flats = self.context.settings.flats
        is_known = flats.saturation_adu is not None or self.learned.full_scale_adu(self._key(panel)) is not None
        return None if is_known else tuner.saturating_shot()

    async def _set_brightness(self, panel: FlatPanel, wanted: int | None, present: int | None) -> int | None:
        """Change the brightness if necessary, and return the resulting brightness."""
        if wanted is None or wanted == present:
            return present
        await set_brightness(self.context, panel, wanted)
        return wanted

    def _tuner(
        self, flats: FlatSettings, panel: FlatPanel, light: KnownLight | None, curve: PanelCurve | None = None
    ) -> FlatTuner:
        full_scale_adu = flats.saturation_adu or self.learned.full_scale_adu(self._key(panel)) or FULL_SCALE_ADU
        target = FlatTarget(self.bias_adu, full_scale_adu, flats.target, flats.band)
        return FlatTuner(target, _limits(flats, self.context.rig.camera.features, panel), light, curve or self.curve)

    def _key(self, panel: FlatPanel) -> FlatKey:
        return FlatKey.of(self.context.rig.camera.name, self.step.filter, panel.name, self.step.readout)

    @property
    def _frames(self) -> TuningFrames:
        return TuningFrames(self.context, self.step, self.number)

    # ---- checks under the lit panel ----

    async def _without_flicker(
        self, tuned: Tuned, curve: PanelCurve, panel: FlatPanel, flats: FlatSettings
    ) -> tuple[Tuned, PanelCurve]:
        """Tune again for longer exposures if the flats show that the lamp flickers, and return the last result."""
        longest_s = min(flats.exposure_limits_s[1], self.context.rig.camera.features.exposure_s.maximum)
        preferred = ExposureSpan(*flats.preferred_exposure_s)
        for retries_left in reversed(range(FLICKER_RETRIES + 1)):
            bands = await self._bands(tuned)
            if bands is None or not is_flickering(bands):
                break
            text = f"{self.step.title}: the lamp flickers: two flats of {tuned.exposure_s:g} s have bands of "
            text += f"{100 * bands.relative:.2g} % and levels that differ by {100 * abs(bands.level_ratio - 1):.2g} %"
            span = exposures_without_bands(bands, tuned.exposure_s, preferred, longest_s) if retries_left else None
            if span is None:
                self.context.notice(Severity.WARNING, f"{text}; continuing anyway; try a dimmer or different lamp")
                break
            self.context.notice(Severity.WARNING, f"{text}; tuning again for {span.shortest_s:.3g} s or longer")
            preferred = span
            longer = flats.model_copy(update={"preferred_exposure_s": (span.shortest_s, span.longest_s)})
            light = KnownLight(tuned.rate_adu_per_s, tuned.brightness, tuned.target.faintest_part)
            tuner = self._tuner(longer, panel, light, curve)
            tuned, curve = await self._search(tuner, panel, flats, tuned.brightness), tuner.curve
        return tuned, curve

    async def _bands(self, tuned: Tuned) -> Bands | None:
        """Compare two tuned flats. Return None if the exposure hides flicker or the frames are too small or unlit."""
        if tuned.exposure_s >= NO_BANDS_FROM_S:
            return None
        one, other = [await self._frames.shape(tuned.exposure_s) for _ in range(2)]
        is_lit = min(one.levels_adu.min(), other.levels_adu.min()) > self.bias_adu
        if not is_lit or not is_large_enough(one.levels_adu.shape):
            return None
        return bands_between(one, other, self.bias_adu)

    async def _check_for_shadows(self, tuned: Tuned) -> None:
        """Compare a flat with the library's master flat, if the library has a matching master.

        Raises
        ------
        StepFailedError
            If something blocks part of the light.
        """
        if (usual := await in_thread(self._library_flat_shape)) is None:
            return
        found = await self._frames.shape(tuned.exposure_s)
        if found.size == usual.size and (fault := find_shadow(found.levels_adu - self.bias_adu, usual.levels_adu)):
            raise StepFailedError(fault)

    def _library_flat_shape(self) -> FrameShape | None:
        folder = self.context.folder
        tests = folder.test_frames()
        try:
            return library_flat_shape(folder.path.parent / LIBRARY, tests[-1]) if tests else None
        except (FrameFileError, OSError) as error:
            self.context.notice(Severity.WARNING, f"flats are not compared with those from earlier nights: {error}")
            return None

    # ---- the filter, identified by its light ----

    async def _turn_away(self, other: str) -> None:
        """Turn the wheel to a filter that is neither selected nor, judging by the light, in the beam."""
        wheel, name = self.context.rig.wheel, self.step.filter
        assert wheel is not None
        text = f"{self.step.title}: the light matches filter {other}; turning the wheel away and back"
        self.context.notice(Severity.WARNING, text)
        away = [each for each in wheel.filters if each not in {name, other}] or [other]
        await select_filter(self.context, away[0])

    def _check_filter(self, tuned: Tuned, curve: PanelCurve) -> None:
        """Detect a wheel that did not turn, and warn about filters that cannot be distinguished.

        Raises
        ------
        StepFailedError
            If the light matches a different filter.
        """
        if other := self._other_filter(tuned, curve):
            raise StepFailedError(
                f"the light matches filter {other}, not {self.step.filter}: the wheel seems to be stuck; check "
                "it, then shoot these flats again"
            )
        if (lights := self._filter_light(tuned, curve)) is None:
            return
        name, tonight, earlier = lights
        for other in filters_of_equal_light(name, tonight):
            if not {name, other} <= earlier.keys():
                text = f"filters {name} and {other} pass the same amount of light: if they should not, check the wheel"
                self.context.notice(Severity.WARNING, text, topic=Topic.FILTER)
        announced = self.context.announced.doubtful_filters
        for one, other in set(doubtful_pairs(name, tonight, earlier)) - announced:
            announced.add((one, other))
            text = (
                f"filters {one} and {other} passed the same amount of light tonight, unlike on earlier nights: the "
                "wheel may have been stuck; check it, and the flats of both filters"
            )
            self.context.notice(Severity.WARNING, text, topic=Topic.FILTER)

    def _other_filter(self, tuned: Tuned, curve: PanelCurve) -> str | None:
        """Return the filter that seems to be in the beam instead of the selected filter, or None."""
        lights = self._filter_light(tuned, curve)
        return None if lights is None else other_filter_in_beam(*lights)

    def _filter_light(self, tuned: Tuned, curve: PanelCurve) -> tuple[str, dict[str, float], dict[str, float]] | None:
        """Return the selected filter and the light through each filter tonight and on earlier nights.

        Return None if the rig has no panel or no wheel, or if the step has no filter.
        """
        panel, name = self.context.rig.panel, self.step.filter
        if self.context.rig.wheel is None or panel is None or name is None:
            return None
        key = self._key(panel)
        tonight = {other: flat.light(curve) for other, flat in self.learned.alike(key).items()}
        tonight[name] = LearnedFlat.from_tuned(tuned, self.context.clock.now()).light(curve)
        earlier = {other: flat.light(curve) for other, flat in self.learned.alike_earlier(key).items()}
        return name, tonight, earlier

    # ---- results ----

    async def _remember(self, tuned: Tuned) -> None:
        panel = self.context.rig.panel
        assert panel is not None
        self.learned.remember(self._key(panel), LearnedFlat.from_tuned(tuned, self.context.clock.now()))
        try:
            await in_thread(self.learned.save)
        except OSError as error:
            self.context.notice(
                Severity.WARNING, f"the result of {self.step.title} was not saved for later nights: {error}"
            )

    def _publish_result(self, tuned: Tuned, flats: FlatSettings) -> None:
        self.context.publish(
            FlatTuned(
                self.context.clock.now(),
                self.number,
                self.step.filter,
                tuned.exposure_s,
                tuned.brightness,
                tuned.tests,
                tuned.target.full_scale_adu,
            )
        )
        if tuned.is_starved or not ExposureSpan(*flats.preferred_exposure_s).contains(tuned.exposure_s):
            severity = Severity.WARNING if tuned.is_starved else Severity.INFO
            self.context.notice(severity, f"{self.step.title}: {tuned.message}")

    def _publish_test(
        self, shot: Shoot, statistics: FrameStatistics, target: FlatTarget, decision: Shoot | Tuned | OutOfReach
    ) -> None:
        low_adu, high_adu = target.levels_adu
        self.context.publish(
            FlatTested(
                at=self.context.clock.now(),
                step=self.number,
                filter=self.step.filter,
                exposure_s=shot.exposure_s,
                brightness=shot.brightness,
                level_adu=statistics.brightest_adu,
                bias_adu=self.bias_adu,
                target_adu=self.bias_adu + target.signal_adu,
                low_adu=low_adu,
                high_adu=high_adu,
                saturated_fraction=statistics.saturated_fraction,
                verdict=decision.message,
            )
        )


def _flat_test(shot: Shoot, statistics: FrameStatistics) -> FlatTest:
    return FlatTest(
        shot.exposure_s,
        shot.brightness,
        statistics.brightest_adu,
        statistics.saturated_fraction,
        statistics.noise_adu,
        statistics.faintest_adu if statistics.channels else None,
        statistics.saturation_adu,
    )


def _limits(flats: FlatSettings, camera: CameraFeatures, panel: FlatPanel) -> TuningLimits:
    """Return the limits of the search: the configured limits that the camera and the panel also allow."""
    return TuningLimits(
        exposure=ExposureSpan(
            max(flats.exposure_limits_s[0], camera.exposure_s.minimum),
            min(flats.exposure_limits_s[1], camera.exposure_s.maximum),
        ),
        shutter_s=() if camera.shutter is None else camera.shutter.times_s,
        preferred=ExposureSpan(*flats.preferred_exposure_s),
        brightness=_brightness_range(panel),
        maximum_tests=flats.maximum_tests,
    )


def _brightness_range(panel: FlatPanel) -> BrightnessRange | None:
    limits = panel.brightness_limits
    if limits is None or limits.maximum <= limits.minimum:
        return None
    return BrightnessRange(round(limits.minimum), round(limits.maximum), max(1, round(limits.step)))
