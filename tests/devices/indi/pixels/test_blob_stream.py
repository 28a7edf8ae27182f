"""The parser of the pixel connection yields the same events for any split, and survives hostile bytes."""

import time
import tracemalloc
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from xml.sax.saxutils import quoteattr

import pybase64
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldframe.devices.indi.pixels.blob_stream import (
    LONGEST_TAG_BYTES,
    AttachedBlob,
    BlobAttributes,
    BlobDefined,
    BlobStream,
    BlobStreamError,
    InlineBlob,
    Ping,
    SwitchesSet,
)

LARGEST = 4096

Seen = BlobDefined | SwitchesSet | AttachedBlob | Ping | tuple[BlobAttributes, bytes, str]
# XML's own limits: no control characters, no surrogates.
names = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=20)
junk = st.sampled_from(
    [
        b"",
        b"\n\n",
        b"text between elements",
        b"<!-- a comment -->",
        b"<?xml version='1.0'?>",
        b"<message device='x' message='a > b, \"quoted\"'/>",
        b'<setNumberVector device="x" name="y"><oneNumber name="z">1</oneNumber></setNumberVector>',
        b"<delProperty device='x'/>",
    ]
)


def quoted(name: str, quote: str) -> bytes:
    """Return an attribute's value in quotes, with only the necessary characters escaped."""
    text = name.replace("&", "&amp;").replace("<", "&lt;").replace(quote, "&quot;" if quote == '"' else "&apos;")
    return f"{quote}{text}{quote}".encode()


def inline(content: bytes, device: str = "Camera", line: int = 72, size: int | None = None, quote: str = '"') -> bytes:
    encoded = pybase64.b64encode(content)
    lines = b"\n".join(encoded[start : start + line] for start in range(0, len(encoded), line))
    announced = len(content) if size is None else size
    return (
        b"<setBLOBVector device=%b name='CCD1' state='Ok'>\n<oneBLOB name='CCD1' size='%d' format='.fits'>\n%b\n"
        b"</oneBLOB></setBLOBVector>" % (quoted(device, quote), announced, lines)
    )


def events(chunks: Iterable[bytes], largest: int = LARGEST) -> list[Seen]:
    stream = BlobStream(largest)
    return [
        (event.attributes, bytes(event.data), event.fault) if isinstance(event, InlineBlob) else event
        for chunk in chunks
        for event in stream.feed(chunk)
    ]


def test_new_values_of_switches_are_reported() -> None:
    text = b"<setSwitchVector device='A &amp; B' name='CCD_FRAME_TYPE' state='Ok'><oneSwitch name='X'>On</oneSwitch>"
    assert events([text, b"</setSwitchVector>"]) == [SwitchesSet("A & B", "CCD_FRAME_TYPE")]


def cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:stop] for start, stop in pairwise(edges)]


def attributes(device: str, size: int) -> BlobAttributes:
    return BlobAttributes(device, "CCD1", "CCD1", ".fits", size)


@given(
    st.lists(st.tuples(junk, names, st.binary(max_size=300), st.integers(1, 100), st.sampled_from("\"'")), max_size=4),
    st.lists(st.integers(0, 10_000), max_size=12),
)
@example([(b"", "a>b", b"\x00" * 9, 4, '"')], list(range(200)))
def test_blobs_are_complete_for_any_split(blobs: list[tuple[bytes, str, bytes, int, str]], places: list[int]) -> None:
    text = b"".join(
        before + inline(content, device, line, quote=quote) for before, device, content, line, quote in blobs
    )
    expected = [(attributes(device, len(content)), content, "") for _, device, content, _, _ in blobs]
    assert events(cut(text, places)) == expected


