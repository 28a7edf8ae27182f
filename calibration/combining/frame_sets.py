"""Raw frames from any camera and capture program, sorted into sets by their headers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.files.unpacking import STORED_AS, Extension
from coldframe.calibration.frames.names import comparable, is_same_camera, is_same_name
from coldframe.calibration.frames.overscan import (
    Overscan,
    OverscanChoice,
    OverscanError,
    corrected_copy,
    sections_of,
)
from coldframe.calibration.frames.setup import (
    SAME_EXPOSURE,
    SAME_EXPOSURE_S,
    FrameSetup,
    fault_of_raw_frame,
    require_readable,
    setup_of,
)
from coldframe.calibration.stacking.clipping import STEP_ROWS, half_step
from coldframe.config.frames import FrameKind

UNCOOLED_SPAN_C = 2.0
"""Largest range of sensor temperatures within a set from an uncooled camera; over this range, the dark current changes
by a quarter."""

UNKNOWN_CAMERA = "unknown camera"


_PIECE_BYTES = 1 << 14
"""Number of bytes that are compared at a time; different frames usually differ in the first piece."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame on disk and its setup.

    Attributes
    ----------
    image
        The frame itself, or a copy of it without the overscan.
    setup
        Setup of the frame.
    rest
        Remainders from rounding the overscan level of each line; see `Corrected`. None if the overscan was not
        subtracted.
    half_step_adu
        Half the step between neighbouring levels of the frame, ADU; see `half_step`. None if it must be determined from
        the pixels.
    """

    image: ImageFile
    setup: FrameSetup
    rest: NDArray[np.int32] | None = None
    half_step_adu: float | None = None


@dataclass(frozen=True, slots=True)
class FrameSet:
    """Frames that, according to their headers, were shot with the same setup."""

    frames: tuple[RawFrame, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the values that are missing from the headers, so that a difference in them would not be noticed."""
        setup = self.frames[0].setup
        exposed = setup.kind in {FrameKind.DARK, FrameKind.DARK_FLAT}
        is_missing = {
            "exposure": exposed and setup.exposure_s is None,
            "gain": setup.readout.gain is None,
        }
        return tuple(name for name, missing in is_missing.items() if missing)

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
            None if setup.origin is None else f"from column {setup.origin[0]}, row {setup.origin[1]}",
            _temperature_text([frame.setup for frame in self.frames]),
            f"filter {setup.filter_name}" if setup.filter_name and _is_flat(setup.kind) else None,
            setup.train.telescope if _is_flat(setup.kind) or setup.camera is None else None,
            setup.mosaic,
            setup.row_order and setup.row_order.lower(),
        ]
        kind = "frame of unknown type" if setup.kind is None else f"{setup.kind.replace('-', ' ')} frame"
        plural = "" if len(self.frames) == 1 else "s"
        return f"{len(self.frames)} {kind.replace('frame', 'frame' + plural, 1)}: " + ", ".join(filter(None, parts))


def open_frames(
    paths: Iterable[Path], unpacked_in: Path, kind: FrameKind | None = None, extension: Extension | None = None
) -> tuple[list[RawFrame], list[FrameFileError]]:
    """Open raw frames; return the frames that can be combined, and the faults of the other files.

    Parameters
    ----------
    paths
        The files.
    unpacked_in
        Folder for copies of compressed files.
    kind
        Kind of all frames, regardless of their headers; None to use the kind in each header.
    extension
        The image to take from files that contain several images.
    """
    seen: dict[tuple[object, ...], list[ImageFile]] = {}
    frames: list[RawFrame] = []
    refused: list[FrameFileError] = []
    for path in paths:
        try:
            frame = _opened(path, unpacked_in, extension)
            _require_new(frame, seen)
        except FrameFileError as error:
            refused.append(error)
            continue
        frames.append(frame if kind is None else replace(frame, setup=replace(frame.setup, kind=kind)))
    return frames, refused


