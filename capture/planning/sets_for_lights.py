"""Plan the sets that lights need: find the needed masters, look them up in the library, and order the remaining sets.

A light needs:

- a dark with the light's readout settings, setpoint and exposure;
- a flat with the light's filter, gain, binning and readout mode, shot through the current optical train, and dark flats
  for this flat. Flats and their dark flats need the same temperature, but any temperature is suitable, so both are shot
  at the first setpoint of the night;
- a bias with the light's readout settings, at any temperature.

The order minimises moves and ramps (docs/planning.md describes the model). The setpoints are in the order with the
shortest ramps, including the warm-up. The rotator turns to each angle once, in ascending order. At each angle, the
filters are used in slot order, starting with the filter in the beam. All sets for one filter are shot together, so that
the wheel turns once per filter and angle. This module performs no I/O.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from math import inf
from pathlib import Path

from coldframe.calibration.frames.matching import Match, best_master
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import SAME_EXPOSURE, SAME_EXPOSURE_S, FrameSetup, OpticalTrain
from coldframe.capture.planning.ambient_cover import ambient_cover
from coldframe.capture.planning.lights_for_rig import (
    RigSnapshot,
    ShotLight,
    lights_in_rig_terms,
    lights_text,
    name_in_wheel,
    with_configured_filters,
)
from coldframe.capture.planning.optical_trains import (
    has_turned,
    train_now,
    why_out_of_range,
    why_train_differs,
    with_flat_angles,
)
from coldframe.capture.planning.read_lights import Lights
from coldframe.config.angles import within_limits
from coldframe.config.counts import LightNoise, NoiseGoal
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import Settings
from coldframe.config.tables.cooling import CoolingSettings
from coldframe.config.tables.sets import FrameSet, LightsSettings

MAX_PERMUTED_SETPOINTS = 6
"""Maximum number of setpoints for which all orders are compared, not only the rising and the falling order."""


@dataclass(frozen=True, slots=True)
class NeededMaster:
    """A master that lights need.

    Attributes
    ----------
    frame_set
        Set from whose frames the master would be made.
    lights
        Number of lights that need the master.
    master
        A fresh matching master in the library; None if the set must be shot.
    """

    frame_set: FrameSet
    lights: int
    master: Path | None = None


@dataclass(frozen=True, slots=True)
class LightsPlan:
    """The masters that the lights need, and notes for the user.

    Attributes
    ----------
    needs
        Needed masters in the order in which they are made.
    notes
        Sentences for the user about missing masters and about assumptions.
    """

    needs: tuple[NeededMaster, ...]
    notes: tuple[str, ...] = ()

    @property
    def sets(self) -> tuple[FrameSet, ...]:
        """Sets to shoot, in order."""
        return tuple(need.frame_set for need in self.needs if need.master is None)

    @property
    def from_library(self) -> tuple[NeededMaster, ...]:
        """Masters that the library already has."""
        return tuple(need for need in self.needs if need.master is not None)


def plan_for_lights(
    lights: Lights, masters: Mapping[Path, FrameSetup], settings: Settings, rig: RigSnapshot | None = None
) -> LightsPlan:
    """Return the masters that the given lights need, in an order that saves time.

    Parameters
    ----------
    lights
        One or more lights.
    masters
        Masters in the library.
    settings
        Settings of the rig; the configured sets are ignored.
    rig
        State of the connected rig; None if it was not queried.
    """
    notes: list[str] = []
    known = with_configured_filters(rig or RigSnapshot(), settings)
    shot = lights_in_rig_terms(lights.setups.values(), settings, known, notes)
    if lights.noises:
        shot = [replace(light, noise=lights.noises.get(path)) for path, light in zip(lights.setups, shot, strict=True)]
    shot = with_flat_angles(shot, settings, known, notes)
    newest = shot[-1]
    needs_angle = settings.rotator is not None or has_turned(shot)
    library = _LibraryMasters(_in_wheels_words(masters, known.filters), settings.lights, notes, needs_angle)
    darks = [library.dark_need(group, known.sensor_c) for group in _dark_groups(shot)]
    setpoints = _setpoint_order(darks, newest, known.sensor_c, settings.cooling)
    flats = [_at_setpoint(need, setpoints[0]) for need in _flats(shot, library, settings, known, notes)]
    flats = _by_filter(flats, known.filters or (), known.in_beam or newest.filter)
    flats = _by_angle(flats, known.rotator_limits_deg)
    biases = [_at_setpoint(need, setpoints[0]) for need in _biases(shot, flats, library, settings)]
    order = {setpoint_c: place for place, setpoint_c in enumerate(setpoints)}
    counts = settings.lights
    needs = [
        *(biases if counts.bias else ()),
        *(each for flat in flats for each in _with_dark_flats(flat, counts.dark_flat)),
        *(sorted(darks, key=lambda need: order.get(need.frame_set.setpoint_c, len(order))) if counts.dark else ()),
    ]
    return LightsPlan(tuple(needs), tuple(notes))


@dataclass(frozen=True, slots=True)
class _LibraryMasters:
    """The masters in the library, the settings that limit the age of masters, and the notes for the user.

    `needs_angle` is True if flats must state the rotator angle, because the rotator has turned or might turn.
    """

    masters: Mapping[Path, FrameSetup]
    settings: LightsSettings
    notes: list[str]
    needs_angle: bool

    @property
    def _fresh(self) -> Tolerances:
        return Tolerances(
            bias_days=self.settings.fresh_dark_days,
            dark_days=self.settings.fresh_dark_days,
            flat_days=self.settings.fresh_flat_days,
        )

    def dark_need(self, group: list[ShotLight], sensor_c: float | None) -> NeededMaster:
        """Return the dark that a group of lights needs.

        For uncooled lights, darks are shot if tonight's temperature suits a light that has no dark, or if the newest
        light has no dark.
        """
        need = self.need(group, FrameKind.DARK)
        cover = ambient_cover(group, self.masters, self._fresh, sensor_c)
        if cover is None:
            return need
        if (note := cover.note(need.frame_set.exposure_s or 0.0)) is not None:
            self.notes.append(note)
        # If tonight's temperature is unknown, only the newest light counts: darks are shot if it has no dark.
        is_served = cover.now_c is not None and cover.served > 0
        return replace(need, master=None) if is_served else need

    def need(self, group: list[ShotLight], kind: FrameKind) -> NeededMaster:
        """Return the master that a group of lights needs, with the library's match if every light has a match."""
        exposure_s = Counter(light.exposure_s for light in group).most_common(1)[0][0]
        light = replace(group[-1], exposure_s=exposure_s, noise=_most_sensitive_noise(group, kind))
        matches = [self._match(setup, kind) for setup in _compared_setups(group, kind)]
        master = None if None in matches else matches[0]
        return NeededMaster(_frame_set(light, kind, self.settings), len(group), master)

    def _match(self, light: FrameSetup, kind: FrameKind) -> Path | None:
        """Return the library's match for a light, and note the assumptions about this match."""
        match = best_master(light, self.masters, kind, self._fresh)
        if kind is FrameKind.FLAT and self._lacks_angle(match, light):
            assert match.path is not None
            if not self.needs_angle:
                self._note(
                    f"{match.path.name} does not state the rotator angle: it is assumed to be that of the lights"
                )
            else:
                self._note(f"{match.path.name} is not used, because it does not state the rotator angle")
                stated = {path: each for path, each in self.masters.items() if each.train.rotation_deg is not None}
                match = best_master(light, stated, kind, self._fresh)
        if match.guess:
            self._note(match.guess)
        return self._if_dated(match.path, light)

    def _lacks_angle(self, match: Match, light: FrameSetup) -> bool:
        """Return whether a light states the rotator angle, but its match does not."""
        is_known = light.train.rotation_deg is not None
        return is_known and match.path is not None and self.masters[match.path].train.rotation_deg is None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _if_dated(self, master: Path | None, light: FrameSetup) -> Path | None:
        """Return a matching master if its age is known, else None: with an unknown age, it would stay fresh forever."""
        if master is None or self.settings.trust_undated:
            return master
        dated = self.masters[master].taken_at is not None
        if dated and light.taken_at is not None:
            return master
        undated = "the lights are" if dated else "it is"
        self._note(f"{master.name} is not used, because {undated} undated; to use it, set lights.trust_undated = true")
        return None


