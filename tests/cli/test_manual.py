"""The manual page and the completion of the shells."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from coldframe.cli import app
from coldframe.cli.command_line import COMMANDS
from coldframe.cli.manual import manual_page
from tests.patience import PATIENCE_S


def test_the_manual_page_has_every_command_and_option() -> None:
    page = manual_page().replace("\\-", "-")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group
    for name, command in commands.items():
        for inner_name, inner in getattr(command, "commands", {"": command}).items():
            if inner.hidden:
                continue
            title = f"coldframe {name} {inner_name}".rstrip()
            section = page.partition(f'.SH "{title}"\n')[2].partition("\n.SH ")[0]
            options = [option for each in inner.params for option in each.opts if option.startswith("-")]
            assert [option for option in options if option not in section and option != "--help"] == [], title
    assert len(COMMANDS) < page.count("\n.SH ")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_formats_the_manual_page_without_a_warning() -> None:
    formatted = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=manual_page(), capture_output=True, text=True, check=True
    )
    assert formatted.stderr == ""
    assert "coldframe run" in formatted.stdout


def completed(shell: str, **words: str) -> str:
    """Return the answer to a shell that completes the words."""
    variables = {**os.environ, "_COLDFRAME_COMPLETE": f"complete_{shell}", **words}
    program = "import sys; sys.argv = ['coldframe']; from coldframe.__main__ import main; main()"
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return ended.stdout


def test_bash_completes_commands_and_options() -> None:
    assert completed("bash", COMP_WORDS="coldframe lib", COMP_CWORD="1").split() == ["library"]
    assert completed("bash", COMP_WORDS="coldframe run --da", COMP_CWORD="2").split() == ["--dashboard"]


def test_fish_gets_the_help_after_a_tab() -> None:
    words = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": "coldframe run --dr"}
    assert completed("fish", **words) == "--dry-run\tOnly show the plan, with times.\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_accepts_the_completion_script(tmp_path: Path) -> None:
    variables = {**os.environ, "_COLDFRAME_COMPLETE": "source_bash"}
    program = "import sys; sys.argv = ['coldframe']; from coldframe.__main__ import main; main()"
    script = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, check=True).stdout
    (tmp_path / "completion").write_bytes(script)
    shown = subprocess.run(
        ["bash", "-c", f"source {tmp_path}/completion && complete -p coldframe"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_coldframe_completion coldframe" in shown.stdout


@pytest.mark.parametrize("words", [[], ["run"], ["library", "list"]])
def test_every_command_accepts_h(words: list[str]) -> None:
    texts = [
        subprocess.run([sys.executable, "-m", "coldframe", *words, option], capture_output=True, text=True, check=True)
        for option in ("-h", "--help")
    ]
    assert texts[0].stdout == texts[1].stdout != ""
