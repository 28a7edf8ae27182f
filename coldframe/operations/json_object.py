"""The diagnosis as a JSON object for programs, with finite numbers only."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from coldframe.calibration.diagnosis.files import LightSource
from coldframe.calibration.diagnosis.findings import Finding, Kind, Sensitivity
from coldframe.calibration.diagnosis.master_files import MasterInUse
from coldframe.operations.results import SetResult, findings, seen_down_to, untested, verdict

FORMAT = 1


def json_text(results: Sequence[SetResult]) -> str:
    """Return the text of `json_object`."""
    return json.dumps(json_object(results), indent=1, allow_nan=False)


def json_object(results: Sequence[SetResult]) -> dict[str, Any]:
    """Return the diagnoses of all sets as a JSON object.

    Its keys ``verdict``, ``clean``, ``findings``, ``seen_down_to``, ``untested``, ``lights`` and ``masters`` cover all
    sets; the findings are sorted, the most harmful first. ``sets`` contains an object with the same keys for each set.
    A number that is unknown or does not apply, such as the error of an exact size, is null.
    """
    return {
        "format": FORMAT,
        "verdict": verdict(results),
        "clean": all(result.is_clean for result in results),
        "findings": [_finding(finding, result.name) for result, finding in findings(results)],
        **_limits(seen_down_to(results), untested(results)),
        "lights": [_light(light) for result in results for light in result.found.read],
        "masters": [_master(master) for master in _distinct(results)],
        "sets": [_set(result) for result in results],
    }


def _set(result: SetResult) -> dict[str, Any]:
    found = result.found
    return {
        "name": result.name,
        "verdict": verdict([result]),
        "clean": result.is_clean,
        "findings": [_finding(finding, result.name) for _, finding in findings([result])],
        **_limits(found.diagnosis.seen_down_to, found.diagnosis.untested),
        "lights": [_light(light) for light in found.read],
        "masters": [_master(master) for master in found.masters],
        "sky_adu": _number(found.examined.sky_adu),
        "noise_adu": _number(found.examined.noise_adu),
        "negative_fraction": _number(found.examined.negative),
        "notes": list(result.notes),
    }


def _finding(finding: Finding, name: str) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "cause": finding.cause,
        "size": _number(finding.size),
        "unit": finding.unit,
        "error": _number(finding.error),
        "significance": _number(finding.significance),
        "matters": bool(finding.matters),
        "evidence": finding.evidence,
        "fix": finding.fix,
        "set": name,
    }


def _limits(seen: Mapping[Kind, Sensitivity], missing: Mapping[Kind, str]) -> dict[str, Any]:
    return {
        "seen_down_to": {
            kind.value: {"size": _number(limit.size), "unit": limit.unit, "what": limit.what}
            for kind, limit in seen.items()
        },
        "untested": {kind.value: reason for kind, reason in missing.items()},
    }


def _light(light: LightSource) -> dict[str, Any]:
    return {"path": str(light.path), "read": str(light.source), "stage": light.stage.value}


def _master(master: MasterInUse) -> dict[str, Any]:
    return {"kind": master.kind.value, "path": str(master.path), "differences": list(master.differences)}


def _distinct(results: Sequence[SetResult]) -> list[MasterInUse]:
    return list({master.path: master for result in results for master in result.found.masters}.values())


def _number(value: float) -> float | None:
    """Return a number as a Python float, or None if it is not finite."""
    return float(value) if isfinite(value) else None
