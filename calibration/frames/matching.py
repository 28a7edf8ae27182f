"""Pure functions that choose the master that calibrates a light, and explain why other masters do not fit."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from coldframe.calibration.frames.names import comparable, is_same_camera
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.frames import FrameKind

DAY_S = 86_400

DARK_FLAT_EXPOSURE = 0.1
"""Largest relative difference between the exposures of flats and their darks; 10 % of the dark signal of a few seconds
is negligible."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Largest differences between a light and its masters.

    Attributes
    ----------
    cooled_c
        Sensor temperature of darks with a cooler, C. Dark current doubles about every 6 C, so 1 C changes it by 12 %.
    uncooled_c
        Sensor temperature of darks without a cooler, C: 5 C changes the dark current by 80 %, but subtracting this dark
        still removes hot pixels better than subtracting none.
    bias_c
        Sensor temperature of bias frames, C; their level hardly depends on temperature.
    exposure, exposure_s
        Exposure of darks: as a fraction of the light's exposure, and in seconds; the larger limit counts.
    longest_stretch
        Largest factor by which a dark is scaled up; its noise grows by the same factor.
    bias_days, dark_days
        Longest time between master and light, in either direction; sensors gain hot pixels, and drivers change their
        offsets.
    flat_days
        Longest time between flat and light, in either direction; dust moves even in a telescope that is not touched.
    focus_steps, rotation_deg
        Differences in the positions of focuser and rotator, beyond which dust shadows no longer fall on the same
        pixels.
    focal_length
        Relative difference between the focal lengths; a reducer causes a larger difference.
    """

    cooled_c: float = 1.0
    uncooled_c: float = 5.0
    bias_c: float = 15.0
    exposure: float = 0.01
    exposure_s: float = 0.05
    longest_stretch: float = 2.0
    bias_days: float = 180
    dark_days: float = 180
    flat_days: float = 30
    focus_steps: float = 100
    rotation_deg: float = 1.0
    focal_length: float = 0.01


class Difference(NamedTuple):
    """A difference between a light and a master.

    Attributes
    ----------
    text
        Description, such as "exposure differs by 120 s".
    excess
        Size of the difference in units of the tolerance; None if a header lacks the value, which is only a caveat.
    """

    text: str
    excess: float | None


Rule = Callable[[FrameSetup, FrameSetup, Tolerances], Difference | None]


@dataclass(frozen=True, slots=True)
class Match:
    """The result for one light and one kind of master.

    Attributes
    ----------
    kind
        Kind of the master.
    path
        Chosen master; None if no master fits.
    caveats
        Values that could not be compared.
    refusal
        The nearest master and the reasons why it does not fit; empty if a master was chosen.
    """

    kind: FrameKind
    path: Path | None
    caveats: tuple[str, ...] = ()
    refusal: str = ""


def best_master(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], kind: FrameKind, tolerances: Tolerances | None = None
) -> Match:
    """Return the master of the given kind that fits a light best.

    Bias and darks must agree with the light in camera, size, gain, offset, binning, readout mode and temperature; darks
    must also agree in exposure. Flats must agree in camera, size, gain, binning, readout mode, colour filter array,
    filter and optical train; offset, temperature and exposure do not matter, because the dark flats have removed their
    effects. Of the masters that fit, the one with the fewest unknown values is chosen. If several have equally few, the
    nearest in temperature (in half degrees), then in exposure, then in time is chosen.

    Parameters
    ----------
    light
        Setup of the frame to calibrate.
    masters
        Setups of all available masters, of any kind, by path.
    kind
        Kind of the master: bias, dark or flat.
    tolerances
        Largest differences; None uses the defaults.
    """
    return _best(light, masters, kind, _RULES[kind], tolerances or Tolerances())


def subtraction_faults(frame: FrameSetup, master: FrameSetup) -> tuple[str, ...]:
    """Return the reasons why a master cannot be subtracted from raw frames before they are combined; empty if it can.

    Camera, size, gain, offset, binning, readout mode, row order and overscan must be equal. The temperatures must agree
    within `Tolerances.bias_c`, and the exposure of a dark or dark flat within `DARK_FLAT_EXPOSURE`. A value that is
    missing in one of the headers is assumed to agree.

    Parameters
    ----------
    frame
        Setup of a flat, or of a dark from which a bias is to be subtracted.
    master
        Setup of the master bias, dark or dark flat.
    """
    if master.kind not in {FrameKind.BIAS, FrameKind.DARK, FrameKind.DARK_FLAT, None}:
        return (f"it is a master {master.kind}",)
    rules = [*_READOUT, _offset, _bias_temperature, _overscan]
    exposed = master.kind in {FrameKind.DARK, FrameKind.DARK_FLAT}
    if exposed and frame.exposure_s is not None and master.exposure_s is not None:
        rules.append(_exposure)
    tolerances = Tolerances(exposure=DARK_FLAT_EXPOSURE)
    findings = [rule(frame, master, tolerances) for rule in rules]
    faults = [found.text for found in findings if found is not None and found.excess is not None]
    if master.bias_subtracted:
        faults.append("its own bias was subtracted, so the bias would remain in the result")
    return tuple(faults)


def best_scalable_dark(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], tolerances: Tolerances | None = None
) -> Match:
    """Return the master dark that fits a light best after scaling to the light's exposure; see `best_master`."""
    rules = tuple(_stretch if rule is _exposure else rule for rule in _RULES[FrameKind.DARK])
    return _best(light, masters, FrameKind.DARK, rules, tolerances or Tolerances())


