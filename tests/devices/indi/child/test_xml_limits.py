"""XML within the limits passes, however it is divided into chunks. Deeper and longer XML is refused."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.devices.indi.child.xml_limits import DEEPEST, LONGEST_BYTES, XmlLimitError, XmlLimits
from tests.devices.indi.fake_server import CAMERA, blob, define_number, define_switch, define_text, exposure

HARMLESS = (
    "<?xml version='1.0'?>"
    + define_number("CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": (0, 3600, 1)})
    + define_switch("CONNECTION", CONNECT=True, DISCONNECT=False)
    + define_text("CFA", CFA_TYPE="R'G\"GB", OTHER="1 > 0")
    + exposure("Busy", message="less than &lt; or more than > 'x'")
    + f"<message device='{CAMERA}' message='\">\"/>'/><delProperty device=\"{CAMERA}\"/>"
    + blob(b"pixels")
).encode()


@given(st.lists(st.integers(0, len(HARMLESS)), max_size=8))
def test_harmless_xml_passes_in_any_chunks(cuts: list[int]) -> None:
    limits, places = XmlLimits(), [0, *sorted(cuts), len(HARMLESS)]
    for _ in range(DEEPEST + 1):
        for begin, end in pairwise(places):
            limits.check(HARMLESS[begin:end])


def check_in_chunks(limits: XmlLimits, content: bytes, size: int) -> None:
    for begin in range(0, len(content), size):
        limits.check(content[begin : begin + size])


def test_many_elements_pass() -> None:
    limits = XmlLimits()
    for _ in range(3 * LONGEST_BYTES // len(HARMLESS)):
        limits.check(HARMLESS)


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_elements_that_are_nested_too_deeply_are_refused(size: int) -> None:
    with pytest.raises(XmlLimitError, match="nested more than 4 deep"):
        check_in_chunks(XmlLimits(), b"<defTextVector>" * (DEEPEST + 1), size)


@pytest.mark.parametrize(
    "endless", [b"x", b"<", b"'", b"<!", b"<a b='", b"<defText>", b"<defText>&#0;</defText>", b"</x><a", b"<a/>"]
)
def test_an_endless_element_is_refused_in_bounded_memory(endless: bytes) -> None:
    """Everything is one element, because the vector around it never ends."""
    limits, content = XmlLimits(), endless * (2 * LONGEST_BYTES // len(endless))
    limits.check(b"<defTextVector>")
    tracemalloc.start()
    try:
        with pytest.raises(XmlLimitError):
            check_in_chunks(limits, content, 1 << 16)
        assert tracemalloc.get_traced_memory()[1] < 3 * LONGEST_BYTES
    finally:
        tracemalloc.stop()


def test_the_end_of_an_element_is_noticed() -> None:
    limits = XmlLimits()
    assert not limits.is_inside
    limits.check(b"<defTextVector><defText>x</def")
    assert limits.is_inside
    limits.check(b"Text></defTextVector><message/><mess")
    assert (limits.complete, limits.is_inside) == (2, True)
    limits.check(b"age/>\n")
    assert (limits.complete, limits.is_inside) == (3, False)
