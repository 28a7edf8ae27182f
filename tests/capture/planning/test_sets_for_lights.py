"""Planning the sets that lights need, and their order."""

import heapq
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count, pairwise, permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.capture.planning.lights_for_rig import RigSnapshot
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.read_lights import Lights, read_lights
from coldframe.capture.planning.sets_for_lights import LightsPlan, plan_for_lights, shortest_ramps
from coldframe.capture.steps import CoolStep, ShootStep, Step, TuneStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.tables.cooling import CoolingSettings
from tests.capture.planning.headers import EVENING, Cards, ekos, maxim, night_of_lights, nina

CAMERA = "ZWO CCD ASI2600MM Pro"
FILTERS = ("L", "R", "G", "B", "Ha")


def settings(**tables: Any) -> Settings:
    camera = {"device": CAMERA, "gain": 100.0, "offset": 50.0, "setpoint_c": -10.0}
    rig = {"camera": camera, "panel": {"device": "P"}, "wheel": {"device": "W", "names": FILTERS}}
    return Settings.model_validate(rig | tables)


def shot(*headers: Cards) -> Lights:
    """Return lights with these headers, in order of time."""
    size: Cards = {"NAXIS1": 16, "NAXIS2": 12}
    setups = (replace(setup_of(cards | size), camera=CAMERA) for cards in headers)
    return Lights({Path(f"{number}.fits"): setup for number, setup in enumerate(setups)})


def light(filter_name: str = "L", exposure_s: float = 120.0, setpoint_c: float = -10.0, **more: Any) -> Cards:
    return nina(filter_name, exposure_s, setpoint_c, EVENING) | more


def planned(lights: Lights, given: Settings | None = None, rig: RigSnapshot | None = None) -> LightsPlan:
    return plan_for_lights(lights, {}, given or settings(), rig)


def titles(plan: LightsPlan) -> list[str]:
    return [
        " ".join(str(part) for part in (each.kind, each.filter, each.exposure_s) if part is not None)
        for each in plan.sets
    ]


def steps_for(plan: LightsPlan, given: Settings) -> tuple[Step, ...]:
    return plan_night(given.model_copy(update={"sets": plan.sets}))


def test_lights_of_five_programs_need_the_smallest_list_of_sets(tmp_path: Path) -> None:
    lights = read_lights(night_of_lights(tmp_path), [CAMERA])
    assert len(lights.setups) == 40
    plan = planned(lights)
    # Only N.I.N.A. writes the angle of the rotator.
    assert plan.notes == (
        (
            "the headers of 32 lights do not state the rotator angle: it is assumed to be that of the newest light "
            "with a known angle"
        ),
    )
    sets = {(each.kind, each.filter, each.exposure_s, each.setpoint_c) for each in plan.sets}
    flats = {
        (kind, name, None, -10.0) for kind in (FrameKind.FLAT, FrameKind.DARK_FLAT) for name in ("L", "R", "G", "Ha")
    }
    darks = {(FrameKind.DARK, None, exposure_s, c) for exposure_s in (120.0, 300.0) for c in (0.0, -10.0)}
    assert sets == flats | darks | {(FrameKind.BIAS, None, None, -10.0)}
    assert len(plan.sets) == len(sets)
    assert {(each.gain, each.offset, each.binning, each.readout_mode) for each in plan.sets} == {(100, 50, 1, None)}
    assert {need.frame_set.filter: need.lights for need in plan.needs if need.frame_set.kind is FrameKind.FLAT} == {
        "L": 10, "R": 10, "G": 10, "Ha": 10,
    }  # fmt: skip
    # The resulting configuration could have been written by hand.
    Settings.model_validate(settings().model_dump() | {"sets": [each.model_dump() for each in plan.sets]})


