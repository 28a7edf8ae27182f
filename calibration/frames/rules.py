"""The rules for comparing a light with a master, one for each property. This module performs no I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from coldframe.calibration.frames.names import comparable, is_same_camera
from coldframe.calibration.frames.setup import SAME_EXPOSURE, SAME_EXPOSURE_S, FrameSetup
from coldframe.config.angles import degrees_apart
from coldframe.config.frames import FrameKind

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Maximum differences between a light and its masters.

    Attributes
    ----------
    cooled_c
        Sensor temperature of cooled darks, C. Dark current doubles about every 6 C, so 1 C changes it by 12 %.
    uncooled_c
        Sensor temperature of uncooled darks, C. A difference of 5 C changes the dark current by 80 %, but even a dark
        with this difference removes hot pixels better than no dark.
    bias_c
        Sensor temperature of bias frames, C; their level hardly depends on temperature.
    exposure, exposure_s
        Exposure of darks, as a fraction of the light's exposure and in seconds; the larger limit applies.
    longest_stretch
        Largest factor by which a dark is scaled up; its noise grows by the same factor.
    bias_days, dark_days
        Time between master and light, whichever is older. Sensors develop hot pixels, and new drivers change offsets.
    flat_days
        Time between flat and light, whichever is older. Dust moves even in an untouched telescope.
    focus_steps, rotation_deg
        Position of the focuser, and angle of the rotator; at larger differences, dust shadows no longer fall on the
        same pixels.
    focal_length
        Focal length, as a fraction of the light's focal length; adding a reducer causes a larger difference.
    """

    cooled_c: float = 1.0
    uncooled_c: float = 5.0
    bias_c: float = 15.0
    exposure: float = SAME_EXPOSURE
    exposure_s: float = SAME_EXPOSURE_S
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
        Size of the difference in units of the tolerance; None for a mere caveat, such as a value missing from a header.
    """

    text: str
    excess: float | None


Rule = Callable[[FrameSetup, FrameSetup, Tolerances], Difference | None]


def gap(one: float | None, other: float | None) -> float | None:
    """Return the absolute difference between two values, or None if one of them is unknown."""
    return None if one is None or other is None else abs(one - other)


def days_between(light: FrameSetup, master: FrameSetup) -> float | None:
    """Return the time between a light and a master in days, or None if a date is unknown."""
    if light.taken_at is None or master.taken_at is None:
        return None
    return abs((light.taken_at - master.taken_at).total_seconds()) / DAY_S


def _unknown(name: str, light_value: object, master_value: object) -> Difference | None:
    """Return a caveat if only one of the two headers has the value."""
    if light_value is None and master_value is None:
        return None
    silent = "light" if light_value is None else "master"
    return Difference(f"the header of the {silent} has no {name}, which is assumed to be equal", None)


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


def camera(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the camera or, if neither header names one, as in some smart telescopes, the telescope."""
    if light.camera is not None and master.camera is not None and is_same_camera(light.camera, master.camera):
        return None
    unnamed = light.camera is None and master.camera is None
    if unnamed and light.train.telescope is not None and master.train.telescope is not None:
        return _same("telescope", light.train.telescope, master.train.telescope)
    return _same("camera", light.camera, master.camera)


