"""Every message of a simulated night follows the documented schemas."""

import gzip
import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.kinds import FrameAccepted, NightEnded, NightPaused, NightResumed, NightStarted, Notice
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import NightOutcome, Severity
from coldframe.capture.events.verification import Artifact, Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.telemetry import documents
from coldframe.capture.monitoring.telemetry.digest import LONGEST_UNPACKED, Digest, is_in_digest, unpack
from coldframe.capture.monitoring.telemetry.documents import phase_of, picture_document, plan_document, state_document
from coldframe.capture.monitoring.telemetry.following import Follower, picture
from coldframe.capture.monitoring.telemetry.topics import topic_part
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.simulated_rig import load_rig
from tests.capture.monitoring.telemetry.schemas import FOLDER, check, schema
from tests.nights.nights import START, NightRun, run_night, tiny

_nights: list[NightRun] = []


async def small_night(folder: Path) -> NightRun:
    """Return one night for all these tests, with few frames but every kind of master."""
    if not _nights:
        settings = load_settings(example_night("small"))
        sets = tuple(each.model_copy(update={"count": 8}) for each in settings.sets if each.filter != "Ha")
        few = settings.model_copy(update={"sets": sets})
        _nights.append(await run_night(few, tiny(load_rig("small")), folder))
    return _nights[0]


@pytest.mark.looptime
async def test_every_message_of_a_night_follows_its_schema(tmp_path: Path) -> None:
    night = await small_night(tmp_path)
    state, digest, follower = DashboardState(), Digest("0a1b2c3d"), Follower()
    phases = [check("state", state_document(state, START))["phase"]]
    followed = DashboardState()
    for event in night.events:
        state.apply(event)
        if is_in_digest(event):
            line = digest.add(event)
            check("event", line)
            for received in follower.line(line.encode()):
                followed.apply(received)
        document = check("state", state_document(state, event.at, dropped=3))
        phases.append(document["phase"])
        if isinstance(event, FrameShown):
            check("picture", picture_document(event))
            shown = picture(picture_document(event))
            assert shown is not None
            assert (shown.picture == event.picture).all()
            assert (shown.histogram == event.histogram).all()
        if state.night is not None:
            check("plan", plan_document(state))
    seen = list(dict.fromkeys(phases))
    assert seen[0] == "waiting"
    assert seen[-1] == "ended"
    assert {"cooling", "bias", "dark", "tuning", "flat", "dark-flat", "warming"} <= set(seen)
    last = night.events[-1]
    assert state_document(followed, last.at) == state_document(state, last.at), "a watcher sees the same"


@pytest.mark.looptime
async def test_later_watcher_sees_the_same(tmp_path: Path) -> None:
    """At every tenth event, the digest alone leads to the same state, except for the pace learned so far."""
    night = await small_night(tmp_path)
    state, digest = DashboardState(), Digest("0a1b2c3d")
    for number, event in enumerate(night.events):
        state.apply(event)
        if is_in_digest(event):
            digest.add(event)
        if number % 10:
            continue
        packed = digest.packed()
        late = DashboardState()
        for known in Follower().journal(packed):
            late.apply(known)
        assert phase_of(late) == phase_of(state)
        now = event.at + timedelta(seconds=1)
        ours, theirs = (json.loads(state_document(each, now)) for each in (state, late))
        learned = {"remaining_s", "eta", "progress_percent", "overdue", "latest"}
        assert {**ours, **dict.fromkeys(learned)} == {**theirs, **dict.fromkeys(learned)}
    assert len(digest.packed()) < 60_000


@pytest.mark.looptime
async def test_follower_joins_journal_and_events_without_repetition(tmp_path: Path) -> None:
    night = await small_night(tmp_path)
    events = [event for event in night.events if is_in_digest(event)][:40]
    digest, follower = Digest("0a1b2c3d"), Follower()
    lines = [digest.add(event).encode() for event in events]
    earlier = Digest("0a1b2c3d")
    for event in events[:20]:
        earlier.add(event)
    assert follower.journal(earlier.packed())[-1] == events[19]
    assert follower.line(lines[19]) == [], "it is known already"
    assert follower.line(lines[20]) == [events[20]]
    assert not follower.is_behind
    assert follower.line(lines[22]) == [events[22]]
    assert follower.is_behind, "one has been lost"
    assert Follower().journal(digest.packed())[-1] == events[39]
    other = Digest("ffffffff")
    assert follower.line(other.add(events[0]).encode()) == [events[0]], "another run starts again"


