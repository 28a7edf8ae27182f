"""One set, from the first exposure to its master.

Exposing comes first: the next exposure starts as soon as a frame is in. Saving, judging and folding follow behind a
short queue, which holds the camera back when they cannot keep up.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.accumulator import Accumulator, pixel_digest
from coldframe.calibration.clipping import Clipping
from coldframe.calibration.durable import NotDurableError
from coldframe.calibration.flats import FlatScaler, flat_response
from coldframe.calibration.frame_file import FrameFileError, read_pixels
from coldframe.calibration.masters import MasterFrame
from coldframe.calibration.statistics import FrameMeasurement, measure, preview
from coldframe.capture.context import NightContext, StepFailedError
from coldframe.capture.cooling import TemperatureWatch
from coldframe.capture.events import FrameAccepted, FrameRejected, FrameShown, MasterGrew, MasterWritten, Severity
from coldframe.capture.exposing import expose_once, patiently, spend_retry
from coldframe.capture.frame_gate import FlatBand, FrameGate
from coldframe.capture.light_path import darken, flat_light, select_filter
from coldframe.capture.plan import ShootStep
from coldframe.capture.thermal import hold, watched
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner import Tuned
from coldframe.devices.camera import Frame
from coldframe.devices.errors import DeviceError

QUEUE_LENGTH = 1
"""Frames that may wait between two stages; with one in each of exposing, judging and keeping, five are in memory."""

DRAIN_DEADLINE_S = 120.0
"""Longest wait for frames on their way to the disk when a set ends early."""

LEAST_FRAMES = 5
"""A set that failed still gets a master from so many frames: fewer cannot be clipped."""


@dataclass(frozen=True, slots=True, eq=False)
class Pedestal:
    """What is subtracted from flats: file name, pixels (float32, shape (height, width), ADU) and level of a master."""

    name: str
    mean: NDArray[np.float32]
    level: float


@dataclass(frozen=True, slots=True)
class ShotSet:
    """What came of a set: its master, as far as later sets need it, and why frames are missing, if any are."""

    master: Pedestal
    shortfall: str | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a set takes over from the steps before it.

    Attributes
    ----------
    exposure_s
        Exposure of every frame; of a dark flat the very value of its flats.
    tuned
        For flats: what the tuner found.
    pedestal
        For flats: the master dark flat, or bias, that is subtracted.
    """

    exposure_s: float
    tuned: Tuned | None = None
    pedestal: Pedestal | None = None


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
    fault: str | None


@dataclass(frozen=True, slots=True)
class _Made:
    """A master that is on the disk, and what there is to tell of it."""

    path: Path
    pedestal: Pedestal
    frames: int
    noise: float
    rejected_fraction: float


