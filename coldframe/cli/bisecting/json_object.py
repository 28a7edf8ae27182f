"""The result of a bisection as a JSON object for programs, with finite numbers only."""

import json
from typing import Any

from coldframe.calibration.diagnosis.bisection import Scored
from coldframe.calibration.diagnosis.combinations import Candidate
from coldframe.calibration.diagnosis.witnesses import significance
from coldframe.cli.bisecting.results import BisectionResult, not_compared, shoot_command, verdict

FORMAT = 1


def json_object(result: BisectionResult) -> str:
    """Return the result as a JSON object.

    ``combinations`` lists the combinations, the best first; their ``dark`` and ``flat`` refer to the keys of
    ``masters``. ``shoot`` is the command that shoots the missing frames, or null.
    """
    comparison = result.comparison
    found = {
        "format": FORMAT,
        "verdict": verdict(result),
        "clean": result.is_clean,
        "culprits": [
            {
                "component": each.component.value,
                "worse": _combination(result, each.worse),
                "better": _combination(result, each.better),
                "artifacts": [witness.value for witness in each.witnesses],
            }
            for each in comparison.culprits()
        ],
        "combinations": [_combination(result, row) for row in comparison.rows],
        "ties": [_combination(result, row) for row in comparison.ties()],
        "masters": [_master(master) for master in result.candidates.all],
        "lights": [str(light.path) for light in result.bisected.read],
        "not_compared": {
            witness.value: reason for reason, witnesses in not_compared(result).items() for witness in witnesses
        },
        "notes": list(result.notes),
        "shoot": shoot_command(result),
    }
    return json.dumps(found, indent=1, allow_nan=False)


def _combination(result: BisectionResult, row: Scored) -> dict[str, Any]:
    comparison = result.comparison
    return {
        "dark": row.dark.key,
        "flat": row.flat.key,
        "score": round(comparison.score(row), 3),
        "leaves": [each.value for each in comparison.left_by(row)],
        "significance": {each.value: round(significance(row.terms[each]), 3) for each in comparison.witnesses},
    }


def _master(master: Candidate) -> dict[str, Any]:
    assert master.setup.kind is not None
    taken = master.setup.taken_at
    return {
        "key": master.key,
        "kind": master.setup.kind.value,
        "path": str(master.path),
        "taken_at": None if taken is None else taken.isoformat(),
    }
