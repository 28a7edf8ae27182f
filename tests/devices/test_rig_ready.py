"""The panel and the wheel detect changes by other clients, and restore their state after a disconnection."""

from coldframe.devices.flat_panel import CoverState
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.panel import IndiFlatPanel
from coldframe.devices.indi.turning.wheel import IndiFilterWheel
from tests.devices.indi.fake_server import CAMERA, FakeServer, number, switch
from tests.patience import PATIENCE_S

LAMP, COVER = "FLAT_LIGHT_CONTROL", "CAP_PARK"


async def a_panel(server: FakeServer, link: IndiLink) -> IndiFlatPanel:
    server.switches[LAMP] = {"FLAT_LIGHT_ON": False, "FLAT_LIGHT_OFF": True}
    server.switches[COVER] = {"PARK": False, "UNPARK": True}
    server.numbers["FLAT_LIGHT_INTENSITY"] = {"FLAT_LIGHT_INTENSITY_VALUE": (0, 255, 0)}
    panel = IndiFlatPanel(link, CAMERA)
    await panel.connect()
    return panel


async def seen(link: IndiLink, server: FakeServer, message: str) -> None:
    """Have the server send something, and wait until the link has received it."""
    serial = link.mirror.serial
    server.send(message)
    await link.wait(CAMERA, lambda: link.mirror.serial > serial or None, PATIENCE_S, "news")


async def test_a_lamp_that_goes_out_is_noticed_and_switched_on_again(server: FakeServer, link: IndiLink) -> None:
    panel = await a_panel(server, link)
    await panel.close_cover()
    await panel.light_on(40)
    assert panel.is_ready
    await seen(link, server, switch(LAMP, "Ok", FLAT_LIGHT_ON=False, FLAT_LIGHT_OFF=True))
    assert not panel.is_ready
    await panel.ensure_ready()
    assert panel.is_ready
    assert (panel.state().lit, panel.state().brightness) == (True, 40)


async def test_another_brightness_and_an_opened_cover_are_noticed(server: FakeServer, link: IndiLink) -> None:
    panel = await a_panel(server, link)
    await panel.close_cover()
    await panel.light_on(40)
    await seen(link, server, number("FLAT_LIGHT_INTENSITY", "Ok", FLAT_LIGHT_INTENSITY_VALUE=90))
    assert not panel.is_ready
    await panel.ensure_ready()
    assert panel.state().brightness == 40
    await seen(link, server, switch(COVER, "Ok", PARK=False, UNPARK=True))
    assert not panel.is_ready
    await panel.ensure_ready()
    assert panel.state().cover is CoverState.CLOSED


async def test_a_dark_panel_that_lights_up_is_switched_off(server: FakeServer, link: IndiLink) -> None:
    panel = await a_panel(server, link)
    await panel.light_off()
    await seen(link, server, switch(LAMP, "Ok", FLAT_LIGHT_ON=True, FLAT_LIGHT_OFF=False))
    assert not panel.is_ready
    await panel.ensure_ready()
    assert not panel.state().lit


async def test_a_panel_without_orders_is_left_as_it_is(server: FakeServer, link: IndiLink) -> None:
    panel = await a_panel(server, link)
    orders = len(server.orders)
    await seen(link, server, switch(LAMP, "Ok", FLAT_LIGHT_ON=True, FLAT_LIGHT_OFF=False))
    assert panel.is_ready
    await panel.ensure_ready()
    assert len(server.orders) == orders


async def test_a_wheel_turned_by_another_client_is_turned_back(server: FakeServer, link: IndiLink) -> None:
    server.numbers["FILTER_SLOT"] = {"FILTER_SLOT_VALUE": (1, 3, 1)}
    wheel = IndiFilterWheel(link, CAMERA, ("L", "R", "G"))
    await wheel.connect()
    await seen(link, server, number("FILTER_SLOT", "Ok", FILTER_SLOT_VALUE=1))
    await wheel.select("G")
    assert wheel.is_ready
    await seen(link, server, number("FILTER_SLOT", "Ok", FILTER_SLOT_VALUE=2))
    assert not wheel.is_ready
    await wheel.ensure_ready()
    assert wheel.is_ready
    assert wheel.current == "G"
