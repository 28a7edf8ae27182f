"""The configuration that `coldframe init` writes: every setting explained, and sets that follow good practice."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined

from coldframe.config.allowed import allowed
from coldframe.config.section import Section
from coldframe.config.tables.cooling import CoolingSettings
from coldframe.config.tables.flats import FlatSettings
from coldframe.config.tables.night import HookSettings, StorageSettings, VerifySettings, WatchSettings
from coldframe.config.tables.rig import (
    CameraSettings,
    CoverSettings,
    PanelSettings,
    RotatorSettings,
    ServerSettings,
    WheelSettings,
)
from coldframe.config.tables.sets import LightsSettings
from coldframe.config.tables.values import DifferentNames, Gain, Setpoint

_COMMENT_WIDTH = 100
# Most cooled cameras reach this setpoint on most nights, and their dark current is negligible there.
_USUAL_SETPOINT_C = -10.0
_FALLBACK_C = (-5.0, 0.0, 5.0, 10.0)
_FINITE = ConfigDict(allow_inf_nan=False)
_GAIN = TypeAdapter(Gain, config=_FINITE)
_SETPOINT = TypeAdapter(Setpoint, config=_FINITE)
_NAMES = TypeAdapter(DifferentNames)
_MQTT = """# To use a WLED, Tasmota, ESPHome or zigbee2mqtt lamp as the flat panel (docs/mqtt-panels.md):
#     [panel]
#     device = "the lamp"
#     kind = "mqtt"
#     [panel.mqtt]
#     family = "wled"
#     topic = "wled/panel"
""".rstrip()


@dataclass(frozen=True, slots=True)
class RigSurvey:
    """A rig as its INDI server describes it.

    Attributes
    ----------
    host, port
        The server.
    camera
        Device name of the camera.
    other_cameras
        Device names of the server's other cameras.
    gain, offset
        Range of the control as the driver announces it, with one value if it is read-only; None if the camera has no
        such control.
    gain_now, offset_now
        Present values of the controls.
    setpoint_c
        Range of the cooler's setpoint, degrees Celsius; None for an uncooled camera.
    readout_modes, readout_mode
        Labels of all modes and of the present mode; empty and None if there is only one mode.
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
        Device name of the rotator, and the range of the angles that it accepts; None if it is unknown.
    """

    host: str
    port: int
    camera: str
    other_cameras: tuple[str, ...] = ()
    gain: tuple[float, float] | None = None
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


def starter_config(survey: RigSurvey) -> str:
    """Return a configuration for the surveyed rig.

    Parameters
    ----------
    survey
        Host, port and device names must be valid in a configuration; all other values may be anything that a driver
        reports.

    Returns
    -------
    str
        TOML that `load_settings` accepts.
    """
    filters = _usable_names(survey.filters)
    blocks = [
        _comment(
            "Configuration of coldframe for one rig. Lines that start with # are explanations, or settings at their "
            "defaults."
        ),
        _table("server", ServerSettings, {"host": survey.host, "port": survey.port}),
        _camera(survey),
        _panel(survey),
        *_cover(survey),
        _wheel(survey, filters),
        *_rotator(survey),
        _cooling(survey),
        _table("flats", FlatSettings, {}, leave_out=("filters",)),
        _filter_example(filters),
        _table("storage", StorageSettings, {}),
        _comment("To finish by sunrise, add a table [site] with latitude_deg and longitude_deg."),
        _table("lights", LightsSettings, {}),
        _table("hooks", HookSettings, {}),
        _table("watch", WatchSettings, {}),
        _table("verify", VerifySettings, {}),
        _comment("For telemetry over MQTT and Home Assistant, add a table [mqtt] with host (see docs/mqtt.md)."),
        _comment("For messages to your phone, add a table [notify] with urls_file (see docs/notifications.md)."),
        _sets(survey, filters),
    ]
    return "\n\n".join(blocks) + "\n"


def _camera(survey: RigSurvey) -> str:
    chosen: dict[str, object] = {"device": survey.camera}
    notes: dict[str, str] = {}
    if survey.other_cameras:
        others = _toml(survey.other_cameras)
        notes["device"] = f"The server has other cameras, too: {others}. For one of them, use coldframe init --camera."
    for name, limits, now in (
        ("gain", survey.gain, survey.gain_now),
        ("offset", survey.offset, survey.offset_now),
    ):
        if limits is None:
            notes[name] = f"This camera has no {name} control."
            continue
        if limits[0] == limits[1]:
            notes[name] = f"The {name} of this camera is fixed at {limits[0]:g}."
            continue
        notes[name] = f"This camera: {limits[0]:g} to {limits[1]:g}."
        if now is not None and _fits(_GAIN, float(now)):
            chosen[name] = float(now)
    if survey.readout_modes:
        notes["readout_mode"] = f"This camera: {_toml(survey.readout_modes)}."
    if survey.readout_mode in survey.readout_modes and _fits(_NAMES, [survey.readout_mode]):
        chosen["readout_mode"] = survey.readout_mode
    if survey.setpoint_c is None:
        notes["setpoint_c"] = "This camera has no cooler."
    else:
        low, high = survey.setpoint_c
        nearest = min(max(_USUAL_SETPOINT_C, low), high)
        notes["setpoint_c"] = f"This camera: {low:g} to {high:g}. Choose a value that it reaches on warm nights."
        chosen["setpoint_c"] = nearest if _fits(_SETPOINT, nearest) else _USUAL_SETPOINT_C
    return _table("camera", CameraSettings, chosen, notes)


def _cooling(survey: RigSurvey) -> str:
    """Return the table [cooling]. On warm nights, the setpoint falls back to warmer ones that the cooler accepts."""
    if survey.setpoint_c is None:
        return _table("cooling", CoolingSettings, {})
    low, high = survey.setpoint_c
    return _table("cooling", CoolingSettings, {"fallback_c": [each for each in _FALLBACK_C if low <= each <= high]})


def _panel(survey: RigSurvey) -> str:
    if survey.panel is None:
        return f'# No flat panel was found. If you have one, add a table [panel] with device = "its name".\n{_MQTT}'
    brightness = survey.brightness
    range_note = f"brightness {brightness[0]:g} to {brightness[1]:g}" if brightness else "switched on and off only"
    notes = {"device": f"This panel: {range_note}, {'with' if survey.has_cover else 'without'} a cover."}
    return _table("panel", PanelSettings, {"device": survey.panel}, notes, leave_out=("mqtt",)) + "\n\n" + _MQTT


def _cover(survey: RigSurvey) -> Iterator[str]:
    if survey.cover is not None:
        yield _table("cover", CoverSettings, {"device": survey.cover})


def _wheel(survey: RigSurvey, filters: tuple[str, ...]) -> str:
    if survey.wheel is not None and not filters:
        return _comment(
            f"The filter wheel {survey.wheel} reports neither slots nor names. To use it, add a table [wheel] with "
            "device and names."
        )
    if survey.wheel is None:
        return _comment('No filter wheel was found. If you have one, add a table [wheel] with device = "its name".')
    chosen: dict[str, object] = {"device": survey.wheel}
    notes = {"names": f"The driver's names: {_toml(survey.filters)}."}
    if filters != survey.filters:
        chosen["names"] = filters
        notes["names"] += " Replace the numbered names by your own, here and in the sets."
    return _table("wheel", WheelSettings, chosen, notes)


def _rotator(survey: RigSurvey) -> Iterator[str]:
    """Yield the table [rotator] as a comment, because a rotator must only turn if the user wants it to."""
    if survey.rotator is None:
        return
    limits = survey.rotator_deg
    accepts = "" if limits is None else f" It accepts {limits[0]:g} to {limits[1]:g} degrees."
    about = (
        f"A rotator was found: {survey.rotator}.{accepts} coldframe turns it only with the following table: to the "
        "angle of each flat set that lights need, and back at the end of the night. To enable the table, remove the # "
        "from [rotator] and device."
    )
    table = _table("rotator", RotatorSettings, {"device": survey.rotator})
    lines = (line if not line or line.startswith("#") else f"# {line}" for line in table.splitlines())
    yield _comment(about) + "\n" + "\n".join(lines)


def _usable_names(filters: tuple[str, ...]) -> tuple[str, ...]:
    """Return the driver's filter names, with numbers for names that are empty, repeated or unprintable."""
    numbered = tuple(f"Filter {slot}" for slot in range(1, len(filters) + 1))
    mended = tuple(
        name if _fits(_NAMES, [name]) and filters.count(name) == 1 else number
        for name, number in zip(filters, numbered, strict=True)
    )
    return mended if len(set(mended)) == len(mended) else numbered


