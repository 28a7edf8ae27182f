"""The panel and the wheel with a server that misbehaves on purpose."""

from collections.abc import Awaitable, Callable

import pytest

from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceLostError, NotSupportedError, SettingRefusedError
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.turning.wheel import IndiFilterWheel
from tests.devices.indi.fake_server import CAMERA, FakeServer, define_text, switch
from tests.devices.test_rig_ready import seen
from tests.patience import until


@pytest.fixture
def server(server: FakeServer) -> FakeServer:
    """The scripted server with a panel and a wheel."""
    server.numbers = {
        "FLAT_LIGHT_INTENSITY": {"FLAT_LIGHT_INTENSITY_VALUE": (0.0, 255.0, 0.0)},
        "FILTER_SLOT": {"FILTER_SLOT_VALUE": (1.0, 2.0, 1.0)},
    }
    server.switches = {
        "CONNECTION": {"CONNECT": True, "DISCONNECT": False},
        "FLAT_LIGHT_CONTROL": {"FLAT_LIGHT_ON": False, "FLAT_LIGHT_OFF": True},
        "CAP_PARK": {"PARK": False, "UNPARK": True},
    }
    server.more = define_text("FILTER_NAME", FILTER_SLOT_NAME_1="Red", FILTER_SLOT_NAME_2="Blue")
    return server


async def gone(server: FakeServer, link: IndiLink) -> None:
    await server.hang_up()
    await until(lambda: not link.connected)


async def test_abilities_of_a_panel_outlast_the_connection(server: FakeServer, link: IndiLink) -> None:
    panel = IndiFlatPanel(link, CAMERA)
    await panel.connect()
    await gone(server, link)
    assert panel.has_light
    assert panel.has_cover
    assert panel.brightness_limits == Limits(0, 255, 1)


async def test_filters_outlast_the_connection(server: FakeServer, link: IndiLink) -> None:
    wheel = IndiFilterWheel(link, CAMERA)
    await wheel.connect()
    await gone(server, link)
    assert wheel.filters == ("Red", "Blue")
    assert wheel.current is None


def refused(server: FakeServer, *, lit: bool) -> Callable[[dict[str, str]], Awaitable[None]]:
    async def answer(_values: dict[str, str]) -> None:
        server.send(switch("FLAT_LIGHT_CONTROL", "Alert", FLAT_LIGHT_ON=lit, FLAT_LIGHT_OFF=not lit))

    return answer


async def test_a_refused_order_to_a_lamp_that_is_off_is_no_error(server: FakeServer, link: IndiLink) -> None:
    """Flip-Flat, SnapCap, FlatCap and Wanderer refuse orders while the cover is open."""
    panel = IndiFlatPanel(link, CAMERA)
    await panel.connect()
    server.answers["FLAT_LIGHT_CONTROL"] = refused(server, lit=False)
    await panel.light_off()
    assert server.ordered("FLAT_LIGHT_CONTROL") == [{"FLAT_LIGHT_OFF": "On"}]


async def test_a_lamp_whose_control_is_gone_is_not_off(server: FakeServer, link: IndiLink) -> None:
    panel = IndiFlatPanel(link, CAMERA)
    await panel.light_on()
    await seen(link, server, f'<delProperty device="{CAMERA}" name="FLAT_LIGHT_CONTROL"/>')
    with pytest.raises(DeviceLostError, match="has removed FLAT_LIGHT_CONTROL"):
        await panel.light_off()
    for is_on in (False, True):
        await seen(link, server, switch("CONNECTION", "Ok", CONNECT=is_on, DISCONNECT=not is_on))
    for order in (panel.ensure_ready, panel.light_off):
        with pytest.raises(NotSupportedError, match="has no FLAT_LIGHT_CONTROL"):
            await order()


async def test_a_lamp_that_stays_on_is_reported(server: FakeServer, link: IndiLink) -> None:
    panel = IndiFlatPanel(link, CAMERA)
    await panel.connect()
    await panel.light_on()
    server.answers["FLAT_LIGHT_CONTROL"] = refused(server, lit=True)
    with pytest.raises(SettingRefusedError, match="FLAT_LIGHT_OFF"):
        await panel.light_off()
