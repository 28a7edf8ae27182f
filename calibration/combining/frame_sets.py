"""Raw frames from any camera and program, sorted into sets by their headers."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.frames.overscan import (
    Overscan,
    OverscanChoice,
    OverscanError,
    corrected_copy,
    sections_of,
)
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.stacking.clipping import STEP_ROWS, half_step
from coldframe.config.frames import FrameKind

UNCOOLED_SPAN_C = 2.0
"""Range of sensor temperatures in a set from an uncooled camera; over this range, dark current changes by a quarter."""


UNKNOWN_CAMERA = "unknown camera"


_PIECE_BYTES = 1 << 14
"""Number of bytes of two frames to compare at a time; different frames usually differ in the first piece."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame on disk and its setup.

    Attributes
    ----------
    image
        The frame itself, or the copy of it without overscan.
    setup
        How it was shot.
    rest
        Remainders from rounding the overscan's level of each line; see `Corrected`. None if the overscan was not
        subtracted.
    half_step_adu
        Half the step between the frame's levels, if known without reading the frame; see `half_step`.
    """

    image: ImageFile
    setup: FrameSetup
    rest: NDArray[np.int32] | None = None
    half_step_adu: float | None = None


@dataclass(frozen=True, slots=True)
class FrameSet:
    """Frames that, according to their headers, were shot with the same setup."""

    frames: tuple[RawFrame, ...]

    def __str__(self) -> str:
        setup = self.frames[0].setup
        parts = [
            setup.camera or UNKNOWN_CAMERA,
            f"{setup.width} x {setup.height}",
            _exposures_text([frame.setup.exposure_s for frame in self.frames]),
            None if setup.readout.gain is None else f"gain {setup.readout.gain:g}",
            None if setup.readout.offset is None else f"offset {setup.readout.offset:g}",
            f"{setup.readout.binning}x{setup.readout.binning}",
            setup.readout.readout_mode,
            _temperature_text(setup.setpoint_c, [frame.setup.temperature_c for frame in self.frames]),
            f"filter {setup.filter_name}" if setup.filter_name and _is_flat(setup.kind) else None,
            setup.mosaic,
            setup.row_order and setup.row_order.lower(),
        ]
        kind = "frame of unknown type" if setup.kind is None else f"{setup.kind.replace('-', ' ')} frame"
        plural = "" if len(self.frames) == 1 else "s"
        return f"{len(self.frames)} {kind.replace('frame', 'frame' + plural, 1)}: " + ", ".join(filter(None, parts))


def open_frames(
    paths: Iterable[Path], unpacked_in: Path, kind: FrameKind | None = None
) -> tuple[list[RawFrame], list[FrameFileError]]:
    """Open raw frames; return the frames that can be combined, and the faults of the others.

    Parameters
    ----------
    paths
        The files.
    unpacked_in
        Folder for copies of compressed files.
    kind
        Kind of all frames, whatever their headers state; None takes the kind from the headers.
    """
    frames: list[RawFrame] = []
    refused: list[FrameFileError] = []
    for path in paths:
        try:
            image = open_image(path, unpacked_in)
            if image.header.get("NCOMBINE", image.header.get("STACKCNT", 1)) not in {0, 1}:
                raise FrameFileError(path, "is a master already, not a raw frame")  # noqa: TRY301 - handled like the errors of `open_image`
            setup = setup_of({**image.header, "NAXIS1": image.shape[1], "NAXIS2": image.shape[0]})
            twin = next((frame.image.path for frame in frames if _same_frame(frame.image, image)), None)
            if twin is not None:
                raise FrameFileError(path, f"the same frame as {twin}; each counts once")  # noqa: TRY301 - as above
            frames.append(RawFrame(image, setup if kind is None else replace(setup, kind=kind)))
        except FrameFileError as error:
            refused.append(error)
    return frames, refused


def without_overscan(
    frames: Iterable[RawFrame], choice: OverscanChoice | None, folder: Path
) -> tuple[list[RawFrame], list[FrameFileError]]:
    """Subtract the overscan of frames that have one; return the frames, and the faults of frames where this failed.

    Parameters
    ----------
    frames
        Frames from `open_frames`.
    choice
        The method, or "none" to leave all frames as they are. None subtracts the smoothed level if a header declares an
        overscan. An explicit method is an error for frames that declare none.
    folder
        Folder for the corrected copies.
    """
    corrected: list[RawFrame] = []
    refused: list[FrameFileError] = []
    for frame in frames:
        try:
            corrected.append(frame if choice == "none" else _corrected(frame, choice, folder))
        except FrameFileError as error:
            refused.append(error)
    return corrected, refused


def _corrected(frame: RawFrame, choice: OverscanChoice | None, folder: Path) -> RawFrame:
    image = frame.image
    try:
        sections = sections_of(image.header, image.shape)
    except OverscanError as error:
        raise FrameFileError(image.path, f"{error}; --overscan none uses the frame as it is") from error
    if sections is None:
        if choice is None:
            return frame
        raise FrameFileError(image.path, f"its header declares no overscan (BIASSEC), so {choice} is not possible")
    overscan = Overscan(sections, "row" if choice == "row" else "smooth")
    copy, rest = corrected_copy(image, overscan, folder)
    # The subtraction shifts the levels of each line, and hides the step between them.
    return RawFrame(copy, frame.setup.without(overscan), rest, half_step_of(image))


def half_step_of(image: ImageFile) -> float | None:
    """Return half the step between the levels of a frame on disk; None unless it contains integers in ADU."""
    if image.bits < 0 or image.scale != 1:
        return None
    top = max(0, (image.shape[0] - STEP_ROWS) // 2)
    return half_step(image.rows(top, min(top + STEP_ROWS, image.shape[0])).astype(np.int64))


def _same_frame(one: ImageFile, other: ImageFile) -> bool:
    """Return whether the headers and the pixels are equal; pixels are read only up to the first difference."""
    if one.header != other.header or one.shape != other.shape or one.storage != other.storage:
        return False
    size = one.shape[0] * one.shape[1] * one.pixel_bytes
    with one.stored.open("rb") as first, other.stored.open("rb") as second:
        first.seek(one.data_start)
        second.seek(other.data_start)
        return all(first.read(_PIECE_BYTES) == second.read(_PIECE_BYTES) for _ in range(0, size, _PIECE_BYTES))


def sets_of(frames: Iterable[RawFrame]) -> list[FrameSet]:
    """Sort frames into sets by the properties that all frames of an average must share, the largest set first.

    These are the kind, camera, size, gain, offset, binning, readout mode, filter array, row order and overscan; the
    exposure for all kinds except flats, which are scaled anyway; the filter for flats and dark flats; and the setpoint
    or, without one, the sensor temperature within 2 C.
    """
    alike: defaultdict[tuple[object, ...], list[RawFrame]] = defaultdict(list)
    for frame in frames:
        setup = frame.setup
        alike[
            setup.kind,
            setup.camera,
            setup.width,
            setup.height,
            setup.readout,
            setup.mosaic,
            setup.row_order,
            setup.sections,
            None if setup.kind is FrameKind.FLAT else setup.exposure_s,
            setup.filter_name if _is_flat(setup.kind) else None,
            None if setup.setpoint_c is None else round(setup.setpoint_c, 1),
        ].append(frame)
    sets = [FrameSet(tuple(part)) for similar in alike.values() for part in _by_temperature(similar)]
    return sorted(sets, key=lambda frames: -len(frames.frames))


def _by_temperature(frames: list[RawFrame]) -> list[list[RawFrame]]:
    if frames[0].setup.setpoint_c is not None:
        return [frames]
    parts: list[list[RawFrame]] = []
    lowest_c = float("-inf")
    unknown = [frame for frame in frames if frame.setup.temperature_c is None]
    known = [(frame.setup.temperature_c, frame) for frame in frames if frame.setup.temperature_c is not None]
    for temperature_c, frame in sorted(known, key=lambda pair: pair[0]):
        if temperature_c - lowest_c > UNCOOLED_SPAN_C:
            parts.append([])
            lowest_c = temperature_c
        parts[-1].append(frame)
    return [*parts, unknown] if unknown else parts


def _is_flat(kind: FrameKind | None) -> bool:
    return kind in (FrameKind.FLAT, FrameKind.DARK_FLAT)


def _exposures_text(exposures_s: Sequence[float | None]) -> str | None:
    known = sorted({exposure for exposure in exposures_s if exposure is not None})
    if not known:
        return None
    return f"{known[0]:g} s" if len(known) == 1 else f"{known[0]:g} to {known[-1]:g} s"


def _temperature_text(setpoint_c: float | None, sensors_c: Sequence[float | None]) -> str | None:
    if setpoint_c is not None:
        return f"{setpoint_c:g} C"
    known = [sensor_c for sensor_c in sensors_c if sensor_c is not None]
    return f"{min(known):.1f} to {max(known):.1f} C" if known else None
