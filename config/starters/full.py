"""The configuration that `coldframe init --full` writes: every setting explained."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from pydantic_core import PydanticUndefined

from coldframe.config.allowed import allowed
from coldframe.config.section import Section
from coldframe.config.starters.rig_survey import RigSurvey, is_adjustable
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
from coldframe.config.toml_values import toml_value

_COMMENT_WIDTH = 100
_MQTT = """# To use a WLED, Tasmota, ESPHome or zigbee2mqtt lamp as the flat panel (`coldframe explain panel.mqtt`):
#     [panel]
#     device = "the lamp"
#     kind = "mqtt"
#     [panel.mqtt]
#     family = "wled"
#     topic = "wled/panel"
""".rstrip()


def full_config(survey: RigSurvey) -> str:
    """Return a configuration for the surveyed rig, with every setting explained, as TOML for `load_settings`."""
    filters = survey.usable_filters()
    blocks = [
        _comment(
            "coldframe configuration for one rig. Lines that start with # are explanations, or settings at their "
            "defaults."
        ),
        _table("server", ServerSettings, {"host": survey.host, "port": survey.port}),
        _camera(survey),
        _panel(survey),
        *_cover(survey),
        _wheel(survey, filters),
        *_rotator(survey),
        _table("cooling", CoolingSettings, survey.cooling_settings()),
        _table("flats", FlatSettings, {}, leave_out=("filters",)),
        _filter_example(filters),
        _table("storage", StorageSettings, {}),
        _comment("To finish by sunrise, add a [site] table with latitude_deg and longitude_deg."),
        _table("lights", LightsSettings, {}),
        _table("hooks", HookSettings, {}),
        _table("watch", WatchSettings, {}),
        _table("verify", VerifySettings, {}),
        _comment(
            "For telemetry over MQTT, including Home Assistant, add an [mqtt] table that sets host; see "
            "`coldframe explain mqtt`."
        ),
        _comment(
            "For messages to your phone, add a [notify] table that sets urls_file; see `coldframe explain notify`."
        ),
        _sets(survey),
    ]
    return "\n\n".join(blocks) + "\n"


def _camera(survey: RigSurvey) -> str:
    notes: dict[str, str] = {}
    if survey.other_cameras:
        others = toml_value(survey.other_cameras)
        notes["device"] = f"The server has other cameras: {others}. To use one of them, run coldframe init --camera."
    for name, limits in (("gain", survey.gain), ("offset", survey.offset)):
        if name == "gain" and survey.gain_is_iso and limits is not None:
            notes[name] = f"For this camera, the ISO value of the lights: {limits[0]:g} to {limits[1]:g}."
        elif limits is None:
            notes[name] = f"This camera has no {name} control."
        elif is_adjustable(limits):
            notes[name] = f"This camera: {limits[0]:g} to {limits[1]:g}."
        else:
            notes[name] = f"The {name} of this camera is fixed at {limits[0]:g}."
    if survey.readout_modes:
        notes["readout_mode"] = f"This camera: {toml_value(survey.readout_modes)}."
    if survey.setpoint_c is None:
        notes["setpoint_c"] = "This camera has no cooler."
    else:
        low, high = survey.setpoint_c
        notes["setpoint_c"] = (
            f"This camera: {low:g} to {high:g}. Choose a value that the camera can reach even on warm nights."
        )
    return _table("camera", CameraSettings, survey.camera_settings(), notes)


def _panel(survey: RigSurvey) -> str:
    if survey.panel is None:
        return f'# No flat panel was found. If you have one, add a [panel] table with device = "its name".\n{_MQTT}'
    brightness = survey.brightness
    range_note = f"brightness {brightness[0]:g} to {brightness[1]:g}" if brightness else "on/off only"
    notes = {"device": f"This panel: {range_note}, {'with' if survey.has_cover else 'without'} a cover."}
    return _table("panel", PanelSettings, {"device": survey.panel}, notes, leave_out=("mqtt",)) + "\n\n" + _MQTT


def _cover(survey: RigSurvey) -> Iterator[str]:
    if survey.cover is not None:
        yield _table("cover", CoverSettings, {"device": survey.cover})


def _wheel(survey: RigSurvey, filters: tuple[str, ...]) -> str:
    if survey.wheel is not None and not filters:
        return _comment(
            f"The filter wheel {survey.wheel} reports neither slots nor names. To use it, add a [wheel] table with "
            "device and names."
        )
    if survey.wheel is None:
        return _comment('No filter wheel was found. If you have one, add a [wheel] table with device = "its name".')
    notes = {"names": f"The driver's names: {toml_value(survey.filters)}."}
    if filters != survey.filters:
        notes["names"] += " Replace the numbered names with your own, here and in the sets."
    return _table("wheel", WheelSettings, survey.wheel_settings(), notes)


def _rotator(survey: RigSurvey) -> Iterator[str]:
    """Yield the [rotator] table as a comment, because a rotator must not turn unless the user wants it to."""
    if survey.rotator is None:
        return
    limits = survey.rotator_deg
    accepts = "" if limits is None else f" It accepts {limits[0]:g} to {limits[1]:g} degrees."
    about = (
        f"A rotator was found: {survey.rotator}.{accepts} coldframe turns it only if the following table is "
        "enabled. It then turns the rotator to the angle of each flat set that the lights need, and back at the end of "
        "the night. To enable the table, remove the # from [rotator] and device."
    )
    table = _table("rotator", RotatorSettings, {"device": survey.rotator})
    lines = (line if not line or line.startswith("#") else f"# {line}" for line in table.splitlines())
    yield _comment(about) + "\n" + "\n".join(lines)


def _filter_example(filters: tuple[str, ...]) -> str:
    name = toml_value(filters[-1] if filters else "Ha")
    about = _comment("Individual filters may have their own target, band, preferred_exposure_s or exposure_limits_s:")
    return f"{about}\n# [flats.filters.{name}]\n# preferred_exposure_s = [1.0, 8.0]"


def _sets(survey: RigSurvey) -> str:
    blocks = [
        _comment(
            "The sets to shoot. Each set produces one master. A set may have its own gain, offset, binning, "
            "readout_mode and setpoint_c."
        ),
        _comment("Bias frames are quick to shoot, so take many.") + "\n" + _set(kind="bias", count=100),
        _comment("Darks must have the same exposure and temperature as the lights; use one set for each exposure.")
        + "\n"
        + _set(kind="dark", count=30, exposure_s=300.0),
    ]
    if survey.panel is None:
        blocks.append(_comment("Flats need a panel, and none was found."))
        return "\n\n".join(blocks)
    blocks.append(
        _comment(
            "Flats, and dark flats with the exposure found for the flats. For a CCD, whose bias is stable, "
            "you can delete the dark-flat sets."
        )
    )
    for each in survey.flat_filters():
        blocks += [_set(kind="flat", filter=each, count=25), _set(kind="dark-flat", filter=each, count=25)]
    return "\n\n".join(blocks)


def _set(**values: object) -> str:
    return "\n".join(
        ["[[sets]]", *(f"{key} = {toml_value(value)}" for key, value in values.items() if value is not None)]
    )


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
        return f"{key} = {toml_value(chosen[key])}"
    if default is None or default is PydanticUndefined:
        return f"# {key} ="
    return f"# {key} = {toml_value(default)}"


def _comment(text: str) -> str:
    printable = "".join(each if each.isprintable() else "?" for each in text)
    return textwrap.fill(printable, _COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
