"""The construction of findings about masters."""

from coldframe.calibration.diagnosis.estimating.estimates import Estimate
from coldframe.calibration.diagnosis.findings import Finding, Kind, Origin


def master_finding(
    cause: str,
    found: Estimate,
    unit: str,
    *,
    least: float | None,
    evidence: str,
    fix: str = "",
    origin: Origin | None = None,
) -> Finding:
    """Return a finding about a master.

    Parameters
    ----------
    cause
        The fault, or the property that was measured.
    found
        Size and standard error of the finding, in `unit`.
    unit
        Unit of the size.
    least
        Smallest size that matters; None for a figure that is informative only.
    evidence
        The measurements that point to the cause.
    fix
        The remedy: the frames to shoot or to combine again, and the settings.
    origin
        The origin, if the finding explains others; it is omitted if the finding does not matter.
    """
    harm = 0.0 if least is None else abs(found.value) / least
    return Finding(
        kind=Kind.MASTERS,
        cause=cause,
        size=found.value,
        unit=unit,
        error=found.error,
        significance=found.significance,
        matters=harm >= 1,
        evidence=evidence,
        fix=fix,
        harm=harm,
        origin=origin if harm >= 1 else None,
    )


def adu(value: float) -> str:
    """Return a level or difference with its unit, as text."""
    return f"{value:,.1f} ADU" if abs(value) < 100 else f"{value:,.0f} ADU"  # noqa: PLR2004 - enough digits


def percent(fraction: float) -> str:
    """Return a fraction in percent with two or three significant digits, as text."""
    return f"{100 * fraction:.2g} %" if abs(fraction) < 0.1 else f"{100 * fraction:.0f} %"  # noqa: PLR2004
