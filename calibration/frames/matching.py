"""Pure functions that choose the master for calibrating a light, and explain why other masters do not fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.frames import rules
from coldframe.calibration.frames.rules import READOUT, RULES_OF, Rule, Tolerances
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.config.angles import AngleGroups
from coldframe.config.frames import FrameKind

DARK_FLAT_EXPOSURE = 0.1
"""Maximum relative difference between the exposures of flats and their darks; at exposures of a few seconds, 10 % of
the dark signal is negligible."""


@dataclass(frozen=True, slots=True)
class Match:
    """The result of choosing a master of one kind for a light.

    Attributes
    ----------
    kind
        Kind of the master.
    path
        Chosen master; None if no master fits.
    caveats
        Messages about values that could not be compared, and about other reasons for caution.
    refusal
        The nearest master and the reasons why it does not fit; empty if a master was chosen.
    guess
        The caveat if the light's header contains no rotator angle and its flat was chosen from flats with different
        angles; empty otherwise.
    """

    kind: FrameKind
    path: Path | None
    caveats: tuple[str, ...] = ()
    refusal: str = ""
    guess: str = ""


def best_master(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], kind: FrameKind, tolerances: Tolerances | None = None
) -> Match:
    """Return the master of the given kind that fits a light best.

    Bias and darks must have the same camera, size, gain, offset, binning, readout mode and temperature as the light;
    darks must also have the same exposure. Flats must have the same camera, size, gain, binning, readout mode, colour
    filter array, filter and optical train as the light. Their offset, temperature and exposure do not matter, because
    the dark flats have removed the effects of these. Of the masters that fit, the one with the fewest unknown values is
    chosen. If several masters have the fewest, the nearest of them is chosen: in temperature (rounded to half degrees),
    then in exposure, then in time.

    Parameters
    ----------
    light
        Setup of the frame to calibrate.
    masters
        Setups of all available masters, of any kind, by path.
    kind
        Kind of the master: bias, dark or flat.
    tolerances
        Maximum differences; None for the defaults.
    """
    return _best(light, masters, kind, RULES_OF[kind], tolerances or Tolerances())


def subtraction_faults(frame: FrameSetup, master: FrameSetup) -> tuple[str, ...]:
    """Return the reasons why a master cannot be subtracted from raw frames before they are combined; empty if it can.

    Both must have the same camera, size, gain, offset, binning, readout mode, row order and overscan. The temperatures
    must agree within `Tolerances.bias_c`, and the exposure of a dark or dark flat within `DARK_FLAT_EXPOSURE`. A value
    that is missing from one of the headers is assumed to match.

    Parameters
    ----------
    frame
        Setup of a flat, or of a dark from which a bias is to be subtracted.
    master
        Setup of the master bias, dark or dark flat.
    """
    if master.kind not in {FrameKind.BIAS, FrameKind.DARK, FrameKind.DARK_FLAT, None}:
        return (f"it is a master {master.kind}",)
    compared = [*READOUT, rules.offset, rules.bias_temperature, rules.overscan]
    exposed = master.kind in {FrameKind.DARK, FrameKind.DARK_FLAT}
    if exposed and frame.exposure_s is not None and master.exposure_s is not None:
        compared.append(rules.exposure)
    tolerances = Tolerances(exposure=DARK_FLAT_EXPOSURE)
    findings = [rule(frame, master, tolerances) for rule in compared]
    faults = [found.text for found in findings if found is not None and found.excess is not None]
    if master.bias_subtracted:
        faults.append("its bias was already subtracted, so the bias of the frames would remain in the result")
    return tuple(faults)


SENSITIVE = Tolerances(
    cooled_c=0.3,
    uncooled_c=0.3,
    bias_c=3,
    exposure=0.002,
    exposure_s=0.001,
    focus_steps=1,
    rotation_deg=0.1,
    focal_length=0.002,
)
"""Limits above which a difference can explain an artifact, even if the master still fits."""

_OF_PIXELS = (rules.camera, rules.size, rules.place, rules.binning, rules.row_order)


def pixel_faults(light: FrameSetup, master: FrameSetup, kind: FrameKind) -> tuple[str, ...]:
    """Return the reasons why the pixels of a master do not correspond to those of a light; empty if they do.

    Both must have the same camera, size, position on the sensor, binning and row order; flats must also have the same
    colour filter array. A value that is missing from one of the headers is assumed to match.

    Parameters
    ----------
    light, master
        The setups.
    kind
        Use of the master, as a bias, dark or flat. If its header contains a kind, this kind must match.
    """
    wanted = {kind, FrameKind.DARK_FLAT} if kind is FrameKind.DARK else {kind}
    if master.kind is not None and master.kind not in wanted:
        return (f"it is a {master.kind}, not a {kind}",)
    compared = (*_OF_PIXELS, rules.mosaic) if kind is FrameKind.FLAT else _OF_PIXELS
    found = [rule(light, master, Tolerances()) for rule in compared]
    return tuple(each.text for each in found if each is not None and each.excess is not None)


def settings_differences(light: FrameSetup, master: FrameSetup, kind: FrameKind) -> tuple[str, ...]:
    """Return the known differences, as text, between the settings of a light and those of a master used for it."""
    found = [rule(light, master, SENSITIVE) for rule in RULES_OF[kind] if rule is not rules.camera]
    return tuple(each.text for each in found if each is not None and each.excess is not None)


def best_scalable_dark(
    light: FrameSetup, masters: Mapping[Path, FrameSetup], tolerances: Tolerances | None = None
) -> Match:
    """Return the master dark that fits a light best after scaling to the light's exposure; see `best_master`."""
    compared = tuple(rules.stretch if rule is rules.exposure else rule for rule in RULES_OF[FrameKind.DARK])
    return _best(light, masters, FrameKind.DARK, compared, tolerances or Tolerances())