@given(st.permutations(range(12)))
def test_the_sets_do_not_depend_on_the_order_of_the_files(order: list[int]) -> None:
    headers = [
        program(name, exposure_s, -10.0, EVENING + timedelta(minutes=number))
        for number, (program, name, exposure_s) in enumerate(
            (program, name, exposure_s)
            for program in (nina, ekos, maxim)
            for name in ("L", "Ha")
            for exposure_s in (60.0, 300.0)
        )
    ]
    # The newest light stays last, because it determines the filter in the beam.
    mixed = [headers[index] for index in order if index != 11] + [headers[11]]
    assert planned(shot(*mixed)).sets == planned(shot(*headers)).sets


# ---- moves ----


def moves(steps: tuple[Step, ...], in_beam: str | None, lamp_in_cover: bool) -> int:  # noqa: FBT001
    """Count the moves of wheel and cover, from an open cover at the start to a closed one at the end."""
    made, at, is_open = 0, in_beam, True
    for step in steps:
        needs_light = isinstance(step, TuneStep) or (isinstance(step, ShootStep) and step.kind is FrameKind.FLAT)
        if not isinstance(step, TuneStep | ShootStep):
            continue
        wants_open = needs_light and not lamp_in_cover
        made += wants_open != is_open
        is_open = wants_open
        if needs_light:
            made += step.filter != at
            at = step.filter
    return made + is_open


def fewest_moves(filters: int, in_beam: int, lamp_in_cover: bool, whole_filters: bool) -> int:  # noqa: FBT001
    """Return the smallest number of moves over all orders of bias, tunings, dark flats, flats and darks.

    Each filter is tuned after the bias, then come its dark flats, then its flats. With `whole_filters` no filter is
    begun before the one before it is finished.
    """
    start: Any = (0, (0,) * filters, False, in_beam, True)
    done = (1, (3,) * filters, True)
    end = (*done, None, False)
    numbers = count()
    queue: list[tuple[int, int, Any]] = [(0, next(numbers), start)]
    best: dict[Any, int] = {start: 0}
    while queue:
        cost, _, state = heapq.heappop(queue)
        if state == end:
            return cost
        if cost > best[state]:
            continue
        closing = [(int(state[4]), end)] if state[:3] == done else []
        for more, following in [*closing, *_following(state, lamp_in_cover, whole_filters)]:
            if cost + more < best.get(following, 10_000):
                best[following] = cost + more
                heapq.heappush(queue, (cost + more, next(numbers), following))
    raise AssertionError("every order ends")


def _following(state: Any, lamp_in_cover: bool, whole_filters: bool) -> Iterator[tuple[int, Any]]:  # noqa: FBT001
    bias, progress, darks, at, is_open = state

    def moved(at_wanted: int, wants_open: bool) -> int:  # noqa: FBT001
        return int(at != at_wanted) + int(is_open != wants_open)

    if not bias:
        yield moved(at, False), (1, progress, darks, at, False)
    if not darks:
        yield moved(at, False), (bias, progress, True, at, False)
    for index, stage in enumerate(progress):
        begun = any(0 < other < 3 for place, other in enumerate(progress) if place != index)
        if stage == 3 or not bias or (whole_filters and begun):
            continue
        after = (*progress[:index], stage + 1, *progress[index + 1 :])
        if stage == 1:
            yield moved(at, False), (bias, after, darks, at, False)
        else:
            wants_open = not lamp_in_cover
            yield moved(index, wants_open), (bias, after, darks, index, wants_open)


@pytest.mark.parametrize("in_beam", [*FILTERS, None])
def test_wheel_and_cover_move_as_little_as_in_the_best_order(in_beam: str | None, tmp_path: Path) -> None:
    plan = planned(read_lights(night_of_lights(tmp_path), [CAMERA]), rig=RigSnapshot(FILTERS, in_beam or "none", ()))
    steps = steps_for(plan, settings())
    shot_filters = ["L", "R", "G", "Ha"]
    start = shot_filters.index(in_beam) if in_beam in shot_filters else -1
    assert moves(steps, in_beam, lamp_in_cover=True) == fewest_moves(4, start, lamp_in_cover=True, whole_filters=False)
    # With a lamp behind an open cover, the best order among those that finish filter by filter.
    assert moves(steps, in_beam, lamp_in_cover=False) == fewest_moves(4, start, lamp_in_cover=False, whole_filters=True)


