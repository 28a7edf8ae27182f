"""File names, header values and messages of others reach the terminal and the log only as visible text."""

import ast
import io
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from rich.table import Table
from rich.text import Text

from coldframe.__main__ import main as start
from coldframe.calibration.library.library import Library
from coldframe.calibration.masters.integrity import file_digest
from coldframe.cli import main
from coldframe.cli.console import VisibleConsole
from coldframe.cli.terminal import VisibleStream, visible_output
from coldframe.operations.nights.night_log import NightLog
from coldframe.visible import visible

ROOT = Path(__file__).parent.parent.parent
EVIL = os.fsdecode(b"\x1b[31mRED\xc2\x9b1m\xff")
"""An escape sequence, a C1 character, and a byte that is not UTF-8."""

SHOWN = r"\x1b[31mRED\x9b1m\xff"


def evil_frame(folder: Path, number: int, kind: str, **cards: object) -> Path:
    """Write a frame whose name and header contain escape sequences, C1 characters and bytes that are not UTF-8."""
    header = fits.Header([("IMAGETYP", kind), ("INSTRUME", "ZWO ESCC1C"), ("READOUTM", "ESCC1C"), *cards.items()])
    pixels = np.random.default_rng(number).normal(1000, 8, (24, 32)).astype(np.uint16)
    fits.PrimaryHDU(pixels, header).writeto(content := io.BytesIO())
    path = folder / f"{number}{EVIL}.fits"
    path.write_bytes(content.getvalue().replace(b"ESC", b"\x1b[3").replace(b"C1C", b"\xc2\x9bm"))
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["coldframe", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    (folder := tmp_path / EVIL).mkdir()
    return folder


@pytest.fixture
def master(evil: Path) -> Path:
    return evil_frame(evil, 0, "Master Dark", STACKCNT=9, EXPTIME=300.0)


def test_what_is_not_printable_becomes_an_escape_sequence() -> None:
    assert visible("a\tb\nc\x00\x1b[0m\x9b\u202e\u00e9\U0001f52d") == r"a\tb\nc\x00\x1b[0m\x9b\u202eé🔭"
    assert visible(os.fsdecode(b"\xff\xc3\xa9")) == "\\xff\u00e9"


def test_the_stream_keeps_lines_and_escapes_everything_else() -> None:
    stream = VisibleStream(out := io.StringIO())
    print("a", EVIL, "b\n", file=stream)
    stream.writelines([EVIL, "\n"])
    assert out.getvalue() == f"a {SHOWN} b\n\n{SHOWN}\n"


def test_the_console_escapes_text_but_not_its_own_colours(capsys: pytest.CaptureFixture[str]) -> None:
    with visible_output():
        console = VisibleConsole(force_terminal=True, color_system="standard", width=60, highlight=False)
        table = Table("name", show_header=False)
        table.add_row(EVIL)
        table.add_row("short")
        console.print(table)
        console.print(EVIL, markup=False)
        console.print(Text(EVIL, "red"))
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 3
    assert f"\x1b[31m{SHOWN}\x1b[0m" in printed
    assert len({len(line) for line in printed.splitlines()[:4]}) == 1


def test_the_log_of_a_night_shows_the_bytes_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A report with the bytes that are not UTF-8 could not be sent between the processes of a test run.
    monkeypatch.setattr(logging.getLogger("coldframe"), "propagate", False)
    with NightLog(tmp_path / "coldframe.log"):
        error = ValueError(EVIL)
        logging.getLogger("coldframe.test").error("the server sent %s\nforged line", EVIL, exc_info=error)
    lines = (tmp_path / "coldframe.log").read_text("utf-8").splitlines()
    assert lines[0].endswith(rf"the server sent {SHOWN}\nforged line")
    assert lines[-1] == f"ValueError: {SHOWN}"


def test_every_command_shows_foreign_text_as_text(
    evil: Path, master: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [evil_frame(evil, number, "Dark Frame", EXPTIME=300.0) for number in (1, 2, 3)]
    light = evil_frame(evil, 4, "Light Frame", EXPTIME=300.0)
    odd = evil_frame(evil, 5, "\x3f ESC", EXPTIME=300.0)
    library = evil / "library"
    for arguments in (
        ("inspect", frames[0]),
        ("inspect", odd),
        ("combine", *frames, odd, "-o", evil / f"out{EVIL}.fits"),
        ("combine", *frames, "-o", evil / f"out{EVIL}.fits"),
        ("combine", evil / f"none{EVIL}*", "-o", evil / "none.fits"),
        ("library", "add", master, odd, "--library", library),
        ("library", "list", "--library", library),
        ("library", "verify", "--library", library),
        ("library", "show", master, "--library", library),
        ("library", "match", light, "--library", library),
        ("library", "prune", "--library", library),
        ("export", evil / "export", "--for", "siril", "--library", library),
        ("export", evil / "export", "--for", "wbpp", "--library", library, "--check"),
        ("lint", evil, "--for", "wbpp"),
        ("lint", evil, "--for", "siril", "--json"),
        ("calibrate", light, "--library", library),
        ("defects", "--dark", master, "-o", evil / "defects.fits"),
        ("camera", "--measure", evil, "--folder", evil),
        ("report", evil),
        ("verify", evil),
        ("plan", "--simulate", "--lights", evil),
        ("plan", "--config", evil / "none.toml"),
        (f"no{EVIL}", "--simulate"),
        ("inspect", f"--{EVIL}"),
    ):
        code = run(monkeypatch, *arguments)
        printed = "".join(capsys.readouterr())
        assert code in {0, 1, 2}
        assert "Traceback" not in printed, printed
        assert all(line.isprintable() for line in printed.split("\n")), (arguments, printed)


def test_an_error_that_no_command_caught_is_shown_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_arguments: list[str]) -> None:
        raise ValueError(EVIL)

    monkeypatch.setattr("coldframe.cli.command_line.app", fail)
    assert run(monkeypatch, "inspect") == 1
    assert capsys.readouterr().err.endswith(f"ValueError: {SHOWN}\n")


def test_names_that_are_not_utf_8_stay_in_the_index_of_the_library(evil: Path, tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    filed = library.file(evil_frame(evil, 0, "Master Dark", STACKCNT=9, EXPTIME=300.0))
    assert [path for path, _ in library.verify()] == [filed]
    name = filed.relative_to(library.folder).as_posix()
    with library.index.opened() as index:
        assert index.names() == {name}
        assert index.digest(name) == file_digest(filed)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--simulate", "small", "--folder"),
        ("report",),
        ("verify",),
        ("library", "list", "--library"),
        ("camera", "--measure"),
        ("inspect",),
    ],
)
def test_a_loop_of_links_gives_one_line(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (loop := tmp_path / "loop").symlink_to("loop")
    assert run(monkeypatch, *arguments, loop) == 2
    printed = capsys.readouterr()
    assert str(loop) in printed.err
    assert printed.err.count("\n") == 1


def test_a_clock_beyond_the_range_of_python_gives_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def beyond() -> float:
        raise OverflowError("timestamp too large to convert to C _PyTime_t")

    monkeypatch.setattr(time, "time", beyond)
    with pytest.raises(SystemExit) as ended:
        start()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "the computer's clock shows a date before 1678 or after 2262: set the clock\n"


def ways_to_print(path: Path) -> Iterator[str]:
    """Yield the expressions of a module that reach a terminal other than by `print`, `sys.stdout` and `sys.stderr`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="Console") | ast.Attribute(attr="Console")):
                yield "Console"
            case ast.Attribute(value=ast.Name(id="sys"), attr="__stdout__" | "__stderr__" as name):
                yield name
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr"), attr="buffer"):
                yield "buffer"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="write"), args=[ast.Constant(), *_]):
                yield "os.write"
            case ast.Call(func=ast.Name(id="plain_stream")):
                yield "plain_stream"


def test_nothing_else_prints() -> None:
    """The commands print on streams that `main` makes visible; the dashboard passes foreign text through `printable`.

    No other layer prints: ruff refuses `print` there (T201).
    """
    found = {
        (str(path.relative_to(ROOT)), way)
        for folder in ("coldframe/cli", "calibration", "capture", "config", "devices")
        for path in (ROOT / folder).rglob("*.py")
        for way in ways_to_print(path)
    }
    assert found == {
        ("coldframe/cli/console.py", "plain_stream"),
        ("capture/monitoring/dashboard/terminal.py", "Console"),
        ("capture/monitoring/dashboard/layout.py", "Console"),
    }


def test_a_list_of_choices_is_indented(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "lint", ".") == 2
    assert "\n    siril,\n" in capsys.readouterr().err
