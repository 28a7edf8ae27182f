"""Output of `plan` and `run --lights`, and the hooks around a run."""

import gc
import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coldframe.calibration.library.library import Library
from coldframe.capture.host import rig_lock
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.operations.nights.request import NightRequest
from tests.capture.planning.headers import EVENING, night_of_lights, nina, save
from tests.outside.observatory import Observatory
from tests.patience import PATIENCE_S

RIG = """
[camera]
device = "ZWO CCD ASI2600MM Pro"
gain = 100
offset = 50
setpoint_c = -10.0
[panel]
device = "P"
[wheel]
device = "W"
names = ["L", "R", "G", "B", "Ha"]
[server]
port = 1
unix_socket = ""
"""
SETS = """
[[sets]]
kind = "bias"
count = 50
"""


@pytest.fixture(autouse=True)
def locks_of_this_test_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the locks in a private folder, because tests of other files may lock the rig on port 1 at the same time."""
    monkeypatch.setattr(rig_lock, "FOLDERS", (tmp_path,))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "coldframe.toml"
    path.write_text(f'{RIG}\n[storage]\nfolder = "{tmp_path / "storage"}"\n', "utf-8")
    return path


@pytest.fixture
def lights(tmp_path: Path) -> Path:
    return night_of_lights(tmp_path / "lights")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def test_garbage_is_collected_again_after_a_plan(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text(RIG + SETS)
    assert run("plan", "--config", tmp_path / "night.toml").exit_code == ExitCode.DONE
    assert gc.isenabled()


def test_the_table_has_every_set_and_fits_80_columns(config: Path, lights: Path) -> None:
    shown = run("plan", "--config", config, "--lights", lights)
    assert shown.exit_code == ExitCode.DONE
    assert max(map(len, shown.stdout.splitlines())) <= 80
    rows = [line.split() for line in shown.stdout.splitlines() if "to shoot" in line]
    assert [" ".join(row[: row.index("C") - 2]) for row in rows] == [
        "bias",
        *(f"{kind} {name}" for name in ("Ha", "L", "R", "G") for kind in ("dark flat", "flat")),
        "dark 120 s", "dark 300 s", "dark 120 s", "dark 300 s",
    ]  # fmt: skip
    assert "Plan for ZWO CCD ASI2600MM Pro, for 40 lights" in shown.stdout
    assert "warm up" in shown.stdout


def test_long_names_of_sets_leave_the_other_columns_whole(
    config: Path, lights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    config.write_text(config.read_text("utf-8").replace("gain = 100\noffset = 50\n", ""), "utf-8")
    shown = run("plan", "--config", config, "--lights", lights)
    assert shown.exit_code == ExitCode.DONE
    assert "gain 100" in shown.stdout
    assert all(word in shown.stdout for word in ("frames", "sensor", "lights", "from", "about", "until", "to shoot"))
    assert "…" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_json_contains_the_same_plan(config: Path, lights: Path) -> None:
    plan = json.loads(run("plan", "--config", config, "--lights", lights, "--json").stdout)
    frames = [(step["title"], step["frames"], step["lights"]) for step in plan["steps"] if "kind" in step]
    assert frames[0] == ("bias", 100, 40)
    assert frames[-1] == ("dark 300 s", 30, 5)
    assert sum(step["estimate_s"] for step in plan["steps"]) > 4 * 30 * 120
    assert (plan["lights"], plan["deadline"], plan["library"]) == (40, None, [])


def test_a_deadline_shortens_the_plan_and_reports_it(
    config: Path, lights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    config.write_text(config.read_text("utf-8") + "[site]\nlatitude_deg = 0\nlongitude_deg = 0\n", "utf-8")
    plan = json.loads(run("plan", "--config", config, "--lights", lights, "--json").stdout)
    assert plan["deadline"] is not None
    minute_ago = plan["steps"][0]["ends"][11:16]
    shown = run("plan", "--config", config, "--lights", lights, "--until", minute_ago).stdout
    assert "the last frame must be complete by" in shown


def test_a_deadline_keeps_its_day_after_a_long_wait_and_a_change_of_clocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        request = NightRequest(until=datetime(1900, 1, 1, 6, 30))  # noqa: DTZ001 - a time of day, as it is typed
        asked, over = datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 3, 29, 5, tzinfo=UTC)
        deadline = request.deadline(load_settings(example_night("small")), asked, over)
        assert deadline == datetime(2026, 3, 29, 4, 30, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_masters_in_the_library_are_listed(config: Path, tmp_path: Path) -> None:
    observatory = Observatory(width=64, height=48)
    folder = tmp_path / "lights"
    observatory.light(folder / "light.fits")
    text = config.read_text("utf-8").replace("ZWO CCD ASI2600MM Pro", "Coldframe Camera")
    config.write_text(f"{text}\n[lights]\nfresh_flat_days = 30.0\n", "utf-8")
    library = Library(tmp_path / "storage" / "library")
    masters = observatory.masters(tmp_path / "masters")
    for path in masters[:2]:
        library.file(path)
    shown = run("plan", "--config", config, "--lights", folder).stdout
    assert "in the library: bias: MasterBias_" in shown
    assert "in the library: dark 60 s: MasterDark_" in shown
    assert [line.split("  ")[1] for line in shown.splitlines() if "to shoot" in line] == ["dark flat L", "flat L"]
    library.file(masters[3])
    shown = run("plan", "--config", config, "--lights", folder).stdout
    assert " to shoot  " not in shown
    assert "nothing to shoot: the library has everything that these lights need" in shown


def test_redo_shoots_what_the_library_has(config: Path, tmp_path: Path) -> None:
    observatory = Observatory(width=64, height=48)
    folder = tmp_path / "lights"
    observatory.light(folder / "light.fits")
    text = config.read_text("utf-8").replace("ZWO CCD ASI2600MM Pro", "Coldframe Camera")
    config.write_text(f"{text}\n[lights]\nfresh_flat_days = 30.0\n", "utf-8")
    for path in observatory.masters(tmp_path / "masters"):
        Library(tmp_path / "storage" / "library").file(path)
    there = run("plan", "--config", config, "--lights", folder, "--only", "flats:L").stdout
    assert "use --redo to shoot it again" in there
    assert [line.split(":")[1] for line in there.splitlines() if line.startswith("in the library")] == [" flat L"]
    again = run("plan", "--config", config, "--lights", folder, "--only", "flats:L", "--redo", "--json").stdout
    steps = [step["title"] for step in json.loads(again)["steps"] if "kind" in step]
    assert steps == ["dark flat L", "flat L"]


FLAT_SETS = """
[[sets]]
kind = "flat"
filter = "Ha"
count = 20
[[sets]]
kind = "flat"
filter = "L"
count = 20
"""


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--only", "flats:Ha"], ["bias", "flat Ha"]),
        (["--skip", "flats:Ha"], ["bias", "flat L"]),
        (["--only", "bias", "--only", "flats:L"], ["bias", "flat L"]),
    ],
)
def test_chosen_sets_are_planned(config: Path, options: list[str], wanted: list[str]) -> None:
    config.write_text(config.read_text("utf-8") + SETS + FLAT_SETS, "utf-8")
    plan = json.loads(run("plan", "--config", config, "--json", *options).stdout)
    assert [step["title"] for step in plan["steps"] if "kind" in step] == wanted


@pytest.mark.parametrize("command", [["plan"], ["run", "--dry-run"], ["run"]])
def test_an_impossible_choice_gives_one_line_with_the_choices(command: list[str], config: Path) -> None:
    config.write_text(config.read_text("utf-8") + SETS + FLAT_SETS, "utf-8")
    refused = run(*command, "--config", config, "--only", "flats:Hb")
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert refused.stderr == "--only flats:Hb: the plan has no such filter; choices: Ha, L\n"


def test_skipped_files_are_reported(config: Path, lights: Path) -> None:
    save(lights / "guide.fits", nina("L", 2.0, 0.0, EVENING) | {"INSTRUME": "ZWO ASI120MM"})
    save(lights / "oiii.fits", nina("OIII", 120.0, 0.0, EVENING))
    (lights / "broken.fits").write_bytes(b"SIMPLE")
    words = run("plan", "--config", config, "--lights", lights).stdout.split()
    shown = " ".join(words)
    assert "skipped: 1 file from a different camera (ZWO ASI120MM)" in shown
    assert "broken.fits" in "".join(words)  # a long path may be wrapped anywhere
    assert "no flats for 1 light through OIII: the wheel has only L, R, G, B, Ha" in shown


@pytest.mark.parametrize("command", [["plan"], ["run", "--dry-run"], ["run"]])
def test_without_sets_and_lights_there_is_nothing_to_plan(command: list[str], config: Path) -> None:
    refused = run(*command, "--config", config)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert (
        refused.stderr
        == f"{config}: sets: missing; allowed: one or more [[sets]] tables, or the option --lights FOLDER\n"
    )


def test_lights_take_precedence_over_sets_with_a_message(config: Path, lights: Path) -> None:
    config.write_text(config.read_text("utf-8") + SETS, "utf-8")
    shown = run("run", "--dry-run", "--config", config, "--lights", lights)
    assert shown.exit_code == ExitCode.DONE
    assert "ignoring the configured [[sets]]" in shown.stderr
    assert "dark 300 s" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lights", "/nowhere"], "/nowhere: no such folder"),
        (["--lights", "."], "no lights; found no such files"),
        (["--until", "half past six"], "half past six is not a time of day"),
    ],
)
def test_bad_input_gives_one_line(
    arguments: list[str], said: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    refused = run("plan", "--config", config, *arguments)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert said in refused.stderr


def test_watch_needs_lights(config: Path) -> None:
    refused = run("run", "--config", config, "--watch")
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "needs --lights" in refused.stderr


# ---- hooks ----


def hooks(config: Path, before: list[str], after: list[str]) -> None:
    tables = f"\n[hooks]\nbefore = [{json.dumps(before)}]\nafter = [{json.dumps(after)}]\n"
    config.write_text(config.read_text("utf-8") + tables, "utf-8")


def writes(path: Path) -> list[str]:
    return [sys.executable, "-c", f"open({str(path)!r}, 'a').write('ran ')"]


def test_a_failing_before_hook_prevents_the_night_and_the_roof_is_closed(config: Path, tmp_path: Path) -> None:
    hooks(config, [sys.executable, "-c", "raise SystemExit(4)"], writes(tmp_path / "closed"))
    ended = run("run", "--config", config, "--lights", tmp_path)
    assert ended.exit_code == ExitCode.BAD_INPUT
    assert "failed with exit status 4; nothing was moved" in ended.stderr
    assert (tmp_path / "closed").read_text() == "ran "
    assert not (tmp_path / "storage").exists()


def test_the_roof_is_closed_without_a_rig(config: Path, tmp_path: Path) -> None:
    hooks(config, writes(tmp_path / "parked"), writes(tmp_path / "closed"))
    ended = run("run", "--config", config, "--lights", tmp_path, "--simulate", "nowhere")
    assert ended.exit_code == ExitCode.BAD_INPUT
    assert "nowhere: neither a file nor a shipped rig" in ended.stderr
    assert (tmp_path / "parked").read_text() == (tmp_path / "closed").read_text() == "ran "


def test_a_roof_that_does_not_close_is_reported(config: Path, tmp_path: Path) -> None:
    hooks(config, ["/nowhere/park-mount"], ["/nowhere/close-roof"])
    ended = run("run", "--config", config, "--lights", tmp_path)
    assert ended.exit_code == ExitCode.BAD_INPUT
    assert ended.stderr.splitlines() == [
        "the command after the night (/nowhere/close-roof) cannot be run (No such file or directory)",
        (
            "the command before the night (/nowhere/park-mount) cannot be run (No such file or directory); "
            "nothing was moved"
        ),
    ]


def test_ctrl_c_ends_the_wait_at_once_and_runs_no_hooks(config: Path, tmp_path: Path) -> None:
    hooks(config, writes(tmp_path / "parked"), writes(tmp_path / "closed"))
    (tmp_path / "lights").mkdir()
    arguments = ["run", "--config", config, "--lights", tmp_path / "lights", "--watch"]
    waiting = subprocess.Popen(
        [sys.executable, "-m", "coldframe", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stdout is not None
    assert "waiting for the end of the night: no light yet" in waiting.stdout.readline()
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=PATIENCE_S)
    assert (waiting.returncode, said) == (130, "")
    assert not (tmp_path / "parked").exists()
    assert not (tmp_path / "closed").exists()


@pytest.mark.deep
def test_a_simulated_night_for_simulated_lights(tmp_path: Path) -> None:
    lights, config = tmp_path / "lights", tmp_path / "coldframe.toml"
    given = ["--config", config, "--simulate", "small", "--lights", lights]
    config.write_text(f'{example_night("small").read_text("utf-8")}[storage]\nfolder = "{tmp_path / "night"}"\n')
    hooks(config, writes(tmp_path / "parked"), writes(tmp_path / "closed"))
    assert run("simulate", "small", "--lights", lights).exit_code == ExitCode.DONE
    ended = run("run", *given, "--json")
    assert ended.exit_code == ExitCode.DONE, ended.stderr
    assert "ignoring the configured [[sets]]" in ended.stderr
    events = [json.loads(line)["event"] for line in ended.stdout.splitlines()]
    assert (events[0], events[-2:]) == ("hook-ended", ["night-ended", "hook-ended"])
    (folder,) = (tmp_path / "night").glob("20*")
    assert len(list(folder.glob("masters/*.fits"))) == 6
    journal = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["event"] for line in journal] == events
    assert f"report: {folder / 'report.html'}" in ended.stderr
    assert json.loads((folder / "report.json").read_text("utf-8"))["masters_made"] == 6
    assert (tmp_path / "parked").read_text() == (tmp_path / "closed").read_text() == "ran "
    again = run("run", *given)
    assert again.exit_code == ExitCode.DONE
    assert "nothing to shoot" in again.stderr
