"""Plans of the folders and file names that other programs expect; this module writes no files.

Each program has a layout: a function that arranges masters and sets of raw frames in a plan.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from coldframe.calibration.files.naming import angle_text, name_part, settings_text
from coldframe.calibration.frames.matching import best_master, superseded
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.interchange.raw_sets import RawFrame, Sets, degrees, with_angles
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.config.frames import FrameKind


class Form(StrEnum):
    """The form in which a file is exported."""

    AS_IT_IS = "as it is"
    XISF = "XISF"
    WORDS = "16 bits"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file in an export.

    Attributes
    ----------
    source
        The master or raw frame.
    target
        New path of the file, relative to the folder of the export.
    form
        Whether the file is linked or converted.
    """

    source: Path
    target: Path
    form: Form = Form.AS_IT_IS


@dataclass(slots=True)
class Plan:
    """The files of an export, by their new paths, and the files that are left out, each with the reason."""

    placed: dict[Path, Placed] = field(default_factory=dict)
    left_out: list[tuple[Path, str]] = field(default_factory=list)

    def place(self, source: Path, target: Path, form: Form = Form.AS_IT_IS) -> None:
        """Add a file, or leave it out if another file has the same target."""
        other = self.placed.setdefault(target, Placed(source, target, form))
        if other.source != source:
            self.leave_out(source, f"{other.source} is exported as {target} instead")

    def leave_out(self, source: Path, reason: str) -> None:
        """Record that a file is left out, and the reason."""
        if (source, reason) not in self.left_out:
            self.left_out.append((source, reason))

    @property
    def files(self) -> tuple[Placed, ...]:
        """The files of the export."""
        return tuple(self.placed.values())


_SIRIL_NAMES = {
    FrameKind.BIAS: "bias_stacked.fit",
    FrameKind.DARK: "dark_stacked.fit",
    FrameKind.FLAT: "pp_flat_stacked.fit",
}
_SIRIL_UNUSED_MASTERS = {
    FrameKind.BIAS: "no master dark has its settings, and a working folder needs darks",
    FrameKind.DARK: "no master flat fits it, or other darks fit the flats better",
    FrameKind.FLAT: "no master dark has its settings, and a working folder needs darks",
    FrameKind.DARK_FLAT: "Siril does not need it, because the master flats are already calibrated",
}
_SIRIL_UNUSED = {
    FrameKind.BIAS: "no raw darks have its settings, and a working folder needs darks",
    FrameKind.DARK: "no raw flats fit it, or other darks fit the flats better",
    FrameKind.FLAT: "no raw darks have its settings, and a working folder needs darks",
    FrameKind.DARK_FLAT: "no raw flats have its exposure, or other dark flats with this exposure are used",
}
_FOLDERS = {
    FrameKind.BIAS: "biases",
    FrameKind.DARK: "darks",
    FrameKind.FLAT: "flats",
    FrameKind.DARK_FLAT: "darkflats",
}
_ASIAIR_WORDS = {
    FrameKind.BIAS: "Bias",
    FrameKind.DARK: "Dark",
    FrameKind.FLAT: "Flat",
    FrameKind.DARK_FLAT: "Dark",
}


def arrange(program: str, masters: Mapping[Path, FrameSetup], raws: Sets) -> Plan:
    """Return the plan of an export.

    Masters that a newer master replaces are left out. So are darks from which the bias was subtracted, because no other
    program would add the bias back.

    Parameters
    ----------
    program
        A key of `LAYOUTS`.
    masters
        Setups of the masters, by path.
    raws
        Sets of raw frames.
    """
    plan = Plan()
    replaced = set(superseded(masters))
    wanted = {}
    for path, master in sorted(masters.items()):
        reason = _unwanted(master) or ("a newer master replaces it" if path in replaced else "")
        if reason:
            plan.leave_out(path, reason)
        else:
            wanted[path] = master
    LAYOUTS[program](plan, *with_angles(wanted, raws))
    return plan


