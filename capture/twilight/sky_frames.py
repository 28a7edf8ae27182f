"""Judge the flats of one twilight, report them to the schedule, and save them, so that masters can be built later."""

from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

from coldframe.calibration.looks.frame_looks import Fault
from coldframe.calibration.measuring.digest import frame_digest
from coldframe.calibration.measuring.statistics import FrameStatistics, preview
from coldframe.capture.events.kinds import FlatTested
from coldframe.capture.judging.frame_gate import FlatBand, FrameGate
from coldframe.capture.judging.repeats import SetDigests
from coldframe.capture.pipeline.accepted_frames import AcceptedFrames
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.exposing_frame import Shot
from coldframe.capture.pipeline.judged_frame import (
    JudgedFrame,
    cfa_pattern_of_frames,
    judge_frame,
    measure_frame,
    publish_accepted,
    publish_shown,
)
from coldframe.capture.pipeline.taking_over import withdraw
from coldframe.capture.session.context import NightContext
from coldframe.capture.steps import ShootStep, SkyStep
from coldframe.capture.storage.saved_frames import SavedFrame
from coldframe.capture.threads import in_thread
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.twilight.schedule import Expose, SkySchedule
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame

COLOUR_DRIFT = 0.5
"""Factor by which the lower limit of the faintest channel is reduced; the colour of twilight changes."""

LARGEST_STARS = 0.01
"""Maximum fraction of the pixels that stars may saturate. Clipping excludes these pixels from the master."""


@dataclass(slots=True)
class SkySet:
    """The good flats of one filter.

    Attributes
    ----------
    flat
        The set.
    full_scale_adu
        Level at which the flats saturate.
    accepted
        The accepted frames.
    """

    flat: ShootStep
    full_scale_adu: float
    accepted: AcceptedFrames = field(default_factory=AcceptedFrames)


@dataclass(frozen=True, slots=True, eq=False)
class SkyShot:
    """A frame from the camera, and the exposure that the schedule requested."""

    shot: Shot
    order: Expose


@dataclass(frozen=True, slots=True, eq=False)
class JudgedSkyFlat:
    """A judged frame, the exposure that the schedule requested, and the target against which it was judged."""

    judged: JudgedFrame
    order: Expose
    target: FlatTarget