def _best(
    light: FrameSetup,
    masters: Mapping[Path, FrameSetup],
    kind: FrameKind,
    compared: tuple[Rule, ...],
    tolerances: Tolerances,
) -> Match:
    fitting: list[tuple[tuple[float, ...], Path, tuple[str, ...]]] = []
    refused: list[tuple[tuple[float, ...], str]] = []
    for path, master in sorted(masters.items()):
        if master.kind is not kind:
            continue
        findings = [found for rule in compared if (found := rule(light, master, tolerances)) is not None]
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
        guess = _guessed_angle(light, path, {each: masters[each] for _, each, _ in fitting})
        return Match(kind, path, (*caveats, guess) if guess else caveats, guess=guess)
    if refused:
        return Match(kind, None, refusal=f"no {kind} fits: {min(refused)[1]}")
    return Match(kind, None, refusal=f"no {kind} fits: there is no master {kind}")


def _guessed_angle(light: FrameSetup, chosen: Path, fitting: Mapping[Path, FrameSetup]) -> str:
    """Return the caveat about a flat chosen from several rotator angles for a light without an angle, or ""."""
    if light.train.rotation_deg is not None or fitting[chosen].kind is not FrameKind.FLAT:
        return ""
    groups = AngleGroups(Tolerances().rotation_deg)
    angles_deg = {groups.of(deg) for flat in fitting.values() if (deg := flat.train.rotation_deg) is not None}
    if len(angles_deg) < 2:  # noqa: PLR2004 - one angle leaves no choice
        return ""
    found = ", ".join(f"{angle_deg:g}" for angle_deg in sorted(angles_deg))
    own_deg = fitting[chosen].train.rotation_deg
    own = "at an unknown angle" if own_deg is None else f"at {own_deg:g} deg"
    return (
        f"{chosen.name} {own} was chosen from flats at the rotator angles {found} deg, but the light does not "
        "state its angle; a flat at a different angle leaves dust shadows and vignetting. To choose the flat yourself, "
        "specify a folder that contains only this flat with --library"
    )


def darks_at_any_temperature(light: FrameSetup, masters: Mapping[Path, FrameSetup]) -> dict[Path, FrameSetup]:
    """Return the uncooled darks that fit an uncooled light in everything except temperature.

    Parameters
    ----------
    light
        Setup of the light.
    masters
        Setups of all masters, by path.
    """
    compared = [rule for rule in RULES_OF[FrameKind.DARK] if rule is not rules.dark_temperature]
    found = {}
    for path, master in masters.items():
        if light.cooled or master.cooled or master.kind is not FrameKind.DARK:
            continue
        differences = (rule(light, master, Tolerances()) for rule in compared)
        if all(each is None or each.excess is None for each in differences):
            found[path] = master
    return found


