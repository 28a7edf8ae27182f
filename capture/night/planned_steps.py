"""Convert the plan of a night to the form in which events report it. This module performs no I/O."""

from collections.abc import Sequence
from dataclasses import replace

from coldframe.capture.events.values import PlannedStep, StepType
from coldframe.capture.planning.estimates import estimate_s
from coldframe.capture.steps import CoolStep, ShootStep, SkyMasterStep, SkyStep, Step, TuneStep, WarmStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings


def planned_steps(steps: Sequence[Step], settings: Settings) -> tuple[PlannedStep, ...]:
    """Return the steps of a plan, numbered from 1, with their estimated durations."""
    estimates_s = estimate_s(steps, settings)
    return tuple(_planned(number, *each) for number, each in enumerate(zip(steps, estimates_s, strict=True), start=1))


def _planned(number: int, step: Step, estimate_s: float) -> PlannedStep:
    title = step.title
    match step:
        case ShootStep(kind=kind, filter=name, count=count, exposure_s=exposure_s, rotator_deg=angle_deg):
            shot = PlannedStep(number, title, kind, name, count, exposure_s, estimate_s, StepType.SHOOT)
            return replace(shot, rotator_deg=angle_deg)
        case SkyStep(count=count, rotator_deg=angle_deg):
            sky = PlannedStep(number, title, FrameKind.FLAT, None, count, None, estimate_s, StepType.SKY_FLATS)
            return replace(sky, rotator_deg=angle_deg)
        case TuneStep(filter=name, rotator_deg=angle_deg):
            tuned = PlannedStep(number, title, None, name, 0, None, estimate_s, StepType.TUNE)
            return replace(tuned, rotator_deg=angle_deg)
        case SkyMasterStep(flat=flat):
            combined = PlannedStep(number, title, None, flat.filter, 0, None, estimate_s, StepType.SKY_MASTER)
            return replace(combined, rotator_deg=flat.rotator_deg)
        case CoolStep(setpoint_c=setpoint_c):
            return PlannedStep(number, title, None, None, 0, None, estimate_s, StepType.COOL, setpoint_c)
        case WarmStep():
            return PlannedStep(number, title, None, None, 0, None, estimate_s, StepType.WARM)