def test_the_wheel_turns_round_once_from_its_present_slot(tmp_path: Path) -> None:
    lights = read_lights(night_of_lights(tmp_path), [CAMERA])
    for in_beam, order in (("G", ["G", "Ha", "L", "R"]), ("B", ["Ha", "L", "R", "G"]), (None, ["Ha", "L", "R", "G"])):
        plan = planned(lights, rig=RigSnapshot(FILTERS, in_beam, ()))
        assert [each.filter for each in plan.sets if each.kind is FrameKind.FLAT] == order


def test_each_setpoint_is_visited_once_and_flats_are_shot_at_the_first(tmp_path: Path) -> None:
    lights = read_lights(night_of_lights(tmp_path), [CAMERA])
    steps = steps_for(planned(lights), settings())
    # The last lights were shot at -10 C, so the sensor starts there.
    assert [step.setpoint_c for step in steps if isinstance(step, CoolStep)] == [-10.0, 0.0]
    assert {step.setpoint_c for step in steps if isinstance(step, TuneStep)} == {-10.0}


@pytest.mark.parametrize(
    ("start_c", "at_end", "order"),
    [
        (-10.0, "warm", (-10.0, 0.0)),
        (0.0, "hold", (0.0, -10.0)),
        (15.0, "hold", (0.0, -10.0)),
        (15.0, "warm", (-10.0, 0.0)),  # 25 C down, 10 C up, 10 C warm-up: 10.3 min; the other order takes 11.7 min
        (None, "warm", (-10.0, 0.0)),
    ],
)
def test_setpoints_are_visited_in_the_fastest_order(
    start_c: float | None, at_end: Any, order: tuple[float, ...]
) -> None:
    assert shortest_ramps([0.0, -10.0], start_c, CoolingSettings(at_end=at_end)) == order


@given(
    st.lists(st.integers(-30, 10).map(float), min_size=1, max_size=5, unique=True),
    st.integers(-30, 25).map(float),
    st.sampled_from(["warm", "hold"]),
    st.floats(1, 20),
)
def test_no_order_of_setpoints_is_faster(setpoints: list[float], start_c: float, at_end: Any, ramp: float) -> None:
    cooling = CoolingSettings(at_end=at_end, ramp_c_per_min=ramp)

    def minutes(order: tuple[float, ...]) -> float:
        ramps = sum(abs(there - here) for here, there in pairwise((start_c, *order))) / ramp
        return ramps + (max(10.0 - order[-1], 0) / 3.0 if at_end == "warm" else 0)

    best = minutes(shortest_ramps(setpoints, start_c, cooling))
    assert best == pytest.approx(min(minutes(order) for order in permutations(setpoints)))


def test_very_many_setpoints_are_visited_in_one_direction() -> None:
    many = [float(each) for each in range(-20, 0)]
    assert shortest_ramps(many, -20.0, CoolingSettings()) == tuple(many)


# ---- the library ----


def master(kind: FrameKind, days_ago: float = 0.0, **changes: Any) -> FrameSetup:
    own = setup_of(light() | {"NAXIS1": 16, "NAXIS2": 12, "READOUTM": ""})
    own = replace(own, kind=kind, camera=CAMERA, taken_at=EVENING - timedelta(days=days_ago))
    return replace(own, **changes)


def with_library(*masters: FrameSetup, given: Settings | None = None) -> LightsPlan:
    library = {Path(f"{each.kind}{number}.fits"): each for number, each in enumerate(masters)}
    return plan_for_lights(shot(light(), light("Ha", 300.0)), library, given or settings())


