import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldframe.config.examples import example_night
from coldframe.config.loading import MAXIMUM_BYTES, ConfigError, find_config, load_settings
from coldframe.config.settings import Settings

GOOD = example_night("cooled-mono").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


def loaded(folder: Path, content: str | bytes) -> Settings:
    path = folder / "rig.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_settings(path)


def complaints(folder: Path, content: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, content)
    return [line.removeprefix(f"{folder}/rig.toml") for line in str(caught.value).splitlines()]


def test_a_good_file_loads(folder: Path) -> None:
    assert loaded(folder, GOOD).camera.gain == 100
    assert loaded(folder, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()) == loaded(folder, GOOD)


def test_all_problems_are_reported_in_the_order_of_the_file(folder: Path) -> None:
    text = """\
[server]
port = 70000
hosst = "x"
[camera]
gain = "100"
[panel]
device = "P"
cover_for_flats = "shut"
[flats]
band = [0.5, 0.3]
setpoint_c = -10
[flats.filters."O III"]
target = 2
[cooling]
dwell_s = -1
frobnicate = { a = [1, 2] }
[[sets]]
kind = "bias"
count = 0
[[sets]]
kind = "dark"
count = 20
filter = "L"
[[sets]]
kind = "flatt"
count = 3
"""
    number = "allowed: a number from 0 up to"
    cooling = "tolerance_c, dwell_s, deadline_s, fallback_c, ramp_c_per_min, at_end, warm_ramp_c_per_min, warm_to_c"
    added = 'the noise that the master may add to a light, from "0.1 %" up to "50 %"'
    assert complaints(folder, text) == [
        ":2: server.port: found 70000; allowed: a whole number from 1 up to 65535",
        ':3: server.hosst: found an unknown key; did you mean "host"?',
        ":4: camera.device: missing; allowed: a string in quotes, 1 to 63 characters",
        ':5: camera.gain: found "100"; allowed: a number from -1000 up to 1000000',
        ':8: panel.cover_for_flats: found "shut"; allowed: "closed" or "open"',
        ":10: flats.band: found [0.5, 0.3]; allowed: two numbers, the smaller first",
        ":11: flats.setpoint_c: found an unknown key; it belongs in [camera] or [sets]",
        ':13: flats.filters."O III".target: found 2; allowed: a number above 0 and below 1',
        f":15: cooling.dwell_s: found -1; {number} 3600",
        f":16: cooling.frobnicate: found an unknown key; allowed: {cooling}",
        f":19: sets[1].count: found 0; allowed: a whole number from 1 up to 10000, or {added}",
        ":20: sets[2].exposure_s: missing; darks need the exposure of the lights, in seconds",
        ':23: sets[2].filter: found "L"; allowed: none, because no light reaches a dark frame',
        ':25: sets[3].kind: found "flatt"; allowed: "bias", "dark", "flat" or "dark-flat"',
    ]


def test_contradictions_between_tables_are_reported_with_other_problems(folder: Path) -> None:
    text = """\
sets = [{kind = "bias", count = 3},
  {kind = "flat", count = 3}]
[camera]
device = "C"
binning = 0
[server]
port = 0
host.x = 1
"""
    assert complaints(folder, text) == [
        ':2: sets[2].kind: found "flat" without a panel; allowed: with a [panel] table that names its device',
        ":5: camera.binning: found 0; allowed: a whole number from 1 up to 16",
        ":7: server.port: found 0; allowed: a whole number from 1 up to 65535",
        ":8: server.host: found a table; allowed: a string in quotes, 1 to 63 characters",
    ]


