"""`coldframe.combine`."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coldframe.api.arguments import AnyPath, Files, image_choice, names_of, one_of, optional_path, path_of, within
from coldframe.api.collected import Collected, LeftOut, NothingDoneError
from coldframe.api.frames import Master, read_master
from coldframe.calibration.combining.given_sections import GivenSections
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.config.frames import FrameKind
from coldframe.operations.combining import Choice, Request, chosen_method, combine_into, option_without_effect
from coldframe.operations.set_master import NothingLeftError, Treatment


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """A master that `coldframe.combine` made.

    Attributes
    ----------
    master : Master
        The master.
    path : pathlib.Path or None
        File of the master; None if it was not written.
    frames : int
        Number of frames combined into it.
    left_out : tuple of LeftOut
        Files that could not be used, and doubtful frames if `reject_doubtful` is True.
    messages : tuple of str
        The lines that ``coldframe combine`` prints about the set, doubtful frames and the master.
    """

    master: Master
    path: Path | None
    frames: int
    left_out: tuple[LeftOut, ...]
    messages: tuple[str, ...]


def combine(
    files: Files,
    output: AnyPath | None = None,
    *,
    kind: Literal["bias", "dark", "flat", "dark-flat"] | None = None,
    dark: AnyPath | None = None,
    bias: AnyPath | None = None,
    method: Literal["mean", "sigma-clip", "winsorized", "median"] | None = None,
    center: Literal["mean", "median"] | None = None,
    start: Literal["trimmed", "all"] | None = None,
    sigma: float | None = None,
    overscan: Literal["none", "row", "smooth"] | None = None,
    biassec: str | None = None,
    trimsec: str | None = None,
    reject_doubtful: bool = False,
    force: bool = False,
    dask: str | None = None,
    extension: int | Literal["mosaic"] | None = None,
) -> Combined:
    """Combine raw frames of one set into a master, as ``coldframe combine`` does.

    Files that cannot be read, and copies of other frames, are left out. Memory use does not grow with the number of
    frames.

    Parameters
    ----------
    files : str, path-like or iterable of them
        Files, folders and patterns.
    output : str or path-like, optional
        FITS file to write; it must not exist. Without it, the master is only returned.
    kind : {"bias", "dark", "flat", "dark-flat"}, optional
        Kind of the frames, overriding their headers.
    dark : str or path-like, optional
        Master dark flat or bias to subtract from each flat.
    bias : str or path-like, optional
        Master bias to subtract from darks.
    method : {"mean", "sigma-clip", "winsorized", "median"}, optional
        How to combine the values of a pixel. By default, sigma-clip, or median for three or four frames.
    center : {"mean", "median"}, optional
        Centre from which sigma-clip measures deviations; by default, the mean.
    start : {"trimmed", "all"}, optional
        Values from which sigma-clip computes its first mean and sigma; by default, all but the extreme values.
    sigma : float, optional
        Reject values beyond this many sigma, from 1 to 100; by default 3.
    overscan : {"none", "row", "smooth"}, optional
        How to subtract the overscan. By default, as in `dark` or `bias`; without these, as the headers declare.
    biassec, trimsec : str, optional
        Sections of the overscan and of the image, such as ``"[1:32,*]"``, if the headers lack them.
    reject_doubtful : bool
        Leave out frames whose pixels differ from those of the other frames.
    force : bool
        Combine frames that do not match, a single frame, or saturated flats.
    dask : str, optional
        Address of a Dask cluster that can read the same files.
    extension : int or "mosaic", optional
        Which image to read from files with several images; see `coldframe.read_frame`.

    Returns
    -------
    Combined
        The master, whose values are bit-for-bit identical to those in the file.

    Raises
    ------
    ColdframeError
        If the frames belong to several sets, do not match the subtracted master, or are too few; or if `output` exists
        or cannot be written. The message states the reason. If no file could be used, the error is a
        `NothingDoneError`, which lists the files.
    OSError
        If a folder cannot be read, or temporary files cannot be written.
    ValueError
        If an argument has a value that is not allowed, or has no effect with the chosen method.

    Examples
    --------
    >>> made = coldframe.combine("darks/*.fits", "MasterDark.fits")
    >>> made.frames, made.master.mean.shape
    (30, (4176, 6248))
    """
    one_of("kind", kind, ("bias", "dark", "flat", "dark-flat"))
    one_of("method", method, ("mean", "sigma-clip", "winsorized", "median"))
    one_of("center", center, ("mean", "median"))
    one_of("start", start, ("trimmed", "all"))
    one_of("overscan", overscan, ("none", "row", "smooth"))
    within("sigma", sigma, 1, 100)
    choice = Choice(method, center, start, sigma)
    if (ignored := option_without_effect(choice)) is not None:
        raise ValueError(ignored)
    request = Request(
        treatment=Treatment(chosen_method(choice), overscan, force=force, reject_doubtful=reject_doubtful),
        kind=None if kind is None else FrameKind(kind),
        dark=optional_path(dark),
        bias=optional_path(bias),
        sections=GivenSections(biassec, trimsec),
        extension=image_choice(extension),
        scheduler=dask,
    )
    reports = Collected()
    path = None if output is None else path_of(output)
    with scratch_folder() if path is None else nullcontext(path.parent) as folder:
        target = folder / "master.fits" if path is None else path
        try:
            made = combine_into(names_of(files), target, request, reports)
        except NothingLeftError as error:
            raise NothingDoneError(reports.files) from error
        master = read_master(target)
    return Combined(master, path, made.master.stack.frames, tuple(reports.files), tuple(reports.messages))
