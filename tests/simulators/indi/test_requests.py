from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.simulators.indi.properties import (
    Number,
    Permission,
    RefusedError,
    Rule,
    Switch,
    Text,
    Vector,
    sexagesimal,
)
from coldframe.simulators.indi.requests import (
    BlobPolicy,
    EnableBlob,
    GarbledStreamError,
    GetProperties,
    NewVector,
    Ping,
    Request,
    RequestReader,
)

STREAM = b"""<?xml version='1.0'?><getProperties version='1.7'/>
<getProperties version='1.7' device='C' name='P'/>
<?xml version="1.0"?>
<enableBLOB device='C' name='CCD1'>Only</enableBLOB>
<enableBLOB device='C'>Sometimes</enableBLOB>
<message device='C' message='ignored'/>
<newNumberVector device='C' name='E'>
  <oneNumber name='V'>
      1e-05
  </oneNumber>
</newNumberVector>
<newTextVector device='C' name='T'><oneText name='A'>H&amp;\xc3\xa9 &lt;?xml?&gt;</oneText>
<oneText name='B'/></newTextVector>
<pingRequest uid='7'/>
"""

REQUESTS: list[Request] = [
    GetProperties("", ""),
    GetProperties("C", "P"),
    EnableBlob("C", "CCD1", BlobPolicy.ONLY),
    NewVector("C", "E", {"V": "1e-05"}),
    NewVector("C", "T", {"A": "H&é <?xml?>", "B": ""}),
    Ping("7"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_gives_the_same_requests(cuts: list[int]) -> None:
    reader = RequestReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    assert [request for piece in pieces for request in reader.feed(piece)] == REQUESTS


def read(pieces: Iterable[bytes]) -> list[Request]:
    """Return the requests before the stream is found to be garbled."""
    reader, requests = RequestReader(), list[Request]()
    with suppress(GarbledStreamError):
        for piece in pieces:
            requests += reader.feed(piece)
    return requests


@given(st.binary(max_size=300))
def test_random_bytes_give_requests_or_the_one_error(data: bytes) -> None:
    assert all(isinstance(request, Request) for request in read([data, b"<getProperties/>"]))


@given(st.lists(st.sampled_from([STREAM[i : i + 9] for i in range(0, len(STREAM), 9)]), max_size=40))
def test_shuffled_pieces_give_requests_or_the_one_error(pieces: list[bytes]) -> None:
    assert all(isinstance(request, Request) for request in read(pieces))


def test_memory_is_bounded() -> None:
    reader = RequestReader()
    list(reader.feed(b"<newTextVector device='C' name='T'><oneText name='A'>"))
    piece = b"x" * 65536
    with pytest.raises(GarbledStreamError, match="longer than"):
        _ = [list(reader.feed(piece)) for _ in range(100)]


def test_no_document_type_can_be_declared() -> None:
    with pytest.raises(GarbledStreamError):
        list(RequestReader().feed(b'<!DOCTYPE a [<!ENTITY b "c">]><getProperties/>'))


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), (" -0.5 ", -0.5), ("3.2000000000000000e-05", 3.2e-5), ("+7", 7), ("10:30", 10.5), ("-0:30:00", -0.5)],
)
def test_numbers(text: str, value: float) -> None:
    assert sexagesimal(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "nan", "inf", "-inf", "five", "1:2:3:4", "300.1", "-1", "1e999"])
def test_refused_numbers(text: str) -> None:
    with pytest.raises(RefusedError, match="VALUE"):
        Number("VALUE", 1.0, 0, 300).accepted(text)


@given(st.text(max_size=20))
def test_a_number_is_finite_and_in_range_or_refused(text: str) -> None:
    try:
        value = Number("VALUE", 1.0, 0, 300).accepted(text)
    except RefusedError:
        return
    assert 0 <= value <= 300


def switches(rule: Rule) -> Vector:
    return Vector("S", "S", "G", Switch("A", "On"), Switch("B"), rule=rule)


@pytest.mark.parametrize(
    ("vector", "raw"),
    [
        (switches(Rule.ONE_OF_MANY), {"A": "On", "B": "On"}),
        (switches(Rule.ONE_OF_MANY), {"A": "Off"}),
        (switches(Rule.ONE_OF_MANY), {"A": "Maybe"}),
        (switches(Rule.ONE_OF_MANY), {"C": "On"}),
        (Vector("T", "T", "G", Text("A", ""), permission=Permission.READ_ONLY), {"A": "x"}),
    ],
)
def test_refused_changes(vector: Vector, raw: dict[str, str]) -> None:
    with pytest.raises(RefusedError):
        vector.accepted(raw)
    assert vector.selected in ("A", None)


def test_all_switches_may_be_off_with_at_most_one() -> None:
    assert switches(Rule.AT_MOST_ONE).accepted({"A": "Off"}) == {"A": "Off"}


def test_values_are_escaped_and_exact() -> None:
    vector = Vector("T<", "a&b", "G", Number("N", 0.1 + 0.2))
    assert "0.30000000000000004" in vector.update('"dev"', "it's <odd>")
    assert 'name="T&lt;"' in vector.definition("d")
    assert 'label="a&amp;b"' in vector.definition("d")
