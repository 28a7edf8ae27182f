"""Auxiliaries are switched off, checked to be off, and restored to their old values."""

import pytest

from coldframe.config.tables.rig import AuxiliarySettings
from coldframe.devices.errors import NotSupportedError
from coldframe.devices.indi.auxiliary import IndiAuxiliary
from coldframe.devices.indi.link import IndiLink
from tests.devices.indi.fake_server import CAMERA, FakeServer, number, switch
from tests.devices.test_rig_ready import seen


def heater(link: IndiLink, name: str, element: str, off: float = 0.0) -> IndiAuxiliary:
    return IndiAuxiliary(link, AuxiliarySettings(device=CAMERA, property=name, element=element, off=off))


async def test_a_heater_is_off_while_it_must_be_dark_and_restored_afterwards(
    server: FakeServer, link: IndiLink
) -> None:
    server.numbers["DEW"] = {"A": (0, 100, 40), "B": (0, 100, 7)}
    auxiliary = heater(link, "DEW", "A")
    await auxiliary.connect()
    assert server.ordered("DEW") == [], "connecting switches nothing"
    assert auxiliary.is_ready
    for _ in range(2):
        await auxiliary.switch_off()
    await seen(link, server, number("DEW", "Ok", A=70, B=8))
    assert not auxiliary.is_ready, "another client switched it on"
    await auxiliary.ensure_ready()
    assert auxiliary.is_ready
    await auxiliary.restore()
    await auxiliary.restore()
    assert server.ordered("DEW") == [{"A": "0", "B": "7"}, {"A": "0", "B": "8"}, {"A": "40", "B": "8"}]


async def test_the_switch_that_was_on_is_restored(server: FakeServer, link: IndiLink) -> None:
    server.switches["LAMP"] = {"HIGH": False, "LOW": True, "OFF": False}
    auxiliary = heater(link, "LAMP", "OFF", off=1)
    await auxiliary.connect()
    await auxiliary.switch_off()
    await seen(link, server, switch("LAMP", "Busy", HIGH=True, LOW=False, OFF=False))
    await auxiliary.ensure_ready()
    await auxiliary.restore()
    assert server.ordered("LAMP") == [{"OFF": "On"}, {"OFF": "On"}, {"LOW": "On"}]


async def test_an_auxiliary_that_was_never_switched_off_is_left_alone(server: FakeServer, link: IndiLink) -> None:
    server.numbers["DEW"] = {"A": (0, 100, 40)}
    auxiliary = heater(link, "DEW", "A")
    await auxiliary.connect()
    await auxiliary.restore()
    assert server.ordered("DEW") == []


async def test_a_wrong_name_is_reported_before_the_night(server: FakeServer, link: IndiLink) -> None:
    server.numbers["DEW"] = {"A": (0, 100, 40)}
    with pytest.raises(NotSupportedError, match=r"DEW has no B that can be set \(it has A\)"):
        await heater(link, "DEW", "B").connect()