def _best(
    light: FrameSetup,
    masters: Mapping[Path, FrameSetup],
    kind: FrameKind,
    rules: tuple[Rule, ...],
    tolerances: Tolerances,
) -> Match:
    fitting: list[tuple[tuple[float, ...], Path, tuple[str, ...]]] = []
    refused: list[tuple[tuple[float, ...], str]] = []
    for path, master in sorted(masters.items()):
        if master.kind is not kind:
            continue
        findings = [found for rule in rules if (found := rule(light, master, tolerances)) is not None]
        differences = [found for found in findings if found.excess is not None]
        caveats = tuple(found.text for found in findings if found.excess is None)
        if differences:
            excess = sum(found.excess or 0 for found in differences)
            reasons = ", ".join(found.text for found in differences)
            refused.append(((len(differences), excess), f"the nearest is {description(path, master)}: {reasons}"))
        else:
            fitting.append(((len(caveats), *_distance(light, master)), path, caveats))
    if fitting:
        _, path, caveats = min(fitting)
        return Match(kind, path, caveats)
    if refused:
        return Match(kind, None, refusal=f"no {kind} fits: {min(refused)[1]}")
    return Match(kind, None, refusal=f"no {kind} fits: there is no master {kind}")


def defect_map_faults(frame: FrameSetup, defects: FrameSetup) -> tuple[str, ...]:
    """Return the reasons why a defect map, or a master with defects, does not fit a frame; empty if it fits.

    Camera, binning, row order and colour filter array must agree; a value that is missing in one of the headers is
    assumed to agree. The caller must check the size, because the overscan may have been trimmed.

    Parameters
    ----------
    frame
        Setup of a light, or of the master dark.
    defects
        Setup of the map, or of another master.
    """
    findings = [rule(frame, defects, Tolerances()) for rule in (_camera, _binning, _row_order)]
    # All programs write the filter array into lights and flats, but some omit it from darks.
    findings.append(_same("colour filter array", frame.mosaic, defects.mosaic))
    return tuple(found.text for found in findings if found is not None and found.excess is not None)


def description(path: Path, master: FrameSetup) -> str:
    """Return the name of a master and the values that a light must share, such as MasterDark_X.fits (-10 C, 60 s)."""
    dark = master.kind in (FrameKind.DARK, FrameKind.DARK_FLAT)
    parts = [
        None if master.temperature_c is None else f"{round(master.temperature_c, 1) + 0.0:g} C",
        None if master.exposure_s is None or not dark else f"{master.exposure_s:g} s",
        master.filter_name,
    ]
    shared = ", ".join(part for part in parts if part)
    return f"{path.name} ({shared})" if shared else path.name


