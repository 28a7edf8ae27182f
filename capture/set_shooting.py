"""One set, from the first exposure to its master.

Exposing comes first: the next exposure starts as soon as a frame is in. Saving, judging and folding follow behind a
short queue, which holds the camera back when they cannot keep up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.accumulator import Accumulator, pixel_digest
from coldframe.calibration.clipping import Clipping
from coldframe.calibration.flats import FlatScaler, flat_response
from coldframe.calibration.frame_file import read_pixels
from coldframe.calibration.masters import MasterFrame, master_name
from coldframe.calibration.statistics import FrameMeasurement, measure, preview
from coldframe.capture.context import NightContext
from coldframe.capture.cooling import TemperatureWatch
from coldframe.capture.events import FrameAccepted, FrameRejected, FrameShown, MasterGrew, MasterWritten
from coldframe.capture.exposing import expose, spend_retry
from coldframe.capture.frame_gate import FlatBand, FrameGate
from coldframe.capture.light_path import darken, flat_light, select_filter
from coldframe.capture.plan import ShootStep
from coldframe.capture.thermal import hold, watched
from coldframe.capture.tuner import Tuned
from coldframe.devices.camera import Frame

QUEUE_LENGTH = 1
"""Frames that may wait: with one being received and one being folded, at most four are in memory."""

T = TypeVar("T")
P = ParamSpec("P")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread; a cancellation waits until it is done.

    A thread cannot be stopped: leaving it alone would let the next step see half of what it does.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


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
    pedestal: MasterFrame | None = None


@dataclass(frozen=True, slots=True)
class _Shot:
    """A frame on its way to the disk, and what is wrong with its temperature, if anything."""

    frame: Frame
    thermal_fault: str | None


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a look at a frame told; `fault` is why it is turned away, None where it is good."""

    measurement: FrameMeasurement
    picture: NDArray[np.uint8]
    digest: bytes
    fault: str | None


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
        self._scaler = self._flat_scaler()
        self._accumulator: Accumulator | None = None
        self._accepted = _Accepted()

    async def run(self) -> MasterFrame:
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
        await self._context.rig.camera.apply(self._step.readout)
        async with self._light():
            await self._shoot_all()
        master, path = await in_thread(self._make_master)
        self._context.tell(
            MasterWritten(
                self._context.clock.now(),
                self._number,
                str(path),
                master.stack.frames,
                master.level,
                master.noise,
                master.stack.rejected_fraction,
            )
        )
        return master

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
        return FlatScaler(pedestal.stack.mean, self._cfa_pattern) if pedestal is not None else None

    @property
    def _cfa_pattern(self) -> str | None:
        # Binned colour pixels of most cameras are no Bayer mosaic any more.
        return self._context.rig.camera.features.cfa_pattern if self._step.readout.binning == 1 else None

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
        shots: asyncio.Queue[_Shot] = asyncio.Queue(QUEUE_LENGTH)
        try:
            async with asyncio.TaskGroup() as tasks:
                processing = tasks.create_task(self._process_all(shots), name="processing")
                while (missing := self._step.count - len(self._accepted.paths)) > 0:
                    for _ in range(missing):
                        await shots.put(await self._shoot())
                    await shots.join()
                processing.cancel()
        except ExceptionGroup as group:
            # Either exposing or processing failed and ended the other: one error says it all.
            raise group.exceptions[0] from None

    async def _shoot(self) -> _Shot:
        camera, step = self._context.rig.camera, self._step
        if step.setpoint_c is None:
            return _Shot(await expose(self._context, self._number, step.kind, self._recipe.exposure_s), None)
        await hold(self._context, step.setpoint_c)
        watch = TemperatureWatch(step.setpoint_c, self._context.settings.cooling.tolerance_c)
        async with watched(camera, watch):
            frame = await expose(self._context, self._number, step.kind, self._recipe.exposure_s)
        verdict = watch.verdict()
        return _Shot(frame, None if verdict.within else f"sensor temperature {verdict.message}")

    async def _process_all(self, shots: "asyncio.Queue[_Shot]") -> None:
        while True:
            shot = await shots.get()
            judged = await in_thread(self._judge, shot)
            if judged.fault is None:
                await self._accept(shot.frame, judged)
            else:
                await self._reject(shot.frame, judged.fault)
            shots.task_done()

    def _judge(self, shot: _Shot) -> _Judged:
        pixels = shot.frame.pixels
        measurement = measure(pixels, self._context.settings.flats.saturation_adu)
        digest = pixel_digest(pixels)
        fault = shot.thermal_fault or self._gate.fault(measurement.statistics, digest)
        return _Judged(measurement, preview(pixels), digest, fault)

    async def _accept(self, frame: Frame, judged: _Judged) -> None:
        accepted, index = self._accepted, len(self._accepted.paths) + 1
        path = await in_thread(self._save_and_fold, frame, judged.digest, index)
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
        assert self._accumulator is not None
        self._context.tell(MasterGrew(now, number, index, self._accumulator.noise_adu()))

    def _save_and_fold(self, frame: Frame, digest: bytes, index: int) -> Path:
        """Bring the frame onto the disk first: what is folded can be read again."""
        path = self._context.folder.save_frame(frame, self._step.filter, index)
        if self._accumulator is None:
            height, width = frame.pixels.shape
            self._accumulator = Accumulator((height, width), self._step.count)
        self._accumulator.add(self._folded(frame.pixels), digest)
        return path

    def _folded(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return what of a raw frame goes into the accumulator: flats are scaled, others go in as they are."""
        return pixels if self._scaler is None else self._scaler.scale(pixels)

    async def _reject(self, frame: Frame, reason: str) -> None:
        path = await in_thread(self._context.folder.quarantine, frame, self._step.filter, reason)
        self._context.tell(FrameRejected(self._context.clock.now(), self._number, str(path), reason))
        spend_retry(self._context)

    def _make_master(self) -> tuple[MasterFrame, Path]:
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
            subtracted=master_name(recipe.pedestal) if recipe.pedestal is not None else None,
            header=first.header,
        )
        return master, self._context.folder.save_master(master)

    def _reread(self) -> Iterator[NDArray[np.uint16]]:
        for path in self._accepted.paths:
            yield self._folded(read_pixels(path))
