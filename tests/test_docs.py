"""All links in the README and the guides have targets, and all commands and options in them exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from coldframe.calibration.frames import spellings
from coldframe.cli import app

ROOT = Path(__file__).parent.parent
PAGES = tuple(sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]))

LONGEST_PAGE_LINES = 260

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
CALL = re.compile(r"(?:^|[\s/`(])coldframe (?P<words>[a-z].*)$")
OPTION = re.compile(r"(?<=\s)--[a-z][a-z-]*")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def links(page: Path) -> list[str]:
    prose = SPAN.sub("", FENCE.sub("", page.read_text("utf-8")))
    return [link for link in LINK.findall(prose) if not link.startswith(("https://", "http://"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, in the form that GitHub and others use."""
    headings = HEADING.findall(FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words after each `coldframe` in the code of a page: a command and its arguments."""
    lines = [line for block in FENCE.findall(text) for line in block.splitlines()[1:-1]]
    spans = [" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text))]
    for line in [*lines, *spans]:
        if found := CALL.search(re.split(r"(?:^| +)# ", line)[0].strip()):
            yield found["words"].split()


def faults(words: list[str]) -> Iterator[str]:
    """Yield the commands and options in a call that do not exist."""
    command: Any = typer.main.get_command(app)
    used = ["coldframe"]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            yield f"{' '.join(used)} {words[0]}"
            return
        used.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for option in OPTION.findall(f" {' '.join(words)}"):
        if option not in {*known, "--help"}:
            yield f"{' '.join(used)} {option}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_have_targets(page: Path) -> None:
    lost = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_there = target.is_relative_to(ROOT) and target.exists()
        if not is_there or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    assert [fault for words in calls(page.read_text("utf-8")) for fault in faults(words)] == []


def test_the_index_lists_every_guide() -> None:
    listed = {link.partition("#")[0] for link in links(ROOT / "docs" / "README.md")}
    guides = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md", "index.md"}
    assert guides - listed == set()


def test_the_site_lists_every_page_once() -> None:
    lists = re.findall(
        r"^```{toctree}\n(.*?)^```$", (ROOT / "docs" / "index.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    entries = [line for each in lists for line in each.splitlines() if line and not line.startswith(":")]
    named = [re.sub(r".*<(.+)>$", r"\1", entry) for entry in entries]
    listed = [page for name in named for page in (ROOT / "docs").glob(f"{name}.md")]
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert sorted(listed) == sorted(pages - {ROOT / "docs" / "README.md", ROOT / "docs" / "index.md"})
    assert len(named) == len({page for page in listed if "decisions" not in page.parts}) + 1


def test_pages_are_no_longer_than_a_person_reads() -> None:
    lines = {name(page): page.read_text("utf-8").count("\n") for page in PAGES if page.parent == ROOT / "docs"}
    assert {page: count for page, count in lines.items() if count > LONGEST_PAGE_LINES} == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("`coldframe dance`", ["coldframe dance"]),
        ("`coldframe\nlibrary\nburn`", ["coldframe library burn"]),
        ("```sh\ncoldframe run --simulate --slowly   # coldframe sing\n```", ["coldframe run --slowly"]),
        ("```sh\nssh -t observatory /opt/coldframe/bin/coldframe watch\n```", []),
        ("coldframe takes over", []),
    ],
)
def test_missing_commands_and_options_are_found(text: str, wanted: list[str]) -> None:
    assert [fault for words in calls(text) for fault in faults(words)] == wanted


def test_the_guide_to_foreign_files_lists_every_keyword() -> None:
    page = (ROOT / "docs" / "foreign-files.md").read_text("utf-8")
    values = [value for name, value in vars(spellings).items() if name.isupper() and not name.startswith("_")]
    keywords = {keyword for value in values for keyword in flattened(value)}
    assert {keyword for keyword in keywords if not re.search(rf"\b{re.escape(keyword)}\b", page)} == set()


def flattened(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from flattened(each)
