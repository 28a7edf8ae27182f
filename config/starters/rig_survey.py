"""A rig as its INDI server describes it, and settings for this rig that follow good practice."""

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from coldframe.config.tables.values import DifferentNames, Gain, Setpoint

# Most cooled cameras reach this setpoint on most nights, and their dark current is negligible at this temperature.
_USUAL_SETPOINT_C = -10.0
_FALLBACK_C = (-5.0, 0.0, 5.0, 10.0)
_FINITE = ConfigDict(allow_inf_nan=False)
_GAIN = TypeAdapter(Gain, config=_FINITE)
_SETPOINT = TypeAdapter(Setpoint, config=_FINITE)
_NAMES = TypeAdapter(DifferentNames)


@dataclass(frozen=True, slots=True)
class RigSurvey:
    """A rig as its INDI server describes it.

    Host, port and device names must be valid in a configuration; all other values can be anything that a driver
    reports.

    Attributes
    ----------
    host, port
        The server.
    camera
        Device name of the camera.
    other_cameras
        Device names of the server's other cameras.
    gain, offset
        Range of the control as the driver announces it, or a single value if the control is read-only; None if the
        camera lacks the control.
    gain_is_iso
        True if `gain` is the range of the ISO values of a DSLR.
    gain_now, offset_now
        Current values of the controls.
    setpoint_c
        Range of the cooler's setpoint, in degrees Celsius; None for an uncooled camera.
    readout_modes, readout_mode
        Labels of all readout modes, and of the current one; empty and None if there is only one mode.
    panel
        Device name of the flat panel.
    brightness
        Range of the panel's brightness in its own steps; None if it can only be switched on and off.
    has_cover
        True if the panel can open and close a cover.
    cover
        Device name of a cover that is not part of the panel.
    wheel, filters
        Device name of the filter wheel, and the names of its filters in slot order; empty for slots without a name.
    rotator, rotator_deg
        Device name of the rotator, and the range of angles that it accepts; None if the range is unknown.
    """

    host: str
    port: int
    camera: str
    other_cameras: tuple[str, ...] = ()
    gain: tuple[float, float] | None = None
    gain_is_iso: bool = False
    gain_now: float | None = None
    offset: tuple[float, float] | None = None
    offset_now: float | None = None
    setpoint_c: tuple[float, float] | None = None
    readout_modes: tuple[str, ...] = ()
    readout_mode: str | None = None
    panel: str | None = None
    brightness: tuple[float, float] | None = None
    has_cover: bool = False
    cover: str | None = None
    wheel: str | None = None
    filters: tuple[str, ...] = ()
    rotator: str | None = None
    rotator_deg: tuple[float, float] | None = None

    def camera_settings(self) -> dict[str, object]:
        """Return settings for the camera: the current values of its controls, and a typical setpoint."""
        chosen: dict[str, object] = {"device": self.camera}
        for name, limits, now in (("gain", self.gain, self.gain_now), ("offset", self.offset, self.offset_now)):
            if is_adjustable(limits) and now is not None and _fits(_GAIN, float(now)):
                chosen[name] = float(now)
        if self.readout_mode in self.readout_modes and _fits(_NAMES, [self.readout_mode]):
            chosen["readout_mode"] = self.readout_mode
        if self.setpoint_c is not None:
            low, high = self.setpoint_c
            nearest = min(max(_USUAL_SETPOINT_C, low), high)
            chosen["setpoint_c"] = nearest if _fits(_SETPOINT, nearest) else _USUAL_SETPOINT_C
        return chosen

    def cooling_settings(self) -> dict[str, object]:
        """Return settings for cooling: warmer setpoints that the cooler accepts, for warm nights."""
        if self.setpoint_c is None:
            return {}
        low, high = self.setpoint_c
        return {"fallback_c": [each for each in _FALLBACK_C if low <= each <= high]}

    def wheel_settings(self) -> dict[str, object]:
        """Return settings for the wheel, with filter names only if the driver's names cannot be used."""
        filters = self.usable_filters()
        if self.wheel is None or not filters:
            return {}
        return {"device": self.wheel} | ({"names": filters} if filters != self.filters else {})

    def usable_filters(self) -> tuple[str, ...]:
        """Return the driver's filter names, with "Filter 1" etc. for names that are empty, repeated or unprintable."""
        filters = self.filters
        numbered = tuple(f"Filter {slot}" for slot in range(1, len(filters) + 1))
        mended = tuple(
            name if _fits(_NAMES, [name]) and filters.count(name) == 1 else number
            for name, number in zip(filters, numbered, strict=True)
        )
        return mended if len(set(mended)) == len(mended) else numbered

    def flat_filters(self) -> tuple[str | None, ...]:
        """Return the filters for which flats are shot: a single None without a wheel; no element without a panel."""
        if self.panel is None:
            return ()
        return (self.usable_filters() if self.wheel else ()) or (None,)


def is_adjustable(limits: tuple[float, float] | None) -> bool:
    """Return True if a control with this range exists, and its value can be changed."""
    return limits is not None and limits[0] != limits[1]


def _fits(kind: TypeAdapter[Any], value: object) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True
