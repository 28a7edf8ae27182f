"""`coldframe devices`: print a table of a server's devices, with the controls that each device has and lacks."""

import asyncio
import json
import sys

from rich.table import Table

from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.devices.errors import DeviceError
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.survey import Role, SurveyedDevice, surveyed_server


async def survey(host: str, port: int) -> tuple[SurveyedDevice, ...]:
    """Connect to an INDI server, and survey its devices."""
    async with IndiLink(host, port) as link, surveyed_server(link) as found:
        return found


def list_devices(host: str, port: int, *, wants_json: bool = False) -> ExitCode:
    """Print the table of devices; return exit code 2 if the server does not answer."""
    try:
        found = asyncio.run(survey(host, port))
    except DeviceError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    if wants_json:
        print(json.dumps([_as_json(device) for device in found], indent=2))
        return ExitCode.DONE
    VisibleConsole().print(table(found, f"{host}:{port}"))
    if not any(Role.PANEL in device.roles for device in found):
        print(
            "No flat panel was found. A WLED, Tasmota, ESPHome or zigbee2mqtt lamp can serve as one over MQTT, "
            'and so can a lamp that you switch by hand: set panel.kind to "mqtt" or "manual" (coldframe explain panel).'
        )
    return ExitCode.DONE


def table(found: tuple[SurveyedDevice, ...], server: str) -> Table:
    """Return the devices as a table."""
    shown = Table(title=f"Devices of {server}", title_justify="left", show_lines=True)
    for heading in ("device", "role", "controls", "missing"):
        shown.add_column(heading, overflow="fold")
    for device in found:
        shown.add_row(
            device.name,
            ", ".join(device.roles) or "not used",
            device.problem or "\n".join(device.abilities),
            "\n".join(device.missing),
        )
    return shown


def _as_json(device: SurveyedDevice) -> dict[str, object]:
    return {
        "name": device.name,
        "roles": [role.value for role in device.roles],
        "abilities": list(device.abilities),
        "missing": list(device.missing),
        "problem": device.problem or None,
    }
