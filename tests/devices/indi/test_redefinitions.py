"""The mirror behind the real INDI library, whose driver redefines its properties in drawn ways.

The library of the virtual nights (`tests/nights/wired.py`) must turn the same XML into the same properties.
"""

import copy
from random import Random
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest

from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.mirror import Mirror, Property
from tests.devices.indi.fake_server import CAMERA, FakeServer, define_number, define_switch, define_text, number, switch
from tests.nights.redefining import drawn_alteration
from tests.nights.wired import Library
from tests.patience import until

ROUNDS = 60
DEFINITIONS = (
    define_number("CCD_GAIN", {"GAIN": (0.0, 100.0, 10.0), "OTHER": (0.0, 5.0, 1.0)}),
    define_switch("CCD_COOLER", COOLER_ON=True, COOLER_OFF=False),
    define_text("CCD_CFA", CFA_TYPE="RGGB", CFA_OFFSET_X="0"),
)
UPDATES = (
    number("CCD_GAIN", "Ok", GAIN=20.0, OTHER=2.0),
    switch("CCD_COOLER", "Busy", COOLER_ON=False, COOLER_OFF=True),
    number("CCD_GAIN", "Alert", GAIN=30.0),
)


def messages(random: Random) -> list[Element]:
    """Return a drawn sequence of definitions, deletions and updates, some of them altered."""
    sent = []
    for _ in range(12):
        message = ET.fromstring(random.choice((*DEFINITIONS, *UPDATES)))  # our own
        if random.random() < 0.5:
            sent.append(Element("delProperty", device=CAMERA, name=message.get("name", "")))
        if random.random() < 0.6:
            message = copy.deepcopy(message)
            drawn_alteration(random)[1](message)
        sent.append(message)
    return sent


def plain(prop: Property | None) -> object:
    if prop is None:
        return None
    shown = (prop.kind, prop.state, prop.readable, prop.writable, prop.values, prop.labels, prop.limits)
    return repr(shown)  # NaN equals NaN


@pytest.mark.parametrize("seed", range(3))
async def test_both_libraries_show_the_same_properties(server: FakeServer, link: IndiLink, seed: int) -> None:
    random, library, model = Random(f"libraries {seed}"), Library(), Mirror()
    await until(lambda: link.mirror.find(CAMERA, "CONNECTION"))
    for number_ in range(ROUNDS // 3):
        sent = messages(random)
        marker = define_text(f"MARKER_{number_}", X="x")
        server.send(*(ET.tostring(each, "unicode") for each in sent), marker)
        await until(lambda name=f"MARKER_{number_}": link.mirror.find(CAMERA, name))  # type: ignore[misc]
        for message in sent:
            for event in library.take(message):
                model.apply(event, 0.0)
        for name in ("CCD_GAIN", "CCD_COOLER", "CCD_CFA"):
            told = "".join(ET.tostring(each, "unicode") for each in sent if each.get("name") == name)
            assert plain(link.mirror.find(CAMERA, name)) == plain(model.find(CAMERA, name)), told[:3000]