def _opened(path: Path, unpacked_in: Path, extension: Extension | None) -> RawFrame:
    image = open_image(path, unpacked_in, extension)
    fault = fault_of_raw_frame(image.header)
    if fault is not None:
        raise FrameFileError(path, fault)
    setup = setup_of({**image.header, "NAXIS1": image.shape[1], "NAXIS2": image.shape[0]})
    require_readable(setup, path)
    return RawFrame(image, setup)


def _require_new(frame: RawFrame, seen: dict[tuple[object, ...], list[ImageFile]]) -> None:
    """Raise if a frame was opened before, perhaps from a compressed copy; remember it otherwise."""
    image, setup = frame.image, frame.setup
    # If the headers contain no dates, only the pixels distinguish frames; the first few pixels usually suffice.
    beginning = _first_bytes(image)
    alike = seen.setdefault((image.shape, image.storage, setup.kind, setup.taken_at, beginning), [])
    try:
        twin = next((other.path for other in alike if _has_same_pixels(other, image)), None)
    except FrameFileError as error:
        if error.path == image.path:
            raise
        raise FrameFileError(
            image.path, f"it cannot be compared with an earlier frame that it resembles: {error}"
        ) from error
    if twin is not None:
        raise FrameFileError(image.path, f"it is the same frame as {twin}; each frame counts once")
    alike.append(image)