def _compared_setups(group: list[ShotLight], kind: FrameKind) -> list[FrameSetup]:
    """Return the setups that the library's masters must match.

    This is the newest light's setup or, for flats, one copy of it with each optical train of the group. The age and the
    focus of the other lights do not count, because flats that are shot now would fit these lights no better.
    """
    newest = group[-1].setup
    if kind is not FrameKind.FLAT:
        return [newest]
    trains = dict.fromkeys(_train_of_flat(light, newest.train.focus_steps) for light in reversed(group))
    return [replace(newest, train=train) for train in trains]


def _train_of_flat(light: ShotLight, focus_steps: float | None) -> OpticalTrain:
    """Return the optical train that a light's flat must have, with the assumed angle if the light's header has none."""
    stated_deg = light.train.rotation_deg
    angle_deg = light.flat_deg if stated_deg is None else stated_deg
    return replace(light.train, focus_steps=focus_steps, rotation_deg=angle_deg)


def _in_wheels_words(masters: Mapping[Path, FrameSetup], filters: tuple[str, ...] | None) -> dict[Path, FrameSetup]:
    """Return the masters with their filters named as in the wheel, so that they match the lights."""
    return {
        path: replace(setup, filter_name=name_in_wheel(setup.filter_name, filters)) for path, setup in masters.items()
    }


