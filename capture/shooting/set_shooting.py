"""Shoot one set, from the first exposure to its master: choose each exposure, and decide when the set is complete."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ParamSpec, TypeVar

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.masters.flat_pedestal import PedestalVerdict, Subtract
from coldframe.calibration.stacking.accumulator import WrongFrameError
from coldframe.capture.events.kinds import PedestalDecided, SetResized
from coldframe.capture.events.values import Severity, SkippedBy
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.exposing_frame import FrameExposer, Shot
from coldframe.capture.pipeline.frame_pipeline import FramePipeline
from coldframe.capture.pipeline.judged_frame import JudgedFrame
from coldframe.capture.pipeline.making_master import publish_and_file
from coldframe.capture.pipeline.taking_over import take_over
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.rig.light_path import darken, flat_light, select_filter, select_filter_if_possible
from coldframe.capture.rig.rotator import turn_rotator
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.session.steering import BY_REQUEST
from coldframe.capture.shooting.set_frames import LightLeakError, SetFrames
from coldframe.capture.shooting.set_inputs import DarkFlatInputs, DarkInputs, FlatInputs, SetInputs, ShotSet
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.saved_frames import SavedFrame, SavedFrames, Wanted
from coldframe.capture.threads import LONG_WORK_S, in_thread, in_thread_within
from coldframe.config.frames import FrameKind
from coldframe.counted import counted
from coldframe.devices.errors import DeviceError

P = ParamSpec("P")
T = TypeVar("T")

LEAST_FRAMES = 5
"""Minimum number of frames from which the master of a failed set is made; outliers cannot be clipped from fewer
frames.
"""


class SetShooting:
    """Shoots one set and makes its master.

    Parameters
    ----------
    context
        The night.
    number
        Number of the step, for events.
    step
        The set.
    inputs
        Inputs from earlier steps.
    """

    def __init__(self, context: NightContext, number: int, step: ShootStep, inputs: SetInputs) -> None:
        self._context = context
        self._number = number
        self._step = step
        self._inputs = inputs
        delivered = DeliveredFrames(context, number)
        self._exposer = FrameExposer(context, number, step.kind, step.readout, step.setpoint_c, delivered=delivered)
        self._frames = SetFrames(context, number, step, inputs, delivered=delivered, give_up=self._end_exposing)
        self._pipeline = FramePipeline[Shot, JudgedFrame](delivered, self._frames.judge, self._frames.keep)
        self._exposed = 0
        self._began_s = context.worked_s()
        self._verdict: PedestalVerdict | None = None

    async def run(self) -> ShotSet:
        """Shoot until enough frames are accepted, then combine them and save the master.

        Raises
        ------
        StepFailedError
            If shooting failed before `LEAST_FRAMES` frames were accepted, or if their master cannot be made.
        LightLeakError
            If frames that should be dark contain light, and fewer than `LEAST_FRAMES` frames were accepted. The frames
            are then in quarantine.
        DeviceError
            If the rig lacks a capability that the set needs.
        ContestedError
            If another program keeps changing the camera's settings.
        NotDurableError
            If a file could not be written to disk.
        """
        with self._context.steering.on_skip(self._skip):
            shortfall, leak = await self._shoot_or_fall_short()
            await self._report_cause()
            finished = await self._with_frames_on_disk(self._frames.master.write, self._context.folder)
            await publish_and_file(self._context, self._number, finished.written)
        return ShotSet(
            master=finished.subtracted,
            frames=self._frames.count.accepted,
            taken_over=self._frames.taken_over,
            shortfall=shortfall,
            # The set that shares its frames has already contributed them to the measurements of the camera.
            studied=None if self._frames.shared else self._frames.master.studied(),
            verdict=self._verdict,
            leak=leak,
            has_drifted=shortfall is None and self._frames.count.is_drifting,
        )

    async def _shoot_or_fall_short(self) -> tuple[str | None, str | None]:
        """Shoot the set. Return the reason for missing frames and the leak that ended the set; either may be None."""
        count = self._frames.count
        try:
            await self._take_over()
            if not count.is_complete:
                async with self._light():
                    await self._pipeline.run(self._expose_all)
        except (StepFailedError, DeviceError) as error:
            leak = str(error) if isinstance(error, LightLeakError) else None
            if count.accepted < LEAST_FRAMES:
                if leak is not None:
                    await self._frames.withdraw_all(leak)
                raise
            return f"{error}; its master has {count.accepted} of {count.size.aim} frames", leak
        return None, None

    @asynccontextmanager
    async def _light(self) -> AsyncIterator[None]:
        """Provide the light or the darkness that the frames need, while the block runs."""
        panel, inputs = self._context.rig.panel, self._inputs
        if not isinstance(inputs, FlatInputs) or panel is None:
            await darken(self._context)
            yield
            return
        await turn_rotator(self._context, self._step.rotator_deg)
        await select_filter(self._context, self._step.filter)
        async with flat_light(self._context, panel, inputs.tuned.brightness):
            yield

    async def _take_over(self) -> None:
        """Count this set's frames from an earlier run of the night, then matching dark flats of other angles."""
        await self._take_over_from(self._context.saved)
        if self._step.shares_frames and not self._frames.count.is_complete:
            await self._take_over_from(await self._dark_flats_on_disk())
            if shared := len(self._frames.shared):
                reused = counted(shared, "dark flat")
                text = f"{self._step.title}: reused {reused} of another rotator angle with the same exposure"
                self._context.notice(Severity.INFO, text)

    async def _take_over_from(self, saved: SavedFrames) -> None:
        context, count = self._context, self._frames.count
        tolerance_deg = context.settings.rotator_tolerance_deg
        wanted = Wanted.of(self._step, context.rig.camera.name, self._inputs.exposure_s, tolerance_deg)
        if await in_thread(saved.count, wanted):
            settings = await with_retries(context, self._exposer.apply_settings)
            source = replace(context, saved=saved)
            await take_over(source, wanted, settings, lambda: count.is_complete, self._count_saved)

    async def _dark_flats_on_disk(self) -> SavedFrames:
        """Return the dark flats that other sets of the night have shot; none if their folder cannot be listed."""
        try:
            saved = await in_thread_within(LONG_WORK_S, self._find_dark_flats)
        except OSError as error:
            fault = f"the dark flats of other rotator angles cannot be listed ({error.strerror or error})"
            self._context.notice(Severity.WARNING, f"{self._step.title}: {fault}; shooting all frames instead")
            return SavedFrames(self._context.folder)
        for fault in saved.faults():
            self._context.notice(Severity.WARNING, fault)
        return saved

    def _find_dark_flats(self) -> SavedFrames:
        folder, own = self._context.folder, set(self._frames.master.accepted.paths)
        paths = [path for path in folder.frames_of(FrameKind.DARK_FLAT) if path not in own]
        return SavedFrames(folder, paths, are_shared=True)

    async def _count_saved(self, saved: SavedFrame) -> None:
        await self._frames.keep_saved(saved)
        await self._decide()

    async def _expose_all(self) -> None:
        """Expose the remaining frames, then replacements for rejected frames and any additional frames."""
        count = self._frames.count
        while not count.is_complete:
            for _ in range(count.missing):
                await self._pipeline.submit(await with_retries(self._context, self._expose))
                if count.is_drifting:
                    break
            await self._pipeline.until_kept()
            await self._decide()

    async def _expose(self) -> Shot:
        self._context.require_time(self._inputs.exposure_s)
        await self._prepare_light()
        shot = await self._exposer.expose(self._inputs.exposure_s, self._step.filter)
        self._exposed += 1
        return shot

    async def _prepare_light(self) -> None:
        """Select the filter that darks need, and darken the rig again if the last frame contains light."""
        filters = self._inputs.filters if isinstance(self._inputs, DarkInputs) else None
        if filters is not None and self._exposed < len(filters):
            await select_filter_if_possible(self._context, filters[self._exposed])
        if self._frames.lit and self._step.kind.needs_darkness:
            await darken(self._context)

    async def _decide(self) -> None:
        """Once the required frames are accepted, decide whether the set needs more frames."""
        if self._frames.count.accepted >= self._frames.count.wanted:
            await self._compare_with_bias()
            await self._check_noise()

    async def _compare_with_bias(self) -> None:
        """Compare the dark flats with the bias once. Shoot more dark flats only if the bias cannot replace them."""
        test = self._inputs.test if isinstance(self._inputs, DarkFlatInputs) else None
        if test is None or self._verdict is not None:
            return
        count = self._frames.count
        self._verdict = await self._with_frames_on_disk(self._frames.master.compare, test)
        if self._verdict.subtract is Subtract.DARK_FLAT:
            count.shoot_all()
        self._context.publish(
            PedestalDecided(
                self._context.clock.now(),
                self._number,
                count.wanted if count.is_limited_to_probes else count.size.aim,
                self._step.filter,
                self._inputs.exposure_s,
                self._verdict,
            )
        )

    async def _check_noise(self) -> None:
        """Adapt the size of the set to the noise of its master so far, and report any change."""
        context, count = self._context, self._frames.count
        if count.is_limited_to_probes or count.accepted < count.wanted:
            return
        size, before = count.size, count.size.aim
        estimate = await in_thread(size.look, count.accepted)
        if estimate is None:
            return
        if size.aim != before:
            estimate_s = size.aim * (context.worked_s() - self._began_s) / count.accepted
            context.publish(SetResized(context.clock.now(), self._number, size.aim, estimate_s, estimate.reason))
        if size.aim == count.accepted and not estimate.is_met:
            context.notice(Severity.WARNING, f"{self._step.title}: {estimate.summary}; no further frames are shot")

    async def _report_cause(self) -> None:
        """If the noise of the master does not fall as expected, report the cause."""
        if cause := await in_thread(self._frames.count.size.cause):
            self._context.notice(Severity.WARNING, f"{self._step.title}: {cause}")

    async def _with_frames_on_disk(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that may read frames again. If a file is unreadable or has changed, only this set fails."""
        try:
            return await in_thread_within(LONG_WORK_S, work, *args, **kwargs)
        except FrameFileError as error:
            raise StepFailedError(f"a frame cannot be read again: {error}") from error
        except WrongFrameError as error:
            raise StepFailedError(f"the frames on disk cannot be combined: {error}") from error

    def _end_exposing(self, error: StepFailedError) -> bool:
        return self._pipeline.end_exposing(error)

    def _skip(self) -> str | None:
        """End exposing at the user's request. The master is made from the frames that the set has."""
        if not self._pipeline.has_begun:
            return None
        if self._pipeline.is_ending:
            return "the set is already ending"
        if not self._pipeline.end_exposing(StepSkippedError(BY_REQUEST, SkippedBy.USER)):
            return "all its frames are complete, and its master is being made"
        self._context.steering.mark_skipped()
        return f"skipped; its frames are combined if there are at least {LEAST_FRAMES}"