@pytest.mark.parametrize(
    "broken",
    [b"", b"{}", b"[" * 100_000, b'{"height": 1e400}', b"\xff"]
    + [
        json.dumps({**schema("picture")["examples"][0], **wrong}).encode()
        for wrong in (
            {"width": 3},
            {"height": -2},
            {"pixels": "!"},
            {"histogram": [0] * 5},
            {"at": "x"},
            {"width": 10**9},
        )
    ],
)
def test_invalid_pictures_are_ignored(broken: bytes) -> None:
    assert picture(broken) is None


def test_digest_is_bounded_in_a_flood_of_events() -> None:
    digest = Digest("0a1b2c3d")
    for number in range(5000):
        digest.add(Notice(START, Severity.WARNING, f"warning {number} " + "x" * 300))
    assert len(digest.packed()) < 10_000
    assert len(list(unpack(digest.packed()))) == 100


def test_huge_or_damaged_journals_are_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        list(unpack(gzip.compress(b" " * (LONGEST_UNPACKED + 1))))
    for broken in (b"", b"\x1f\x8b", b"nonsense", gzip.compress(b"x")[:-4]):
        assert Follower().journal(broken) == []


@pytest.mark.looptime
async def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    night, state = await small_night(tmp_path), DashboardState()
    frame = night.of(FrameAccepted)[0]
    state.apply(replace(frame, statistics=replace(frame.statistics, level_adu=float("nan"))))
    assert check("state", state_document(state, START))["level_adu"] is None


def test_pause_is_published() -> None:
    state = DashboardState()
    for event, is_paused in ((NightPaused(START), True), (NightResumed(START), False)):
        state.apply(event)
        assert check("state", state_document(state, START))["paused"] is is_paused


def test_the_state_contains_whether_the_lights_calibrate_clean() -> None:
    state = DashboardState()
    assert check("state", state_document(state, START))["lights"] is None
    clean = LightsVerified(START, Verified.LIGHTS, "Ha", 300.0, 12, Cleanness.CLEAN)
    state.apply(clean)
    lights = check("state", state_document(state, START))["lights"]
    assert (lights["clean"], lights["text"]) == (True, "Your lights calibrate cleanly.")
    artifact = Artifact(Kind.DUST, "dust " * 200, 9.0, "px", math.inf, 30.0, "e", "f", Remedy.NEW_FLATS)
    state.apply(replace(clean, filter="OIII", cleanness=Cleanness.FAULTY, artifacts=(artifact,)))
    lights = check("state", state_document(state, START))["lights"]
    assert lights["clean"] is False
    assert [(each["filter"], each["remedy"], each["size"]) for each in lights["sets"]] == [
        ("Ha", None, None),
        ("OIII", "new-flats", 9.0),
    ]


def test_long_texts_are_cut() -> None:
    state = DashboardState()
    state.apply(NightEnded(START, NightOutcome.ABORTED, "x" * 5000))
    summary = check("state", state_document(state, START))["summary"]
    assert len(summary) == documents.LONGEST_TEXT


@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.json")))
def test_examples_follow_their_schema(name: str) -> None:
    for example in schema(name).get("examples", []):
        assert check(name, json.dumps(example)) == example


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("ZWO CCD ASI2600MM Pro", "zwo_ccd_asi2600mm_pro"),
        ("#/+", "rig"),
        ("", "rig"),
        ("Größe 2", "gr_e_2"),
        ("a" * 99, "a" * 40),
    ],
)
def test_names_become_parts_of_topics(name: str, part: str) -> None:
    assert topic_part(name) == part


def test_digest_includes_events_before_the_night() -> None:
    digest = Digest("0a1b2c3d")
    warning = Notice(START, Severity.WARNING, "the INDI server is another machine's")
    digest.add(warning)
    digest.add(NightStarted(START, "/n", "Camera", None, None, 40, 30, ()))
    assert warning in Follower().journal(digest.packed())