def _most_sensitive_noise(group: list[ShotLight], kind: FrameKind) -> LightNoise | None:
    """Return the noise of the light that a noisy master would harm most; None if no noise is known."""
    known = [light.noise for light in group if light.noise is not None]
    if kind is FrameKind.FLAT:
        return max(known, key=lambda noise: noise.signal_to_noise, default=None)
    return min(known, key=lambda noise: noise.noise_adu, default=None)


def _frame_set(light: ShotLight, kind: FrameKind, settings: LightsSettings) -> FrameSet:
    counts = {FrameKind.BIAS: settings.bias, FrameKind.DARK: settings.dark, FrameKind.FLAT: settings.flat}
    count = counts[kind] or 1
    return FrameSet.model_validate(
        {
            "kind": kind,
            "count": replace(count, light=light.noise) if isinstance(count, NoiseGoal) else count,
            "exposure_s": light.exposure_s if kind is FrameKind.DARK else None,
            "filter": light.filter if kind is FrameKind.FLAT else None,
            "rotator_deg": light.flat_deg if kind is FrameKind.FLAT else None,
            "gain": light.readout.gain,
            "offset": light.readout.offset,
            "binning": light.readout.binning,
            "readout_mode": light.readout.readout_mode,
            "setpoint_c": light.setpoint_c,
        }
    )


# ---- group lights by the master that they need ----


def _dark_groups(lights: list[ShotLight]) -> Iterator[list[ShotLight]]:
    """Yield groups of lights that share a dark, shortest exposure first."""
    alike: dict[object, list[ShotLight]] = defaultdict(list)
    for light in lights:
        alike[light.readout, light.setpoint_c].append(light)
    for group in alike.values():
        by_exposure = sorted(group, key=lambda light: light.exposure_s)
        while by_exposure:
            shortest_s = by_exposure[0].exposure_s
            longest_s = shortest_s + max(SAME_EXPOSURE * shortest_s, SAME_EXPOSURE_S)
            shared = [light for light in by_exposure if light.exposure_s <= longest_s]
            yield shared
            by_exposure = by_exposure[len(shared) :]


_FlatGroup = tuple[str | None, ReadoutSettings, float | None, str | None]
"""Filter, readout settings and rotator angle of flats, and the reason why they cannot be shot now, if there is one."""


def _flat_groups(lights: list[ShotLight], settings: Settings, rig: RigSnapshot) -> dict[_FlatGroup, list[ShotLight]]:
    """Group the lights by the flats that they need.

    Offset and setpoint do not matter, because the dark flats remove their effect.
    """
    alike: dict[_FlatGroup, list[ShotLight]] = defaultdict(list)
    now = train_now(lights)
    for light in lights:
        reason = (
            _why_unreachable(light, lights[-1], settings, rig)
            or why_train_differs(light, now, has_rotator=settings.rotator is not None)
            or why_out_of_range(light.flat_deg, rig)
        )
        alike[light.filter, replace(light.readout, offset=None), light.flat_deg, reason].append(light)
    return alike


def _why_unreachable(light: ShotLight, newest: ShotLight, settings: Settings, rig: RigSnapshot) -> str | None:
    if settings.panel is None and settings.flats.source == "panel":
        return "because the configuration has no [panel]"
    if settings.wheel is None:
        changed = light.filter != newest.filter
        return (
            f"through {light.filter or 'no filter'}: {newest.filter or 'no filter'} is in the beam now"
            if changed
            else None
        )
    if light.filter is None:
        return "whose headers do not state the filter"
    if rig.filters is not None and light.filter not in rig.filters:
        return f"through {light.filter}: the wheel has only {', '.join(rig.filters)}"
    return None


def _is_refocused(light: ShotLight, newest: ShotLight) -> bool:
    ours, theirs = light.train.focus_steps, newest.train.focus_steps
    return ours is not None and theirs is not None and abs(ours - theirs) > Tolerances().focus_steps


# ---- from groups to needed masters ----


def _flats(
    lights: list[ShotLight],
    library: _LibraryMasters,
    settings: Settings,
    rig: RigSnapshot,
    notes: list[str],
) -> Iterator[NeededMaster]:
    """Yield the flats that can be shot now or are in the library, and note which lights get no flats, and why."""
    if not settings.lights.flat:
        return
    without: Counter[str] = Counter()
    for (_, _, _, reason), group in _flat_groups(lights, settings, rig).items():
        need = library.need(group, FrameKind.FLAT)
        if reason is None or need.master is not None:
            yield need
        else:
            without[reason] += len(group)
        moved = sum(_is_refocused(light, lights[-1]) for light in group)
        if reason is None and need.master is None and moved:
            notes.append(
                f"the focuser has moved since the exposure of {lights_text(moved)} through "
                f"{need.frame_set.filter or 'no filter'}"
            )
    notes += [f"no flats for {lights_text(count)} {reason}" for reason, count in without.items()]


