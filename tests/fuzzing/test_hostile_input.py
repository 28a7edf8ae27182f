"""Each external input gives a result or the documented error, without a crash, a hang or a growth of memory."""

import math
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder, parse, read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import open_image
from coldframe.capture.events.kinds import (
    Event,
    FrameRejected,
    HookEnded,
    NightEnded,
    NightStarted,
    Notice,
    PanelChanged,
    StepEnded,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
    StepType,
)
from coldframe.capture.storage.journal import encode_event
from coldframe.capture.storage.journal_reader import JournalLineError, decode_event, read_journal
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import ConfigError, load_settings
from coldframe.devices.flat_panel import CoverState
from coldframe.devices.indi.mirror import Mirror
from coldframe.devices.indi.pixels.blob_stream import AttachedBlob, BlobStream, BlobStreamError, InlineBlob
from coldframe.simulators.indi.requests import GarbledStreamError, RequestReader
from tests.devices.indi.fake_server import BLOB_DEFINITION, blob, define_number, exposure, fits_bytes
from tests.fuzzing.engine import run
from tests.fuzzing.mutations import inputs, pieces

LARGEST_BLOB = 10_000
FILES = 0.1
"""Share of the journals that are read from a file as well, which takes longest."""

TARGETS = {"blob-stream": 0.35, "frame": 0.25, "requests": 0.13, "journal": 0.12, "image-file": 0.08, "config": 0.07}
"""Shares of the inputs; those that need files get fewer."""


def blob_stream(text: bytes, chance: random.Random, _place: Path) -> None:
    stream, mirror = BlobStream(LARGEST_BLOB), Mirror()
    with suppress(BlobStreamError):
        for chunk in pieces(text, chance):
            for event in stream.feed(chunk):
                if isinstance(event, InlineBlob):
                    assert len(event.data) <= event.attributes.size <= LARGEST_BLOB
                    assert event.fault or len(event.data) == event.attributes.size
                if isinstance(event, AttachedBlob):
                    assert event.attributes.size <= LARGEST_BLOB
    assert not mirror.devices


def frame(text: bytes, _chance: random.Random, _place: Path) -> None:
    with suppress(FrameFileError):
        pixels, header = parse(text)
        assert pixels.dtype == np.uint16
        assert pixels.nbytes <= 2 * len(text)
        # Frames that were read are written again as stray frames.
        FrameEncoder().encode(pixels, [Card("EXPTIME", 1.0)])
        assert all(isinstance(key, str) for key in header)


def requests(text: bytes, chance: random.Random, _place: Path) -> None:
    reader = RequestReader()
    with suppress(GarbledStreamError):
        for chunk in pieces(text, chance):
            list(reader.feed(chunk))


def journal(text: bytes, chance: random.Random, place: Path) -> None:
    with suppress(JournalLineError):
        line = encode_event(decode_event(chance.choice(text.split(b"\n")).decode("utf-8", errors="replace")))
        assert encode_event(decode_event(line)) == line, "an event that was read can be written and read again"
    if chance.random() > FILES:
        return
    path = place / "journal.jsonl"
    path.write_bytes(text)
    assert all(isinstance(event, Event) for event in read_journal(path))


def image_file(text: bytes, _chance: random.Random, place: Path) -> None:
    path = place / "image.fits"
    path.write_bytes(text)
    with suppress(FrameFileError):
        read_header(path)
    with suppress(FrameFileError):
        image = open_image(path, place)
        assert image.values(np.array([0])).size == 1


def config(text: bytes, _chance: random.Random, place: Path) -> None:
    path = place / "coldframe.toml"
    path.write_bytes(text)
    with suppress(ConfigError):
        load_settings(path)


AT = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
EVENTS = (
    NightStarted(
        AT,
        "/n",
        "C",
        None,
        "W",
        100,
        80,
        (PlannedStep(1, "dark 300 s", FrameKind.DARK, None, 30, 300.0, 9000.0, StepType.SHOOT),),
    ),
    StepStarted(AT, 1),
    TemperatureRead(AT, -10.0, -10.0, math.nan),
    Notice(AT, Severity.WARNING, "a \u20ac and a \n"),
    PanelChanged(AT, lit=False, brightness=12, cover=CoverState.CLOSED),
    FrameRejected(AT, 1, "/n/quarantine/x.fits", "why"),
    HookEnded(AT, "park", "", "done"),
    StepEnded(AT, 1, StepOutcome.FAILED, "why"),
    NightEnded(AT, NightOutcome.INCOMPLETE, "missing: dark"),
)