def parts(plan: Plan, program: str) -> list[Plan]:
    """Return the parts of an export that the user loads into the program separately, as the README describes."""
    found: dict[object, Plan] = {}
    for placed in plan.files:
        first = placed.target.parts[0]
        part = "raw" in placed.target.parts if program == "wbpp" else first
        found.setdefault(part, Plan()).placed[placed.target] = placed
    return list(found.values())


def _unwanted(master: FrameSetup) -> str:
    if master.kind not in _FOLDERS:
        return "it is neither a bias, a dark, a flat nor a dark flat"
    return "its bias was subtracted, and other programs would not add it back" if master.bias_subtracted else ""


def _siril(plan: Plan, masters: Mapping[Path, FrameSetup], raws: Sets) -> None:
    """Arrange a working folder, as Siril's scripts expect it, for each combination of settings, exposure and filter.

    Raw frames get separate working folders, because the scripts write to `masters/`.
    """
    used: set[Path] = set()
    for folder, recipe in _sessions(masters):
        chosen = {FrameKind.BIAS: recipe.bias, FrameKind.DARK: recipe.dark, FrameKind.FLAT: recipe.flat}
        for kind, path in chosen.items():
            if path is not None:
                used.add(path)
                plan.place(path, Path(folder, "masters", _SIRIL_NAMES[kind]))
    for path, master in masters.items():
        if path not in used:
            plan.leave_out(path, _SIRIL_UNUSED_MASTERS[_kind(master)])
    _siril_raw(plan, raws)


def _siril_raw(plan: Plan, raws: Sets) -> None:
    """Arrange the raw frames for each working folder; leave out frames that fit no folder."""
    firsts = {path: each.setup for path, each in raws.items()}
    used: set[Path] = set()
    for folder, recipe in _sessions(firsts):
        flat = None if recipe.flat is None else firsts[recipe.flat]
        dark_flats = [] if flat is None else _dark_flats_of(flat, firsts)
        for path in (recipe.bias, recipe.dark, recipe.flat, *dark_flats):
            if path is None:
                continue
            used.add(path)
            for frame in raws[path].frames:
                plan.place(frame.path, Path(f"{folder}_raw", _FOLDERS[_kind(raws[path].setup)], frame.name))
    for path, each in raws.items():
        if path not in used:
            for frame in each.frames:
                plan.leave_out(frame.path, _SIRIL_UNUSED[_kind(each.setup)])


def _dark_flats_of(flat: FrameSetup, sets: Mapping[Path, FrameSetup]) -> list[Path]:
    """Return a list of the first set of dark flats with the settings and exposure of a set of flats; may be empty."""
    fitting = [
        path
        for path, each in sorted(sets.items())
        if each.kind is FrameKind.DARK_FLAT and each.readout == flat.readout and each.exposure_s == flat.exposure_s
    ]
    return fitting[:1]


def _wbpp(plan: Plan, masters: Mapping[Path, FrameSetup], raws: Sets) -> None:
    """Arrange folders with names that WBPP reads as keywords; convert masters to XISF, because WBPP requires it."""
    for path, master in masters.items():
        if master.overscan is not None:
            plan.leave_out(path, "its overscan was subtracted, and XISF images must not be negative")
        elif master.kind is not FrameKind.DARK_FLAT:  # the master flats are already calibrated
            target = Path(_wbpp_setting(master), _wbpp_folder(master), f"{path.stem}.xisf")
            plan.place(path, target, Form.XISF)
    for each in raws.values():
        for frame in each.frames:
            # The path must not contain "master"; otherwise, WBPP would refuse the raw frames.
            plan.place(frame.path, Path(_wbpp_setting(each.setup), "raw", _wbpp_folder(each.setup), frame.name))


def _wbpp_setting(frame: FrameSetup) -> str:
    """Return a folder named after the settings that WBPP compares only as grouping keywords.

    An example is CAMERA/GAIN_100_OFFSET_50_TEMP_-10.

    A keyword in a path begins after a character that is neither letter nor digit, and its value ends at an underscore.
    """
    readout, temperature_c = frame.readout, degrees(frame)
    parts = [
        None if readout.gain is None else f"GAIN_{readout.gain:g}",
        None if readout.offset is None else f"OFFSET_{readout.offset:g}",
        None if temperature_c is None else f"TEMP_{temperature_c:g}",
        None if readout.readout_mode is None else f"READOUTM_{name_part(readout.readout_mode)}",
    ]
    return f"{name_part(frame.camera or 'camera')}/{'_'.join(part for part in parts if part) or 'settings'}"


