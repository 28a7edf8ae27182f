"""Run one step of a night: cool, tune, shoot or combine, using the products of earlier steps."""

from dataclasses import replace
from functools import partial

from coldframe.calibration.measuring.statistics import measure
from coldframe.capture.events.values import ExposurePurpose
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.flats.tuning import FlatTuning
from coldframe.capture.night.cooling import Cooling
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.recovery.exposing import apply_with_retries, expose_with_retries
from coldframe.capture.rig.light_path import darken
from coldframe.capture.rig.temperature import OutOfReachError
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.session.skipping import skippable
from coldframe.capture.shooting.ambient_darks import in_parts, made_already
from coldframe.capture.shooting.camera_ladder import Characterisation, LadderLight
from coldframe.capture.shooting.gain_check import GainCheck
from coldframe.capture.shooting.light_leak_retry import LightLeakRetry
from coldframe.capture.shooting.set_inputs import BiasInputs, DarkInputs, FlatInputs, SetInputs
from coldframe.capture.steps import CoolStep, ShootStep, SkyMasterStep, SkyStep, Step, TuneStep
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner.tuner import Tuned
from coldframe.capture.twilight.session import SkySets
from coldframe.config.frames import FrameKind


class StepRunner:
    """A runner that performs the steps of a night, one at a time.

    Parameters
    ----------
    context
        The night.
    learned
        Flat exposures from earlier nights. The night adds the exposures that it finds.
    progress
        The plan, and the products so far.
    """

    def __init__(self, context: NightContext, learned: LearnedFlats, progress: PlanProgress) -> None:
        self._context = context
        self._learned = learned
        self._progress = progress
        self._products = progress.products
        self._cooling = Cooling(context, progress)
        self._characterisation = Characterisation(context)
        self._light_leak_retry = LightLeakRetry(context)
        self._gain_check = GainCheck(context)
        self._sky = SkySets(context, learned)

    async def run(self, number: int, step: Step) -> None:
        """Run the given step. If the sensor becomes too warm, shoot the rest of the set at a setpoint within reach.

        Raises
        ------
        StepFailedError, StepSkippedError
            If the step could not be done as planned.
        DeviceError
            If the rig failed.
        NotDurableError
            If a file could not be written to disk.
        ContestedError
            If another program keeps changing the rig.
        """
        if isinstance(step, CoolStep):
            await self._cooling.reach(number, step.setpoint_c)
            return
        try:
            await self._run(number, step)
        except OutOfReachError as error:
            sentence = await self._cooling.fall_back(number, error)
            moved = self._progress.steps[number - 1]
            if moved != step:
                await self._run(number, moved)
            raise StepFailedError(sentence) from error

    def require_setpoint(self, setpoint_c: float | None) -> None:
        """Check that the sensor has reached the given setpoint; see `Cooling.require`."""
        self._cooling.require(setpoint_c)

    async def keep_measurements(self) -> None:
        """Write the night's measurements of the camera to the camera's record."""
        await self._characterisation.keep()

    async def _run(self, number: int, step: Step) -> None:
        async with skippable(self._context, number):
            match step:
                case TuneStep():
                    await self._tune(number, step)
                case ShootStep():
                    await self._shoot(number, step)
                case SkyStep():
                    await self._shoot_sky(number, step)
                case SkyMasterStep():
                    await self._sky.combine(number, step)

    async def _tune(self, number: int, step: TuneStep) -> None:
        self._cooling.require(step.setpoint_c)
        tuned, curve = self._progress.earlier_tuning(step), self._products.panel_curve
        if tuned is None:
            await self._gain_check.confirm(number, step.readout)
            bias_adu = await self._bias_level_adu(number, step)
            same_light = self._products.tuned_at_other_angle(step)
            tuning = FlatTuning(self._context, self._learned, step, number, bias_adu, curve, same_light)
            tuned, curve = await tuning.run()
        self._progress.keep_tuning(step, tuned, curve)

    async def _shoot_sky(self, number: int, step: SkyStep) -> None:
        self._cooling.require(step.setpoint_c)
        await self._gain_check.confirm(number, step.readout)
        await self._sky.shoot(number, step, await self._bias_level_adu(number, step.flats[0].tuning))

    async def _bias_level_adu(self, number: int, step: TuneStep) -> float:
        """Return the level of this night's master bias or, if there is none, of a bias frame that is shot now."""
        known_adu = self._products.bias_level_adu(step)
        if known_adu is not None:
            return known_adu
        camera = self._context.rig.camera
        await apply_with_retries(self._context, step.readout)
        await darken(self._context)
        shortest_s = camera.features.exposure_s.minimum
        frame = await expose_with_retries(
            self._context, number, FrameKind.BIAS, shortest_s, purpose=ExposurePurpose.BIAS_LEVEL
        )
        await in_thread(self._context.folder.save_test, frame, None)
        measurement = await in_thread(measure, frame.pixels)
        return measurement.statistics.level_adu

    async def _shoot(self, number: int, step: ShootStep) -> None:
        self._cooling.require(step.setpoint_c)
        if not self._progress.is_done(number):
            await self._gain_check.confirm(number, step.readout)
        e_per_adu = await in_thread(self._characterisation.e_per_adu, step.readout)
        inputs, began_s = await self._inputs(step, e_per_adu), self._context.worked_s()
        if isinstance(inputs, DarkInputs) and step.setpoint_c is None:
            made = await in_thread(made_already, self._context.folder, step, self._context.rig.camera.name)
            self._context.saved.release(made)
            step, inputs = replace(step, count=step.count - len(made)), replace(inputs, shot_before=len(made))
            if step.count <= 0:
                return
        shot = await in_parts(step, inputs, partial(self._light_leak_retry.shoot, number))
        self._progress.keep_set(number, step, shot)
        self._sky.keep(step, inputs.exposure_s, shot.master)
        if shot.studied is not None:
            self._characterisation.add(step.readout, shot.studied)
        self._progress.learn_pace(shot, inputs.exposure_s, self._context.worked_s() - began_s)
        if shot.shortfall is not None:
            raise StepFailedError(shot.shortfall)
        if isinstance(inputs, FlatInputs) and shot.taken_over < shot.frames:
            await self._characterisation.climb(number, ladder_light(step, inputs.tuned))

    async def _inputs(self, step: ShootStep, e_per_adu: float | None) -> SetInputs:
        """Return the inputs that the set takes from earlier steps.

        Raises
        ------
        StepSkippedError
            If the result of an earlier step is missing.
        """
        match step.kind:
            case FrameKind.BIAS:
                return BiasInputs(self._context.rig.camera.features.exposure_s.minimum, e_per_adu)
            case FrameKind.DARK:
                bias_adu = self._products.bias_level_adu(step)
                ceiling_adu = await in_thread(self._characterisation.dark_ceiling_adu, step, bias_adu)
                return self._products.dark_inputs(step, e_per_adu, ceiling_adu)
        if self._context.settings.flats.source == "sky":
            return self._sky.next_dark_flat_inputs(step, e_per_adu)
        if step.tuning not in self._products.tuned:
            raise StepSkippedError("no exposure was found for its flats")
        if step.kind is FrameKind.DARK_FLAT:
            return self._products.dark_flat_inputs(step, self._progress.steps, e_per_adu)
        inputs = self._products.flat_inputs(step)
        if inputs is None:
            raise StepSkippedError("there is neither a master dark flat nor a master bias to subtract")
        return inputs


def ladder_light(step: ShootStep, tuned: Tuned) -> LadderLight:
    """Return the illumination under which the flats of a set were shot."""
    return LadderLight(step.readout, step.filter, tuned.brightness, tuned.rate_adu_per_s, tuned.target.range_adu)