@dataclass(slots=True)
class _Accepted:
    """The frames that count, and what their master needs to know of them."""

    paths: list[Path] = field(default_factory=list)
    sensor_c: list[float] = field(default_factory=list)
    first: Frame | None = None
    last_at: datetime | None = None


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
    recipe
        What it takes over from the steps before it.
    """

    def __init__(self, context: NightContext, number: int, step: ShootStep, recipe: Recipe) -> None:
        self._context = context
        self._number = number
        self._step = step
        self._recipe = recipe
        self._gate = FrameGate(step.kind, self._band())
        # Binned colour pixels of most cameras are no Bayer mosaic any more.
        self._cfa_pattern = context.rig.camera.features.cfa_pattern if step.readout.binning == 1 else None
        self._scaler = self._flat_scaler()
        self._accumulator: Accumulator | None = None
        self._accepted = _Accepted()
        self._settings = step.readout
        self._settings_lost = True

    async def run(self) -> ShotSet:
        """Shoot until the planned number of frames is accepted, then combine them and save the master.

        Raises
        ------
        StepFailedError
            Too many frames failed.
        DeviceError
            The rig cannot do it.
        NotDurableError
            A file could not be brought onto the disk.
        """
        shortfall = None
        try:
            async with self._light():
                await self._shoot_all()
        except (StepFailedError, DeviceError) as error:
            if len(self._accepted.paths) < LEAST_FRAMES:
                raise
            shortfall = f"{error}; its master is of {len(self._accepted.paths)} frames of {self._step.count}"
        made = await in_thread(self._make_master)
        self._context.tell(
            MasterWritten(
                self._context.clock.now(),
                self._number,
                str(made.path),
                made.frames,
                made.pedestal.level,
                made.noise,
                made.rejected_fraction,
            )
        )
        await self._file(made.path)
        return ShotSet(made.pedestal, shortfall)

    async def _file(self, path: Path) -> None:
        """Take the master into the library. That it is saved is what counts: a failure is told, and no more."""
        try:
            await in_thread(self._context.folder.file_master, path)
        except (NotDurableError, FrameFileError, OSError) as error:
            self._context.notice(Severity.WARNING, f"not in the library: {error}")

    def _band(self) -> FlatBand | None:
        tuned, pedestal = self._recipe.tuned, self._recipe.pedestal
        if tuned is None or pedestal is None:
            return None
        flats = self._context.settings.flats.for_filter(self._step.filter)
        usable_adu = tuned.full_scale_adu - pedestal.level
        low, high = flats.band
        return FlatBand(
            pedestal.level + low * usable_adu, pedestal.level + high * usable_adu, flats.maximum_saturated_fraction
        )

    def _flat_scaler(self) -> FlatScaler | None:
        pedestal = self._recipe.pedestal
        return FlatScaler(pedestal.mean, self._cfa_pattern) if pedestal is not None else None

    @asynccontextmanager
    async def _light(self) -> AsyncIterator[None]:
        """Light or darkness, as the frames need it, for the length of the block."""
        panel, tuned = self._context.rig.panel, self._recipe.tuned
        if tuned is None or panel is None:
            await darken(self._context)
            yield
            return
        await select_filter(self._context, self._step.filter)
        async with flat_light(self._context, panel, tuned.brightness):
            yield

    async def _shoot_all(self) -> None:
        """Expose until enough frames are accepted; what was delivered is kept even if the exposing fails."""
        shots: asyncio.Queue[_Shot] = asyncio.Queue(QUEUE_LENGTH)
        judged: asyncio.Queue[_Judged] = asyncio.Queue(QUEUE_LENGTH)
        try:
            async with asyncio.TaskGroup() as tasks:
                judging = tasks.create_task(self._judge_all(shots, judged), name="judging")
                keeping = tasks.create_task(self._keep_all(judged), name="keeping")
                try:
                    while (missing := self._step.count - len(self._accepted.paths)) > 0:
                        for _ in range(missing):
                            await shots.put(await patiently(self._context, self._shoot))
                        await _all_done(shots, judged)
                finally:
                    done = asyncio.ensure_future(_all_done(shots, judged))
                    ends = {done, judging, keeping}
                    await asyncio.wait(ends, timeout=DRAIN_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
                    for task in ends:
                        task.cancel()
        except ExceptionGroup as group:
            # Either exposing or keeping failed and ended the other: one error says it all.
            raise group.exceptions[0] from None

    async def _shoot(self) -> _Shot:
        """Shoot one frame at the settings and the temperature of the set."""
        camera, step = self._context.rig.camera, self._step
        if self._settings_lost:
            self._settings = await camera.apply(step.readout)
            self._settings_lost = False
        if step.setpoint_c is None:
            frame = await expose_once(self._context, self._number, step.kind, self._recipe.exposure_s)
            return _Shot(frame, self._settings_fault(frame))
        await hold(self._context, step.setpoint_c)
        watch = TemperatureWatch(step.setpoint_c, self._context.settings.cooling.tolerance_c)
        async with watched(camera, watch):
            frame = await expose_once(self._context, self._number, step.kind, self._recipe.exposure_s)
        verdict = watch.verdict()
        return _Shot(frame, self._settings_fault(frame) if verdict.within else f"sensor temperature {verdict.message}")

    async def _judge_all(self, shots: "asyncio.Queue[_Shot]", judged: "asyncio.Queue[_Judged]") -> None:
        """Judge frames while the one before is on its way to the disk."""
        while True:
            shot = await shots.get()
            await judged.put(await in_thread(self._judge, shot))
            shots.task_done()

    async def _keep_all(self, judged: "asyncio.Queue[_Judged]") -> None:
        while True:
            frame = await judged.get()
            if frame.fault is None:
                await self._accept(frame)
            else:
                await self._reject(frame.frame, frame.fault)
            judged.task_done()

    def _judge(self, shot: _Shot) -> _Judged:
        frame = shot.frame
        measurement = measure(frame.pixels, self._context.settings.flats.saturation_adu)
        digest = pixel_digest(frame.pixels)
        fault = shot.fault or self._gate.fault(measurement.statistics, digest)
        return _Judged(frame, measurement, preview(frame.pixels), digest, fault)

    def _settings_fault(self, frame: Frame) -> str | None:
        """Notice a camera that was set otherwise in between, by another client or by its own restart."""
        if frame.settings == self._settings:
            return None
        self._settings_lost = True
        return f"shot with {frame.settings} where {self._settings} was set"

    async def _accept(self, judged: _Judged) -> None:
        accepted, index, frame = self._accepted, len(self._accepted.paths) + 1, judged.frame
        path, noise_adu = await in_thread(self._save_and_fold, frame, judged.digest, index)
        accepted.paths.append(path)
        accepted.first = accepted.first or frame
        accepted.last_at = frame.started_at
        if frame.sensor_c is not None:
            accepted.sensor_c.append(frame.sensor_c)
        now, number = self._context.clock.now(), self._number
        title = f"{self._step.title} {index}/{self._step.count}"
        self._context.tell(FrameShown(now, title, judged.picture, judged.measurement.histogram128()))
        self._context.tell(
            FrameAccepted(
                now, number, index, str(path), frame.exposure_s, frame.sensor_c, judged.measurement.statistics
            )
        )
        self._context.tell(MasterGrew(now, number, index, noise_adu))

    def _save_and_fold(self, frame: Frame, digest: bytes, index: int) -> tuple[Path, float | None]:
        """Bring the frame onto the disk, then fold it; return its path and the noise so far."""
        path = self._context.folder.save_frame(frame, self._step.filter, index)
        if self._accumulator is None:
            height, width = frame.pixels.shape
            self._accumulator = Accumulator((height, width), self._step.count)
        self._accumulator.add(self._folded(frame.pixels), digest)
        return path, self._accumulator.noise_adu()

    def _folded(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return what of a raw frame goes into the accumulator: flats are scaled, others go in as they are."""
        return pixels if self._scaler is None else self._scaler.scale(pixels)

    async def _reject(self, frame: Frame, reason: str) -> None:
        path = await in_thread(self._context.folder.quarantine, frame, self._step.filter, reason)
        self._context.tell(FrameRejected(self._context.clock.now(), self._number, str(path), reason))
        spend_retry(self._context)

    def _make_master(self) -> _Made:
        """Combine, save, and look at the result: on large frames each takes too long for the event loop."""
        accepted, recipe = self._accepted, self._recipe
        assert self._accumulator is not None
        assert accepted.first is not None
        assert accepted.last_at is not None
        clipping = Clipping()
        stack = self._accumulator.combine(clipping, self._reread)
        masked = None
        if self._scaler is not None:
            stack, masked = flat_response(stack, self._cfa_pattern)
        first = accepted.first
        master = MasterFrame(
            kind=self._step.kind,
            stack=stack,
            camera=first.camera,
            settings=first.settings,
            exposure_s=recipe.exposure_s,
            sensor_c=fmean(accepted.sensor_c) if accepted.sensor_c else None,
            setpoint_c=first.setpoint_c,
            filter_name=self._step.filter,
            clipping=clipping,
            inputs=tuple(path.name for path in accepted.paths),
            first_at=first.started_at,
            last_at=accepted.last_at,
            masked=masked,
            subtracted=recipe.pedestal.name if recipe.pedestal is not None else None,
            header=first.header,
        )
        path = self._context.folder.save_master(master)
        pedestal = Pedestal(path.name, stack.mean, master.level)
        return _Made(path, pedestal, stack.frames, master.noise, stack.rejected_fraction)

    def _reread(self) -> Iterator[NDArray[np.uint16]]:
        for path in self._accepted.paths:
            yield self._folded(read_pixels(path))


async def _all_done(*queues: "asyncio.Queue[Any]") -> None:
    """Wait until everything in the queues, each feeding the next, is dealt with."""
    for queue in queues:
        await queue.join()