def test_masters_in_the_library_are_not_shot_again() -> None:
    plan = with_library(
        master(FrameKind.BIAS, 100), master(FrameKind.DARK, 100, exposure_s=300.0), master(FrameKind.FLAT, 0.5)
    )
    assert titles(plan) == ["dark-flat Ha", "flat Ha", "dark 120.0"]
    assert [(need.frame_set.kind, need.master) for need in plan.from_library] == [
        (FrameKind.BIAS, Path("bias0.fits")),
        (FrameKind.FLAT, Path("flat2.fits")),
        (FrameKind.DARK, Path("dark1.fits")),
    ]


@pytest.mark.parametrize(
    "stale",
    [
        master(FrameKind.DARK, 200, exposure_s=300.0),
        master(FrameKind.DARK, 1, exposure_s=299.0, setpoint_c=-5.0, temperature_c=-5.0),
        master(FrameKind.DARK, 1, exposure_s=240.0),
        master(FrameKind.FLAT, 3, filter_name="Ha"),
        master(FrameKind.FLAT, 0.5, filter_name="OIII"),
    ],
)
def test_stale_or_unsuitable_masters_are_shot_again(stale: FrameSetup) -> None:
    assert with_library(stale).sets == with_library().sets


def test_an_undated_master_is_not_fresh_for_ever() -> None:
    undated = master(FrameKind.FLAT, taken_at=None)
    plan = with_library(undated)
    assert "flat L" in titles(plan)
    assert plan.notes == ("flat0.fits is not used, because it is undated; to use it, set lights.trust_undated = true",)
    trusting = with_library(undated, given=settings(lights={"trust_undated": True}))
    assert "flat L" not in titles(trusting)
    assert trusting.notes == ()


def test_a_dated_master_is_preferred_to_an_undated_one() -> None:
    plan = with_library(master(FrameKind.FLAT, taken_at=None), master(FrameKind.FLAT, 0.5))
    assert [need.master for need in plan.from_library] == [Path("flat1.fits")]
    assert plan.notes == ()


def test_undated_lights_do_not_make_an_old_master_fresh() -> None:
    undated = {keyword: value for keyword, value in light().items() if keyword != "DATE-OBS"}
    plan = plan_for_lights(shot(undated), {Path("flat.fits"): master(FrameKind.FLAT, 900)}, settings())
    assert "flat L" in titles(plan)
    assert plan.notes == (
        "flat.fits is not used, because the lights are undated; to use it, set lights.trust_undated = true",
    )


def test_filters_of_masters_match_the_wheel_by_their_normalised_names() -> None:
    wheel = {"device": "W", "names": ("L", "H\u03b1")}
    library = {Path("flat.fits"): master(FrameKind.FLAT, filter_name="HALPHA")}
    plan = plan_for_lights(shot(light("Halpha")), library, settings(wheel=wheel))
    assert [need.master for need in plan.from_library] == [Path("flat.fits")]


def test_the_age_of_stale_masters_is_configurable() -> None:
    old = master(FrameKind.FLAT, 9)
    assert "flat L" in titles(with_library(old))
    assert "flat L" not in titles(with_library(old, given=settings(lights={"fresh_flat_days": 10.0})))


def test_a_complete_library_leaves_nothing_to_shoot() -> None:
    everything = [master(FrameKind.DARK, exposure_s=exposure_s) for exposure_s in (120.0, 300.0)]
    everything += [master(FrameKind.FLAT, filter_name=name) for name in ("L", "Ha")]
    assert with_library(master(FrameKind.BIAS), *everything).sets == ()


def test_without_dark_flats_tonights_bias_is_subtracted_from_flats() -> None:
    plan = with_library(master(FrameKind.BIAS, 1), given=settings(lights={"dark_flat": 0}))
    assert titles(plan) == ["bias", "flat Ha", "flat L", "dark 120.0", "dark 300.0"]


# ---- what cannot be shot now ----


def test_values_missing_in_the_header_are_the_configured_ones() -> None:
    silent = {key: value for key, value in light().items() if key not in {"GAIN", "OFFSET", "SET-TEMP", "CCD-TEMP"}}
    (dark,) = (each for each in planned(shot(silent)).sets if each.kind is FrameKind.DARK)
    assert (dark.gain, dark.offset, dark.setpoint_c) == (100, 50, -10)


