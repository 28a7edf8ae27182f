"""A night that is shared by the tests of planning."""

from typing import Any

from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.tables.sets import FrameSet


def night(first: str = "flats", *, dark_flats: bool = True, bias: int = 100) -> Settings:
    """Return a night of two filters, two dark exposures and two setpoints."""
    sets: list[dict[str, Any]] = [{"kind": FrameKind.BIAS, "count": bias}]
    for name in ("L", "Ha"):
        sets += [{"kind": FrameKind.FLAT, "count": 25, "filter": name}]
        sets += [{"kind": FrameKind.DARK_FLAT, "count": 25, "filter": name}] if dark_flats else []
    for setpoint_c in (-10.0, 0.0):
        for exposure_s in (60.0, 300.0):
            sets.append({"kind": FrameKind.DARK, "count": 30, "exposure_s": exposure_s, "setpoint_c": setpoint_c})
    return Settings.model_validate(
        {
            "camera": {"device": "C", "setpoint_c": -10.0},
            "panel": {"device": "P"},
            "wheel": {"device": "W"},
            "lights": {"first": first},
            "sets": [FrameSet.model_validate(each) for each in sets],
        }
    )
