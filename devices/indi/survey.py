"""A survey of an INDI server's devices, based on the same classes as a night.

The command `devices` prints the survey, and `init` writes a configuration based on it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from coldframe.devices.camera import CameraFeatures, Limits
from coldframe.devices.errors import DeviceError, DeviceTimeoutError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.dialects import Spelling
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from coldframe.devices.indi.readout import has_iso
from coldframe.devices.indi.turning.rotator import IndiRotator
from coldframe.devices.indi.turning.wheel import IndiFilterWheel

ANSWER_DEADLINE_S = 5.0
QUIET_S = 1.0
ROLE_DEADLINE_S = 10.0
"""Maximum wait for the control of a role that the driver announces. For example, the wheel built into a camera may turn
before the driver defines its control."""


class Role(StrEnum):
    """Role of a device in a rig."""

    CAMERA = "camera"
    PANEL = "flat panel"
    COVER = "cover"
    WHEEL = "filter wheel"
    ROTATOR = "rotator"


@dataclass(frozen=True, slots=True)
class _Mark:
    """The bit in DRIVER_INTERFACE and the control that indicate a role.

    A device that has the control has the role; some drivers set bits for roles that their devices do not have.
    """

    interface: int
    control: tuple[Spelling, ...]


_MARKS = {
    Role.CAMERA: _Mark(dialects.INTERFACE_CCD, dialects.EXPOSURE),
    Role.PANEL: _Mark(dialects.INTERFACE_LIGHT_BOX, dialects.LIGHT_ON),
    Role.COVER: _Mark(dialects.INTERFACE_DUST_CAP, dialects.COVER_CLOSE),
    Role.WHEEL: _Mark(dialects.INTERFACE_FILTER, dialects.FILTER_SLOT),
    Role.ROTATOR: _Mark(dialects.INTERFACE_ROTATOR, dialects.ROTATOR_ANGLE),
}


@dataclass(frozen=True, slots=True)
class SurveyedDevice:
    """A device and its capabilities.

    Attributes
    ----------
    roles
        Roles of the device in a rig; empty for a device that coldframe does not use. For a device that did not connect,
        these may be the roles that its driver announces.
    abilities
        Controls that the device has, each as a short phrase.
    missing
        Controls that coldframe can use but that the device lacks, each as a short phrase.
    problem
        Reason why the device could not be connected or used, as a clause; empty if there is none.
    camera
        Features of a camera; None for other devices and for a camera with a problem.
    """

    name: str
    roles: tuple[Role, ...]
    abilities: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problem: str = ""
    camera: CameraFeatures | None = None


@asynccontextmanager
async def surveyed_server(link: IndiLink) -> AsyncIterator[tuple[SurveyedDevice, ...]]:
    """Connect every device that coldframe can use, and describe all devices of the server.

    At the end of the block, drivers that were not connected before are disconnected again.

    Raises
    ------
    DeviceLostError
        If the server does not answer.
    """
    await link.wait_connected(ANSWER_DEADLINE_S)
    await link.wait_quiet(QUIET_S)
    devices = [IndiDevice(link, name) for name in sorted(link.mirror.devices)]
    idle = [device for device in devices if not device.has_connected_driver()]
    # Connecting a device without power may take a minute to fail, so all devices are surveyed at the same time.
    try:
        yield tuple(await asyncio.gather(*(_survey(device) for device in devices)))
    finally:
        await asyncio.gather(*(_disconnect(device) for device in idle if device.has_connected_driver()))


async def _disconnect(device: IndiDevice) -> None:
    with suppress(DeviceError):
        await device.disconnect_driver()


async def _survey(device: IndiDevice) -> SurveyedDevice:
    link, name = device.link, device.name
    announced = _announced(device)
    if not announced and not _roles(device):
        return SurveyedDevice(name, ())
    try:
        await device.connect_driver()
    except DeviceError as error:
        return SurveyedDevice(name, _roles(device) or announced, problem=f"did not connect: {_reason(error)}")
    late = [role for role in announced if not device.has(_MARKS[role].control)]
    if late:
        await asyncio.gather(*(_wait_for(device, role) for role in late))
        await device.settle()  # the names of filters are defined after their slots
    roles = _roles(device)
    try:
        camera = surveyed_camera(link, name).features if Role.CAMERA in roles else None
    except DeviceError as error:
        return SurveyedDevice(name, roles, problem=_reason(error))
    described = [_describe(device, role, camera) for role in roles]
    return SurveyedDevice(
        name,
        roles,
        tuple(ability for abilities, _ in described for ability in abilities),
        tuple(gap for _, missing in described for gap in missing),
        camera=camera,
    )


def _reason(error: DeviceError) -> str:
    """Return the text of an error without the device's name, which the survey shows next to it."""
    return ". ".join(part.rstrip(".") for part in (error.what, error.advice) if part)