def without_overscan(
    frames: Iterable[RawFrame], choice: OverscanChoice | None, folder: Path
) -> tuple[list[RawFrame], list[FrameFileError]]:
    """Subtract the overscan of frames that have one; return the usable frames, and the faults of the unusable ones.

    Parameters
    ----------
    frames
        Frames from `open_frames`.
    choice
        The method, or "none" to leave all frames unchanged. If it is None, the smoothed level is subtracted from the
        frames whose headers declare an overscan. If a method is chosen, frames whose headers declare no overscan are
        unusable.
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
        raise FrameFileError(image.path, f"{error}; --overscan none uses the frame unchanged") from error
    if sections is None:
        if choice is None:
            return frame
        raise FrameFileError(image.path, f"its header declares no overscan (BIASSEC), so {choice} is not possible")
    overscan = Overscan(sections, "row" if choice == "row" else "smooth")
    copy, rest = corrected_copy(image, overscan, folder)
    # In the copy, each line is shifted by a different amount, which hides the step between the levels.
    return RawFrame(copy, frame.setup.without(overscan), rest, half_step_of(image))


def half_step_of(image: ImageFile) -> float | None:
    """Return half the step between the levels of a frame on disk, ADU; None for a floating-point frame."""
    if image.bits < 0:
        return None
    top = max(0, (image.shape[0] - STEP_ROWS) // 2)
    rows = image.rows(top, min(top + STEP_ROWS, image.shape[0]))
    if image.scale == 1:
        return half_step(rows.astype(np.int64))
    lowest = np.iinfo(STORED_AS[image.bits]).min
    words = np.rint((rows - image.zero) / image.scale).astype(np.int64) - lowest
    return half_step(words) * abs(image.scale)


def _first_bytes(image: ImageFile) -> bytes:
    """Return a digest of the first piece of an image."""
    size = image.shape[0] * image.shape[1] * image.pixel_bytes
    with image.opened() as file:
        return blake2b(file.read(image.data_start, min(_PIECE_BYTES, size)), digest_size=16).digest()


def _has_same_pixels(one: ImageFile, other: ImageFile) -> bool:
    """Return True if two images of the same size and format have equal pixels; read up to the first difference."""
    size = one.shape[0] * one.shape[1] * one.pixel_bytes
    with one.opened() as first, other.opened() as second:
        return all(
            first.read(one.data_start + start, min(_PIECE_BYTES, size - start))
            == second.read(other.data_start + start, min(_PIECE_BYTES, size - start))
            for start in range(0, size, _PIECE_BYTES)
        )


def sets_of(frames: Iterable[RawFrame]) -> list[FrameSet]:
    """Sort frames into sets by the properties that all frames of an average must share, the largest set first.

    These are the kind, camera, telescope, size, position on the sensor, gain, offset, binning, readout mode, filter
    array, row order and overscan; the exposure, within the tolerance (`SAME_EXPOSURE` and `SAME_EXPOSURE_S`), for all
    kinds except flats, which are scaled anyway; the filter for flats and dark flats; and the temperature. Frames that
    reached their setpoint must have the same setpoint; the sensor temperatures of all other frames in a set span at
    most `UNCOOLED_SPAN_C`.
    """
    alike: dict[tuple[object, ...], list[RawFrame]] = {}
    cameras, telescopes = _Names(is_same_camera), _Names(is_same_name)
    for frame in frames:
        setup = frame.setup
        # The telescope matters for flats. It also distinguishes the cameras of smart telescopes, which have no names of
        # their own.
        telescope = setup.train.telescope if _is_flat(setup.kind) or setup.camera is None else None
        named = cameras.first(setup.camera), telescopes.first(telescope)
        alike.setdefault((*named, *_shared_values(setup)), []).append(frame)
    sets = [
        FrameSet(tuple(part))
        for similar in alike.values()
        for exposed in ([similar] if similar[0].setup.kind is FrameKind.FLAT else _by_exposure(similar))
        for part in _by_temperature(exposed)
    ]
    return sorted(sets, key=lambda frames: -len(frames.frames))


def _shared_values(setup: FrameSetup) -> tuple[object, ...]:
    return (
        setup.kind,
        setup.width,
        setup.height,
        setup.origin,
        replace(setup.readout, readout_mode=_comparable(setup.readout.readout_mode)),
        setup.mosaic,
        setup.row_order,
        setup.sections,
        _comparable(setup.filter_name) if _is_flat(setup.kind) else None,
        setup.is_at_setpoint,
        None if setup.setpoint_c is None else round(setup.setpoint_c, 1),
    )


def _comparable(name: str | None) -> str | None:
    return None if name is None else comparable(name)


class _Names:
    """The names of cameras or telescopes found so far; the first name of each one stands for all of its names."""

    def __init__(self, is_same: Callable[[str, str], bool]) -> None:
        self._is_same = is_same
        self._known: list[str] = []

    def first(self, name: str | None) -> str | None:
        """Return the first known name of the same camera or telescope; None if there is no name."""
        if name is None:
            return None
        for known in self._known:
            if self._is_same(known, name):
                return known
        self._known.append(name)
        return name


def _by_exposure(frames: list[RawFrame]) -> list[list[RawFrame]]:
    """Return the frames in groups whose exposures differ by no more than the tolerance, the shortest exposure first."""
    parts = [without] if (without := [frame for frame in frames if frame.setup.exposure_s is None]) else []
    shortest_s = float("-inf")
    known = [(frame.setup.exposure_s, frame) for frame in frames if frame.setup.exposure_s is not None]
    for exposure_s, frame in sorted(known, key=lambda pair: pair[0]):
        if exposure_s - shortest_s > max(SAME_EXPOSURE * exposure_s, SAME_EXPOSURE_S):
            parts.append([])
            shortest_s = exposure_s
        parts[-1].append(frame)
    return parts


def _by_temperature(frames: list[RawFrame]) -> list[list[RawFrame]]:
    if frames[0].setup.is_at_setpoint:
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


def _temperature_text(setups: Sequence[FrameSetup]) -> str | None:
    if setups[0].is_at_setpoint:
        return f"{setups[0].setpoint_c:g} C"
    known = [setup.temperature_c for setup in setups if setup.temperature_c is not None]
    if not known:
        return None
    missed = setups[0].setpoint_c
    return f"{min(known):.1f} to {max(known):.1f} C" + (
        f" (setpoint {missed:g} C not reached)" if missed is not None else ""
    )
