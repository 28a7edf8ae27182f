"""Check before the first exposure whether the connected rig can carry out the plan. This module performs no I/O."""

from collections.abc import Iterable, Iterator

from coldframe.capture.steps import CoolStep, ShootStep, SkyStep, Step, TuneStep
from coldframe.config.angles import within_limits
from coldframe.config.frames import ReadoutSettings
from coldframe.devices.camera import CameraFeatures, Limits, ShutterTimes
from coldframe.errors import ColdframeError


class UnfitPlanError(ColdframeError):
    """The connected rig cannot carry out the plan; the message has one line per reason."""


def require_fit(
    steps: Iterable[Step],
    camera: CameraFeatures,
    filters: tuple[str, ...] | None,
    rotator_deg: Limits | None = None,
) -> None:
    """Check that the connected devices can carry out a plan.

    Parameters
    ----------
    steps
        Steps of the night.
    camera
        Features of the camera.
    filters
        Names of the wheel's filters; None without a wheel.
    rotator_deg
        Range of angles that the rotator accepts; None if it is unknown.

    Raises
    ------
    UnfitPlanError
        If a planned filter, readout mode or control is missing, or a value is out of range.
    """
    planned = list(steps)
    found = [reason for step in planned for reason in _misfits(step, camera, filters)]
    found += [reason for step in planned for reason in _angle_misfits(step, rotator_deg)]
    reasons = list(dict.fromkeys(found))
    if reasons:
        raise UnfitPlanError("\n".join(reasons))


def _misfits(step: Step, camera: CameraFeatures, filters: tuple[str, ...] | None) -> Iterator[str]:
    match step:
        case CoolStep(setpoint_c):
            yield from _outside("setpoint_c", setpoint_c, camera.setpoint_c)
        case TuneStep():
            if filters is not None and step.filter not in filters:
                yield f"filter {step.filter!r} is not in the wheel, which has {', '.join(filters)}"
        case SkyStep():
            for flat in step.flats:
                yield from _misfits(flat.tuning, camera, filters)
                yield from _misfits(flat, camera, filters)
        case ShootStep():
            yield from _readout_misfits(step.readout, camera)
            if step.exposure_s is not None:
                yield from _outside("exposure_s", step.exposure_s, camera.exposure_s)
                yield from _unlisted(step.exposure_s, camera.shutter)


def _angle_misfits(step: Step, limits_deg: Limits | None) -> Iterator[str]:
    angle_deg = step.rotator_deg if isinstance(step, TuneStep | SkyStep) else None
    if limits_deg is None or angle_deg is None:
        return
    if within_limits(angle_deg, (limits_deg.minimum, limits_deg.maximum)) is None:
        accepted = f"{limits_deg.minimum:g} to {limits_deg.maximum:g}"
        yield f"rotator_deg {angle_deg:g} is out of range: the rotator accepts {accepted}"


def _readout_misfits(readout: ReadoutSettings, camera: CameraFeatures) -> Iterator[str]:
    for name, value, limits in (("gain", readout.gain, camera.gain), ("offset", readout.offset, camera.offset)):
        if value is not None:
            yield from _outside(name, value, limits)
    if readout.binning > camera.maximum_binning:
        yield f"binning {readout.binning} is too large: the camera bins up to {camera.maximum_binning}"
    if readout.readout_mode is not None and readout.readout_mode not in camera.readout_modes:
        known = ", ".join(camera.readout_modes) or "no readout modes"
        yield f"readout_mode {readout.readout_mode!r} is unknown: the camera has {known}"


def _unlisted(exposure_s: float, shutter: ShutterTimes | None) -> Iterator[str]:
    if shutter is None or shutter.offers(exposure_s):
        return
    below = max((each for each in shutter.times_s if each < exposure_s), default=None)
    above = min((each for each in shutter.times_s if each > exposure_s), default=None)
    nearest = " and ".join(f"{each:.4g}" for each in (below, above) if each is not None)
    yield f"exposure_s {exposure_s:g} is not a shutter time of the camera; the nearest are {nearest} s"


def _outside(name: str, value: float, limits: Limits | None) -> Iterator[str]:
    if limits is None:
        yield f"{name} {value:g} cannot be set: the camera has no such control"
    elif limits.is_fixed and value != limits.minimum:
        yield f"{name} {value:g} cannot be set: the camera has a fixed value of {limits.minimum:g}"
    elif not limits.contains(value):
        yield f"{name} {value:g} is out of range: the camera accepts {limits.minimum:g} to {limits.maximum:g}"
