"""The numbers in the report of a simulated night, compared with the journal, and the report in a browser."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.calibration.files.frame_file import read_pixels
from coldframe.calibration.masters.reading import read_master
from coldframe.calibration.measuring.statistics import measure
from coldframe.capture.monitoring.report.making import MadeReport, make_report
from coldframe.capture.storage.journal import encode_event, is_journalled
from tests.capture.monitoring.report.browser import browse, needs_chromium
from tests.nights.nights import NightRun, run_night
from tests.nights.test_troubled_nights import SMALL, Repeating, Rigged, short

pytestmark = pytest.mark.looptime

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
LARGEST_PAGE = 5_000_000


async def night_with_rejects(folder: Path) -> tuple[NightRun, MadeReport]:
    """Run a night with two rejected darks, and make its report."""
    night = await run_night(short(), SMALL, folder, Rigged(camera=Repeating))
    lines = [encode_event(event) + "\n" for event in night.events if is_journalled(event)]
    (night.folder / "journal.jsonl").write_text("".join(lines), "ascii")
    return night, make_report(night.folder, zone=UTC, now=NOW)


class Journal:
    """The lines of a journal, read without coldframe."""

    def __init__(self, folder: Path) -> None:
        text = (folder / "journal.jsonl").read_text("ascii")
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def of(self, name: str, **fields: object) -> list[dict[str, Any]]:
        found = (line for line in self.lines if line["event"] == name)
        return [line for line in found if all(line[key] == value for key, value in fields.items())]


def level_of_file(path: str) -> float:
    """Return the level of a rejected frame, which the journal does not contain."""
    return measure(read_pixels(Path(path))).statistics.level_adu


def numbers_of(value: object) -> Iterator[float]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers_of(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


async def test_every_number_agrees_with_the_journal(tmp_path: Path) -> None:
    night, _ = await night_with_rejects(tmp_path)
    twin = json.loads((night.folder / "report.json").read_text("utf-8"))
    journal = Journal(night.folder)
    (started,), (ended,) = journal.of("night-started"), journal.of("night-ended")

    assert twin["format"] == "coldframe-report-1"
    assert (twin["began"], twin["ended"]) == (started["at"], ended["at"])
    assert twin["frames_accepted"] == len({line["path"] for line in journal.of("frame-accepted")})
    assert twin["frames_rejected"] == len({line["path"] for line in journal.of("frame-rejected")}) == 2
    assert twin["masters_made"] == len(journal.of("master-written")) == twin["masters_planned"]

    planned = [step for step in started["steps"] if step["kind"] is not None]
    assert len(planned) == len(twin["sets"])
    for step, made in zip(planned, twin["sets"], strict=True):
        number = step["number"]
        judged = [
            line
            for line in journal.lines
            if line["event"] in {"frame-accepted", "frame-rejected"} and line["step"] == number
        ]
        assert made["title"] == step["title"]
        assert [frame["at"] for frame in made["frames"]] == [line["at"] for line in judged]
        for frame, line in zip(made["frames"], judged, strict=True):
            assert str(night.folder / frame["path"]) == line["path"]
            level_adu = line["statistics"]["level_adu"] if "statistics" in line else level_of_file(line["path"])
            assert frame["level_adu"] == level_adu
            assert frame["noise_adu"] == line.get("statistics", {}).get("noise_adu")
            assert frame["rejected"] == line.get("reason", "")
            assert line["event"] == "frame-rejected" or frame["sensor_c"] == line["sensor_c"]
        grown = journal.of("master-grew", step=number)
        assert [(each["frames"], each["noise_adu"]) for each in made["growth"]] == [
            (line["frames"], line["noise_adu"]) for line in grown
        ]
        (line,) = journal.of("master-written", step=number)
        (master,) = made["masters"]
        assert {key: master[key] for key in ("frames", "level", "noise", "rejected_fraction")} == {
            key: line[key] for key in ("frames", "level", "noise", "rejected_fraction")
        }
        resized = journal.of("pedestal-decided", step=number)
        assert made["planned"] == (resized[-1]["count"] if resized else step["count"])

    tests = [test for tuning in twin["tunings"] for test in tuning["tests"]]
    assert [test["level_adu"] for test in tests] == [line["level_adu"] for line in journal.of("flat-tested")]
    assert [tuning["exposure_s"] for tuning in twin["tunings"]] == [
        line["exposure_s"] for line in journal.of("flat-tuned")
    ]
    readings = {(line["at"], line["sensor_c"]) for line in journal.of("temperature-read")}
    assert {(reading["at"], reading["sensor_c"]) for reading in twin["temperature"]} <= readings
    measured = journal.of("camera-measured")
    assert [each["curve"] for each in twin["cameras"]] == [line["curve"] for line in measured]


async def test_the_time_budget_is_that_of_the_journal(tmp_path: Path) -> None:
    night, _ = await night_with_rejects(tmp_path)
    budget = json.loads((night.folder / "report.json").read_text("utf-8"))["time"]
    journal = Journal(night.folder)
    began, ended = (datetime.fromisoformat(journal.of(name)[0]["at"]) for name in ("night-started", "night-ended"))
    assert budget["length_s"] == pytest.approx((ended - began).total_seconds(), abs=1e-6)
    assert sum(budget["spent"].values()) == pytest.approx(budget["length_s"], abs=1e-6)
    # Two darks of two seconds were rejected; all other exposures count.
    exposed = sum(line["exposure_s"] for line in journal.of("exposure-started"))
    assert budget["spent"]["exposing_s"] == pytest.approx(exposed - 2 * 2.0, abs=1e-3)
    assert budget["spent"]["lost_s"] == pytest.approx(2 * (2.0 + 0.1), abs=0.05)


async def test_statistics_of_the_pixels_match_the_master_files(tmp_path: Path) -> None:
    _, made = await night_with_rejects(tmp_path)
    masters = [master for each in made.report.sets for master in each.masters]
    for master in masters:
        assert master.look is not None
        mean = read_master(made.page.parent / master.path).mean
        assert (master.look.minimum, master.look.maximum) == (mean.min(), mean.max())
        assert master.look.median == pytest.approx(np.median(mean), rel=1e-6)
        assert sum(master.look.histogram.counts) == mean.size
    assert made.faults == ()


@needs_chromium
async def test_a_browser_displays_it_without_messages(tmp_path: Path) -> None:
    _, made = await night_with_rejects(tmp_path)
    assert made.page.stat().st_size < LARGEST_PAGE
    document, console = browse(made.page)
    assert console == []
    assert f"<span>{made.report.verdict.sentence}</span></h1>" in document
    assert document.count('<img src="data:image/png') == 2 * len(made.report.sets)
    assert document.count("rejected</span>") >= 2
    # The figures on the page are those of the JSON file.
    twin = json.loads((made.page.parent / "report.json").read_text("utf-8"))
    shown = set(re.findall(r">([\d.,]+)(?: ADU)?</td>", document))
    assert {
        f"{each['level_adu']:,.0f}"
        for tuning in twin["tunings"]
        for each in tuning["tests"]
        if each["level_adu"] > 10_000
    } <= shown
    assert len(list(numbers_of(twin))) > 500
