"""Writes the report as JSON, for other programs."""

import dataclasses
import json
import math
from datetime import datetime

from coldframe.capture.monitoring.report.contents import FORMAT, NightReport


def json_twin(report: NightReport) -> str:
    """Return the report as a JSON object.

    Its fields are ``format``, then those of `NightReport`. A nested dataclass becomes an object, a tuple an array, an
    enum member its value, and a time an ISO 8601 string in UTC. NaN and infinities become null, because JSON cannot
    represent them.
    """
    return json.dumps({"format": FORMAT, **_fields(report)}, indent=1, allow_nan=False) + "\n"


def _fields(value: object) -> dict[str, object]:
    assert dataclasses.is_dataclass(value)
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
