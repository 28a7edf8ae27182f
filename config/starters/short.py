"""The configuration that `coldframe init` writes: the devices found, and the settings that the user must choose."""

from collections.abc import Iterator, Mapping, Sequence

from coldframe.config.starters.rig_survey import RigSurvey, is_adjustable
from coldframe.config.tables.rig import ServerSettings
from coldframe.config.toml_values import toml_value

_HEAD = """\
# The configuration of coldframe for one rig. Check each value that has a comment. All other settings have their
# defaults: `coldframe explain` describes them, and `coldframe init --full` writes them all."""
MOST_FILTER_LINES = 8
"""Maximum number of filters that have a line each. If there are more filters, two share a line."""

_BIASES = '    { kind = "bias", count = 100 },'
_DARKS = '    { kind = "dark", count = 30, exposure_s = 300.0 },  # one line for each exposure of your lights'


def starter_config(survey: RigSurvey) -> str:
    """Return a short configuration for the surveyed rig, as TOML that `load_settings` accepts."""
    filters = [name for name in survey.flat_filters() if name is not None]
    blocks = [_HEAD, *([_list_of_sets(filters)] if filters else []), _places(survey), _camera(survey)]
    blocks += [*_cooling(survey), *_panel(survey)]
    if survey.cover is not None:
        blocks.append(_table("cover", {"device": survey.cover}, {}))
    blocks += [*_wheel(survey), *_rotator(survey)]
    if not filters:  # TOML allows a list of sets only before all tables, but tables of sets also after other tables
        blocks.append(_tables_of_sets(has_flats=bool(survey.flat_filters())))
    return "\n\n".join(blocks) + "\n"


def _tables_of_sets(*, has_flats: bool) -> str:
    """Return a table for each set, to which users can append more."""
    exposure = "exposure_s = 300.0  # one set for each exposure of your lights"
    sets = [('"bias"', "count = 100"), ('"dark"', f"count = 30\n{exposure}")]
    if has_flats:
        sets += [('"flat"', "count = 25"), ('"dark-flat"', "count = 25")]
    return "\n\n".join(f"[[sets]]\nkind = {kind}\n{settings}" for kind, settings in sets)


def _list_of_sets(filters: Sequence[str]) -> str:
    """Return a list with a line for the flats of each filter, which takes less space than tables."""
    flats = [_flats(name) for name in filters]
    in_a_line = 1 if len(flats) <= MOST_FILTER_LINES else 2  # so that the file still fits on a screen
    lines = ["    " + " ".join(flats[first : first + in_a_line]) for first in range(0, len(flats), in_a_line)]
    return "\n".join(["sets = [", _BIASES, _DARKS, *lines, "]"])


def _flats(filter_name: str) -> str:
    own = f", filter = {toml_value(filter_name)}"
    return f'{{ kind = "flat"{own}, count = 25 }}, {{ kind = "dark-flat"{own}, count = 25 }},'


def _places(survey: RigSurvey) -> str:
    lines = ['storage = { folder = "~/coldframe" }  # it gets a folder for each night; 400 frames may need 20 GB']
    default = ServerSettings()
    if (survey.host, survey.port) != (default.host, default.port):
        lines.append(f"server = {{ host = {toml_value(survey.host)}, port = {survey.port} }}")
    return "\n".join(lines)


def _camera(survey: RigSurvey) -> str:
    settings = survey.camera_settings()
    notes: dict[str, str] = {}
    if survey.other_cameras:
        notes["device"] = f"or {', '.join(survey.other_cameras)}"
    for name, limits in (("gain", survey.gain), ("offset", survey.offset)):
        if limits is not None and is_adjustable(limits):
            value = "the ISO value of your lights" if name == "gain" and survey.gain_is_iso else "as for your lights"
            notes[name] = f"{value}, {limits[0]:g} to {limits[1]:g}"
    if survey.readout_modes:
        notes["readout_mode"] = f"as for your lights: {', '.join(survey.readout_modes)}"
    if survey.setpoint_c is not None:
        notes["setpoint_c"] = "as for your lights"
    return _table("camera", settings, notes)


def _cooling(survey: RigSurvey) -> Iterator[str]:
    if settings := survey.cooling_settings():
        yield _table("cooling", settings, {"fallback_c": "if the setpoint is out of reach on a warm night"})


def _panel(survey: RigSurvey) -> Iterator[str]:
    if survey.panel is None:
        yield "# No flat panel was found, so there are no flats. `coldframe explain panel` describes other lamps."
        return
    settings: dict[str, object] = {"device": survey.panel}
    if survey.has_cover:
        settings["cover_for_flats"] = "closed"
    yield _table("panel", settings, {"cover_for_flats": '"open" if the panel is not part of the cover'})


def _wheel(survey: RigSurvey) -> Iterator[str]:
    if settings := survey.wheel_settings():
        notes = {"names": "replace the numbers with your filters, here and in the sets"} if "names" in settings else {}
        yield _table("wheel", settings, notes)
    elif survey.wheel is not None:
        yield "# The filter wheel reports neither slots nor names. To use it: `coldframe explain wheel`."


def _rotator(survey: RigSurvey) -> Iterator[str]:
    """Yield the [rotator] table as a comment, because a rotator must not turn unless the user wants it to."""
    if survey.rotator is not None:
        yield (
            "# A rotator was found. To let coldframe turn it to the angle of each flat set, enable these two lines:\n"
            f"# [rotator]\n# device = {toml_value(survey.rotator)}"
        )


def _table(name: str, settings: Mapping[str, object], notes: Mapping[str, str]) -> str:
    """Return a table with the notes as comments after its settings. A setting without a value becomes a comment."""
    lines = [f"[{name}]"]
    for key in dict.fromkeys([*settings, *notes]):
        setting = f"{key} = {toml_value(settings[key])}" if key in settings else f"# {key} ="
        note = "".join(each if each.isprintable() else "?" for each in notes.get(key, ""))
        lines.append(f"{setting}  # {note}" if note else setting)
    return "\n".join(lines)