def test_a_setpoint_that_was_never_reached_is_not_tried_again() -> None:
    warm = [light(setpoint_c=-20.0) | {"CCD-TEMP": sensor_c} for sensor_c in (-13.8, -14.1, -14.3)]
    plan = planned(shot(*warm))
    assert {each.setpoint_c for each in plan.sets} == {-14.0}
    assert plan.notes == (
        "the lights with setpoint -20 C were shot at -14 C: their darks are shot at the same temperature",
    )


def test_flats_are_planned_only_for_the_present_optical_train() -> None:
    turned = light("R", ROTATOR=100.0, ROTATANG=100.0)
    plan = planned(shot(turned, turned, light("Ha"), light("L")))
    assert [each.filter for each in plan.sets if each.kind is FrameKind.FLAT] == ["L", "Ha"]
    assert plan.notes == (
        (
            "no flats for 2 lights through R at rotator angle 100 deg: the rotator is at 12 deg now, and "
            "it is turned only if the configuration has a [rotator] table"
        ),
    )


def test_a_changed_focal_length_is_reported_for_each_filter() -> None:
    reduced = [light(name, FOCALLEN=400.0) for name in ("R", "L")]
    plan = planned(shot(*reduced, light("L", FOCALLEN=500.0)))
    assert [each.filter for each in plan.sets if each.kind is FrameKind.FLAT] == ["L"]
    assert plan.notes == (
        "no flats for 1 light through R at 400 mm: the focal length is 500 mm now",
        "no flats for 1 light through L at 400 mm: the focal length is 500 mm now",
    )


# ---- the rotator ----


def at_angle(filter_name: str, angle_deg: float, **more: Any) -> Cards:
    return light(filter_name, ROTATOR=angle_deg, ROTATANG=angle_deg, **more)


def with_rotator(tolerance_deg: float = 0.2) -> Settings:
    return settings(rotator={"device": "R", "tolerance_deg": tolerance_deg})


def without_angle(filter_name: str) -> Cards:
    return {key: value for key, value in light(filter_name).items() if key not in {"ROTATOR", "ROTATANG"}}


def angles(plan: LightsPlan, kind: FrameKind = FrameKind.FLAT) -> list[tuple[str | None, float | None]]:
    return [(each.filter, each.rotator_deg) for each in plan.sets if each.kind is kind]


def test_each_angle_gets_its_flats_and_the_rotator_turns_to_each_angle_once() -> None:
    lights = shot(at_angle("R", 100), at_angle("L", 355), at_angle("R", 355), at_angle("L", 100), at_angle("L", 5))
    plan = planned(lights, with_rotator(), RigSnapshot(filters=FILTERS, in_beam="L", rotator_deg=350.0))
    assert plan.notes == ()
    # In ascending order, because a turn from 355 to 5 degrees would cross the end of the range.
    expected = [("L", 5.0), ("L", 100.0), ("R", 100.0), ("L", 355.0), ("R", 355.0)]
    assert angles(plan) == angles(plan, FrameKind.DARK_FLAT) == expected
    steps = steps_for(plan, with_rotator())
    assert [step.title for step in steps if isinstance(step, TuneStep)][:2] == [
        "tune flat L at 5 deg", "tune flat L at 100 deg",
    ]  # fmt: skip
    Settings.model_validate(with_rotator().model_dump() | {"sets": [each.model_dump() for each in plan.sets]})


@pytest.mark.parametrize(("apart_deg", "sets"), [(0.79, 1), (0.81, 2)])
def test_lights_share_flats_only_if_the_flats_fit_them_even_at_the_limit_of_the_tolerance(
    apart_deg: float, sets: int
) -> None:
    plan = planned(shot(at_angle("L", 359.9), at_angle("L", 359.9 + apart_deg - 360)), with_rotator())
    assert len(angles(plan)) == sets


