"""Raw frames of any camera and program, sorted into sets by their headers and combined into masters."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import SUFFIXES, ImageFile, open_image
from coldframe.calibration.frames.overscan import (
    Overscan,
    OverscanChoice,
    OverscanError,
    corrected_copy,
    sections_of,
)
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.masters.flat_scaling import FlatScaler, NoSignalError
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.stacking.clipping import STEP_ROWS, half_step
from coldframe.calibration.stacking.column_sort import Scaling, combine_columns
from coldframe.calibration.stacking.methods import Clipping, Method
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError

UNCOOLED_SPAN_C = 2.0
"""Sensor temperatures of one set without a cooler; dark current changes by a quarter over it."""

UNKNOWN_CAMERA = "unknown camera"

_PIECE_BYTES = 1 << 14
"""Of two frames are compared at a time; frames that are not the same differ in the first piece."""


class NotOneSetError(ColdframeError):
    """The frames do not make one master."""


class StackingError(ColdframeError):
    """Nothing is wrong with the frames, but what should stack them cannot."""


Stacking = Callable[[Sequence[ImageFile], Method, FlatRecipe | None], tuple[Stack, NDArray[np.bool_] | None]]
"""Stacks frames of one size; returns the stack and, for flats, the mask of pixels without signal. See `stack_here`."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame on disk and how it was shot.

    Attributes
    ----------
    image
        The frame, or its copy without overscan.
    setup
        How it was shot.
    rest
        What rounding the overscan's level left in each line; see `Corrected`. None with the overscan still there.
    half_step_adu
        Of its levels, see `half_step`, where it is known without reading the frame.
    """

    image: ImageFile
    setup: FrameSetup
    rest: NDArray[np.int32] | None = None
    half_step_adu: float | None = None


@dataclass(frozen=True, slots=True)
class FrameSet:
    """Frames shot alike, as far as their headers tell."""

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


def find_files(names: Iterable[str]) -> list[Path]:
    """Return the files that are meant: files as named, FITS files of folders, matches of patterns; each once.

    Raises
    ------
    NotOneSetError
        If a name leads to nothing.
    """
    found: dict[Path, Path] = {}
    for name in names:
        try:
            for file in _meant_by(name):
                found.setdefault(file.resolve(), file)
        except OSError as error:
            raise NotOneSetError(f"{name}: {error.strerror or error}") from error
        except (ValueError, RuntimeError) as error:  # of a malformed pattern; of links that lead to each other
            raise NotOneSetError(f"{name}: {error}") from error
    return list(found.values())


def _meant_by(name: str) -> list[Path]:
    """Return the files that one name stands for."""
    path = Path(name)
    if not name:
        raise NotOneSetError("an empty name among the files: '.' is the folder you are in")
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
        if not files:
            below = "; name the folders in it instead" if any(each.is_dir() for each in path.iterdir()) else ""
            raise NotOneSetError(f"{name}: no FITS files in this folder ({', '.join(sorted(SUFFIXES))}){below}")
        return files
    if path.exists() or not set(name) & set("*?["):
        return [path]
    files = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    if not files:
        raise NotOneSetError(f"{name}: nothing matches this pattern")
    return files


def open_frames(
    paths: Iterable[Path], unpacked_in: Path, kind: FrameKind | None = None
) -> tuple[list[RawFrame], list[FrameFileError]]:
    """Look at raw frames; return those that can be combined, and what is wrong with each of the others.

    Parameters
    ----------
    paths
        The files.
    unpacked_in
        Folder for copies of compressed files.
    kind
        What all frames are, whatever their headers say; None believes the headers.
    """
    frames: list[RawFrame] = []
    refused: list[FrameFileError] = []
    for path in paths:
        try:
            image = open_image(path, unpacked_in)
            if image.header.get("NCOMBINE", image.header.get("STACKCNT", 1)) not in {0, 1}:
                raise FrameFileError(path, "a master already, not a raw frame")  # noqa: TRY301 - refused like the rest
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
    """Subtract the overscan of frames that have one; return them, and what is wrong with each of the others.

    Parameters
    ----------
    frames
        As opened.
    choice
        How, or "none" for leaving all as they are. None subtracts it smoothed where a header tells of an overscan; what
        is named must be possible for every frame.
    folder
        For the corrected copies.
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
        raise FrameFileError(image.path, f"{error}; --overscan none takes the frame as it is") from error
    if sections is None:
        if choice is None:
            return frame
        raise FrameFileError(image.path, f"its header tells of no overscan (BIASSEC), so {choice} is not possible")
    overscan = Overscan(sections, "row" if choice == "row" else "smooth")
    copy, rest = corrected_copy(image, overscan, folder)
    return RawFrame(copy, frame.setup.without(overscan), rest)