def _wbpp_folder(frame: FrameSetup) -> str:
    binning = f"BINNING_{frame.readout.binning}"
    match frame.kind:
        case FrameKind.DARK | FrameKind.DARK_FLAT:
            return f"darks/{binning}/EXPTIME_{frame.exposure_s or 0:g}"
        case FrameKind.FLAT:
            angle_deg = frame.train.rotation_deg
            # WBPP finds ROTATION only in the path. ROTATANG is not used, because it varies slightly within a set, and
            # because the headers of darks can contain it, too.
            angle = "" if angle_deg is None else f"/ROTATION_{angle_deg:g}"
            return f"flats/{binning}/FILTER_{name_part(frame.filter_name or 'NoFilter')}{angle}"
    return f"biases/{binning}"


def _dss(plan: Plan, masters: Mapping[Path, FrameSetup], raws: Sets) -> None:
    """Arrange a folder for the main group, and one for each filter and rotator angle, because DSS compares neither."""
    for path, master in masters.items():
        if master.kind is FrameKind.BIAS:
            plan.leave_out(path, "DeepSkyStacker would subtract the bias twice, because the darks contain it")
        elif master.overscan is not None:
            plan.leave_out(path, "its overscan was subtracted, and 16-bit images cannot be negative")
        elif master.kind is not FrameKind.DARK_FLAT:
            plan.place(path, Path(_setting(master), _dss_folder(master), f"{path.stem}.fits"), Form.WORDS)
    for each in raws.values():
        for folder in _dss_raw_folders(each.setup, raws):
            for frame in each.frames:
                plan.place(frame.path, Path(f"{_setting(each.setup)}_raw", folder, frame.name))


def _dss_raw_folders(frame: FrameSetup, raws: Sets) -> list[Path]:
    """Return the folders for a set of raw frames; dark flats go into a folder for each rotator angle of their flats."""
    if frame.kind is not FrameKind.DARK_FLAT:
        return [_dss_folder(frame)]
    setups = [each.setup for each in raws.values() if each.setup.kind is FrameKind.FLAT]
    flats = [flat for flat in setups if (_setting(flat), flat.filter_name) == (_setting(frame), frame.filter_name)]
    fitting = [flat for flat in flats if flat.exposure_s == frame.exposure_s] or flats or [frame]
    return list(dict.fromkeys(_dss_folder(replace(frame, train=flat.train)) for flat in fitting))


def _dss_folder(frame: FrameSetup) -> Path:
    """Return the folder of a frame.

    Exposures are separated, because DSS gives masters of 0.2 s and 0.5 s the same name.
    """
    name = _FOLDERS[_kind(frame)]
    if frame.kind in {FrameKind.FLAT, FrameKind.DARK_FLAT}:
        return Path(f"group_{_light_path(frame) or 'no-filter'}", name)
    return Path("main_group", name if frame.kind is FrameKind.BIAS else f"{name}_{frame.exposure_s or 0:g}s")


def _app(plan: Plan, masters: Mapping[Path, FrameSetup], raws: Sets) -> None:
    for path, master in masters.items():
        plan.place(path, Path(_setting(master), _plain_folder(master), path.name))
    for each in raws.values():
        for frame in each.frames:
            plan.place(frame.path, Path(f"{_setting(each.setup)}_raw", _plain_folder(each.setup), frame.name))


def _plain_folder(frame: FrameSetup) -> Path:
    name = _FOLDERS[_kind(frame)]
    match frame.kind:
        case FrameKind.FLAT:
            return Path(name, _light_path(frame) or "no-filter")
        case FrameKind.DARK | FrameKind.DARK_FLAT:
            return Path(name, f"{frame.exposure_s or 0:g}s")
    return Path(name)