@given(names, st.lists(st.integers(0, 1000), max_size=8))
def test_other_events_are_found_for_any_split(name: str, places: list[int]) -> None:
    quoted_name = quoteattr(name).encode()
    text = (
        b"<defBLOBVector device=%b name='CCD1'><defBLOB name='CCD1'/></defBLOBVector><pingRequest uid=%b/>"
        b"<setBLOBVector device=%b name='CCD1'><oneBLOB name='CCD1' size='7' len='7' format='.fits' attached='true'/>"
        b"</setBLOBVector>" % (quoted_name, quoted_name, quoted_name)
    )
    assert events(cut(text, places)) == [
        BlobDefined(name, "CCD1"),
        Ping(name),
        AttachedBlob(attributes(name, 7)),
    ]


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=8))
@example(b"<<<<<", [])
@example(b"<oneBLOB size='9'>AA==AAAA<", [24])
def test_random_bytes_give_events_or_the_one_error(text: bytes, places: list[int]) -> None:
    found = list[Seen]()
    with suppress(BlobStreamError):
        found = events(cut(text, places))
    assert all(len(event[1]) <= LARGEST for event in found if isinstance(event, tuple))


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_damaged_blob_is_faulty_for_any_split(content: bytes, data: st.DataObject) -> None:
    """A changed BLOB has a fault or the announced number of bytes, and the next BLOB is complete."""
    text = inline(content, line=10_000)
    start, stop = text.index(b">\n") + 60, text.index(b"\n</oneBLOB>")
    place = data.draw(st.integers(start, stop - 1)) if stop > start else stop - 1
    altered = text[:place] + data.draw(st.sampled_from([b"*", b"=", b"", b"AAAA"])) + text[place + 1 :]
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    first, second = events(cut(altered + inline(b"whole"), places))
    assert isinstance(first, tuple)
    assert first[2] or len(first[1]) == len(content)
    assert second == (attributes("Camera", 5), b"whole", "")


@pytest.mark.parametrize(
    ("content", "size", "fault"),
    [(b"12345", 6, "ends after 5 of 6 bytes"), (b"1234567", 6, "is longer than the 6 bytes"), (b"", 6, "ends after 0")],
)
def test_a_blob_of_another_size_than_announced_is_faulty(content: bytes, size: int, fault: str) -> None:
    (event,) = events([inline(content, size=size)])
    assert isinstance(event, tuple)
    assert fault in event[2]


@pytest.mark.parametrize("places", [[], [27], [26, 28]])
def test_data_after_the_padding_is_faulty(places: list[int]) -> None:
    text = b"<oneBLOB size='4' name='x'>AA==AAAA</oneBLOB>"
    (event,) = events(cut(text, places))
    assert isinstance(event, tuple)
    assert event[2]


@pytest.mark.parametrize("size", ["", "-1", "1e3", str(LARGEST + 1), "9" * 50])
def test_an_impossible_size_raises(size: str) -> None:
    with pytest.raises(BlobStreamError, match="sends at most 4096"):
        events([f"<oneBLOB size='{size}'>".encode()])


def test_an_endless_tag_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BlobStreamError, match="longer than"):
            events([b"<a ", *[b"b='c' " * 1000] * 1000])
        assert tracemalloc.get_traced_memory()[1] < 20 * LONGEST_TAG_BYTES
    finally:
        tracemalloc.stop()


def test_endless_text_takes_no_memory() -> None:
    stream = BlobStream(LARGEST)
    list(stream.feed(b"<oneBLOB size='9'>"))
    tracemalloc.start()
    try:
        for _ in range(100):
            list(stream.feed(b"A" * 100_000))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("tag", [b"<" + b"a" * 2000 + b'"' + b">" * 2000, b"<" + b"a " * 1000 + b"'" + b">" * 2000])
def test_a_hostile_tag_is_parsed_quickly(tag: bytes) -> None:
    """Backtracking would take exponential time. CPU time does not depend on other load."""
    began_s = time.thread_time()
    with suppress(BlobStreamError):
        events([tag])
    assert time.thread_time() - began_s < 2


def test_comments_and_declarations_are_skipped() -> None:
    assert events([b"<?xml version='1.0'?><!-- > --><pingRequest uid='1'/>"]) == [Ping("1")]
