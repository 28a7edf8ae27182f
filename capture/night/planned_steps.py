"""Convert the plan of a night to the form that events report. Pure."""

from collections.abc import Sequence

from coldframe.capture.events.values import PlannedStep, StepType
from coldframe.capture.planning.estimates import estimate_s
from coldframe.capture.steps import CoolStep, ShootStep, SkyMasterStep, SkyStep, Step, TuneStep, WarmStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings


def planned_steps(steps: Sequence[Step], settings: Settings) -> tuple[PlannedStep, ...]:
    """Return the steps of a plan, numbered from 1, with estimates of their time."""
    estimates_s = estimate_s(steps, settings)
    return tuple(_planned(number, *each) for number, each in enumerate(zip(steps, estimates_s, strict=True), start=1))


def _planned(number: int, step: Step, estimate_s: float) -> PlannedStep:
    title = step.title
    match step:
        case ShootStep(kind=kind, filter=name, count=count, exposure_s=exposure_s):
            return PlannedStep(number, title, kind, name, count, exposure_s, estimate_s, StepType.SHOOT)
        case SkyStep(count=count):
            return PlannedStep(number, title, FrameKind.FLAT, None, count, None, estimate_s, StepType.SKY_FLATS)
        case TuneStep(filter=name):
            return PlannedStep(number, title, None, name, 0, None, estimate_s, StepType.TUNE)
        case SkyMasterStep(flat=flat):
            return PlannedStep(number, title, None, flat.filter, 0, None, estimate_s, StepType.SKY_MASTER)
        case CoolStep(setpoint_c=setpoint_c):
            return PlannedStep(number, title, None, None, 0, None, estimate_s, StepType.COOL, setpoint_c)
        case WarmStep():
            return PlannedStep(number, title, None, None, 0, None, estimate_s, StepType.WARM)