def _filter_example(filters: tuple[str, ...]) -> str:
    name = _toml(filters[-1] if filters else "Ha")
    about = _comment("Individual filters may have their own target, band, preferred_exposure_s or exposure_limits_s:")
    return f"{about}\n# [flats.filters.{name}]\n# preferred_exposure_s = [1.0, 8.0]"


def _sets(survey: RigSurvey, filters: tuple[str, ...]) -> str:
    blocks = [
        _comment(
            "The sets to shoot. Each set produces one master. A set may have its own gain, offset, binning, "
            "readout_mode and setpoint_c."
        ),
        _comment("Bias frames are quick to shoot, so take many.") + "\n" + _set(kind="bias", count=100),
        _comment("Darks have the exposure and temperature of the lights; use one set for each exposure.")
        + "\n"
        + _set(kind="dark", count=30, exposure_s=300.0),
    ]
    if survey.panel is None:
        blocks.append(_comment("Flats need a panel, and none was found."))
        return "\n\n".join(blocks)
    blocks.append(
        _comment(
            "Flats, and dark flats with the exposure that is found for the flats. For a CCD, whose bias is stable, "
            "you can delete the dark-flat sets."
        )
    )
    for each in (filters if survey.wheel else ()) or (None,):
        blocks += [_set(kind="flat", filter=each, count=25), _set(kind="dark-flat", filter=each, count=25)]
    return "\n\n".join(blocks)


def _set(**values: object) -> str:
    return "\n".join(["[[sets]]", *(f"{key} = {_toml(value)}" for key, value in values.items() if value is not None)])


def _table(
    name: str,
    section: type[Section],
    chosen: Mapping[str, object],
    notes: Mapping[str, str] | None = None,
    leave_out: Iterable[str] = (),
) -> str:
    lines = [f"[{name}]"]
    for key, field in section.model_fields.items():
        if key in leave_out:
            continue
        about = f"{field.description} {(notes or {}).get(key, '')}".rstrip()
        lines += ["", _comment(about), _comment(f"Allowed: {allowed(field)}."), _setting(key, field.default, chosen)]
    return "\n".join(lines)


def _setting(key: str, default: object, chosen: Mapping[str, object]) -> str:
    if key in chosen:
        return f"{key} = {_toml(chosen[key])}"
    if default is None or default is PydanticUndefined:
        return f"# {key} ="
    return f"# {key} = {_toml(default)}"


def _comment(text: str) -> str:
    printable = "".join(each if each.isprintable() else "?" for each in text)
    return textwrap.fill(printable, _COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, Path | str):
        return json.dumps(str(value), ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _fits(kind: TypeAdapter[Any], value: object) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True