def _at_setpoint(need: NeededMaster, setpoint_c: float | None) -> NeededMaster:
    return replace(need, frame_set=need.frame_set.model_copy(update={"setpoint_c": setpoint_c}))


def _biases(
    lights: list[ShotLight], flats: list[NeededMaster], library: _LibraryMasters, settings: Settings
) -> Iterator[NeededMaster]:
    """Yield one bias per combination of readout settings. A bias for flats without dark flats must be shot tonight."""
    alike: dict[ReadoutSettings, list[ShotLight]] = defaultdict(list)
    for light in lights:
        alike[light.readout].append(light)
    shot = [flat.frame_set.readout(settings.camera) for flat in flats if flat.master is None]
    subtracted = set() if settings.lights.dark_flat else set(shot)
    for readout, group in alike.items():
        need = library.need(group, FrameKind.BIAS)
        yield replace(need, master=None) if readout in subtracted else need


def _with_dark_flats(flat: NeededMaster, count: int | NoiseGoal) -> Iterator[NeededMaster]:
    if flat.master is None and count:
        yield replace(flat, frame_set=flat.frame_set.model_copy(update={"kind": FrameKind.DARK_FLAT, "count": count}))
    yield flat


# ---- the order ----


def _by_filter(flats: list[NeededMaster], filters: tuple[str, ...], in_beam: str | None) -> list[NeededMaster]:
    """Return the flats grouped by filter, in the direction of the wheel, starting with the filter in the beam."""
    slots = list(filters) + [flat.frame_set.filter for flat in reversed(flats) if flat.frame_set.filter not in filters]
    start = slots.index(in_beam) if in_beam in slots else 0
    return sorted(flats, key=lambda flat: (slots.index(flat.frame_set.filter) - start) % len(slots))


def _by_angle(flats: list[NeededMaster], limits_deg: tuple[float, float] | None) -> list[NeededMaster]:
    """Return the flats by ascending rotator angle, as the rotator counts it; flats without an angle come first.

    The rotator then never needs to cross the ends of its range, so cables do not wind up over several nights. The
    order does not depend on the current angle, so a run that resumes a night keeps the order of the earlier run.
    """

    def commanded_deg(need: NeededMaster) -> float:
        angle_deg = need.frame_set.rotator_deg
        if angle_deg is None:
            return -inf
        accepted_deg = within_limits(angle_deg, limits_deg)
        return angle_deg if accepted_deg is None else accepted_deg

    return sorted(flats, key=commanded_deg)


def _setpoint_order(
    darks: list[NeededMaster], newest: ShotLight, sensor_c: float | None, cooling: CoolingSettings
) -> tuple[float | None, ...]:
    """Return the setpoints of the darks in the fastest order, or the newest light's setpoint if no dark is shot."""
    wanted = {need.frame_set.setpoint_c for need in darks if need.master is None}
    setpoints = [each for each in wanted if each is not None]
    start_c = newest.setpoint_c if sensor_c is None else sensor_c
    ordered = shortest_ramps(setpoints, start_c, cooling)
    return (*((None,) if None in wanted else ()), *ordered) or (newest.setpoint_c,)


def shortest_ramps(setpoints: Iterable[float], start_c: float | None, cooling: CoolingSettings) -> tuple[float, ...]:
    """Return setpoints in the order with the shortest total ramp time, including the warm-up.

    Parameters
    ----------
    setpoints
        Setpoints to visit, degrees Celsius.
    start_c
        Current sensor temperature; None if unknown, in which case the first ramp is not counted.
    cooling
        Ramp rates, and whether the night ends with a warm-up. Dwell times do not depend on the order.
    """
    cold_first = tuple(sorted(set(setpoints)))
    orders = permutations(cold_first) if len(cold_first) <= MAX_PERMUTED_SETPOINTS else (cold_first, cold_first[::-1])
    return min(orders, key=lambda order: _ramps_s(order, start_c, cooling))


def _ramps_s(order: tuple[float, ...], start_c: float | None, cooling: CoolingSettings) -> float:
    stops = order if start_c is None else (start_c, *order)
    ramped_c = sum(abs(here - there) for here, there in pairwise(stops))
    warmed_c = max(cooling.warm_to_c - order[-1], 0.0) if order and cooling.at_end == "warm" else 0.0
    return 60 * (ramped_c / cooling.ramp_c_per_min + warmed_c / cooling.warm_ramp_c_per_min)
