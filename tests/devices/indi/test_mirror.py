"""The mirror of properties, the dialect table, and the conditions under which a setting counts as accepted."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.devices.camera import Limits
from coldframe.devices.errors import DeviceError, DeviceLostError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.dialects import Spelling
from coldframe.devices.indi.link import shows_values
from coldframe.devices.indi.mirror import MOST_DEVICES, MOST_PROPERTIES, Mirror, Value


def event(
    name: str, values: Mapping[str, Value], device: str = "Camera", kind: str = "number", state: str = "ok"
) -> dict[str, Any]:
    return {
        "event": "property",
        "device": device,
        "name": name,
        "label": name,
        "kind": kind,
        "state": state,
        "readable": True,
        "writable": True,
        "values": values,
        "labels": {element: element for element in values},
        "limits": {element: [0, 10, 1] for element in values} if kind == "number" else {},
    }


def removed(name: str | None, device: str = "Camera") -> dict[str, Any]:
    return {"event": "removed", "device": device, "name": name}


def mirror_of(*events: Mapping[str, Any]) -> Mirror:
    mirror = Mirror()
    for time_s, event in enumerate(events):
        mirror.apply(event, float(time_s))
    return mirror


def test_the_newest_snapshot_counts() -> None:
    mirror = mirror_of(event("GAIN", {"G": 1.0}), event("GAIN", {"G": 2.0}, state="busy"))
    prop = mirror.find("Camera", "GAIN")
    assert prop is not None
    assert (prop.number("G"), prop.state, prop.serial, prop.received_at_s) == (2.0, "busy", 2, 1.0)
    assert prop.limits == {"G": Limits(0, 10, 1)}
    assert mirror.find("Camera", "OFFSET") is None
    assert mirror.find("Other", "GAIN") is None


def test_invented_devices_and_properties_take_no_memory() -> None:
    mirror = mirror_of(event("GAIN", {"G": 1.0}))
    for number in range(2 * max(MOST_DEVICES, MOST_PROPERTIES)):
        mirror.apply(event(f"P{number}", {"x": 1.0}), 1.0)
        mirror.apply(event("P", {"x": 1.0}, device=f"D{number}"), 1.0)
        mirror.apply({"event": "message", "device": f"M{number}", "text": "hello"}, 1.0)
        mirror.apply(removed(None, device=f"R{number}"), 1.0)
    assert len(mirror.devices) <= MOST_DEVICES
    assert len(mirror.properties("Camera")) == MOST_PROPERTIES
    mirror.apply(event("GAIN", {"G": 2.0}), 2.0)
    prop = mirror.find("Camera", "GAIN")
    assert prop is not None
    assert prop.number("G") == 2.0, "what was there first goes on"


def test_properties_and_devices_are_removed() -> None:
    mirror = mirror_of(event("A", {"x": 1.0}), event("B", {"x": 1.0}), event("A", {"x": 1.0}, device="Wheel"))
    mirror.apply(removed("A"), 3)
    assert [prop.name for prop in mirror.properties("Camera")] == ["B"]
    assert mirror.removals("Camera") == 0
    mirror.apply(removed(None), 4)
    assert "Camera" not in mirror.devices
    assert (mirror.removals("Camera"), mirror.removals("Wheel")) == (1, 0)
    mirror.apply(removed("A", "Wheel"), 5)
    assert mirror.devices == ()
    mirror.apply(removed(None, "Stranger"), 6)
    mirror.clear()
    assert mirror.serial == 8


def test_what_a_driver_removed_before_its_crash_is_not_awaited_afterwards() -> None:
    mirror = mirror_of(event("GAIN", {"G": 1.0}), event("A", {"x": 1.0}, device="Wheel"))
    mirror.apply(removed("GAIN"), 2)
    mirror.apply(removed("A", "Wheel"), 3)
    mirror.apply(removed(None), 4)
    with pytest.raises(DeviceLostError, match="its driver is missing"):
        mirror.expect_lasting("Camera", "GAIN")
    mirror.apply(event("CONNECTION", {"CONNECT": True}, kind="switch"), 5)
    mirror.expect_lasting("Camera", "GAIN")
    assert mirror.is_removed("Wheel", "A")


def test_all_properties_may_come_back_after_the_connection_is_lost() -> None:
    mirror = mirror_of(event("CONNECTION", {"CONNECT": True}, kind="switch"))
    mirror.expect_lasting("Camera", "GAIN")
    mirror.clear()
    with pytest.raises(DeviceLostError, match="its driver is missing"):
        mirror.expect_lasting("Camera", "GAIN")


def test_a_property_whose_kind_changed_is_refused_even_after_its_removal(caplog: pytest.LogCaptureFixture) -> None:
    text = event("CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": "cold"}, kind="text")
    mirror = mirror_of(event("CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": -10.0}), text)
    prop = mirror.find("Camera", "CCD_TEMPERATURE")
    assert prop is not None
    assert prop.number("CCD_TEMPERATURE_VALUE") == -10.0
    mirror.apply(removed("CCD_TEMPERATURE"), 3.0)
    mirror.apply(text, 4.0)
    assert mirror.find("Camera", "CCD_TEMPERATURE") is None
    assert [record.getMessage() for record in caplog.records] == [
        "Camera: ignored CCD_TEMPERATURE, whose type changed from number to text"
    ]
    mirror.clear()
    mirror.apply(text, 5.0)
    assert mirror.find("Camera", "CCD_TEMPERATURE") is not None, "a server that was restarted may have another driver"


@pytest.mark.parametrize("value", [math.nan, math.inf, "cold"])
def test_a_value_that_is_no_number_is_refused_in_one_sentence(value: Value) -> None:
    prop = mirror_of(event("CCD_INFO", {"CCD_MAX_X": value})).find("Camera", "CCD_INFO")
    assert prop is not None
    with pytest.raises(
        DeviceError, match=rf"^Camera: CCD_INFO.CCD_MAX_X is {value}, not a number\. Restart its driver"
    ):
        prop.number("CCD_MAX_X")


def test_limits_that_are_not_finite_are_unknown() -> None:
    infinite = event("GAIN", {"G": 1.0}) | {"limits": {"G": [0.0, math.inf, 1.0]}}
    prop = mirror_of(infinite).find("Camera", "GAIN")
    assert prop is not None
    assert prop.limits == {"G": Limits(0.0, 0.0)}


def test_a_message_counts_only_if_it_is_newer() -> None:
    mirror = mirror_of(event("A", {"x": 1.0}), {"event": "message", "device": "Camera", "text": "no"})
    assert mirror.message_since("Camera", 1) == "no"
    assert mirror.message_since("Camera", 2) == ""
    assert mirror.message_since("Wheel", 0) == ""


def test_the_switch_that_is_on_is_found() -> None:
    prop = mirror_of(event("TYPE", {"A": False, "B": True}, kind="switch")).find("Camera", "TYPE")
    assert prop is not None
    assert prop.switched_on() == "B"


@pytest.mark.parametrize(
    ("row", "properties", "expected"),
    [
        (dialects.GAIN, {"CCD_GAIN": {"GAIN": 1.0}}, Spelling("CCD_GAIN", "GAIN")),
        (dialects.GAIN, {"CCD_CONTROLS": {"Gain": 1.0, "Offset": 2.0}}, Spelling("CCD_CONTROLS", "Gain")),
        (dialects.GAIN, {"CCD_GAIN": {"Gain": 1.0}}, Spelling("CCD_GAIN", "Gain")),
        (dialects.OFFSET, {"CCD_CONTROLS": {"Gain": 1.0, "Offset": 2.0}}, Spelling("CCD_CONTROLS", "Offset")),
        (
            dialects.OFFSET,
            {"CCD_OFFSET": {"Offset": 2.0}, "CCD_CONTROLS": {"Gain": 1.0}},
            Spelling("CCD_OFFSET", "Offset"),
        ),
        (
            dialects.COOLER_POWER,
            {"CCD_COOLER_POWER": {"COOLER_POWER": 1.0}},
            Spelling("CCD_COOLER_POWER", "COOLER_POWER"),
        ),
        (dialects.ADC_BITS, {"CCD_INFO": {"CCD_BITSPERPIXEL": 16.0}}, Spelling("CCD_INFO", "CCD_BITSPERPIXEL")),
        (
            dialects.ADC_BITS,
            {"CCD_INFO": {"CCD_BITSPERPIXEL": 16.0}, "ADC_DEPTH": {"BITS": 14.0}},
            Spelling("ADC_DEPTH", "BITS"),
        ),
        (dialects.GAIN, {"CCD_CONTROLS": {"Bandwidth": 1.0}}, None),
    ],
)
def test_each_dialect_is_understood(
    row: tuple[Spelling, ...], properties: dict[str, dict[str, float]], expected: Spelling | None
) -> None:
    mirror = mirror_of(*(event(name, values) for name, values in properties.items()))
    found = dialects.find(mirror, "Camera", row)
    assert (None if found is None else Spelling(found[0].name, found[1])) == expected
    value = None if expected is None else properties[expected.property][expected.element]
    assert dialects.value_of(mirror, "Camera", row) == value


def test_an_element_matches_by_its_label() -> None:
    controls = event("CCD_CONTROLS", {"CONTROL_GAIN": 30.0, "CONTROL_OFFSET": 10.0})
    controls["labels"] = {"CONTROL_GAIN": "Gain", "CONTROL_OFFSET": "Offset"}
    mirror = mirror_of(controls)
    assert dialects.value_of(mirror, "Camera", dialects.GAIN) == 30.0
    assert dialects.value_of(mirror, "Camera", dialects.OFFSET) == 10.0


def shows(kind: str, shown: Value, wanted: Value) -> bool:
    prop = mirror_of(event("P", {"x": shown}, kind=kind)).find("Camera", "P")
    assert prop is not None
    return shows_values(prop, {"x": wanted})


@given(st.floats(-1e9, 1e9))
def test_numbers_are_compared_to_six_digits(value: float) -> None:
    assert shows("number", float(f"{value:g}"), value) or abs(value) < 1e-5


@pytest.mark.parametrize(
    ("kind", "shown", "wanted", "same"),
    [
        ("number", 100.0, 101, False),
        ("number", 0.0, 0, True),
        ("number", 0.1, 0.1001, False),
        ("number", float("nan"), 1.0, False),
        ("switch", True, True, True),
        ("switch", False, True, False),
        ("text", "L", "L", True),
        ("text", "L", "R", False),
    ],
)
def test_a_setting_needs_the_shown_value(kind: str, shown: Value, wanted: Value, same: bool) -> None:  # noqa: FBT001  # pytest's
    assert shows(kind, shown, wanted) == same