def surveyed_camera(link: IndiLink, name: str) -> IndiCamera:
    """Return a camera whose settings and features can be read. Its pixels are not requested."""
    return IndiCamera(link, name, ServerAddress(link.host, link.port))


def _announced(device: IndiDevice) -> tuple[Role, ...]:
    text = str(device.value(dialects.DRIVER_INTERFACE) or "0").strip()
    bits = int(text) if text.isdecimal() else 0
    return tuple(role for role, mark in _MARKS.items() if bits & mark.interface)


def _roles(device: IndiDevice) -> tuple[Role, ...]:
    return tuple(role for role, mark in _MARKS.items() if device.has(mark.control))


async def _wait_for(device: IndiDevice, role: Role) -> None:
    with suppress(DeviceTimeoutError):
        await device.link.wait_property(device.name, _MARKS[role].control[0].property, ROLE_DEADLINE_S)


Description = tuple[list[str], list[str]]


def _describe(device: IndiDevice, role: Role, camera: CameraFeatures | None) -> Description:
    match role:
        case Role.CAMERA if camera is not None:
            return _describe_camera(device, camera)
        case Role.PANEL:
            limits = IndiFlatPanel(device.link, device.name).brightness_limits
            return _weigh("lamp", {f"brightness {_range(limits)}": (limits is not None, "brightness")})
        case Role.WHEEL:
            return _describe_wheel(IndiFilterWheel(device.link, device.name))
        case Role.ROTATOR:
            return _describe_rotator(IndiRotator(device.link, device.name))
        case _:
            return [str(role)], []


def _describe_camera(device: IndiDevice, camera: CameraFeatures) -> Description:
    modes = ", ".join(camera.readout_modes)
    gain = "ISO" if has_iso(device) else "gain"
    wishes = {
        f"{gain} {_range(camera.gain)}": (camera.gain is not None, "gain"),
        f"offset {_range(camera.offset)}": (camera.offset is not None, "offset"),
        f"cooler {_range(camera.setpoint_c)} C": (camera.setpoint_c is not None, "cooler"),
        "cooler power": (device.value(dialects.COOLER_POWER) is not None, "cooler power"),
        f"readout modes {modes}": (bool(modes), ""),
        f"CFA {camera.cfa_pattern}": (bool(camera.cfa_pattern), ""),
        "shutter times": (camera.shutter is not None, ""),
        "abort": (device.has(dialects.ABORT), "abort"),
    }
    size = f"{camera.width} x {camera.height} pixels" if camera.width else "size known after its first frame"
    return _weigh(size, wishes)


def _describe_wheel(wheel: IndiFilterWheel) -> Description:
    named, slots = [name for name in wheel.driver_names if name], len(wheel.driver_names)
    gap = f"names of {slots - len(named)} of the {slots} filters" if named else "filter names"
    filters = f"filters {', '.join(named)}" if named else f"{slots} slots"
    return [filters] if slots else [], [gap] if slots > len(named) or not slots else []


def _describe_rotator(rotator: IndiRotator) -> Description:
    now_deg = rotator.angle_deg
    now = "" if now_deg is None else f", now at {now_deg:g} deg"
    return [f"angle {_range(rotator.limits_deg)} deg{now}" if rotator.limits_deg else f"angle{now}"], []


def _weigh(first: str, wishes: dict[str, tuple[bool, str]]) -> Description:
    """Return the abilities, and the names of missing controls; a control without a name is not reported as missing."""
    abilities = [first, *(ability for ability, (has, _) in wishes.items() if has)]
    return abilities, [gap for has, gap in wishes.values() if not has and gap]


def _range(limits: Limits | None) -> str:
    if limits is None:
        return ""
    return f"fixed at {limits.minimum:g}" if limits.is_fixed else f"{limits.minimum:g} to {limits.maximum:g}"
