"""Raw frames of any camera and program, sorted into sets by their headers and combined into masters."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from coldframe.calibration.column_sort import Scaling, combine_columns
from coldframe.calibration.flats import FlatScaler, NoSignalError, flat_response
from coldframe.calibration.frame_file import FrameFileError
from coldframe.calibration.frame_setup import FrameSetup, setup_of
from coldframe.calibration.image_file import SUFFIXES, ImageFile, open_image
from coldframe.calibration.master_file import MasterPlanes
from coldframe.calibration.masters import MasterFrame
from coldframe.calibration.methods import Clipping, Method
from coldframe.config.frames import FrameKind

UNCOOLED_SPAN_C = 2.0
"""Sensor temperatures of one set without a cooler; dark current changes by a quarter over it."""

UNKNOWN_CAMERA = "unknown camera"

_PIECE_BYTES = 1 << 20


class NotOneSetError(Exception):
    """The frames do not make one master."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame on disk and how it was shot."""

    image: ImageFile
    setup: FrameSetup


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
        path = Path(name)
        if path.is_dir():
            files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
            if not files:
                raise NotOneSetError(f"{name}: no FITS files in this folder ({', '.join(sorted(SUFFIXES))})")
        elif path.exists() or not set(name) & set("*?["):
            files = [path]
        else:
            files = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
            if not files:
                raise NotOneSetError(f"{name}: nothing matches this pattern")
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


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

    Compared are the kind, the camera, the size, gain, offset, binning, readout mode and filter array; the exposure but
    for flats, which are scaled anyway; the filter of flats and dark flats; the setpoint or, without one, the sensor's
    temperature within 2 C.
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


def combine_frames(
    frames: Sequence[RawFrame], method: Method, dark: MasterPlanes | None = None, dark_name: str | None = None
) -> MasterFrame:
    """Combine frames into a master; what its header says of them is what the first one's header says.

    Parameters
    ----------
    frames
        Of one set.
    method
        How.
    dark
        What is subtracted from each flat (a master dark flat or bias); None leaves flats as they are.
    dark_name
        The dark's file name, for the header.

    Raises
    ------
    NotOneSetError
        If the frames are lights or of unknown kind, differ in size, or the dark does.
    FrameFileError
        If a file cannot be read.
    NoSignalError
        If a flat shows no light; its file is named.
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
    masked = None
    if first.kind is FrameKind.FLAT:
        pattern = None if first.mosaic is None else first.mosaic[:4]
        stack = combine_columns(images, method, _scaling(images, dark, pattern))
        stack, masked = flat_response(stack, pattern)
    else:
        if all(image.bits < 0 for image in images) and isinstance(method, Clipping):
            method = replace(method, sigma_floor_adu=0.0)
        stack = combine_columns(images, method)
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
        clipping=method,
        inputs=tuple(image.path.name for image in images),
        first_at=moments[0] if moments else None,
        last_at=moments[-1] if moments else None,
        masked=masked,
        subtracted=dark_name,
        header=images[0].header,
    )


def _scaling(images: Sequence[ImageFile], dark: MasterPlanes | None, pattern: str | None) -> Scaling:
    shape = images[0].shape
    if dark is not None and dark.mean.shape != shape:
        raise NotOneSetError(
            f"the dark has {dark.mean.shape[1]} x {dark.mean.shape[0]} pixels, the flats {shape[1]} x {shape[0]}"
        )
    plane = np.zeros(shape, np.float32) if dark is None else dark.mean
    scaler = FlatScaler(plane, pattern)
    factors = []
    for image in images:
        try:
            factors.append(scaler.factors(image.pixels()))
        except NoSignalError as error:
            raise FrameFileError(image.path, str(error)) from error
    return Scaling(plane, np.array(factors))


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
