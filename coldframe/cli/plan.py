"""`coldframe plan`: show the sets of a night, their times, and which sets fit before the deadline."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.table import Table

from coldframe.capture.clock import clock_text
from coldframe.capture.monitoring.progress.quantities import duration_text
from coldframe.capture.planning.deadline import fit_before_deadline
from coldframe.capture.planning.estimates import Pace, estimate_s
from coldframe.capture.planning.lights_for_rig import lights_text
from coldframe.capture.planning.night_plan import plan_night, shoot_step
from coldframe.capture.planning.read_lights import Lights, NoLightsError
from coldframe.capture.planning.set_choice import ChoiceError
from coldframe.capture.planning.sets_for_lights import LightsPlan, NeededMaster
from coldframe.capture.steps import ShootStep, Step
from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import ConfigError
from coldframe.config.settings import Settings
from coldframe.operations.nights.request import NOTHING_TO_SHOOT, NightPlan, NightRequest, plan_for


@dataclass(frozen=True, slots=True)
class _Row:
    """A planned step, the same step as shortened by the deadline (None if there is no time for it), and its times."""

    planned: Step
    step: Step | None
    lights: int | None
    estimate_s: float
    ends: datetime


def show_plan(request: NightRequest, *, wants_json: bool = False) -> ExitCode:
    """Print the plan of a night without connecting to the server or the devices."""
    try:
        configured = request.settings()
        plan = plan_for(configured, request)
    except (ConfigError, NoLightsError, ChoiceError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    if request.lights is not None and configured.sets and not request.simulate:
        print("ignoring the configured [[sets]]: the lights determine what is shot", file=sys.stderr)
    now = datetime.now(UTC)
    deadline = request.deadline(plan.settings, now, now)
    rows = _rows(plan, now, deadline)
    if wants_json:
        print(json.dumps(_as_json(plan, rows, deadline), indent=2))
    else:
        _print(plan, rows, deadline)
    return ExitCode.DONE


def _rows(plan: NightPlan, now: datetime, deadline: datetime | None) -> list[_Row]:
    settings, steps = plan.settings, plan_night(plan.settings)
    pace = Pace() if plan.lights is None else Pace(sensor_c=_last_sensor_c(plan.lights))
    left = steps if deadline is None else fit_before_deadline(steps, (deadline - now).total_seconds(), settings, pace)
    estimates = iter(estimate_s([step for step in left if step is not None], settings, pace))
    needs = {shoot_step(need.frame_set, settings): need.lights for need in (plan.for_lights or LightsPlan(())).needs}
    rows = []
    for planned, step in zip(steps, left, strict=True):
        about_s = 0.0 if step is None else next(estimates)
        now += timedelta(seconds=about_s)
        lights = needs.get(planned) if isinstance(planned, ShootStep) else None
        rows.append(_Row(planned, step, lights, about_s, now))
    return rows


def _last_sensor_c(lights: Lights) -> float:
    """Return the sensor temperature of the last light whose header contains one, or the default."""
    known = [setup.temperature_c for setup in lights.setups.values() if setup.temperature_c is not None]
    return known[-1] if known else Pace().sensor_c


def _print(plan: NightPlan, rows: list[_Row], deadline: datetime | None) -> None:
    console = VisibleConsole(soft_wrap=False)
    for note in plan.notes:
        console.print(note, markup=False, highlight=False)
    if rows or plan.for_lights is None or plan.for_lights.from_library:
        console.print(_table(plan, rows))
    for need in plan.for_lights.from_library if plan.for_lights is not None else ():
        title, master = _title(shoot_step(need.frame_set, plan.settings), plan.settings), need.master
        console.print(f"in the library: {title}: {master.name if master else ''}", highlight=False, soft_wrap=True)
    if not rows:
        console.print(NOTHING_TO_SHOOT, highlight=False, soft_wrap=True)
    cut = [row for row in rows if row.step != row.planned]
    if deadline is not None and rows:
        console.print(f"the last frame must be complete by {clock_text(deadline)}; {_cut_text(cut)}", highlight=False)


def _cut_text(cut: list[_Row]) -> str:
    if not cut:
        return "everything fits"
    titles = ", ".join(row.planned.title for row in cut if row.step is None and isinstance(row.planned, ShootStep))
    return "some sets have fewer frames" + (f"; no time for: {titles}" if titles else "")


def _table(plan: NightPlan, rows: list[_Row]) -> Table:
    has_lights = plan.lights is not None
    count = f", for {lights_text(len(plan.lights.setups))}" if plan.lights is not None else ""
    table = Table(
        title=f"Plan for {plan.settings.camera.device}{count}",
        title_justify="left",
        caption="not checked: server, devices, disk",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_footer=True,
    )
    table.add_column("step", footer="total")  # only this column may wrap at 80 columns
    table.add_column("frames", justify="right", no_wrap=True)
    table.add_column("sensor", justify="right", no_wrap=True)
    if has_lights:
        table.add_column("lights", justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    about = duration_text(sum(row.estimate_s for row in rows))
    table.add_column("about", justify="right", no_wrap=True, footer=about)
    table.add_column("until", justify="right", no_wrap=True, footer=clock_text(rows[-1].ends) if rows else "")
    for row in rows:
        table.add_row(*_cells(row, plan.settings, has_lights=has_lights))
    for need in plan.for_lights.from_library if plan.for_lights is not None else ():
        table.add_row(*_library_cells(need, plan.settings))
    return table


def _cells(row: _Row, settings: Settings, *, has_lights: bool) -> Iterator[str]:
    planned, step = row.planned, row.step
    is_set = isinstance(planned, ShootStep)
    yield _title(planned, settings)
    yield _count_text(planned, step) if isinstance(planned, ShootStep) else ""
    yield "" if not isinstance(planned, ShootStep) or planned.setpoint_c is None else f"{planned.setpoint_c:g} C"
    if has_lights:
        yield "" if row.lights is None else str(row.lights)
    yield ("to shoot" if step is not None else "no time") if is_set else ""
    yield "" if step is None else duration_text(row.estimate_s)
    yield "" if step is None else clock_text(row.ends)


def _library_cells(need: NeededMaster, settings: Settings) -> Iterator[str]:
    step = shoot_step(need.frame_set, settings)
    yield _title(step, settings)
    yield "0"
    yield "" if step.setpoint_c is None or step.kind.value == "flat" else f"{step.setpoint_c:g} C"
    yield str(need.lights)
    yield "library"
    yield ""
    yield ""


def _title(step: Step, settings: Settings) -> str:
    """Return the title of a step, with those of its readout settings that differ from the configured settings."""
    if not isinstance(step, ShootStep):
        return step.title
    own, usual = step.readout, settings.camera
    parts = [
        f"gain {own.gain:g}" if own.gain is not None and own.gain != usual.gain else "",
        f"offset {own.offset:g}" if own.offset is not None and own.offset != usual.offset else "",
        f"{own.binning}x{own.binning}" if own.binning != usual.binning else "",
        own.readout_mode if own.readout_mode and own.readout_mode != usual.readout_mode else "",
    ]
    return ", ".join(filter(None, [step.title, *parts]))


def _count_text(planned: ShootStep, step: Step | None) -> str:
    left = step.count if isinstance(step, ShootStep) else 0
    return str(left) if left == planned.count else f"{left} of {planned.count}"


def _as_json(plan: NightPlan, rows: list[_Row], deadline: datetime | None) -> dict[str, object]:
    library = plan.for_lights.from_library if plan.for_lights is not None else ()
    return {
        "camera": plan.settings.camera.device,
        "lights": None if plan.lights is None else len(plan.lights.setups),
        "deadline": None if deadline is None else deadline.isoformat(),
        "steps": [_row_json(row) for row in rows],
        "library": [
            {
                "title": shoot_step(need.frame_set, plan.settings).title,
                "lights": need.lights,
                "master": str(need.master),
            }
            for need in library
        ],
        "notes": list(plan.notes),
    }


def _row_json(row: _Row) -> dict[str, object]:
    planned = row.planned
    common = {"title": planned.title, "estimate_s": row.estimate_s, "ends": row.ends.isoformat()}
    if not isinstance(planned, ShootStep):
        return common
    return {
        **common,
        "kind": planned.kind.value,
        "frames": row.step.count if isinstance(row.step, ShootStep) else 0,
        "frames_wanted": planned.count,
        "filter": planned.filter,
        "rotator_deg": planned.rotator_deg,
        "exposure_s": planned.exposure_s,
        "setpoint_c": planned.setpoint_c,
        "gain": planned.readout.gain,
        "offset": planned.readout.offset,
        "binning": planned.readout.binning,
        "readout_mode": planned.readout.readout_mode,
        "lights": row.lights,
    }
