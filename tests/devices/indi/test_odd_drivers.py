"""Cameras, wheels and panels whose drivers leave something out or spell it differently."""

import pytest

from coldframe.config.frames import ReadoutSettings
from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError, NotSupportedError, SettingRefusedError
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.survey import Role, SurveyedDevice, surveyed_server
from coldframe.devices.indi.turning.wheel import IndiFilterWheel
from tests.devices.indi.fake_server import CAMERA, FakeServer, define_number, define_text, number, switch
from tests.devices.test_rig_ready import seen

SLOTS = {"FILTER_SLOT_VALUE": (1.0, 4.0, 1.0)}


def read_only(definition: str) -> str:
    return definition.replace('perm="rw"', 'perm="ro"')


def interface(bits: int) -> str:
    return define_text("DRIVER_INFO", DRIVER_INTERFACE=str(bits))


async def surveyed(link: IndiLink) -> SurveyedDevice:
    async with surveyed_server(link) as (device,):
        return device


# ---- cameras ----


async def test_a_read_only_gain_is_a_range_of_one_value(server: FakeServer, stranger: IndiCamera) -> None:
    """Moravian's CCD cameras report their conversion factor as a gain."""
    del server.numbers["CCD_GAIN"]
    server.more = read_only(define_number("CCD_GAIN", {"GAIN": (0.0, 100.0, 0.82)}))
    await stranger.connect()
    assert stranger.features.gain == Limits(0.82, 0.82)
    assert (await stranger.apply(ReadoutSettings(gain=0.82))).gain == 0.82
    with pytest.raises(SettingRefusedError, match=r"fixed gain of 0\.82, which cannot be set to 100"):
        await stranger.apply(ReadoutSettings(gain=100))
    assert server.ordered("CCD_GAIN") == []


async def test_a_cooler_without_a_switch_is_switched_off_by_its_setpoint(
    server: FakeServer, stranger: IndiCamera
) -> None:
    """FLI's driver has no CCD_COOLER."""
    server.numbers["CCD_TEMPERATURE"] = {"CCD_TEMPERATURE_VALUE": (-55.0, 45.0, 20.0)}
    await stranger.set_setpoint(-10.0)
    await stranger.cooler_off()
    assert server.ordered("CCD_TEMPERATURE") == [{"CCD_TEMPERATURE_VALUE": "-10"}, {"CCD_TEMPERATURE_VALUE": "45"}]
    assert stranger.thermals().setpoint_c is None


async def test_a_cooler_without_a_switch_whose_setpoint_is_removed_is_a_loss_that_is_retried(
    server: FakeServer, stranger: IndiCamera
) -> None:
    """Otherwise, the night would end with the cooler on."""
    definition = {"CCD_TEMPERATURE_VALUE": (-55.0, 45.0, 20.0)}
    server.numbers["CCD_TEMPERATURE"] = definition
    await stranger.set_setpoint(-10.0)
    await seen(stranger.link, server, f'<delProperty device="{CAMERA}" name="CCD_TEMPERATURE"/>')
    with pytest.raises(DeviceLostError, match="has removed CCD_TEMPERATURE"):
        await stranger.cooler_off()
    await seen(stranger.link, server, define_number("CCD_TEMPERATURE", definition))
    await stranger.cooler_off()
    assert server.ordered("CCD_TEMPERATURE")[-1] == {"CCD_TEMPERATURE_VALUE": "45"}


async def test_an_uncooled_camera_has_no_cooler_to_switch_off(stranger: IndiCamera) -> None:
    with pytest.raises(NotSupportedError, match="has no cooler"):
        await stranger.cooler_off()


async def test_a_cooler_without_a_switch_is_on_while_it_draws_power(server: FakeServer, stranger: IndiCamera) -> None:
    server.numbers["CCD_TEMPERATURE"] = {"CCD_TEMPERATURE_VALUE": (-55.0, 45.0, 20.0)}
    server.numbers["CCD_COOLER_POWER"] = {"CCD_COOLER_VALUE": (0.0, 100.0, 40.0)}
    await stranger.connect()
    assert stranger.thermals().cooler_on is True


@pytest.mark.parametrize("name", ["CCD_READ_MODE", "CAMERA_MODES", "READOUT_QUALITY", "Gain"])
async def test_readout_modes_of_moravian_fli_and_qsi(server: FakeServer, stranger: IndiCamera, name: str) -> None:
    server.switches[name] = {"SLOW": True, "FAST": False}
    await stranger.connect()
    assert stranger.features.readout_modes == ("Slow", "Fast")
    assert (await stranger.apply(ReadoutSettings(readout_mode="Fast"))).readout_mode == "Fast"


async def test_the_iso_of_a_dslr_is_its_gain(server: FakeServer, stranger: IndiCamera) -> None:
    """The driver indi_gphoto_ccd has a switch for the ISO, and no gain."""
    del server.numbers["CCD_GAIN"]
    server.switches["CCD_ISO"] = {"AUTO": True, "ISO 100": False, "ISO 800": False, "ISO 6400": False}
    await stranger.connect()
    assert stranger.features.gain == Limits(100, 6400)
    assert (await stranger.apply(ReadoutSettings())).gain is None
    assert (await stranger.apply(ReadoutSettings(gain=800))).gain == 800
    assert server.ordered("CCD_ISO") == [{"ISO 800": "On"}]
    with pytest.raises(NotSupportedError, match=r"has no ISO 250 \(it has 100, 800, 6400\)"):
        await stranger.apply(ReadoutSettings(gain=250))


# ---- wheels and panels ----


