"""Measure and judge a frame, and publish the result."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.looks.frame_looks import Fault, MeasuredFrame
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.measuring.digest import frame_digest
from coldframe.calibration.measuring.frame_shape import frame_shape
from coldframe.calibration.measuring.line_levels import line_levels
from coldframe.calibration.measuring.statistics import FrameMeasurement, measure, preview
from coldframe.capture.events.kinds import FrameAccepted
from coldframe.capture.events.previews import preview_event
from coldframe.capture.events.values import Severity
from coldframe.capture.judging.frame_gate import FrameGate
from coldframe.capture.session.context import NightContext
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrame:
    """A frame with its measurements and the verdict of the frame gate.

    Attributes
    ----------
    frame
        The frame as the camera delivered it.
    measurement
        Levels, noise and histogram of the frame.
    picture
        Small preview, uint8, shape (height, width).
    digest
        Digest that identifies the pixels.
    fault
        Reason for rejecting the frame; None if it is good.
    """

    frame: Frame
    measurement: FrameMeasurement
    picture: NDArray[np.uint8]
    digest: bytes
    fault: Fault | None


def measure_frame(context: NightContext, frame: Frame, cfa_pattern: str | None) -> FrameMeasurement:
    """Return the levels and noise of a frame. This function blocks, so call it in a thread."""
    return measure(frame.pixels, context.settings.flats.saturation_adu, cfa_pattern)


def judge_frame(frame: Frame, shot_fault: str | None, measurement: FrameMeasurement, gate: FrameGate) -> JudgedFrame:
    """Judge a frame, and record it in the frame gate. This function blocks, so call it in a thread.

    Parameters
    ----------
    frame
        The frame as the camera delivered it.
    shot_fault
        Fault of the exposure, or None. A frame with this fault is rejected, and so are later frames with its pixels.
    measurement
        Result of `measure_frame`.
    gate
        Gate for frames of this kind.
    """
    statistics, digest = measurement.statistics, frame_digest(frame.pixels, measurement.counts)
    shape = frame_shape(frame.pixels, gate.bounds_adu(statistics))
    lines = line_levels(frame.pixels) if frame.kind is FrameKind.FLAT else None
    measured = MeasuredFrame(statistics, digest, shape, frame.sensor_c, lines)
    fault = gate.fault(measured) if shot_fault is None else Fault(shot_fault)
    if fault is None:
        gate.accept(measured)
    elif shot_fault is not None:
        gate.remember_pixels(measured)
    return JudgedFrame(frame, measurement, preview(frame.pixels), digest, fault)


def cfa_pattern_of_frames(context: NightContext, readout: ReadoutSettings, kind: FrameKind) -> str | None:
    """Return the colour filter array, such as "RGGB", or None if the frames are mono or binned or the array is unknown.

    If coldframe does not know the reported pattern, it cannot scale the channels of flats separately, so it publishes a
    warning.
    """
    pattern = context.cfa_pattern
    if readout.binning != 1:
        return None  # the binned pixels of most cameras mix the colours
    try:
        cfa_period(pattern)
    except ValueError as error:
        if kind is FrameKind.FLAT:
            context.notice(Severity.WARNING, f"{error}: all pixels of the flats are scaled together")
        return None
    return pattern


def publish_shown(context: NightContext, title: str, judged: JudgedFrame) -> None:
    """Publish the preview and the histogram of a frame."""
    context.publish(preview_event(context.clock.now(), title, judged.picture, judged.measurement))


def publish_accepted(
    context: NightContext, number: int, index: int, path: Path, judged: JudgedFrame, *, is_taken_over: bool
) -> None:
    """Announce in the event stream that a frame is on disk and counts as frame `index` of step `number`."""
    frame, statistics = judged.frame, judged.measurement.statistics
    context.publish(
        FrameAccepted(
            context.clock.now(),
            number,
            index,
            str(path),
            frame.exposure_s,
            frame.sensor_c,
            statistics,
            is_taken_over=is_taken_over,
        )
    )