def _asiair(plan: Plan, masters: Mapping[Path, FrameSetup], raws: Sets) -> None:
    """Arrange raw frames in the folders, and under the names, that an ASIAIR writes.

    A name contains the time of the first frame of the set in the night, so that names from several nights differ,
    whether the nights are exported together or one by one.
    """
    for path, master in masters.items():
        plan.place(path, Path("masters", _FOLDERS[_kind(master)], path.name))
    numbers: Counter[str] = Counter()
    for each in raws.values():
        word = _ASIAIR_WORDS[_kind(each.setup)]
        names: dict[str, str] = {}
        for frame in each.frames:
            name = names.setdefault(frame.night, _asiair_name(word, frame))
            numbers[name] += 1
            plan.place(frame.path, Path("Autorun", word, f"{name}_{numbers[name]:04d}.fit"))


def _asiair_name(word: str, raw: RawFrame) -> str:
    frame = raw.setup
    exposure_s = frame.exposure_s or 0
    parts = [
        word,
        # An ASIAIR writes exposures below 1 s in milliseconds, as in Flat_10.0ms and Dark_300.0s.
        f"{1000 * exposure_s:.1f}ms" if exposure_s < 1 else f"{exposure_s:.1f}s",
        f"Bin{frame.readout.binning}",
        name_part(frame.camera or "camera").removeprefix("ZWO-").removeprefix("ASI"),
        None if frame.readout.gain is None else f"gain{frame.readout.gain:g}",
        (name_part(raw.night) if raw.night else None) if frame.taken_at is None else f"{frame.taken_at:%Y%m%d-%H%M%S}",
        None if frame.temperature_c is None else f"{frame.temperature_c:.1f}C",
        _light_path(frame) if word == "Flat" else None,
    ]
    return "_".join(part for part in parts if part)


def _sessions(masters: Mapping[Path, FrameSetup]) -> Iterator[tuple[str, LightRecipe]]:
    """Yield a folder name and a recipe for each pair of dark and fitting flat; without flats, for each dark."""
    darks = [master for master in masters.values() if master.kind is FrameKind.DARK and not master.bias_subtracted]
    flats = [master for master in masters.values() if master.kind is FrameKind.FLAT]
    lights = [_light(dark, flat) for dark in darks for flat in flats] or [_light(dark, dark) for dark in darks]
    seen = set()
    for light in lights:
        matches = [best_master(light, masters, kind).path for kind in _SIRIL_NAMES]
        recipe = LightRecipe(bias=matches[0], dark=matches[1], flat=matches[2])
        if recipe.dark is None or (flats and recipe.flat is None) or recipe in seen:
            continue
        seen.add(recipe)
        exposure = settings_text(
            FrameKind.DARK_FLAT, light.readout, light.exposure_s or 0, degrees(light), _light_path(light)
        )
        yield f"{name_part(light.camera or 'camera')}_{exposure}", recipe


def _light(dark: FrameSetup, flat: FrameSetup) -> FrameSetup:
    """Return the setup of a light that the given dark and flat would calibrate."""
    return replace(
        dark,
        kind=FrameKind.LIGHT,
        filter_name=flat.filter_name,
        mosaic=flat.mosaic,
        train=flat.train,
        taken_at=flat.taken_at,
    )


def _light_path(frame: FrameSetup) -> str | None:
    """Return a frame's filter and rotator angle as part of a name, such as L-30deg; None if both are missing."""
    angle_deg = frame.train.rotation_deg
    parts = [frame.filter_name, None if angle_deg is None else angle_text(angle_deg)]
    return "-".join(name_part(part) for part in parts if part) or None


def _setting(frame: FrameSetup) -> str:
    text = settings_text(FrameKind.BIAS, frame.readout, 0, degrees(frame), None)
    return f"{name_part(frame.camera or 'camera')}_{text}"


def _kind(frame: FrameSetup) -> FrameKind:
    if frame.kind is None:
        raise ValueError("frames of unknown kind are never placed")
    return frame.kind


LAYOUTS: Mapping[str, Callable[[Plan, Mapping[Path, FrameSetup], Sets], None]] = {
    "siril": _siril,
    "wbpp": _wbpp,
    "dss": _dss,
    "app": _app,
    "asiair": _asiair,
}
