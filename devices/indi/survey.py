"""A survey of the devices of an INDI server, based on their properties."""

from dataclasses import dataclass

from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import finite

ANSWER_DEADLINE_S = 5.0
QUIET_S = 1.0


@dataclass(frozen=True, slots=True)
class SurveyedDevice:
    """A device and its abilities.

    Attributes
    ----------
    roles
        Any of "camera", "flat panel", "cover" and "filter wheel"; empty for devices that coldframe does not use.
    abilities
        Controls that the device has, each as a short phrase.
    missing
        Controls that coldframe can use but the device lacks, each as a short phrase.
    problem
        Reason why the device could not be connected; empty if it was connected.
    """

    name: str
    roles: tuple[str, ...]
    abilities: tuple[str, ...]
    missing: tuple[str, ...]
    problem: str = ""


async def survey_server(link: IndiLink) -> tuple[SurveyedDevice, ...]:
    """Connect every device that coldframe can use, and describe all devices of the server.

    Raises
    ------
    DeviceLostError
        If the server does not answer.
    """
    await link.wait_connected(ANSWER_DEADLINE_S)
    await link.wait_quiet(QUIET_S)
    return tuple([await _survey(link, name) for name in sorted(link.mirror.devices)])


async def _survey(link: IndiLink, name: str) -> SurveyedDevice:
    device = IndiDevice(link, name)
    if not _interface(device) & _OURS:
        return SurveyedDevice(name, (), (), ())
    try:
        await device.connect_driver()
    except DeviceError as error:
        return SurveyedDevice(name, _roles(device), (), (), str(error))
    roles = _roles(device)
    described = [_DESCRIBE[role](device) for role in roles]
    return SurveyedDevice(
        name,
        roles,
        tuple(ability for abilities, _ in described for ability in abilities),
        tuple(gap for _, missing in described for gap in missing),
    )


_OURS = dialects.INTERFACE_CCD | dialects.INTERFACE_FILTER | dialects.INTERFACE_DUST_CAP | dialects.INTERFACE_LIGHT_BOX


def _interface(device: IndiDevice) -> int:
    text = str(device.value(dialects.DRIVER_INTERFACE) or "0").strip()
    return int(text) if text.isdecimal() else 0


def _roles(device: IndiDevice) -> tuple[str, ...]:
    """Return the roles of a device by its properties, because some drivers set too many interface bits."""
    found = {
        "camera": device.has(dialects.EXPOSURE),
        "flat panel": device.has(dialects.LIGHT_ON),
        "cover": device.has(dialects.COVER_CLOSE),
        "filter wheel": device.has(dialects.FILTER_SLOT),
    }
    return tuple(role for role, has in found.items() if has)


Description = tuple[list[str], list[str]]


def _camera(device: IndiDevice) -> Description:
    mirror = device.link.mirror
    info = mirror.find(device.name, "CCD_INFO")
    edges = [] if info is None else [finite(info.values.get(edge)) for edge in ("CCD_MAX_X", "CCD_MAX_Y")]
    size = " x ".join("?" if edge is None else f"{edge:.0f}" for edge in edges) + (" pixels" if edges else "")
    wishes = {
        f"gain {_range(device.limits(dialects.GAIN))}": (device.has(dialects.GAIN), "gain"),
        f"offset {_range(device.limits(dialects.OFFSET))}": (device.has(dialects.OFFSET), "offset"),
        f"cooler {_range(device.limits(dialects.TEMPERATURE))} C": (device.has(dialects.TEMPERATURE), "cooler"),
        "cooler power": (device.value(dialects.COOLER_POWER) is not None, "cooler power"),
        f"CFA {device.value(dialects.CFA_PATTERN)}": (bool(device.value(dialects.CFA_PATTERN)), ""),
        "abort": (device.has(dialects.ABORT), "abort"),
    }
    return _weigh(size, wishes)


def _panel(device: IndiDevice) -> Description:
    limits = device.limits(dialects.LIGHT_BRIGHTNESS)
    return _weigh("lamp", {f"brightness {_range(limits)}": (limits is not None, "brightness")})


def _cover(_device: IndiDevice) -> Description:
    return ["cover"], []


def _wheel(device: IndiDevice) -> Description:
    names = device.link.mirror.find(device.name, "FILTER_NAME")
    filters = ", ".join(str(name) for name in names.values.values()) if names is not None else ""
    return _weigh("", {f"filters {filters}": (bool(filters), "filter names")})


_DESCRIBE = {"camera": _camera, "flat panel": _panel, "cover": _cover, "filter wheel": _wheel}


def _weigh(first: str, wishes: dict[str, tuple[bool, str]]) -> Description:
    """Split the wanted controls into abilities and missing controls. Do not report unnamed controls as missing."""
    abilities = [first] if first else []
    abilities += [ability for ability, (has, _) in wishes.items() if has]
    return abilities, [gap for has, gap in wishes.values() if not has and gap]


def _range(limits: Limits | None) -> str:
    return "" if limits is None else f"{limits.minimum:g} to {limits.maximum:g}"