def test_a_light_without_an_angle_is_assumed_at_the_present_angle_and_the_plan_says_so() -> None:
    lights = shot(without_angle("R"), at_angle("L", 40))
    plan = planned(lights, with_rotator(), RigSnapshot(filters=FILTERS, rotator_deg=90.0))
    assert sorted(angles(plan), key=str) == [("L", 40.0), ("R", 90.0)]
    assert plan.notes == (
        (
            "the header of 1 light does not state the rotator angle: it is assumed to be that of the rotator before "
            "the night, 90 deg"
        ),
    )


def test_a_newest_light_without_an_angle_does_not_hide_the_angles_of_the_others() -> None:
    plan = planned(shot(at_angle("R", 100), at_angle("L", 12), without_angle("L")))
    assert angles(plan) == [("L", None)]
    assert plan.notes[0] == (
        "the header of 1 light does not state the rotator angle: it is assumed to be that of the newest light "
        "with a known angle"
    )
    assert "1 light through R at rotator angle 100 deg" in plan.notes[1]


def test_an_angle_that_the_rotator_does_not_accept_gets_no_flats() -> None:
    rig = RigSnapshot(filters=FILTERS, rotator_deg=0.0, rotator_limits_deg=(0.0, 180.0))
    plan = planned(shot(at_angle("L", 200), at_angle("L", 20)), with_rotator(), rig)
    assert angles(plan) == [("L", 20.0)]
    assert plan.notes == ("no flats for 1 light at rotator angle 200 deg: the rotator accepts 0 to 180 deg",)


def test_the_library_is_searched_for_each_angle() -> None:
    lights = shot(at_angle("L", 100), at_angle("L", 12))
    newest = list(lights.setups.values())[-1]
    flat = replace(newest, kind=FrameKind.FLAT)
    plan = plan_for_lights(lights, {Path("MasterFlat.fits"): flat}, with_rotator())
    assert angles(plan) == [("L", 100.0)]
    assert [need.frame_set.rotator_deg for need in plan.from_library] == [12.0]


def flat_of(lights: Lights, angle_deg: float | None, name: str = "MasterFlat.fits") -> dict[Path, FrameSetup]:
    """Return a fresh master flat for the newest light, at a rotator angle of its own."""
    newest = list(lights.setups.values())[-1]
    return {Path(name): replace(newest, kind=FrameKind.FLAT, train=replace(newest.train, rotation_deg=angle_deg))}


@pytest.mark.parametrize(("flat_deg", "shot_deg"), [(120.0, [("L", 30.0)]), (30.1, [])])
def test_the_flat_of_a_light_without_an_angle_must_have_the_assumed_angle(
    flat_deg: float, shot_deg: list[tuple[str, float]]
) -> None:
    lights = shot(without_angle("L"))
    rig = RigSnapshot(filters=FILTERS, rotator_deg=30.0)
    plan = plan_for_lights(lights, flat_of(lights, flat_deg), with_rotator(), rig)
    assert angles(plan) == shot_deg


def test_with_a_rotator_flats_without_an_angle_do_not_count() -> None:
    lights = shot(at_angle("L", 120), at_angle("L", 30))
    without = flat_of(lights, None)
    plan = plan_for_lights(lights, without, with_rotator())
    assert angles(plan) == [("L", 30.0), ("L", 120.0)]
    assert plan.notes == ("MasterFlat.fits is not used, because it does not state the rotator angle",)
    # A flat that states its angle counts, even if another value is unknown and it is older.
    (dated,) = flat_of(lights, 30.0).values()
    assert dated.taken_at is not None
    unfocused = replace(dated.train, focus_steps=None)
    older = {Path("Older.fits"): replace(dated, train=unfocused, taken_at=dated.taken_at - timedelta(hours=2))}
    plan = plan_for_lights(lights, without | older, with_rotator())
    assert [need.master for need in plan.from_library] == [Path("Older.fits")]


