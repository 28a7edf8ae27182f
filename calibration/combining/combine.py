"""The combination of a set of raw frames into a master."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.combining.frame_sets import RawFrame, half_step_of
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.masters.flat_recipe import FlatRecipe, on_pedestal
from coldframe.calibration.masters.flat_scaling import FlatScaler, NoSignalError
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.stacking.column_sort import Scaling, combine_columns, spread_corrections
from coldframe.calibration.stacking.methods import Clipping, Method
from coldframe.calibration.stacking.rounding import with_rounding
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError


class NotOneSetError(ColdframeError):
    """The frames cannot be combined into one master."""


class StackingError(ColdframeError):
    """The frames are valid, but stacking them failed, in this process or on a cluster."""


Stacking = Callable[[Sequence[ImageFile], Method, FlatRecipe | None], tuple[Stack, NDArray[np.bool_] | None]]
"""Function that stacks frames; it returns the stack and, for flats, the mask of dead pixels; see `stack_here`."""


def stack_here(
    images: Sequence[ImageFile], method: Method, flat: FlatRecipe | None
) -> tuple[Stack, NDArray[np.bool_] | None]:
    """Stack frames in this process.

    Parameters
    ----------
    images
        Frames of the same size, without overscan.
    method
        Method of combination.
    flat
        The recipe that scales and normalises flats; None for frames of any other kind.

    Returns
    -------
    stack
        Combined planes, in ADU; for flats, normalised to a mean of 1.
    masked
        bool, shape (height, width): pixels without signal; None for frames of any kind except flats.

    Raises
    ------
    FrameFileError
        If a file cannot be read, or a flat has no signal.
    """
    if flat is None:
        return combine_columns(images, method), None
    factors = [flat_factors(image, flat.scaler) for image in images]
    return flat.response(combine_columns(images, method, Scaling(flat.dark, np.array(factors))), factors)


def flat_factors(image: ImageFile, scaler: FlatScaler) -> NDArray[np.float32]:
    """Return the factors that scale a flat on disk to the level that all flats share; see `FlatScaler.factors`.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or the flat has no signal.
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
    """Combine frames into a master; its header values are taken from the first frame.

    Parameters
    ----------
    frames
        Frames of one set.
    method
        Method of combination.
    dark
        Master to subtract: a master dark flat or bias from each flat, or a master bias from the combined darks. None if
        nothing is to be subtracted.
    dark_name
        File name of `dark`, for the header of the master.
    stacking
        The function that stacks the frames.

    Raises
    ------
    NotOneSetError
        If the frames are lights or of unknown kind, if they differ from each other in size or overscan, or if they
        differ from the dark in size.
    FrameFileError
        If a file cannot be read, or a flat has no signal.
    StackingError
        If `stacking` fails.
    """
    kind = _kind_of_set(frames)
    first = frames[0].setup
    images = [frame.image for frame in frames]
    if kind is FrameKind.FLAT:
        stack, masked = stacking(images, method, _flat_recipe(first, images[0].shape, dark))
    else:
        half_step_adu = _half_step_adu(frames)
        if isinstance(method, Clipping):
            method = replace(method, sigma_floor_adu=half_step_adu)
        else:
            method = replace(method, step_adu=2 * half_step_adu)
        stack, masked = stacking(images, method, None)
        stack = with_rounding(stack, method.step_adu, spread_corrections(stack.frames, method))
        if first.overscan is not None:
            stack = first.overscan.restored(stack, [frame.rest for frame in frames if frame.rest is not None])
        if dark is not None:
            stack = _less(stack, dark)
    setups = [frame.setup for frame in frames]
    moments = sorted(setup.taken_at for setup in setups if setup.taken_at is not None)
    exposures_s = [setup.exposure_s for setup in setups if setup.exposure_s is not None]
    sensors_c = [setup.sensor_c for setup in setups if setup.sensor_c is not None]
    temperatures_c = [setup.temperature_c for setup in setups if setup.temperature_c is not None]
    return MasterFrame(
        kind=kind,
        stack=stack,
        camera=first.camera,
        settings=first.readout,
        exposure_s=float(np.mean(exposures_s)) if exposures_s else (0.0 if kind is FrameKind.BIAS else None),
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
        sensor_range_c=(min(sensors_c), max(sensors_c)) if sensors_c else None,
        subtracted_sum=None if dark is None or "DATASUM" not in dark.header else str(dark.header["DATASUM"]),
    )


def _kind_of_set(frames: Sequence[RawFrame]) -> FrameKind:
    """Return the kind of the frames; raise `NotOneSetError` if the frames cannot be combined into one master."""
    first, image = frames[0].setup, frames[0].image
    if first.kind is None:
        raise NotOneSetError("no header states the kind of the frames: specify it with --kind")
    if first.kind is FrameKind.LIGHT:
        raise NotOneSetError("these are lights, which cannot be combined into a master")
    odd = next((frame.image for frame in frames if frame.image.shape != image.shape), None)
    if odd is not None:
        raise NotOneSetError(
            f"{odd.path} has {odd.shape[1]} x {odd.shape[0]} pixels,"
            f" but {image.path} has {first.width} x {first.height}"
        )
    if any(frame.setup.overscan != first.overscan for frame in frames):
        raise NotOneSetError("only some of the frames have an overscan to subtract: use --overscan none to leave it in")
    return first.kind


def _less(stack: Stack, bias: MasterPlanes) -> Stack:
    """Return the stack minus the bias; the error of the bias is added to the uncertainty of the stack."""
    if bias.mean.shape != stack.mean.shape:
        raise NotOneSetError(f"the bias has the shape {bias.mean.shape}, but the darks have {stack.mean.shape}")
    return replace(
        stack,
        mean=stack.mean - bias.mean,
        uncertainty=np.hypot(stack.uncertainty, bias.uncertainty),
        rounding_adu2=stack.rounding_adu2 + bias.rounding_adu2,
    )


def _half_step_adu(frames: Sequence[RawFrame]) -> float:
    """Return half the step between levels of the first integer frame, or 0 if no frame is one; see `half_step`."""
    first = next((frame for frame in frames if frame.image.bits > 0), None)
    if first is None:
        return 0.0
    known = half_step_of(first.image) if first.half_step_adu is None else first.half_step_adu
    return 0.5 if known is None else known


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
            f"the dark has {mean.shape[1]} x {mean.shape[0]} pixels, but the flats have {shape[1]} x {shape[0]}"
        )
    return recipe