class SkyFrames:
    """Judges and saves the flats of one twilight.

    Parameters
    ----------
    context
        The night.
    number
        Number of the step, for events.
    step
        The flats.
    full_scale_adu
        Known or presumed level at which the flats saturate.
    delivered
        Frames that are not yet on disk.

    Attributes
    ----------
    sets
        The good flats, by filter.
    cfa_pattern
        Colour filter array of the frames, such as "RGGB"; None for mono.
    """

    def __init__(
        self, context: NightContext, number: int, step: SkyStep, full_scale_adu: float, delivered: DeliveredFrames
    ) -> None:
        self._context = context
        self._number = number
        self._delivered = delivered
        self._gates: dict[str | None, FrameGate] = {}
        self.sets = {flat.filter: SkySet(flat, full_scale_adu) for flat in step.flats}
        # These digests cover both the flats from an earlier run and the new ones, so that no frame counts twice.
        self._digests = {flat.filter: context.digests.of_set(flat.without_count) for flat in step.flats}
        self.cfa_pattern = cfa_pattern_of_frames(context, step.readout, FrameKind.FLAT)

    @property
    def count(self) -> int:
        """Number of good flats across all filters."""
        return sum(len(each.accepted) for each in self.sets.values())

    async def judge(self, schedule: SkySchedule, sky_shot: SkyShot) -> JudgedSkyFlat:
        """Judge a frame, and update the schedule with its brightness and the verdict."""
        frame = sky_shot.shot.frame
        # A camera with a list of shutter times uses the nearest time in the list.
        order = replace(sky_shot.order, exposure_s=frame.exposure_s)
        measurement = await in_thread(measure_frame, self._context, frame, self.cfa_pattern)
        _observe(schedule, order, sky_shot.shot.began_s, measurement.statistics)
        target = schedule.target(order.filter)
        if order.filter not in self._gates:
            band, digests = self._band(order.filter, target), self._digests[order.filter]
            self._gates[order.filter] = FrameGate(FrameKind.FLAT, band, digests=digests)
        gate = self._gates[order.filter]
        judged = await in_thread(judge_frame, frame, sky_shot.shot.fault, measurement, gate)
        if judged.fault is None:
            schedule.accept(order.filter)
        elif not order.is_test:
            schedule.waste(order.filter)
        return JudgedSkyFlat(judged, order, target)

    async def keep(self, flat: JudgedSkyFlat) -> None:
        """Save a good flat or a test frame; move any other frame to quarantine.

        Raises
        ------
        NotDurableError
            If the frame could not be written to disk.
        """
        judged, order = flat.judged, flat.order
        frame, fault = judged.frame, judged.fault
        publish_shown(self._context, f"sky flat {order.filter or ''}, {order.exposure_s:g} s", judged)
        if fault is None:
            mine = self.sets[order.filter]
            mine.full_scale_adu = flat.target.full_scale_adu
            path = await self._delivered.save(frame, len(mine.accepted) + 1)
            self._accept(mine, judged, path)
        elif order.is_test:
            self._publish_test(flat)
            await self._delivered.save_test(frame)
        else:
            await self._delivered.reject(frame, fault.reason)

    async def keep_saved(self, flat: ShootStep, saved: SavedFrame) -> None:
        """Count a flat that an earlier run judged and saved. If the flat is a duplicate, move it to quarantine.

        A frame that another set has counted is left where it is.

        Raises
        ------
        NotDurableError
            If the frame could not be moved to quarantine.
        """
        mine, digests = self.sets[flat.filter], self._digests[flat.filter]
        judged = await in_thread(self._judged_before, digests, saved.frame)
        if judged.fault is None:
            digests.add(judged.digest)
            self._accept(mine, judged, saved.path, is_taken_over=True)
        elif not digests.is_of_other_set(judged.digest):
            await withdraw(self._context, self._number, saved.path, judged.fault.reason)

    def _judged_before(self, digests: SetDigests, frame: Frame) -> JudgedFrame:
        measurement = measure_frame(self._context, frame, self.cfa_pattern)
        digest = frame_digest(frame.pixels, measurement.counts)
        fault = Fault("the same pixels as an earlier frame") if digest in digests else None
        return JudgedFrame(frame, measurement, preview(frame.pixels), digest, fault)

    def _accept(self, mine: SkySet, judged: JudgedFrame, path: Path, *, is_taken_over: bool = False) -> None:
        mine.accepted.add(judged, path)
        publish_accepted(self._context, self._number, self.count, path, judged, is_taken_over=is_taken_over)

    def _band(self, name: str | None, target: FlatTarget) -> FlatBand:
        flats = self._context.settings.flats.for_filter(name)
        band = FlatBand.around(target, max(flats.maximum_saturated_fraction, LARGEST_STARS))
        faintest_adu = target.bias_adu + COLOUR_DRIFT * (band.faintest_adu - target.bias_adu)
        # Skip the check for bands. It detects a flickering lamp, but the sky does not flicker, and stars look like
        # bands.
        return replace(band, faintest_adu=faintest_adu, largest_bands=inf)

    def _publish_test(self, flat: JudgedSkyFlat) -> None:
        statistics, target = flat.judged.measurement.statistics, flat.target
        low_adu, high_adu = target.levels_adu
        self._context.publish(
            FlatTested(
                at=self._context.clock.now(),
                step=self._number,
                filter=flat.order.filter,
                exposure_s=flat.order.exposure_s,
                brightness=None,
                level_adu=statistics.brightest_adu,
                bias_adu=target.bias_adu,
                target_adu=target.bias_adu + target.signal_adu,
                low_adu=low_adu,
                high_adu=high_adu,
                saturated_fraction=statistics.saturated_fraction,
                verdict="measures the brightness of the sky",
            )
        )


def _observe(schedule: SkySchedule, order: Expose, began_s: float, statistics: FrameStatistics) -> None:
    schedule.saturates(order.filter, statistics.saturation_adu)
    faintest_adu = statistics.faintest_adu if statistics.channels else None
    schedule.observe(order, began_s, statistics.brightest_adu, faintest_adu)
