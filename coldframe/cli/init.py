"""`coldframe init`: write a commented configuration for the devices of a server."""

import asyncio
import sys
from pathlib import Path

from coldframe.cli.exit_codes import ExitCode
from coldframe.config.loading import find_config
from coldframe.config.starter import RigSurvey, starter_config
from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceError, NotSupportedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from coldframe.devices.indi.survey import SurveyedDevice, survey_server
from coldframe.devices.indi.wheel import IndiFilterWheel


def write_config(config: Path | None, host: str, port: int) -> ExitCode:
    """Write the configuration; return exit code 2 if there is no server or no camera, or if the file exists."""
    path = config or find_config()
    if path.exists():
        print(f"{path}: exists already and is not overwritten; name a different file with --config", file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        survey = asyncio.run(survey_rig(host, port))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(starter_config(survey))
    except DeviceError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{path}: cannot be written: {error.strerror}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    found = ", ".join(name for name in (survey.camera, survey.panel, survey.wheel) if name)
    print(f"{path}: written for {found}. Review it, then try: coldframe run --dry-run --config {path}")
    return ExitCode.DONE


async def survey_rig(host: str, port: int) -> RigSurvey:
    """Survey the first camera, panel and wheel of the server.

    Raises
    ------
    DeviceError
        If there is no server, or no camera on it.
    """
    async with IndiLink(host, port) as link:
        found = await survey_server(link)
        camera_name = _first(found, "camera")
        if camera_name is None:
            names = ", ".join(device.name for device in found) or "nothing"
            raise NotSupportedError(link.server, f"has no camera (it has {names})", "Is the camera's driver running?")
        camera = IndiCamera(link, camera_name, ServerAddress(host, port))
        features = camera.features
        panel_name = _first(found, "flat panel")
        panel = IndiFlatPanel(link, panel_name) if panel_name else None
        wheel_name = _first(found, "filter wheel", other_than=camera_name) or _first(found, "filter wheel")
        return RigSurvey(
            host=host,
            port=port,
            camera=camera_name,
            gain=_pair(features.gain),
            gain_now=camera.number(dialects.GAIN),
            offset=_pair(features.offset),
            offset_now=camera.number(dialects.OFFSET),
            setpoint_c=_pair(features.setpoint_c),
            readout_modes=features.readout_modes,
            panel=panel_name,
            brightness=_pair(panel.brightness_limits) if panel else None,
            has_cover=panel.has_cover if panel else False,
            wheel=wheel_name,
            filters=IndiFilterWheel(link, wheel_name).filters if wheel_name else (),
        )


def _first(found: tuple[SurveyedDevice, ...], role: str, other_than: str = "") -> str | None:
    return next((device.name for device in found if role in device.roles and device.name != other_than), None)


def _pair(limits: Limits | None) -> tuple[float, float] | None:
    return None if limits is None else (limits.minimum, limits.maximum)