VALID: dict[str, list[bytes]] = {
    "blob-stream": [
        (BLOB_DEFINITION + blob(fits_bytes())).encode(),
        (exposure("Busy", left_s=1.0) + blob(b"A" * 500, ".fits.z") + "<pingRequest uid='7'/>").encode(),
        b"<setBLOBVector device='x' name='CCD1'><oneBLOB name='CCD1' size='99' attached='true'/></setBLOBVector>",
        define_number("CCD_GAIN", {"GAIN": (0, 100, 1)}).encode() + blob(fits_bytes()[:40]).encode(),
    ],
    "frame": [fits_bytes(), fits_bytes(date_obs="2026-11-22T03:30:00.123"), fits_bytes(shape=(1, 1))],
    "requests": [
        b"<?xml version='1.0'?><getProperties version='1.7' device='a'/><enableBLOB device='a'>Only</enableBLOB>",
        b"<newNumberVector device='a' name='b'><oneNumber name='c'>1.5</oneNumber></newNumberVector>",
        b"<newSwitchVector device='a' name='b'><oneSwitch name='c'>On</oneSwitch></newSwitchVector><pingReply/>",
    ],
    "journal": ["\n".join(encode_event(event) for event in EVENTS).encode(), encode_event(EVENTS[0]).encode()],
    "image-file": [fits_bytes()],
    "config": [example_night(name).read_bytes() for name in ("small", "cooled-osc")],
}
TOKENS = {
    "blob-stream": [b"<", b">", b"/>", b'"', b"'", b"=", b"<oneBLOB ", b"</oneBLOB>", b"<!--", b"size='", b"&#x41;"],
    "frame": [
        b"NAXIS   =",
        b"END" + b" " * 77,
        b"BITPIX  =                   -8",
        b"CONTINUE",
        b"BZERO   = ",
        b"'",
        b"/",
    ],
    "requests": [b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"<", b">", b"]]>", b"<![CDATA[", b"<newNumberVector"],
    "journal": [
        b"[" * 2000,
        b"{" + b'"a":{' * 500,
        b"null",
        b"NaN",
        b"-Infinity",
        b'"event": "night-started"',
        b'"steps": [[]]',
        b"\\ud800",
        b"1" * 5000,
        b"true",
    ],
    "image-file": [b"NAXIS3  =", b"BSCALE  =", b"TILE", b"XTENSION= 'IMAGE   '"],
    "config": [
        b"[",
        b"]",
        b"[[sets]]",
        b"=",
        b'"""',
        b"a.b.c.d=",
        b"nan",
        b"inf",
        b"-",
        b"'",
        b"\r",
        b"\x00",
        b"#",
        b"{}",
    ],
}
TARGET: dict[str, Callable[[bytes, random.Random, Path], None]] = {
    "blob-stream": blob_stream,
    "frame": frame,
    "requests": requests,
    "journal": journal,
    "image-file": image_file,
    "config": config,
}


def fuzz(target: str, count: int, seed: int, place: Path) -> None:
    numbered = inputs(seed, count, VALID[target], TOKENS[target])
    run(TARGET[target], numbered, VALID[target], f"{target}, seed {seed}", place)


@pytest.mark.parametrize("target", TARGETS)
def test_twenty_thousand_hostile_inputs_are_handled(target: str, tmp_path: Path) -> None:
    fuzz(target, round(20_000 * TARGETS[target]), 2026, tmp_path)


@pytest.mark.deep
@pytest.mark.parametrize("target", TARGETS)
def test_a_million_hostile_inputs_are_handled(target: str, tmp_path: Path) -> None:
    fuzz(target, round(1_000_000 * TARGETS[target]), random.SystemRandom().randrange(1 << 32), tmp_path)
