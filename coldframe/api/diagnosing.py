"""`coldframe.diagnose`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from coldframe.api.arguments import AnyPath, Files, image_choice, names_of, optional_path, within
from coldframe.api.collected import Collected, LeftOut, NothingDoneError
from coldframe.calibration.diagnosis.files import Stage
from coldframe.operations.choosing import GivenMasters
from coldframe.operations.diagnosing import Diagnoses, Request
from coldframe.operations.json_object import json_object
from coldframe.operations.light_groups import find_lights
from coldframe.operations.results import SetResult, findings, untested, verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """An artifact in calibrated lights, or a fault in a master.

    Attributes
    ----------
    kind : str
        ``"dust"``, ``"overcorrection"``, ``"banding"``, ``"amp-glow"``, ``"colour"``, ``"gradient"``, ``"offset"``,
        ``"temperature"`` or ``"masters"``.
    cause : str
        The most probable cause, in a sentence.
    size, error : float
        Size and its standard error, in `unit`; the error may be NaN.
    unit : str
        Unit of the size, such as ``"ADU"`` or ``"px"``.
    significance : float
        Size divided by its standard error, or the square root of the improvement in chi-square.
    matters : bool
        True if the artifact is visible in a stack of these lights.
    evidence : str
        The measurements that indicate the cause.
    fix : str
        The recommended remedy.
    lights : str
        The settings of the lights that the finding is about.
    """

    kind: str
    cause: str
    size: float
    error: float
    unit: str
    significance: float
    matters: bool
    evidence: str
    fix: str
    lights: str


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """The result of `coldframe.diagnose`.

    Attributes
    ----------
    verdict : str
        The result in a sentence.
    is_clean : bool
        True if no finding matters. See also `untested`.
    findings : tuple of Finding
        All findings, the most harmful first.
    untested : dict of str to str
        The kinds of artifacts that could not be tested, each with the reason.
    left_out : tuple of LeftOut
        Lights that could not be diagnosed, each with the reason.
    messages : tuple of str
        Further lines that ``coldframe diagnose`` prints to standard error.
    """

    verdict: str
    is_clean: bool
    findings: tuple[Finding, ...]
    untested: dict[str, str]
    left_out: tuple[LeftOut, ...]
    messages: tuple[str, ...]
    _results: Sequence[SetResult] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the object that ``coldframe diagnose --json`` prints.

        Returns
        -------
        dict
            Contains only strings, finite numbers, None, lists and dictionaries.
        """
        return json_object(self._results)


def diagnose(
    lights: Files,
    *,
    library: AnyPath | None = None,
    dark: AnyPath | None = None,
    flat: AnyPath | None = None,
    bias: AnyPath | None = None,
    calibrated: bool | None = None,
    e_per_adu: float | None = None,
    extension: int | None = None,
) -> Diagnosis:
    """Find out whether lights calibrate cleanly and, if they do not, why, as ``coldframe diagnose`` does.

    Parameters
    ----------
    lights : str, path-like or iterable of them
        Raw lights, or lights that any program has calibrated: files, folders and patterns. They must be neither
        registered nor stacked. Twelve lights per set are enough to show most artifacts.
    library : str or path-like, optional
        Folder of the masters; by default, the library of your configuration.
    dark, flat, bias : str or path-like, optional
        Masters to use instead of those in the library.
    calibrated : bool, optional
        Whether another program has calibrated the lights; by default, according to the headers and file names.
    e_per_adu : float, optional
        Electrons per ADU; by default, EGAIN from the lights' headers or, without it, measured from the flats.
    extension : int, optional
        Which image to read from files with several images; see `coldframe.read_frame`.

    Returns
    -------
    Diagnosis
        The findings of all sets of lights.

    Raises
    ------
    ColdframeError
        If masters are missing or cannot be read, no file matches a given name, or no light could be diagnosed.
    ValueError
        If an argument has a value that is not allowed, or `library` is given together with masters.

    Examples
    --------
    >>> found = coldframe.diagnose("lights/", library="~/coldframe/library")
    >>> found.verdict
    'Your lights calibrate cleanly.'
    """
    within("e_per_adu", e_per_adu, 1e-6, 1e6)
    given = GivenMasters(optional_path(dark), optional_path(bias), optional_path(flat))
    if library is not None and given.by_kind:
        raise ValueError("library contradicts dark, flat and bias: specify either the library or the masters")
    stage = None if calibrated is None else Stage.OTHER if calibrated else Stage.RAW
    request = Request(optional_path(library), given, stage, e_per_adu, image_choice(extension))
    reports = Collected()
    results = list(Diagnoses(request, reports).of(find_lights(names_of(lights), reports)))
    if not results:
        raise NothingDoneError(reports.files)
    return Diagnosis(
        verdict=verdict(results),
        is_clean=all(result.is_clean for result in results),
        findings=_findings(results),
        untested={kind.value: reason for kind, reason in untested(results).items()},
        left_out=tuple(reports.files),
        messages=tuple(reports.messages),
        _results=results,
    )


def _findings(results: Sequence[SetResult]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            kind=each.kind.value,
            cause=each.cause,
            size=float(each.size),
            error=float(each.error),
            unit=each.unit,
            significance=float(each.significance),
            matters=bool(each.matters),
            evidence=each.evidence,
            fix=each.fix,
            lights=result.name,
        )
        for result, each in findings(results)
    )
