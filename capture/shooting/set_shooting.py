"""One set, from the first exposure to its master.

Exposing comes first: the next exposure starts as soon as a frame is in. Saving, judging and folding follow behind a
short queue, which holds the camera back when they cannot keep up.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.masters.flat_pedestal import PROBES, PedestalVerdict, Subtract
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.measuring.frame_shape import frame_shape
from coldframe.calibration.measuring.statistics import FrameMeasurement, measure, preview
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture.events.kinds import (
    FrameAccepted,
    FrameRejected,
    FrameShown,
    MasterGrew,
    MasterWritten,
    PedestalDecided,
    SetResized,
    Severity,
    SkippedBy,
)
from coldframe.capture.judging.frame_gate import Fault, FlatBand, FrameGate, FrameLook
from coldframe.capture.judging.thermometer import TemperatureWatch
from coldframe.capture.recovery.exposing import expose_once
from coldframe.capture.recovery.interference import reclaim
from coldframe.capture.recovery.pausing import until_resumed
from coldframe.capture.recovery.retrying import spend_retry, with_retries
from coldframe.capture.rig.light_path import darken, flat_light, select_filter, select_filter_if_possible
from coldframe.capture.rig.temperature import hold, thermometer_fault, watched
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.session.steering import BY_REQUEST
from coldframe.capture.shooting.ambient_darks import has_left_bin
from coldframe.capture.shooting.set_inputs import BiasInputs, DarkFlatInputs, DarkInputs, FlatInputs, SetInputs, ShotSet
from coldframe.capture.shooting.set_master import SetMaster
from coldframe.capture.shooting.set_size import SetSize
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.saved_frames import SavedFrame, Wanted
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceError

P = ParamSpec("P")
T = TypeVar("T")

QUEUE_LENGTH = 1
"""Frames that may wait to be judged; with one in each of exposing, judging and keeping, four are in memory."""

DRAIN_DEADLINE_S = 120.0
"""Longest wait for frames on their way to the disk when a set ends early."""

LEAST_FRAMES = 5
"""A set that failed still gets a master from so many frames: fewer cannot be clipped."""

LIT_FRAMES = 3
"""Frames without darkness, one after the other, that end a set: the panel is put out and the cover closed again before
the third."""


class LightLeakError(StepFailedError):
    """Light falls on frames that should be dark; the text says where."""


@dataclass(frozen=True, slots=True)
class _Shot:
    """A frame on its way to the disk, and what is wrong with how it was shot, if anything."""

    frame: Frame
    fault: str | None


@dataclass(frozen=True, slots=True)
class _Judged:
    """A frame and what a look at it told; `fault` is why it is turned away, None where it is good."""

    frame: Frame
    measurement: FrameMeasurement
    picture: NDArray[np.uint8]
    digest: bytes
    fault: Fault | None


class SetShooting:
    """Shoots one set and makes its master.

    Parameters
    ----------
    context
        The night.
    number
        The step's number in the night, for events.
    step
        The set.
    inputs
        What it takes over from the steps before it.
    """

    def __init__(self, context: NightContext, number: int, step: ShootStep, inputs: SetInputs) -> None:
        self._context = context
        self._number = number
        self._step = step
        self._inputs = inputs
        self._test = inputs.test if isinstance(inputs, DarkFlatInputs) else None
        self._dark_filters = inputs.filters if isinstance(inputs, DarkInputs) else None
        self._shot_before = inputs.shot_before if isinstance(inputs, DarkInputs) else 0
        self._gate = self._new_gate()
        self._exposed = 0
        self._lit = 0
        # Delivered and not on the disk yet, in the order in which they are kept.
        self._in_flight = deque[Frame]()
        self._given_up: StepFailedError | None = None
        self._has_begun = False
        # Without end, unless judging or keeping gives the set up.
        self._exposing = asyncio.timeout(None)
        # Binned colour pixels of most cameras are no Bayer mosaic any more.
        self._cfa_pattern = self._known_pattern() if step.readout.binning == 1 else None
        self._settings = step.readout
        self._settings_lost = True
        self._size = SetSize(step, may_grow=context.deadline is None)
        self._master = SetMaster(context.folder, step, inputs, self._size, self._cfa_pattern)
        self._wanted = self._size.look_at if self._test is None else min(PROBES, step.count)
        self._has_drifted = False
        self._taken_over = 0
        self._began_s = context.worked_s()
        self._verdict: PedestalVerdict | None = None

    async def run(self) -> ShotSet:
        """Shoot until the planned number of frames is accepted, then combine them and save the master.

        Raises
        ------
        StepFailedError
            Too many frames failed.
        LightLeakError
            It is not dark enough for such frames; those shot are in quarantine.
        DeviceError
            The rig cannot do it.
        ContestedError
            Another program does not leave the rig alone.
        NotDurableError
            A file could not be brought onto the disk.
        """
        with self._context.steering.ended_by(self._skip):
            return await self._run()

    async def _run(self) -> ShotSet:
        shortfall, leak = None, None
        try:
            await self._take_over()
            if not self._is_complete():
                async with self._light():
                    await self._shoot_all()
        except (StepFailedError, DeviceError) as error:
            leak = str(error) if isinstance(error, LightLeakError) else None
            if self._master.frames < LEAST_FRAMES:
                if leak is not None:
                    await self._withdraw(leak)
                raise
            shortfall = f"{error}; its master is of {self._master.frames} frames of {self._size.aim}"
        await self._tell_cause()
        made = await self._over_all_frames(self._master.write)
        self._context.publish(
            MasterWritten(
                self._context.clock.now(),
                self._number,
                str(made.path),
                made.frames,
                made.level,
                made.noise,
                made.rejected_fraction,
            )
        )
        await self._file(made.path)
        return ShotSet(
            master=made.pedestal,
            frames=made.frames,
            taken_over=self._taken_over,
            shortfall=shortfall,
            studied=self._master.studied(),
            verdict=self._verdict,
            leak=leak,
            has_drifted=self._has_drifted,
        )

    async def _over_all_frames(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what may read frames again; a disk that does not give them back costs this set, not the night."""
        try:
            return await in_thread(work, *args, **kwargs)
        except FrameFileError as error:
            raise StepFailedError(f"a frame of it cannot be read again: {error}") from error

    async def _withdraw(self, reason: str) -> None:
        """Put what was accepted aside, and tell so: a second try gives its frames the same names."""
        for path in self._master.accepted.paths:
            await self._set_aside(path, reason)

    async def _set_aside(self, path: Path, reason: str) -> None:
        aside = await in_thread(self._context.folder.quarantine_saved, path, reason)
        self._context.publish(FrameRejected(self._context.clock.now(), self._number, str(aside), reason))

    async def _file(self, path: Path) -> None:
        """Take the master into the library. That it is saved is what counts: a failure is told, and no more."""
        try:
            await in_thread(self._context.folder.file_master, path)
        except (NotDurableError, FrameFileError, OSError) as error:
            self._context.notice(Severity.WARNING, f"not in the library: {error}")

    def _new_gate(self) -> FrameGate:
        match self._inputs:
            case FlatInputs(tuned, subtracted):
                flats = self._context.settings.flats.for_filter(self._step.filter)
                target = replace(tuned.target, bias_adu=subtracted.level)
                return FrameGate(self._step.kind, FlatBand.around(target, flats.maximum_saturated_fraction))
            case DarkInputs(ceiling_adu=ceiling_adu) | DarkFlatInputs(ceiling_adu=ceiling_adu):
                return FrameGate(self._step.kind, ceiling_adu=ceiling_adu)
            case BiasInputs():
                return FrameGate(self._step.kind)

    def _known_pattern(self) -> str | None:
        pattern = self._context.rig.camera.features.cfa_pattern
        try:
            cfa_period(pattern)
        except ValueError as error:
            if isinstance(self._inputs, FlatInputs):
                self._context.notice(Severity.WARNING, f"{error}: all pixels of the flats are scaled alike")
            return None
        return pattern

    @asynccontextmanager
    async def _light(self) -> AsyncIterator[None]:
        """Light or darkness, as the frames need it, for the length of the block."""
        panel, inputs = self._context.rig.panel, self._inputs
        if not isinstance(inputs, FlatInputs) or panel is None:
            await darken(self._context)
            yield
            return
        await select_filter(self._context, self._step.filter)
        async with flat_light(self._context, panel, inputs.tuned.brightness):
            yield

    async def _take_over(self) -> None:
        """Count what an earlier run of the night has shot of this set, as if it came from the camera now."""
        context = self._context
        wanted = Wanted.of(self._step, context.rig.camera.name, self._inputs.exposure_s)
        if not context.saved.count(wanted):
            return
        await with_retries(context, self._apply_settings)
        while not self._is_complete():
            found = await in_thread(context.saved.take, wanted, self._settings)
            for fault in context.saved.faults():
                context.notice(Severity.WARNING, fault)
            if found is None:
                return
            await self._count_again(found)
            self._has_drifted = self._is_drifting()
            await self._look_at_set()

    async def _count_again(self, found: SavedFrame) -> None:
        judged = await in_thread(self._judge, _Shot(found.frame, None))
        if judged.fault is not None:
            await self._set_aside(found.path, judged.fault.reason)
            return
        self._begin(found.frame)
        level_adu = judged.measurement.statistics.level_adu
        noise_adu = await in_thread(self._master.count, found.path, found.frame, judged.digest, level_adu)
        self._taken_over += 1
        self._tell_accepted(judged, found.path, noise_adu, is_taken_over=True)

    def _is_complete(self) -> bool:
        """Tell whether the set needs no further frame, as far as is known now."""
        return self._has_drifted or self._master.frames >= self._wanted

    async def _shoot_all(self) -> None:
        """Expose until enough frames are accepted; what was delivered is kept even if the exposing fails."""
        shots: asyncio.Queue[_Shot] = asyncio.Queue(QUEUE_LENGTH)
        judged: asyncio.Queue[_Judged] = asyncio.Queue(QUEUE_LENGTH)
        self._has_begun = True
        try:
            async with asyncio.TaskGroup() as tasks:
                judging = tasks.create_task(self._judge_all(shots, judged), name="judging")
                keeping = tasks.create_task(self._keep_all(judged), name="keeping")
                try:
                    async with self._exposing:
                        await self._expose_all(shots, judged)
                except TimeoutError as error:
                    raise self._given_up or error from None
                finally:
                    done = asyncio.ensure_future(_all_done(shots, judged))
                    ends = {done, judging, keeping}
                    try:
                        await asyncio.wait(ends, timeout=DRAIN_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for task in ends:
                            task.cancel()
        except ExceptionGroup as group:
            # Either exposing or keeping failed and ended the other: one error says it all.
            raise group.exceptions[0] from None
        finally:
            await self._rescue()

    async def _rescue(self) -> None:
        """Keep in quarantine what a failure caught between the camera and the disk."""
        while self._in_flight:
            frame, reason = self._in_flight.popleft(), "its set ended before it was judged"
            try:
                path = await in_thread(self._context.folder.quarantine, frame, self._step.filter, reason)
            except NotDurableError as error:
                self._context.notice(Severity.ERROR, f"a frame is lost: {error}")
            else:
                self._context.publish(FrameRejected(self._context.clock.now(), self._number, str(path), reason))

    async def _expose_all(self, shots: "asyncio.Queue[_Shot]", judged: "asyncio.Queue[_Judged]") -> None:
        while (missing := self._wanted - self._master.frames) > 0:
            for _ in range(missing):
                await shots.put(await with_retries(self._context, self._shoot))
                if self._is_drifting():
                    break
            await _all_done(shots, judged)
            if self._is_drifting():
                self._has_drifted = True
                return
            await self._look_at_set()

    async def _look_at_set(self) -> None:
        """Decide whether the frames so far are all that is needed."""
        await self._decide()
        await self._look_whether_enough()

    def _is_drifting(self) -> bool:
        """Tell whether a sensor that nothing cools has left the temperature of this master."""
        sensors_c, step = self._master.accepted.sensor_c, self._step
        missing = self._wanted - self._master.frames
        return step.setpoint_c is None and step.kind is FrameKind.DARK and has_left_bin(sensors_c, missing)

    async def _look_whether_enough(self) -> None:
        """Go on until the noise that the master has is low enough; tell where the set becomes smaller or larger."""
        size, context, accepted = self._size, self._context, self._master.frames
        if accepted < self._wanted or self._wanted < size.look_at or self._is_replaced_by_bias():
            return
        before = size.aim
        view = await in_thread(size.look, accepted)
        self._wanted = size.aim
        if view is None:
            return
        if size.aim != before:
            estimate_s = size.aim * (context.worked_s() - self._began_s) / accepted
            context.publish(SetResized(context.clock.now(), self._number, size.aim, estimate_s, view.reason))
        if size.aim == accepted and not view.is_met:
            context.notice(Severity.WARNING, f"{self._step.title}: {view.summary}; this set gets no more")

    def _is_replaced_by_bias(self) -> bool:
        return self._verdict is not None and self._verdict.subtract is not Subtract.DARK_FLAT

    async def _tell_cause(self) -> None:
        """Say why the noise of the master does not fall as it should, where it does not."""
        if cause := await in_thread(self._size.cause):
            self._context.notice(Severity.WARNING, f"{self._step.title}: {cause}")

    async def _decide(self) -> None:
        """Compare the dark flats so far with the bias, once there are enough; go on only if the bias will not do."""
        test = self._test
        if test is None or self._verdict is not None or self._master.frames < self._wanted:
            return
        self._verdict = await self._over_all_frames(self._master.compare, test)
        if self._verdict.subtract is Subtract.DARK_FLAT:
            self._wanted = self._size.look_at
        self._context.publish(
            PedestalDecided(
                self._context.clock.now(),
                self._number,
                self._size.aim if self._verdict.subtract is Subtract.DARK_FLAT else self._wanted,
                self._step.filter,
                self._inputs.exposure_s,
                self._verdict,
            )
        )

    async def _shoot(self) -> _Shot:
        """Shoot one frame at the settings and the temperature of the set."""
        camera, step = self._context.rig.camera, self._step
        self._context.require_time(self._inputs.exposure_s)
        if self._settings_lost:
            await self._apply_settings()
        await self._mind_the_light()
        await self._hold()
        while await until_resumed(self._context, self._inputs.exposure_s):
            await self._hold()  # the sensor may have drifted meanwhile
        if step.setpoint_c is None:
            frame = await self._expose()
            return _Shot(frame, self._settings_fault(frame))
        watch = TemperatureWatch(step.setpoint_c, self._context.settings.cooling.tolerance_c)
        async with watched(camera, watch):
            frame = await self._expose()
            silence = await thermometer_fault(self._context, step.setpoint_c)
        verdict = watch.verdict()
        found = f"sensor temperature {verdict.message}" if not verdict.within else silence
        return _Shot(frame, found or self._settings_fault(frame))

    async def _hold(self) -> None:
        if self._step.setpoint_c is not None:
            await hold(self._context, self._step.setpoint_c)

    async def _apply_settings(self) -> None:
        self._settings = await self._context.rig.camera.apply(self._step.readout)
        self._settings_lost = False

    async def _expose(self) -> Frame:
        frame = await expose_once(self._context, self._number, self._step.kind, self._inputs.exposure_s)
        self._in_flight.append(frame)
        return frame

    async def _mind_the_light(self) -> None:
        """Turn the wheel as darks want it, and put the panel out again where the last frame was lit."""
        if self._dark_filters is not None and self._exposed < len(self._dark_filters):
            await select_filter_if_possible(self._context, self._dark_filters[self._exposed])
        self._exposed += 1
        if self._lit and self._step.kind.needs_darkness:
            await darken(self._context)

    async def _judge_all(self, shots: "asyncio.Queue[_Shot]", judged: "asyncio.Queue[_Judged]") -> None:
        """Judge frames while the one before is on its way to the disk."""
        while True:
            shot = await shots.get()
            result = await in_thread(self._judge, shot)
            # Handed over only once the one before is kept, so that no further frame waits between the two.
            await judged.join()
            await judged.put(result)
            shots.task_done()

    async def _keep_all(self, judged: "asyncio.Queue[_Judged]") -> None:
        while True:
            frame = await judged.get()
            if frame.fault is None:
                await self._accept(frame)
            else:
                await self._reject(frame.frame, frame.fault)
            self._in_flight.popleft()
            self._lit = self._lit + 1 if frame.fault is not None and frame.fault.is_light else 0
            if frame.fault is not None:
                self._go_on_after(frame.fault)
            judged.task_done()

    def _go_on_after(self, fault: Fault) -> None:
        """Spend a retry on a frame that was turned away; where none is left, or light leaks in, end the exposing.

        What is on its way meanwhile is still judged and kept.
        """
        try:
            if self._is_leaking():
                raise LightLeakError(fault.reason)
            if not fault.is_light:
                spend_retry(self._context)
        except StepFailedError as error:
            if self._given_up is None:
                self._given_up = error
                with suppress(RuntimeError):  # the exposing may have ended by itself
                    self._exposing.reschedule(asyncio.get_running_loop().time())

    def _skip(self) -> str | None:
        """End the exposing by request; what was delivered is kept, and the master is made of it."""
        if not self._has_begun:
            return None
        if self._given_up is not None:
            return "it ends already"
        try:
            self._exposing.reschedule(asyncio.get_running_loop().time())
        except RuntimeError:
            return "its frames are all in, and its master is being made"
        self._given_up = StepSkippedError(BY_REQUEST, SkippedBy.USER)
        self._context.steering.note_skipped()
        return f"skipped; a master is made of the frames that it has, from {LEAST_FRAMES} on"

    def _is_leaking(self) -> bool:
        """Tell whether to give up: not a frame here and there, or nobody can say which of the first two was lit."""
        return self._lit >= LIT_FRAMES or (self._lit > 0 and self._master.frames == 1)

    def _judge(self, shot: _Shot) -> _Judged:
        frame = shot.frame
        measurement = measure(frame.pixels, self._context.settings.flats.saturation_adu, self._cfa_pattern)
        digest = pixel_digest(frame.pixels)
        shape = frame_shape(frame.pixels, self._gate.bounds_adu(measurement.statistics))
        look = FrameLook(measurement.statistics, digest, shape, frame.sensor_c)
        fault = Fault(shot.fault) if shot.fault is not None else self._gate.fault(look)
        if fault is None:
            self._gate.accept(look)
        elif shot.fault is not None:
            self._gate.remember_pixels(look)
        return _Judged(frame, measurement, preview(frame.pixels), digest, fault)

    def _settings_fault(self, frame: Frame) -> str | None:
        """Notice a camera that was set otherwise in between: not by its own restart, after which it was set anew.

        Raises
        ------
        ContestedError
            It happens again and again.
        """
        if frame.settings == self._settings:
            return None
        self._settings_lost = True
        reclaim(self._context, self._settings, frame.settings)
        return f"shot with {frame.settings} where {self._settings} was set"

    async def _accept(self, judged: _Judged) -> None:
        self._begin(judged.frame)
        level_adu = judged.measurement.statistics.level_adu
        path, noise_adu = await in_thread(self._master.add, judged.frame, judged.digest, level_adu)
        self._tell_accepted(judged, path, noise_adu, is_taken_over=False)

    def _begin(self, frame: Frame) -> None:
        if self._master.frames == 0:
            problem = self._master.begin(frame, self._context.settings.camera.overscan)
            if problem is not None:
                self._context.notice(Severity.WARNING, problem)

    def _tell_accepted(self, judged: _Judged, path: Path, noise_adu: float | None, *, is_taken_over: bool) -> None:
        frame, statistics = judged.frame, judged.measurement.statistics
        index = self._shot_before + self._master.frames
        now, number = self._context.clock.now(), self._number
        title = f"{self._step.title} {index}/{self._shown_count()}"
        self._context.publish(FrameShown(now, title, judged.picture, judged.measurement.histogram128()))
        self._context.publish(
            FrameAccepted(
                now, number, index, str(path), frame.exposure_s, frame.sensor_c, statistics, is_taken_over=is_taken_over
            )
        )
        self._context.publish(MasterGrew(now, number, index, noise_adu))

    def _shown_count(self) -> int:
        """Return the frames that people see the set go for: those of a test until it is decided, then all."""
        count = self._wanted if self._wanted < self._size.look_at else self._size.aim
        return self._shot_before + count

    async def _reject(self, frame: Frame, fault: Fault) -> None:
        path = await in_thread(self._context.folder.quarantine, frame, self._step.filter, fault.reason)
        self._context.publish(FrameRejected(self._context.clock.now(), self._number, str(path), fault.reason))


async def _all_done(*queues: "asyncio.Queue[Any]") -> None:
    """Wait until everything in the queues, each feeding the next, is dealt with."""
    for queue in queues:
        await queue.join()
