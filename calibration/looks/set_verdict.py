"""The verdict on a set of frames on disk, and the rule that turns findings into doubts about individual frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.looks.frame_looks import Fault, MeasuredFrame, Reference
from coldframe.calibration.measuring.frame_shape import FrameShape
from coldframe.calibration.measuring.line_levels import LineLevels

COMMON = 1 / 3
"""Largest fraction of frames that count as outliers. If more frames differ, the set is a mixture, or it drifts."""


class SetFrame(NamedTuple):
    """A frame of a set on disk.

    Attributes
    ----------
    image
        The frame after overscan subtraction.
    setup
        How the frame was shot.
    raw
        The frame before overscan subtraction; None if it has no overscan.
    """

    image: ImageFile
    setup: FrameSetup
    raw: ImageFile | None = None


class SeenFrame(NamedTuple):
    """A measured frame of a set.

    Attributes
    ----------
    path, setup
        The frame's file, and how the frame was shot.
    measured
        Measurements of a fraction of its rows.
    zero_fraction
        Fraction of the pixels whose raw value is exactly 0.
    """

    path: Path
    setup: FrameSetup
    measured: MeasuredFrame
    zero_fraction: float


Look = Callable[[SeenFrame], Fault | None]


@dataclass(slots=True)
class SetVerdict:
    """The result of the looks at a set.

    Attributes
    ----------
    doubts
        Reasons why individual frames do not belong to the set, by path.
    notices
        Faults of the whole set.
    faults
        Errors from files that could not be read.
    all_saturated
        True if the frames are flats and every one of them has too many saturated pixels.
    """

    doubts: dict[Path, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    faults: list[FrameFileError] = field(default_factory=list)
    all_saturated: bool = False

    def passing(self, seen: list[SeenFrame], look: Look, *, compares: bool) -> list[SeenFrame]:
        """Apply a look to frames, record its findings, and return the frames that remain free of doubts.

        A fault found in all frames becomes a notice, because no frame is better than the others. A fault also becomes a
        notice if a look that compares frames with each other finds it in more than a third of them.

        Parameters
        ----------
        seen
            Frames that have raised no doubts so far.
        look
            The look.
        compares
            True if the look compares a frame with the others.
        """
        found = {each.path: fault.reason for each in seen if (fault := look(each)) is not None}
        if not found:
            return seen
        if len(found) == len(seen) or (compares and len(found) > COMMON * len(seen)):
            which = f"all {len(seen)} frames" if len(found) == len(seen) else f"{len(found)} of {len(seen)} frames"
            path, reason = next(iter(found.items()))
            self.notices.append(f"{which}, for example {path}: {reason}")
            return seen
        self.doubts |= found
        return [each for each in seen if each.path not in found]


def median_reference(seen: Sequence[SeenFrame], bias_adu: float | None = None) -> Reference:
    """Return the median of the frames of a set as the reference for each of them.

    Parameters
    ----------
    seen
        At least one frame.
    bias_adu
        For flats, the bias level; the signals above this level are first scaled to a common level. None for frames
        without light.
    """
    frames = [each.measured for each in seen]
    zero_adu = bias_adu or 0.0
    level_adu = float(np.median([frame.statistics.level_adu for frame in frames]))
    noise_adu = float(np.median([frame.statistics.noise_adu for frame in frames]))
    usual = min((frame.statistics for frame in frames), key=lambda each: abs(each.level_adu - level_adu))
    scales = [1.0] * len(frames)
    if bias_adu is not None:
        scales = [(level_adu - zero_adu) / max(frame.statistics.level_adu - zero_adu, 1.0) for frame in frames]
    shapes = [(frame.shape.levels_adu - zero_adu) * scale for frame, scale in zip(frames, scales, strict=True)]
    lines = [
        (frame.lines.levels_adu - zero_adu) * scale
        for frame, scale in zip(frames, scales, strict=True)
        if frame.lines is not None
    ]
    steps = [frame.shape.step_adu for frame in frames]
    first = frames[0]
    return Reference(
        replace(usual, level_adu=level_adu, noise_adu=noise_adu),
        FrameShape(
            np.median(shapes, axis=0) + zero_adu,
            first.shape.cell_pixels,
            first.shape.size,
            max(set(steps), key=steps.count),
        ),
        None if first.lines is None else LineLevels(np.median(lines, axis=0) + zero_adu, first.lines.pixels),
        "the set",
    )