def _same_frame(one: ImageFile, other: ImageFile) -> bool:
    """Return whether header and pixels are alike; pixels are read only as far as they are."""
    if one.header != other.header or one.shape != other.shape or one.storage != other.storage:
        return False
    size = one.shape[0] * one.shape[1] * one.pixel_bytes
    with one.stored.open("rb") as first, other.stored.open("rb") as second:
        first.seek(one.data_start)
        second.seek(other.data_start)
        return all(first.read(_PIECE_BYTES) == second.read(_PIECE_BYTES) for _ in range(0, size, _PIECE_BYTES))


def sets_of(frames: Iterable[RawFrame]) -> list[FrameSet]:
    """Sort frames into sets by what must agree before they may be averaged, the largest set first.

    Compared are the kind, the camera, the size, gain, offset, binning, readout mode, filter array, row order and
    overscan; the exposure but for flats, which are scaled anyway; the filter of flats and dark flats; the setpoint or,
    without one, the sensor's temperature within 2 C.
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


def stack_here(
    images: Sequence[ImageFile], method: Method, flat: FlatRecipe | None
) -> tuple[Stack, NDArray[np.bool_] | None]:
    """Stack frames in this process.

    Parameters
    ----------
    images
        Frames of one size, without overscan.
    method
        How to combine them.
    flat
        How to scale and normalise flats; None for frames of any other kind.

    Returns
    -------
    stack
        In ADU; of flats relative.
    masked
        bool, shape (height, width): pixels without signal; None but for flats.

    Raises
    ------
    FrameFileError
        If a file cannot be read, or a flat shows no light.
    """
    if flat is None:
        return combine_columns(images, method), None
    factors = [flat_factors(image, flat.scaler) for image in images]
    return flat.response(combine_columns(images, method, Scaling(flat.dark, np.array(factors))), factors)


def flat_factors(image: ImageFile, scaler: FlatScaler) -> NDArray[np.float32]:
    """Return what brings a flat on disk to the common scale; see `FlatScaler.factors`.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or the flat shows no light.
    """
    try:
        return scaler.factors(image.pixels())
    except NoSignalError as error:
        raise FrameFileError(image.path, str(error)) from error


def combine_frames(
    frames: Sequence[RawFrame],
    method: Method,
    dark: MasterPlanes | None = None,
    dark_name: str | None = None,
    stacking: Stacking = stack_here,
) -> MasterFrame:
    """Combine frames into a master; what its header says of them is what the first one's header says.

    Parameters
    ----------
    frames
        Of one set.
    method
        How.
    dark
        What is subtracted from each flat (a master dark flat or bias), or from a master dark (a bias); None leaves
        the frames as they are.
    dark_name
        The dark's file name, for the header.
    stacking
        Who does the work.

    Raises
    ------
    NotOneSetError
        If the frames are lights or of unknown kind, differ in size, or the dark does.
    FrameFileError
        If a file cannot be read, or a flat shows no light.
    StackingError
        If `stacking` cannot work.
    """
    first = frames[0].setup
    if first.kind is None:
        raise NotOneSetError("no header says what the frames are: name it with --kind")
    if first.kind is FrameKind.LIGHT:
        raise NotOneSetError("these are lights, of which there is no master")
    images = [frame.image for frame in frames]
    odd = next((image for image in images if image.shape != images[0].shape), None)
    if odd is not None:
        raise NotOneSetError(
            f"{odd.path} has {odd.shape[1]} x {odd.shape[0]} pixels, {images[0].path} {first.width} x {first.height}"
        )
    if any(frame.setup.overscan != first.overscan for frame in frames):
        raise NotOneSetError("overscan can be subtracted from some of the frames only: see --overscan none")
    if first.kind is FrameKind.FLAT:
        stack, masked = stacking(images, method, _flat_recipe(first, images[0].shape, dark))
    else:
        if isinstance(method, Clipping):
            method = replace(method, sigma_floor_adu=_sigma_floor_adu(frames))
        stack, masked = stacking(images, method, None)
        if first.overscan is not None:
            stack = first.overscan.restored(stack, [frame.rest for frame in frames if frame.rest is not None])
        if dark is not None:
            stack = _less(stack, dark)
    setups = [frame.setup for frame in frames]
    moments = sorted(setup.taken_at for setup in setups if setup.taken_at is not None)
    exposures_s = [setup.exposure_s for setup in setups if setup.exposure_s is not None]
    temperatures_c = [setup.temperature_c for setup in setups if setup.temperature_c is not None]
    return MasterFrame(
        kind=first.kind,
        stack=stack,
        camera=first.camera or UNKNOWN_CAMERA,
        settings=first.readout,
        exposure_s=float(np.mean(exposures_s)) if exposures_s else 0.0,
        sensor_c=float(np.mean(temperatures_c)) if temperatures_c else None,
        setpoint_c=first.setpoint_c,
        filter_name=first.filter_name,
        method=method,
        inputs=tuple(image.path.name for image in images),
        first_at=moments[0] if moments else None,
        last_at=moments[-1] if moments else None,
        masked=masked,
        subtracted=dark_name,
        header=images[0].header,
        overscan=first.overscan,
        subtracted_sum=None if dark is None or "DATASUM" not in dark.header else str(dark.header["DATASUM"]),
    )


def _less(stack: Stack, bias: MasterPlanes) -> Stack:
    """Return the stack without bias, whose error becomes part of its own."""
    if bias.mean.shape != stack.mean.shape:
        raise NotOneSetError(f"the bias has the shape {bias.mean.shape}, the darks {stack.mean.shape}")
    return replace(stack, mean=stack.mean - bias.mean, uncertainty=np.hypot(stack.uncertainty, bias.uncertainty))


def _sigma_floor_adu(frames: Sequence[RawFrame]) -> float:
    """Return half the step of the first frame that holds integers, 0 if none does: see `half_step`."""
    first = next((frame for frame in frames if frame.image.bits > 0 and frame.image.scale == 1), None)
    if first is None:
        return 0.0 if all(frame.image.bits < 0 for frame in frames) else 0.5
    if first.half_step_adu is not None:
        return first.half_step_adu
    whole = first.image
    top = max(0, (whole.shape[0] - STEP_ROWS) // 2)
    return half_step(whole.rows(top, min(top + STEP_ROWS, whole.shape[0])).astype(np.int64))


def _flat_recipe(flats: FrameSetup, shape: tuple[int, int], dark: MasterPlanes | None) -> FlatRecipe:
    mean, uncertainty = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    if dark is not None:
        mean, uncertainty = dark.mean, dark.uncertainty
    try:
        recipe = FlatRecipe(on_pedestal(mean, flats.overscan), uncertainty, flats.mosaic)
    except ValueError as error:
        raise NotOneSetError(str(error)) from error
    if mean.shape != shape:
        raise NotOneSetError(
            f"the dark has {mean.shape[1]} x {mean.shape[0]} pixels, the flats {shape[1]} x {shape[0]}"
        )
    return recipe


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
