"""`coldframe.calibrate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coldframe.api.arguments import AnyPath, Files, image_choice, names_of, one_of, optional_path, within
from coldframe.api.collected import Collected, LeftOut, NothingDoneError
from coldframe.calibration.lights.files import Output
from coldframe.calibration.lights.recipe import Subtract
from coldframe.operations.calibrating import Request, Tally, calibrate_all
from coldframe.operations.light_groups import find_lights


@dataclass(frozen=True, slots=True)
class CalibratedLight:
    """A calibrated light.

    Attributes
    ----------
    light : pathlib.Path
        The raw light.
    path : pathlib.Path
        The calibrated file; if `uncertainty` is True, its extension UNCERT contains the standard error of each pixel.
    clipped_low, clipped_high : int
        Number of pixels that were clipped at 0 and at 65,535.
    has_photon_noise : bool
        False if the electrons per ADU are unknown, in which case UNCERT excludes the photon noise.
    """

    light: Path
    path: Path
    clipped_low: int
    clipped_high: int
    has_photon_noise: bool


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The result of `coldframe.calibrate`.

    Attributes
    ----------
    lights : tuple of CalibratedLight
        The lights that this call calibrated.
    done_before : dict of pathlib.Path to pathlib.Path
        Results from earlier calls with the same masters and options, by light; these lights are not calibrated again.
    left_out : tuple of LeftOut
        Lights that could not be calibrated, each with the reason.
    findings : tuple of str
        Faults found by a quick check of the results, the most harmful first.
    messages : tuple of str
        The lines that ``coldframe calibrate`` prints about the masters and tolerated differences.
    """

    lights: tuple[CalibratedLight, ...]
    done_before: dict[Path, Path]
    left_out: tuple[LeftOut, ...]
    findings: tuple[str, ...]
    messages: tuple[str, ...]


def calibrate(
    lights: Files,
    output: AnyPath | None = None,
    *,
    library: AnyPath | None = None,
    subtract: Literal["dark", "scaled-dark", "bias"] = "dark",
    scale_dark: bool = False,
    flat: bool = True,
    floating: bool = False,
    pedestal: float | None = None,
    e_per_adu: float | None = None,
    defects: AnyPath | None = None,
    mend: bool = True,
    blank: bool = False,
    uncertainty: bool = False,
    quick_look: bool = True,
    again: bool = False,
    extension: int | Literal["mosaic"] | None = None,
) -> Calibrated:
    """Calibrate lights with the best-matching masters of a library, as ``coldframe calibrate`` does.

    Each result is a new file, (light - dark) / flat. Lights that are already calibrated with the same masters and
    options are skipped. Unless `again` is True, no file is overwritten.

    Parameters
    ----------
    lights : str, path-like or iterable of them
        Files, folders and patterns.
    output : str or path-like, optional
        Folder for the results; by default, the folder ``calibrated`` next to each light.
    library : str or path-like, optional
        Folder of the masters; by default, the library of your configuration.
    subtract : {"dark", "scaled-dark", "bias"}
        What to subtract. ``"dark"``: a dark with the light's exposure. ``"scaled-dark"``: the same or, if there is
        no such dark, a bias and a dark scaled to that exposure. ``"bias"``: the bias alone.
    scale_dark : bool
        Scale a dark even if its amplifier glow might not grow in proportion to the exposure.
    flat : bool
        Divide by the master flat.
    floating : bool
        Write 32-bit floating-point values instead of 16-bit integers.
    pedestal : float, optional
        Constant added to every pixel, from 0 to 30,000 ADU; by default, 0 for floating-point values and, for integers,
        enough to keep the pixels above 0.
    e_per_adu : float, optional
        Electrons per ADU, for the photon noise; by default, EGAIN from the light's header.
    defects : str or path-like, optional
        Map of the pixels to replace; by default, the hot and unstable pixels of the master dark.
    mend : bool
        Replace defective pixels with values from their neighbours.
    blank : bool
        Set defective pixels to NaN instead of replacing them; requires `floating`.
    uncertainty : bool
        Add the extensions UNCERT, the standard error of each pixel, and MASK, the replaced pixels (bit 2) and the
        pixels without signal in the flat (bit 1).
    quick_look : bool
        Look for offsets, hot pixels and banding in the results.
    again : bool
        Calibrate lights that are already calibrated, and replace their earlier results.
    extension : int or "mosaic", optional
        Which image to read from files with several images; see `coldframe.read_frame`.

    Returns
    -------
    Calibrated
        The new files. Lights that could not be calibrated are in `left_out`.

    Raises
    ------
    ColdframeError
        If there is no library, no file matches a given name, or no light at all could be calibrated.
    ValueError
        If an argument has a value that is not allowed, or arguments contradict each other.

    Examples
    --------
    >>> done = coldframe.calibrate("lights/", library="~/coldframe/library")
    >>> len(done.lights), [each.reason for each in done.left_out]
    (42, [])
    """
    one_of("subtract", subtract, ("dark", "scaled-dark", "bias"), is_optional=False)
    within("pedestal", pedestal, 0, 30_000)
    within("e_per_adu", e_per_adu, 1e-6, 1e6)
    if blank and not floating:
        raise ValueError("blank = True needs floating = True, because integers cannot be NaN")
    if not mend and (blank or defects is not None):
        raise ValueError("mend = False contradicts defects and blank")
    if scale_dark and subtract == "bias":
        raise ValueError("scale_dark = True contradicts subtract = 'bias'")
    request = Request(
        library=optional_path(library),
        target=optional_path(output),
        subtract=Subtract.SCALED_DARK if scale_dark else Subtract(subtract),
        with_flat=flat,
        output=Output(
            floating, pedestal, e_per_adu, blank=blank, extension=image_choice(extension), uncertainty=uncertainty
        ),
        defects=optional_path(defects),
        mend=mend,
        despite_glow=scale_dark,
        diagnose=quick_look,
        again=again,
    )
    reports = Collected()
    tally = Tally(reports)
    calibrate_all(find_lights(names_of(lights), reports), request, tally, lambda: None)
    if not tally.done and not tally.done_before:
        raise NothingDoneError(reports.files)
    done = tuple(
        CalibratedLight(light, made.path, made.below, made.above, made.photons) for light, made in tally.done.items()
    )
    findings = sorted((each for found in tally.looked for each in found), key=lambda each: each.harm, reverse=True)
    causes = tuple(finding.cause for finding in findings)
    return Calibrated(done, tally.done_before, tuple(reports.files), causes, tuple(reports.messages))