async def test_slots_without_a_name_are_numbered(server: FakeServer, link: IndiLink) -> None:
    server.numbers["FILTER_SLOT"] = SLOTS
    server.more = define_text("FILTER_NAME", FILTER_SLOT_NAME_1="L", FILTER_SLOT_NAME_2="", FILTER_SLOT_NAME_3="Ha")
    wheel = IndiFilterWheel(link, CAMERA)
    await wheel.connect()
    assert wheel.filters == ("L", "Filter 2", "Ha", "Filter 4")
    await wheel.select("Filter 4")
    assert server.ordered("FILTER_SLOT") == [{"FILTER_SLOT_VALUE": "4"}]


async def test_a_wheel_that_does_not_arrive_names_its_deadline_and_is_not_turned_again(
    server: FakeServer, link: IndiLink
) -> None:
    server.numbers["FILTER_SLOT"] = SLOTS
    wheel = IndiFilterWheel(link, CAMERA, ("L", "R", "G", "B"), turn_deadline_s=0.2)

    async def turn(_values: dict[str, str]) -> None:
        server.send(number("FILTER_SLOT", "Busy", FILTER_SLOT_VALUE=1.0))

    server.answers["FILTER_SLOT"] = turn
    with pytest.raises(DeviceTimeoutError, match=r"did not reach filter 'G' within 0\.2 s.*wheel\.turn_deadline_s"):
        await wheel.select("G")
    await wheel.ensure_ready()
    assert len(server.ordered("FILTER_SLOT")) == 1


async def test_a_brightness_answered_in_idle_counts(server: FakeServer, link: IndiLink) -> None:
    server.numbers["FLAT_LIGHT_INTENSITY"] = {"FLAT_LIGHT_INTENSITY_VALUE": (0.0, 255.0, 0.0)}
    server.switches["FLAT_LIGHT_CONTROL"] = {"FLAT_LIGHT_ON": False, "FLAT_LIGHT_OFF": True}

    async def idle(_values: dict[str, str]) -> None:
        server.send(number("FLAT_LIGHT_INTENSITY", "Idle", FLAT_LIGHT_INTENSITY_VALUE=80))

    server.answers["FLAT_LIGHT_INTENSITY"] = idle
    panel = IndiFlatPanel(link, CAMERA)
    await panel.light_on(80)
    assert panel.state().brightness == 80


# ---- the survey ----


async def test_the_survey_waits_for_a_wheel_that_its_driver_announces(server: FakeServer, link: IndiLink) -> None:
    """A camera's own wheel first turns to its first slot, for up to a minute."""
    server.more = interface(2 + 16)
    server.switches["CONNECTION"] = {"CONNECT": False, "DISCONNECT": True}

    async def connect(_values: dict[str, str]) -> None:
        server.send(switch("CONNECTION", "Ok", CONNECT=True, DISCONNECT=False), define_number("FILTER_SLOT", SLOTS))

    server.answers["CONNECTION"] = connect
    device = await surveyed(link)
    assert device.roles == (Role.CAMERA, Role.WHEEL)
    assert "4 slots" in device.abilities
    assert "filter names" in device.missing


async def test_the_survey_counts_filters_without_a_name(server: FakeServer, link: IndiLink) -> None:
    server.numbers["FILTER_SLOT"] = SLOTS
    server.more = interface(16) + define_text("FILTER_NAME", FILTER_SLOT_NAME_1="L")
    device = await surveyed(link)
    assert "filters L" in device.abilities
    assert "names of 3 of the 4 filters" in device.missing


async def test_a_device_that_does_not_connect_keeps_its_announced_role(server: FakeServer, link: IndiLink) -> None:
    server.numbers = {}
    server.more = interface(1024 + 512)
    server.switches = {"CONNECTION": {"CONNECT": False, "DISCONNECT": True}}

    async def refuse(_values: dict[str, str]) -> None:
        server.send(switch("CONNECTION", "Alert", CONNECT=False, DISCONNECT=True))

    server.answers["CONNECTION"] = refuse
    device = await surveyed(link)
    assert device.roles == (Role.PANEL, Role.COVER)
    assert device.problem.startswith("did not connect: cannot be connected")
    assert "plugged in" in device.problem


async def test_the_survey_takes_no_frame_of_a_sensor_of_unknown_size(server: FakeServer, link: IndiLink) -> None:
    server.numbers["CCD_INFO"] = {"CCD_MAX_X": (0, 0, 0), "CCD_MAX_Y": (0, 0, 0), "CCD_BITSPERPIXEL": (8, 16, 16)}
    device = await surveyed(link)
    assert (device.roles, device.problem) == ((Role.CAMERA,), "")
    assert "size known after its first frame" in device.abilities
    assert server.ordered("CCD_EXPOSURE") == []


@pytest.mark.parametrize(("was_connected", "orders"), [(True, []), (False, [{"CONNECT": "On"}, {"DISCONNECT": "On"}])])
async def test_the_survey_leaves_the_drivers_as_it_found_them(
    server: FakeServer,
    link: IndiLink,
    was_connected: bool,  # noqa: FBT001  # pytest's
    orders: list[dict[str, str]],
) -> None:
    server.more = interface(2)
    server.switches["CONNECTION"] = {"CONNECT": was_connected, "DISCONNECT": not was_connected}
    assert (await surveyed(link)).roles == (Role.CAMERA,)
    assert server.ordered("CONNECTION") == orders


async def test_a_device_without_a_role_is_not_connected(server: FakeServer, link: IndiLink) -> None:
    server.numbers = {}
    server.more = interface(1)
    server.switches = {"CONNECTION": {"CONNECT": False, "DISCONNECT": True}}
    assert (await surveyed(link)).roles == ()
    assert server.ordered("CONNECTION") == []