def _distance(light: FrameSetup, master: FrameSetup) -> tuple[float, float, float]:
    """Return the differences in temperature (half degrees), exposure and time; unknown differences are 0."""
    return (
        round(2 * (_gap(light.temperature_c, master.temperature_c) or 0)),
        _gap(light.exposure_s, master.exposure_s) or 0,
        _days(light, master) or 0,
    )


def _gap(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(one - other)


def _days(light: FrameSetup, master: FrameSetup) -> float | None:
    if light.taken_at is None or master.taken_at is None:
        return None
    return abs((light.taken_at - master.taken_at).total_seconds()) / DAY_S


def _unknown(name: str, light_value: object, master_value: object) -> Difference | None:
    """Return a caveat if only one of the two headers has the value."""
    if light_value is None and master_value is None:
        return None
    silent = "light" if light_value is None else "master"
    return Difference(f"the header of the {silent} has no {name}: assumed to be equal", None)


def _same(name: str, light_value: str | float | None, master_value: str | float | None) -> Difference | None:
    if light_value is None or master_value is None:
        return _unknown(name, light_value, master_value)
    if comparable(str(light_value)) == comparable(str(master_value)):
        return None
    return Difference(f"{name} is {_shown(master_value)} instead of {_shown(light_value)}", 1000)


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _within(name: str, unit: str, gap: float | None, tolerance: float, *values: float | None) -> Difference | None:
    if gap is None:
        return _unknown(name, *values)
    return Difference(f"{name} differs by {gap:.4g}{unit}", gap / tolerance) if gap > tolerance else None


# ---- the rules ----


def _camera(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    if light.camera is not None and master.camera is not None and is_same_camera(light.camera, master.camera):
        return None
    return _same("camera", light.camera, master.camera)


def _size(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    ours, theirs = f"{light.width} x {light.height}", f"{master.width} x {master.height}"
    return _same("size", ours, theirs)


def _gain(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("gain", light.readout.gain, master.readout.gain)


def _offset(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("offset", light.readout.offset, master.readout.offset)


def _binning(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("binning", light.readout.binning, master.readout.binning)


def _readout_mode(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("readout mode", light.readout.readout_mode, master.readout.readout_mode)


def _row_order(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("row order", light.row_order, master.row_order)


def _mosaic(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("colour filter array", light.mosaic, master.mosaic)


def _place(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the places of sub-frames on the sensor; programs that write none shoot whole frames or keep one place."""
    if light.origin is None or master.origin is None:
        is_whole = (light.origin or master.origin or (0, 0)) == (0, 0)
        return None if is_whole else _unknown("place on the sensor", light.origin, master.origin)
    if light.origin == master.origin:
        return None
    ours, theirs = ("column {}, row {}".format(*each) for each in (light.origin, master.origin))
    return _same("place on the sensor", f"from {ours}", f"from {theirs}")


def _overscan(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    ours, theirs = (str(each.overscan or "none") for each in (light, master))
    return None if ours == theirs else Difference(f"overscan subtraction is {theirs} instead of {ours}", 1000)


def _trim(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the trimmed areas; the method of subtraction does not matter, because a flat is relative."""
    if light.overscan is not None and master.overscan is not None:
        return _same("trimmed area", str(light.overscan.sections.kept), str(master.overscan.sections.kept))
    return _overscan(light, master, tolerances)


def _bias_left_in(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    if light.bias_subtracted or not master.bias_subtracted:
        return None
    return Difference("its bias was subtracted: the master bias is added back", None)


def _filter(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("filter", light.filter_name or "none", master.filter_name or "none")


def _telescope(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    return _same("telescope", light.train.telescope, master.train.telescope)


def _focal_length(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    ours, theirs = light.train.focal_length_mm, master.train.focal_length_mm
    return _within("focal length", " mm", _gap(ours, theirs), tolerances.focal_length * (ours or 0), ours, theirs)


def _focus(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    ours, theirs = light.train.focus_steps, master.train.focus_steps
    return _within("focuser position", " steps", _gap(ours, theirs), tolerances.focus_steps, ours, theirs)


def _rotation(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    ours, theirs = light.train.rotation_deg, master.train.rotation_deg
    turned = None if ours is None or theirs is None else abs((ours - theirs + 180) % 360 - 180)
    return _within("rotator angle", " deg", turned, tolerances.rotation_deg, ours, theirs)


def _exposure(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    ours, theirs = light.exposure_s, master.exposure_s
    if ours is None or theirs is None:
        return Difference("an exposure is unknown", 1000)
    tolerance_s = max(tolerances.exposure * ours, tolerances.exposure_s) or 1e-6
    return _within("exposure", " s", _gap(ours, theirs), tolerance_s, ours, theirs)


def _stretch(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    if light.exposure_s is None or not master.exposure_s:
        return Difference("an exposure is unknown, so it cannot be scaled", 1000)
    stretch = light.exposure_s / master.exposure_s
    if stretch <= tolerances.longest_stretch:
        return None
    return Difference(f"it would be scaled up by a factor of {stretch:.3g}", stretch / tolerances.longest_stretch)


def _dark_temperature(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    cooled = light.cooled or master.cooled
    found = _temperature(light, master, tolerances.cooled_c if cooled else tolerances.uncooled_c)
    if found is None or found.excess is not None:
        return found
    return found._replace(text=f"{found.text}, but dark current doubles about every 6 C")


def _bias_temperature(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    return _temperature(light, master, tolerances.bias_c)


def _temperature(light: FrameSetup, master: FrameSetup, tolerance: float) -> Difference | None:
    ours, theirs = light.temperature_c, master.temperature_c
    return _within("temperature", " C", _gap(ours, theirs), tolerance, ours, theirs)


def _bias_age(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    return _age(light, master, tolerances.bias_days)


def _dark_age(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    return _age(light, master, tolerances.dark_days)


def _flat_age(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    return _age(light, master, tolerances.flat_days)


def _age(light: FrameSetup, master: FrameSetup, limit_days: float) -> Difference | None:
    if master.taken_at is None:
        return Difference(f"the master is undated: it may be older than {limit_days:g} days", None)
    days = _days(light, master)
    if days is None:
        return _unknown("date", light.taken_at, master.taken_at)
    if days <= limit_days:
        return None
    return Difference(f"stale: {days:.0f} days apart (limit {limit_days:g})", days / limit_days)


_READOUT: tuple[Rule, ...] = (_camera, _size, _place, _gain, _binning, _readout_mode, _row_order)
_RULES: Mapping[FrameKind, tuple[Rule, ...]] = {
    FrameKind.BIAS: (*_READOUT, _offset, _overscan, _bias_temperature, _bias_age),
    FrameKind.DARK: (*_READOUT, _offset, _overscan, _dark_temperature, _exposure, _dark_age, _bias_left_in),
    FrameKind.FLAT: (*_READOUT, _trim, _mosaic, _filter, _telescope, _focal_length, _focus, _rotation, _flat_age),
}


def superseded(masters: Mapping[Path, FrameSetup]) -> tuple[Path, ...]:
    """Return the masters for which a newer master exists that is equal in all properties that matter for a light.

    A flat remains valid for lights of the same time, so only a flat that is more than `Tolerances.flat_days` newer
    replaces it.
    """
    # The temperature limits are tight, because darks of an uncooled camera are useful at every temperature.
    tolerances = Tolerances(
        cooled_c=0.5,
        uncooled_c=0.5,
        bias_c=2.0,
        exposure=1e-6,
        exposure_s=0,
        bias_days=1e9,
        dark_days=1e9,
        flat_days=1e9,
    )
    return tuple(
        path
        for path, master in sorted(masters.items())
        if any(_replaces(other, master, tolerances) for other in masters.values())
    )


def _replaces(newer: FrameSetup, older: FrameSetup, tolerances: Tolerances) -> bool:
    if newer.taken_at is None or older.taken_at is None or newer.taken_at <= older.taken_at:
        return False
    if newer.kind is not older.kind or older.kind is None:
        return False
    if older.kind is FrameKind.FLAT and (_days(older, newer) or 0) <= Tolerances().flat_days:
        return False
    rules: Iterable[Rule] = _RULES.get(older.kind, (*_RULES[FrameKind.DARK], _filter))
    return all(rule(older, newer, tolerances) is None for rule in rules)
