"""Frames and masters as arrays, with the settings in their headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coldframe.api.arguments import AnyPath, image_choice, path_of
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.masters import reading


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings of a frame, as its header states them; None for values that the header lacks.

    coldframe understands the keywords of many programs, so these values do not depend on the program that wrote the
    file.

    Attributes
    ----------
    kind : str or None
        ``"light"``, ``"bias"``, ``"dark"``, ``"flat"`` or ``"dark-flat"``. For a master, the kind of its frames.
    camera : str or None
        Name of the camera.
    gain, offset : float or None
        Gain and offset, in the units of the camera's driver.
    binning : int
        Pixels binned along each axis.
    readout_mode : str or None
        The driver's name for the readout mode.
    exposure_s : float or None
        Exposure, seconds.
    temperature_c : float or None
        Sensor temperature, degrees Celsius; the setpoint if the header has only the setpoint.
    filter_name : str or None
        Name of the filter.
    mosaic : str or None
        Colour filter array, starting at the first pixel of the file, such as ``"RGGB"``; None for mono.
    taken_at : datetime.datetime or None
        Start of the exposure, UTC; for masters, of the first frame.
    """

    kind: str | None
    camera: str | None
    gain: float | None
    offset: float | None
    binning: int
    readout_mode: str | None
    exposure_s: float | None
    temperature_c: float | None
    filter_name: str | None
    mosaic: str | None
    taken_at: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image from a file.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    pixels : numpy.ndarray
        Shape (height, width), in the order of the file, ADU: uint16 if the file contains 8-bit or 16-bit integers,
        float32 otherwise. Fractions of the full range are converted to ADU only if the file is XISF.
    header : mapping of str to str, int, float or bool
        Values of the header's cards.
    setup : Setup
        The settings in the header.
    """

    path: Path
    pixels: NDArray[np.uint16] | NDArray[np.float32]
    header: Mapping[str, str | int | float | bool]
    setup: Setup


@dataclass(frozen=True, slots=True, eq=False)
class Master:
    """A master from a file.

    Attributes
    ----------
    mean : numpy.ndarray
        float32, shape (height, width): ADU; for flats, relative to a mean of 1.
    uncertainty : numpy.ndarray
        float32, same shape and unit: standard error of the mean; zeros if unknown.
    counts : numpy.ndarray or None
        float32, same shape: number of values that were kept for each pixel; None if unknown.
    masked : numpy.ndarray or None
        bool, same shape: pixels without signal in a flat; None if the file has no mask.
    header : mapping of str to str, int, float or bool
        Values of the header's cards.
    setup : Setup
        The settings in the header.
    """

    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    counts: NDArray[np.float32] | None
    masked: NDArray[np.bool_] | None
    header: Mapping[str, str | int | float | bool]
    setup: Setup


def read_frame(path: AnyPath, *, extension: int | Literal["mosaic"] | None = None) -> Frame:
    """Read a frame from any camera or program: FITS, compressed FITS, XISF or a camera raw.

    Parameters
    ----------
    path : str or path-like
        The file.
    extension : int or "mosaic", optional
        Which image to read from a file with several images: the number of its HDU, counted from 0, or ``"mosaic"`` to
        assemble all of them.

    Returns
    -------
    Frame
        The pixels, the header and the settings in it.

    Raises
    ------
    ColdframeError
        If the file cannot be read, is damaged, or holds several images and `extension` is None; if a pixel is not a
        finite number; or if the format needs a package that is not installed.
    ValueError
        If `extension` is invalid.

    Examples
    --------
    >>> frame = coldframe.read_frame("light_0001.fits")
    >>> frame.setup.exposure_s, frame.pixels.dtype, frame.pixels.shape
    (300.0, dtype('uint16'), (4176, 6248))
    """
    file = path_of(path)
    with scratch_folder() as folder:
        image = open_image(file, folder, image_choice(extension))
        pixels = image.pixels()
    height, width = pixels.shape
    header = dict(image.header)
    return Frame(file, pixels, header, public_setup(setup_of({**header, "NAXIS1": width, "NAXIS2": height})))


def read_master(path: AnyPath) -> Master:
    """Read a master that coldframe wrote, or a two-dimensional FITS or XISF master from another program.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    Master
        Mean, uncertainty, counts and mask.

    Raises
    ------
    ColdframeError
        If the file cannot be read or is damaged.

    Examples
    --------
    >>> master = coldframe.read_master("MasterDark.fits")
    >>> float(np.median(master.uncertainty))
    0.41
    """
    planes = reading.read_master(path_of(path))
    height, width = planes.mean.shape
    setup = public_setup(setup_of({**planes.header, "NAXIS1": width, "NAXIS2": height}))
    return Master(planes.mean, planes.uncertainty, planes.counts, planes.masked, planes.header, setup)


def public_setup(setup: FrameSetup) -> Setup:
    """Return the public settings of a setup."""
    readout = setup.readout
    return Setup(
        kind=None if setup.kind is None else setup.kind.value,
        camera=setup.camera,
        gain=readout.gain,
        offset=readout.offset,
        binning=readout.binning,
        readout_mode=readout.readout_mode,
        exposure_s=setup.exposure_s,
        temperature_c=setup.temperature_c,
        filter_name=setup.filter_name,
        mosaic=setup.mosaic,
        taken_at=setup.taken_at,
    )