def defect_map_faults(frame: FrameSetup, defects: FrameSetup) -> tuple[str, ...]:
    """Return the reasons why a defect map, or a master that contains one, does not fit a frame; empty if it fits.

    Both must have the same camera, binning, row order and colour filter array; a value that is missing from one of the
    headers is assumed to match. The caller must check the size, because the overscan may have been trimmed.

    Parameters
    ----------
    frame
        Setup of a light, or of the master dark.
    defects
        Setup of the map, or of another master.
    """
    findings = [
        rule(frame, defects, Tolerances()) for rule in (rules.camera, rules.binning, rules.row_order, rules.mosaic)
    ]
    return tuple(found.text for found in findings if found is not None and found.excess is not None)


def description(path: Path, master: FrameSetup) -> str:
    """Return the name of a master and the values with which lights must agree: MasterDark_X.fits (-10 C, 60 s)."""
    dark = master.kind in (FrameKind.DARK, FrameKind.DARK_FLAT)
    parts = [
        None if master.temperature_c is None else f"{round(master.temperature_c, 1) + 0.0:g} C",
        None if master.exposure_s is None or not dark else f"{master.exposure_s:g} s",
        master.filter_name,
    ]
    shared = ", ".join(part for part in parts if part)
    return f"{path.name} ({shared})" if shared else path.name


def _distance(light: FrameSetup, master: FrameSetup) -> tuple[float, float, float]:
    """Return the differences in temperature (in half degrees), exposure and time; unknown differences are 0."""
    return (
        round(2 * (rules.gap(light.temperature_c, master.temperature_c) or 0)),
        rules.gap(light.exposure_s, master.exposure_s) or 0,
        rules.days_between(light, master) or 0,
    )


def superseded(masters: Mapping[Path, FrameSetup]) -> tuple[Path, ...]:
    """Return the masters that a newer master replaces because all properties that matter for a light are equal.

    A flat remains valid for lights taken at about the same time, so only a flat that is more than
    `Tolerances.flat_days` newer replaces it.
    """
    return tuple(
        path for path, master in sorted(masters.items()) if any(_replaces(other, master) for other in masters.values())
    )


def predecessors(master: Path, masters: Mapping[Path, FrameSetup]) -> tuple[Path, ...]:
    """Return the earlier masters that are equal to a master in all properties that matter for a light, oldest first.

    Parameters
    ----------
    master
        One of `masters`.
    masters
        Setups of all masters, by path.
    """
    newer = masters.get(master)
    if newer is None:
        return ()
    found = [
        (older.taken_at, path)
        for path, older in masters.items()
        if older.taken_at is not None and _follows(newer, older)
    ]
    return tuple(path for _, path in sorted(found))


_EQUAL = Tolerances(
    # Tight, because darks from an uncooled camera are useful at every temperature.
    cooled_c=0.5,
    uncooled_c=0.5,
    bias_c=2.0,
    exposure=1e-6,
    exposure_s=0,
    bias_days=1e9,
    dark_days=1e9,
    flat_days=1e9,
)


def _replaces(newer: FrameSetup, older: FrameSetup) -> bool:
    if older.kind is FrameKind.FLAT and (rules.days_between(older, newer) or 0) <= Tolerances().flat_days:
        return False
    return _follows(newer, older)


def _follows(newer: FrameSetup, older: FrameSetup) -> bool:
    """Return whether a master is newer than another master and has the same settings."""
    if newer.taken_at is None or older.taken_at is None or newer.taken_at <= older.taken_at:
        return False
    if newer.kind is not older.kind or older.kind is None:
        return False
    compared: Iterable[Rule] = RULES_OF.get(older.kind, (*RULES_OF[FrameKind.DARK], rules.filter_name))
    return all(rule(older, newer, _EQUAL) is None for rule in compared)