BAND = "two numbers [low, high], each a number above 0 and below 1"
NAME = "a string in quotes, 1 to 63 characters"
PRINTABLE = "printable characters, not only spaces"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ":1: camera: missing; allowed: a table"),
        ("[set]", ':1: set: found an unknown key; did you mean "sets"?'),
        ("sets = []", ":1: sets: found []; allowed: one or more tables"),
        ("sets = [[], 3]", ":1: sets[1]: found []; allowed: a table"),
        ("[flats]\nfilters = 3", ":2: flats.filters: found 3; allowed: tables"),
        ("[flats.filters]\nL = 3", ":2: flats.filters.L: found 3; allowed: a table"),
        ('[flats.filters.""]', ':1: flats.filters."": found ""; allowed: a name of 1 to 63 printable characters'),
        ("[flats]\nband = [1]", f":2: flats.band: found [1]; allowed: {BAND}"),
        ("[wheel]\nnames = []", ":2: wheel.names: found []; allowed: one or more different names"),
        ("[wheel]\nnames = [\n1]", ":2: wheel.names: found 1; allowed: a list of different strings in quotes"),
        ("[camera]\ndevice = 2024-01-01", f":2: camera.device: found 2024-01-01; allowed: {NAME}"),
        ("[camera]\ngain = nan", ":2: camera.gain: found nan; allowed: a number from -1000 up to 1000000"),
        ('[camera]\ndevice = "\\u001b[2J"', f':2: camera.device: found "\\x1b[2J"; allowed: {PRINTABLE}'),
    ],
)
def test_each_kind_of_mistake_has_its_message(folder: Path, text: str, complaint: str) -> None:
    assert complaint in complaints(folder, text)


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("[camera]\ndevice = ZWO CCD", ':2: found "device = ZWO CCD", not TOML (invalid value); allowed: '),
        ("a = 1\na = 2", ':2: found "a = 2", not TOML (cannot overwrite a value); allowed: '),
        ("a = 1\n[b", ':2: found "[b", not TOML '),
        ('a = """\n\nx', ':3: found "x", not TOML '),
        ("a = " + "9" * 5000, ":1: found 5,004 characters; allowed: up to 1,000 in a line"),
        ("a = " + "[\n" * 50_000, ": found lists or tables nested hundreds of levels deep"),
        (b"a = 1\nb = '\xff'", ":2: found the byte 0xff, which is not UTF-8; "),
        ("#\n" * (MAXIMUM_BYTES // 2 + 1), ": found more than 200,000 bytes; "),
        ("".join(f"k{n} = 1\n" for n in range(10_000)), ": found 10,001 mistakes; "),
    ],
)
def test_other_files_are_reported_in_one_line(folder: Path, text: str | bytes, beginning: str) -> None:
    (complaint,) = complaints(folder, text)
    assert complaint.startswith(beginning)


def test_a_missing_file_is_reported_with_init_as_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert find_config() == tmp_path / "coldframe" / "coldframe.toml"
    with pytest.raises(ConfigError, match=r"coldframe\.toml: no such file; `coldframe init`"):
        load_settings(find_config())


def test_unreadable_paths_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    for name, complaint in {
        "": "found a folder",
        "pipe": "found a device or pipe",
        "loop": "cannot be read: Too many levels of symbolic links",
        "a" * 300: "cannot be read: File name too long",
        "\0": "not a valid file name",
    }.items():
        with pytest.raises(ConfigError, match=complaint):
            load_settings(tmp_path / name)


def test_a_file_without_permission_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (folder / "rig.toml").write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load_settings(folder / "rig.toml")


def judged(folder: Path, content: str | bytes) -> None:
    """Load a file, or check that the error has printable lines that each name the file."""
    try:
        loaded(folder, content)
    except ConfigError as error:
        complaint = str(error)
    else:
        return
    for line in complaint.split("\n"):
        assert line.startswith(f"{folder}/rig.toml:")
        assert line.isprintable()


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_random_bytes_load_or_are_refused(folder: Path, content: bytes) -> None:
    judged(folder, content)


ROWS = GOOD.splitlines()
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return the good file with rows removed, repeated, swapped or cut, or with TOML characters inserted."""
    rows = list(ROWS)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(rows) - 1))
        other = draw(st.integers(0, len(rows) - 1))
        cut = draw(st.integers(0, len(rows[at])))
        strewn = draw(
            st.sampled_from(['"', "'", "[", "]", "{", "}", "=", ".", "\n", "#", "\\", "1e999", "-", "nan", "\x00"])
        )
        rows[at] = draw(st.sampled_from(["", rows[other], rows[at][:cut], rows[at][:cut] + strewn + rows[at][cut:]]))
    return "\n".join(rows)


@given(mutated())
@settings(deadline=None, max_examples=300)
@example(GOOD.replace("count = 100", "count = 0x" + "f" * 900))
@example(GOOD.replace("count = 100", "count = " + "9" * 900))
@example(GOOD.replace("gain = 100", "gain = " + "9" * 900))
def test_a_mutated_file_loads_or_is_refused(folder: Path, content: str) -> None:
    judged(folder, content)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(toml(each) for each in value)}]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(each):08x}" for each in value) + '"'
    return str(value).lower() if value is not None else '""'


PLACES = [
    *("camera.gain", "camera", "server.unix_socket", "wheel.names", "flats.filters", "flats.band", "flats.filters.L"),
    *("storage.folder", "sets", "cooling.at_end", "panel", "unknown"),
]


@given(st.dictionaries(st.sampled_from(PLACES), TREES, min_size=1))
@settings(deadline=None, max_examples=200)
def test_random_values_load_or_are_refused(folder: Path, values: dict[str, object]) -> None:
    judged(folder, "\n".join(f"{key} = {toml(value)}" for key, value in values.items()))


def test_the_line_of_a_problem_is_that_of_its_key(folder: Path) -> None:
    for number, row in enumerate(ROWS, start=1):
        key, equals, _ = row.partition(" = ")
        if equals and not row.startswith("#"):
            wrong = "\n".join([*ROWS[: number - 1], f"{key} = {{}}", *ROWS[number:]])
            assert tomllib.loads(wrong)
            (complaint,) = complaints(folder, wrong)
            assert complaint.startswith(f":{number}: ")
            assert f"{key}: found a table; allowed: " in complaint
