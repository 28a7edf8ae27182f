"""Fitting a plan before a deadline."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.capture.planning.deadline import SMALLEST_COUNTS, fit_before_deadline, time_needed_s
from coldframe.capture.planning.estimates import Pace
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.steps import CoolStep, ShootStep, Step, TuneStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from tests.capture.planning.night import night

PACE = Pace()


def titles(steps: Sequence[Step | None]) -> list[str]:
    return [
        f"{step.title} x{step.count}" if isinstance(step, ShootStep) else step.title
        for step in steps
        if step is not None
    ]


def needed_s(steps: Sequence[Step | None], given: Settings) -> float:
    return time_needed_s(steps, given, PACE)


def cut_to(given: Settings, time_s: float) -> tuple[Step | None, ...]:
    return fit_before_deadline(plan_night(given), time_s, given, PACE)


def test_a_plan_that_fits_is_unchanged() -> None:
    steps = plan_night(night())
    assert cut_to(night(), needed_s(steps, night())) == steps


def test_sets_shrink_before_any_is_skipped() -> None:
    given = night()
    smallest = [replace(s, count=SMALLEST_COUNTS[s.kind]) if isinstance(s, ShootStep) else s for s in plan_night(given)]
    cut = cut_to(given, needed_s(smallest, given))
    assert list(cut) == smallest


FLATS = [
    "tune flat L", "dark flat L x25", "flat L x25", "tune flat Ha", "dark flat Ha x25", "flat Ha x25",
]  # fmt: skip


@pytest.mark.parametrize(
    ("minutes", "kept"),
    [
        (5, ["warm up"]),
        (10, ["cool to -10 C", *FLATS, "warm up"]),
        (20, ["cool to -10 C", "bias x100", *FLATS, "warm up"]),
        (60, ["cool to -10 C", "bias x100", *FLATS, "dark 60 s x22", "cool to 0 C", "dark 60 s x22", "warm up"]),
    ],
)
def test_flats_are_kept_longest(minutes: float, kept: list[str]) -> None:
    assert titles(cut_to(night(), 60 * minutes)) == kept


def test_darks_are_kept_longest_if_configured() -> None:
    cooling_s = needed_s(plan_night(night())[:1], night())
    assert titles(cut_to(night("darks"), cooling_s + 20 * 61 + 5)) == ["cool to -10 C", "dark 60 s x20", "warm up"]


def test_a_bias_that_flats_need_is_kept_with_them() -> None:
    given = night(dark_flats=False)
    cut = titles(cut_to(given, 600))
    assert cut[:2] == ["cool to -10 C", "bias x100"]
    assert cut[2:4] == ["tune flat L", "flat L x25"]


def test_small_sets_are_not_made_larger() -> None:
    given = night(bias=12)
    assert all(step.count <= 30 for step in cut_to(given, 3 * 3600) if isinstance(step, ShootStep))
    bias = next(step for step in cut_to(given, 10 * 3600) if isinstance(step, ShootStep))
    assert bias.count == 12


@given(st.floats(0, 8 * 3600), st.sampled_from(["flats", "darks"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_fitted_plan_keeps_its_guarantees(
    time_s: float,
    first: Literal["flats", "darks"],
    dark_flats: bool,  # noqa: FBT001
) -> None:
    given = night(first, dark_flats=dark_flats)
    planned, cut = plan_night(given), cut_to(given, time_s)
    kept = {place for place, step in enumerate(cut) if isinstance(step, ShootStep | TuneStep)}
    assert not kept or needed_s(cut, given) <= time_s
    for before, after in zip(planned, cut, strict=True):
        if isinstance(before, ShootStep) and isinstance(after, ShootStep):
            assert min(before.count, SMALLEST_COUNTS[before.kind]) <= after.count <= before.count
            assert replace(after, count=before.count) == before
    alive = [step for step in cut if step is not None]
    for step in alive:
        if isinstance(step, ShootStep) and step.kind is FrameKind.FLAT:
            assert step.tuning in alive
            pedestals = [each for each in alive if isinstance(each, ShootStep) and each.kind is not FrameKind.FLAT]
            wanted = FrameKind.DARK_FLAT if dark_flats else FrameKind.BIAS
            assert any(each.kind is wanted and each.filter in (step.filter, None) for each in pedestals)
    setpoints = {step.setpoint_c for step in alive if isinstance(step, ShootStep | TuneStep)}
    assert {step.setpoint_c for step in alive if isinstance(step, CoolStep)} == setpoints


@given(st.floats(0, 8 * 3600))
@settings(max_examples=100, deadline=None)
def test_one_more_frame_of_any_kind_would_not_fit(time_s: float) -> None:
    given = night()
    planned, cut = plan_night(given), cut_to(given, time_s)
    for kinds in ({FrameKind.FLAT, FrameKind.DARK_FLAT}, {FrameKind.DARK}, {FrameKind.BIAS}):
        more = [
            replace(after, count=after.count + 1)
            if isinstance(before, ShootStep) and isinstance(after, ShootStep)
            and before.kind in kinds and after.count < before.count
            else after
            for before, after in zip(planned, cut, strict=True)
        ]  # fmt: skip
        assert more == list(cut) or needed_s(more, given) > time_s