def size(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the size in pixels."""
    ours, theirs = f"{light.width} x {light.height}", f"{master.width} x {master.height}"
    return _same("size", ours, theirs)


def gain(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the gain."""
    return _same("gain", light.readout.gain, master.readout.gain)


def offset(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the offset."""
    return _same("offset", light.readout.offset, master.readout.offset)


def binning(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the binning."""
    return _same("binning", light.readout.binning, master.readout.binning)


def readout_mode(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the readout mode."""
    return _same("readout mode", light.readout.readout_mode, master.readout.readout_mode)


def row_order(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the order of the rows."""
    return _same("row order", light.row_order, master.row_order)


def mosaic(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the colour filter array."""
    return _same("colour filter array", light.mosaic, master.mosaic)


def place(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the positions of sub-frames; report a missing one only if the other is not at the sensor's corner."""
    if light.origin is None or master.origin is None:
        is_whole = (light.origin or master.origin or (0, 0)) == (0, 0)
        return None if is_whole else _unknown("position on the sensor", light.origin, master.origin)
    if light.origin == master.origin:
        return None
    ours, theirs = ("column {}, row {}".format(*each) for each in (light.origin, master.origin))
    return _same("position on the sensor", f"from {ours}", f"from {theirs}")


def overscan(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the overscan subtraction."""
    ours, theirs = (str(each.overscan or "none") for each in (light, master))
    return None if ours == theirs else Difference(f"overscan subtraction is {theirs} instead of {ours}", 1000)


def trim(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the trimmed areas; the subtraction method does not matter, because the values of flats are relative."""
    if light.overscan is not None and master.overscan is not None:
        return _same("trimmed area", str(light.overscan.sections.kept), str(master.overscan.sections.kept))
    return overscan(light, master, tolerances)


def bias_left_in(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Report a dark from which the bias was subtracted, if the light still contains its bias."""
    if light.bias_subtracted or not master.bias_subtracted:
        return None
    return Difference("its bias was subtracted, so the master bias is added back", None)


def filter_name(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the filter."""
    return _same("filter", light.filter_name or "none", master.filter_name or "none")


def telescope(light: FrameSetup, master: FrameSetup, _tolerances: Tolerances) -> Difference | None:
    """Compare the telescope."""
    return _same("telescope", light.train.telescope, master.train.telescope)


def focal_length(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the focal length."""
    ours, theirs = light.train.focal_length_mm, master.train.focal_length_mm
    return _within("focal length", " mm", gap(ours, theirs), tolerances.focal_length * (ours or 0), ours, theirs)


def focus(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the position of the focuser."""
    ours, theirs = light.train.focus_steps, master.train.focus_steps
    return _within("focuser position", " steps", gap(ours, theirs), tolerances.focus_steps, ours, theirs)


def rotation(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the rotator angle."""
    ours, theirs = light.train.rotation_deg, master.train.rotation_deg
    turned = None if ours is None or theirs is None else degrees_apart(ours, theirs)
    return _within("rotator angle", " deg", turned, tolerances.rotation_deg, ours, theirs)


def exposure(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the exposure."""
    ours, theirs = light.exposure_s, master.exposure_s
    if ours is None or theirs is None:
        return Difference("an exposure is unknown", 1000)
    tolerance_s = max(tolerances.exposure * ours, tolerances.exposure_s) or 1e-6
    return _within("exposure", " s", gap(ours, theirs), tolerance_s, ours, theirs)


def stretch(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the factor by which a dark would be scaled."""
    if light.exposure_s is None or not master.exposure_s:
        return Difference("an exposure is unknown, so the dark cannot be scaled", 1000)
    stretch = light.exposure_s / master.exposure_s
    if stretch <= tolerances.longest_stretch:
        return None
    return Difference(f"it would be scaled up by a factor of {stretch:.3g}", stretch / tolerances.longest_stretch)


def dark_temperature(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the sensor temperature of a dark."""
    cooled = light.cooled or master.cooled
    found = _temperature(light, master, tolerances.cooled_c if cooled else tolerances.uncooled_c)
    if found is None or found.excess is not None:
        return found
    return found._replace(text=f"{found.text}, but dark current doubles about every 6 C")


def bias_temperature(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the sensor temperature of a bias."""
    return _temperature(light, master, tolerances.bias_c)


def _temperature(light: FrameSetup, master: FrameSetup, tolerance: float) -> Difference | None:
    ours, theirs = light.temperature_c, master.temperature_c
    return _within("temperature", " C", gap(ours, theirs), tolerance, ours, theirs)


def bias_age(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the time between a light and a bias with its limit."""
    return _age(light, master, tolerances.bias_days)


def dark_age(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the time between a light and a dark with its limit."""
    return _age(light, master, tolerances.dark_days)


def flat_age(light: FrameSetup, master: FrameSetup, tolerances: Tolerances) -> Difference | None:
    """Compare the time between a light and a flat with its limit."""
    return _age(light, master, tolerances.flat_days)


def _age(light: FrameSetup, master: FrameSetup, limit_days: float) -> Difference | None:
    if master.taken_at is None:
        return Difference(f"the master is undated, so it may be older than {limit_days:g} days", None)
    days = days_between(light, master)
    if days is None:
        return _unknown("date", light.taken_at, master.taken_at)
    if days <= limit_days:
        return None
    return Difference(f"the frames were taken {days:.0f} days apart (limit: {limit_days:g} days)", days / limit_days)


READOUT: tuple[Rule, ...] = (camera, size, place, gain, binning, readout_mode, row_order)
RULES_OF: Mapping[FrameKind, tuple[Rule, ...]] = {
    FrameKind.BIAS: (*READOUT, offset, overscan, bias_temperature, bias_age),
    FrameKind.DARK: (*READOUT, offset, overscan, dark_temperature, exposure, dark_age, bias_left_in),
    FrameKind.FLAT: (*READOUT, trim, mosaic, filter_name, telescope, focal_length, focus, rotation, flat_age),
}
