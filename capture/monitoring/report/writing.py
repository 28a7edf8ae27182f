"""Write the report as JSON, for other programs."""

import dataclasses
import json
import math
from datetime import datetime

from coldframe.capture.monitoring.report.contents import FORMAT, NightReport


def json_twin(report: NightReport) -> str:
    """Return the report as a JSON object.

    Its fields are ``format`` and the fields of `NightReport`. Nested dataclasses become objects, tuples become arrays,
    enum members become their values, and times become ISO 8601 strings in UTC. NaN and infinities become null, because
    JSON cannot represent them.
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