def test_without_a_rotator_a_flat_without_an_angle_fits_only_lights_of_one_angle_and_is_noted() -> None:
    lights = shot(at_angle("L", 30), at_angle("L", 30))
    plan = plan_for_lights(lights, flat_of(lights, None), settings())
    assert angles(plan) == []
    assert plan.notes == ("MasterFlat.fits does not state the rotator angle: it is assumed to be that of the lights",)
    turned = shot(at_angle("L", 120), at_angle("L", 30))
    plan = plan_for_lights(turned, flat_of(turned, None), settings())
    assert angles(plan) == [("L", None)]
    assert plan.notes[0] == "MasterFlat.fits is not used, because it does not state the rotator angle"
    assert plan.notes[1].startswith("no flats for 1 light through L at rotator angle 120 deg")


def test_without_a_rotator_a_flat_that_was_guessed_among_several_angles_is_noted() -> None:
    lights = shot(without_angle("L"))
    masters = flat_of(lights, 30.0, "A.fits") | flat_of(lights, 120.0, "B.fits")
    (note,) = (each for each in plan_for_lights(lights, masters, settings()).notes if "angle" in each)
    assert note.startswith("A.fits at 30 deg was chosen from flats at the rotator angles 30, 120 deg")


def test_a_flat_of_the_library_must_fit_all_lights_of_its_angle() -> None:
    lights = shot(at_angle("L", 30.7), at_angle("L", 30.0))
    assert angles(plan_for_lights(lights, flat_of(lights, 29.5), with_rotator())) == [("L", 30.0)]
    assert angles(plan_for_lights(lights, flat_of(lights, 30.2), with_rotator())) == []


def test_a_rotator_that_counts_from_minus_180_accepts_all_angles_and_turns_in_its_own_order() -> None:
    rig = RigSnapshot(filters=FILTERS, rotator_deg=0.0, rotator_limits_deg=(-180.0, 180.0))
    plan = planned(shot(at_angle("L", 200), at_angle("L", 20), at_angle("L", 350)), with_rotator(), rig)
    assert angles(plan) == [("L", 200.0), ("L", 350.0), ("L", 20.0)]
    assert plan.notes == ()


def test_a_moved_focuser_is_reported_but_does_not_prevent_flats() -> None:
    plan = planned(shot(light("Ha", FOCPOS=9000, FOCUSPOS=9000), light("L")))
    assert "flat Ha" in titles(plan)
    assert plan.notes == ("the focuser has moved since the exposure of 1 light through Ha",)


@pytest.mark.parametrize(
    ("tables", "header", "said"),
    [
        ({"panel": None}, light(), "no flats for 1 light because the configuration has no [panel]"),
        ({}, light("OIII"), "no flats for 1 light through OIII: the wheel has only L, R, G, B, Ha"),
        ({}, light(FILTER="none"), "no flats for 1 light whose headers do not state the filter"),
    ],
)
def test_flats_that_cannot_be_shot_are_reported(tables: dict[str, Any], header: Cards, said: str) -> None:
    plan = planned(shot(header), settings(**tables))
    assert [each.kind for each in plan.sets] == [FrameKind.BIAS, FrameKind.DARK]
    assert plan.notes == (said,)


def test_without_a_wheel_only_the_present_filter_gets_flats() -> None:
    plan = planned(shot(light("Ha"), light("L")), settings(wheel=None))
    assert [each.filter for each in plan.sets if each.kind is FrameKind.FLAT] == ["L"]
    assert plan.notes == ("no flats for 1 light through Ha: L is in the beam now",)


def test_filters_and_readout_modes_are_spelt_as_the_rig_does() -> None:
    rig = RigSnapshot(("Lum", "H\N{GREEK SMALL LETTER ALPHA}"), "Lum", ("Normal", "Low noise"))
    plan = planned(shot(light("Halpha", READOUTM="LOW NOISE"), light("lum", READOUTM="Fast")), rig=rig)
    flats = {each.filter: each.readout_mode for each in plan.sets if each.kind is FrameKind.FLAT}
    assert flats == {"H\N{GREEK SMALL LETTER ALPHA}": "Low noise", "Lum": None}
    (note,) = plan.notes
    assert note == '1 light used readout mode "Fast", which the camera does not have: the current mode is used instead'


