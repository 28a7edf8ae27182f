"""`coldframe init`: write a configuration for the devices of a server."""

import asyncio
import shlex
import sys
from pathlib import Path

from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import find_config
from coldframe.config.starters.full import full_config
from coldframe.config.starters.rig_survey import RigSurvey
from coldframe.config.starters.short import starter_config
from coldframe.devices.camera import CameraFeatures, Limits
from coldframe.devices.errors import DeviceError, NotSupportedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.readout import has_iso, shown_gain
from coldframe.devices.indi.survey import Role, SurveyedDevice, surveyed_camera, surveyed_server
from coldframe.devices.indi.turning.rotator import IndiRotator
from coldframe.devices.indi.turning.wheel import IndiFilterWheel


def write_config(config: Path | None, host: str, port: int, camera: str | None, *, full: bool) -> ExitCode:
    """Write the configuration; return exit code 2 if the server or a camera is missing, or if the file exists."""
    path = config or find_config()
    if path.exists():
        print(f"{path} already exists and is not overwritten; specify a different file with --config", file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        survey = asyncio.run(survey_rig(host, port, camera))
        text = full_config(survey) if full else starter_config(survey)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except DeviceError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        place = f" ({error.filename})" if error.filename and error.filename != str(path) else ""
        print(f"{path} cannot be written: {error.strerror}{place}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    found = ", ".join(name for name in (survey.camera, survey.panel, survey.cover, survey.wheel) if name)
    if survey.rotator:
        found += f"; the rotator {survey.rotator} is not turned until you enable its [rotator] table"
    print(
        f"{path}: written for {found}. Review it, then try: coldframe run --dry-run --config {shlex.quote(str(path))}"
    )
    for other in survey.other_cameras:
        print(
            f"{other} is also a camera. To use it instead, delete the file and repeat the command with "
            f"--camera {shlex.quote(other)}"
        )
    return ExitCode.DONE


async def survey_rig(host: str, port: int, camera: str | None = None) -> RigSurvey:
    """Survey the server, and choose a camera, a panel, a cover, a wheel and a rotator.

    Parameters
    ----------
    host, port
        Address of the server.
    camera
        Name of the camera to use; by default, the largest cooled camera or, without one, the largest camera.

    Raises
    ------
    DeviceError
        If the server does not answer, or if it has no such camera.
    """
    async with IndiLink(host, port) as link, surveyed_server(link) as found:
        for device in found:
            if device.problem:
                print(f"{device.name} {device.problem}", file=sys.stderr)
        cameras = {device.name: device.camera for device in found if device.camera is not None}
        chosen, features = _chosen_camera(link.server, cameras, camera)
        indi_camera = surveyed_camera(link, chosen)
        panel_name = _first(found, Role.PANEL)
        panel = IndiFlatPanel(link, panel_name) if panel_name else None
        wheel_name = _first(found, Role.WHEEL, other_than=chosen) or _first(found, Role.WHEEL)
        wheel = IndiFilterWheel(link, wheel_name) if wheel_name else None
        rotator_name = _first(found, Role.ROTATOR)
        rotator = IndiRotator(link, rotator_name) if rotator_name else None
        return RigSurvey(
            host=host,
            port=port,
            camera=chosen,
            other_cameras=tuple(name for name in cameras if name != chosen),
            gain=_pair(features.gain),
            gain_is_iso=has_iso(indi_camera),
            gain_now=shown_gain(indi_camera),
            offset=_pair(features.offset),
            offset_now=indi_camera.number(dialects.OFFSET),
            setpoint_c=_pair(features.setpoint_c),
            readout_modes=features.readout_modes,
            panel=panel_name,
            brightness=_pair(panel.brightness_limits) if panel else None,
            has_cover=panel.has_cover if panel else False,
            cover=None if panel and panel.has_cover else _first(found, Role.COVER),
            wheel=wheel_name,
            filters=wheel.driver_names if wheel else (),
            rotator=rotator_name,
            rotator_deg=_pair(rotator.limits_deg) if rotator else None,
        )


def _chosen_camera(server: str, cameras: dict[str, CameraFeatures], wanted: str | None) -> tuple[str, CameraFeatures]:
    """Return the wanted camera; by default, return the cooled camera with the most pixels.

    Guide cameras are small and uncooled, so they are not chosen if there is another camera.
    """
    if not cameras or (wanted is not None and wanted not in cameras):
        what = "camera that can be used" if wanted is None else f"camera {wanted!r} that can be used"
        usable = f" (it has {', '.join(cameras)})" if cameras else ""
        raise NotSupportedError(server, f"has no {what}{usable}", "Is the camera's driver running?")
    chosen = wanted or max(cameras, key=lambda name: _preference(cameras[name]))
    return chosen, cameras[chosen]


def _preference(camera: CameraFeatures) -> tuple[bool, int]:
    return camera.setpoint_c is not None, camera.width * camera.height


def _first(found: tuple[SurveyedDevice, ...], role: Role, other_than: str = "") -> str | None:
    usable = (device.name for device in found if role in device.roles and not device.problem)
    return next((name for name in usable if name != other_than), None)


def _pair(limits: Limits | None) -> tuple[float, float] | None:
    return None if limits is None else (limits.minimum, limits.maximum)