def test_one_flat_serves_two_offsets_but_not_two_gains() -> None:
    plan = planned(shot(light(OFFSET=10), light(GAIN=0), light()))
    assert sum(each.kind is FrameKind.FLAT for each in plan.sets) == 2
    assert sum(each.kind is FrameKind.BIAS for each in plan.sets) == 3
    steps = steps_for(plan, settings())
    assert moves(steps, "L", lamp_in_cover=True) == 1


def test_an_uncooled_camera_needs_no_setpoint() -> None:
    camera = {"device": CAMERA, "gain": 100.0}
    warm = ekos("L", 60.0, 14.0, EVENING)
    plan = planned(shot(warm, warm), settings(camera=camera))
    assert {each.setpoint_c for each in plan.sets} == {None}
    assert not any(isinstance(step, CoolStep) for step in steps_for(plan, settings(camera=camera)))


def uncooled_dark(sensor_c: float) -> tuple[Path, FrameSetup]:
    cards = ekos("L", 60.0, sensor_c, EVENING) | {"IMAGETYP": "Master Dark", "CFROLE": "DARK", "NCOMBINE": 20}
    size: Cards = {"NAXIS1": 16, "NAXIS2": 12}
    without = {keyword: value for keyword, value in cards.items() if keyword not in {"SET-TEMP", "FILTER"}}
    return Path(f"dark_{sensor_c:g}.fits"), replace(setup_of(without | size), camera=CAMERA)


@pytest.mark.parametrize(
    ("now_c", "is_shot", "note"),
    [
        (
            16.0,
            True,
            "1 light of 60 s at 13.8 C has no dark within 5 C; darks shot now, at 16.0 C, fit 1 of these lights",
        ),
        (3.0, False, "fit none of these lights: shoot darks on a night at their temperature"),
        (
            None,
            False,
            "darks shot now, at 5.8 C, fit none of these lights: shoot darks on a night at their temperature",
        ),
    ],
)
def test_darks_of_an_uncooled_camera_are_shot_for_temperatures_that_tonight_serves(
    now_c: float | None,
    is_shot: bool,  # noqa: FBT001
    note: str,
) -> None:
    camera = {"device": CAMERA, "gain": 100.0}
    lights = shot(*(ekos("L", 60.0, sensor_c, EVENING) for sensor_c in (14.0, 8.0, 6.0)))
    masters = dict([uncooled_dark(6.5)])
    plan = plan_for_lights(lights, masters, settings(camera=camera), RigSnapshot(sensor_c=now_c))
    darks = [each for each in plan.sets if each.kind is FrameKind.DARK]
    assert bool(darks) == is_shot
    (found,) = [each for each in plan.notes if "no dark within" in each]
    assert note in found


def test_an_empty_library_needs_no_note() -> None:
    camera = {"device": CAMERA, "gain": 100.0}
    lights = shot(*(ekos("L", 60.0, sensor_c, EVENING) for sensor_c in (8.0, 6.0)))
    assert not [each for each in planned(lights, settings(camera=camera)).notes if "no dark within" in each]


def test_covered_temperatures_need_no_darks() -> None:
    camera = {"device": CAMERA, "gain": 100.0}
    lights = shot(*(ekos("L", 60.0, sensor_c, EVENING) for sensor_c in (14.0, 8.0, 6.0)))
    masters = dict([uncooled_dark(6.5), uncooled_dark(13.0)])
    plan = plan_for_lights(lights, masters, settings(camera=camera), RigSnapshot(sensor_c=14.0))
    assert not [each for each in plan.sets if each.kind is FrameKind.DARK]
    assert not [each for each in plan.notes if "no dark within" in each]


def test_a_kind_with_count_0_is_skipped() -> None:
    wanted = settings(lights={"bias": 0, "dark": 12, "flat": 0})
    plan = planned(shot(light()), wanted)
    assert [(each.kind, each.count) for each in plan.sets] == [(FrameKind.DARK, 12)]
