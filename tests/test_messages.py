"""Messages are for people, so that no code may make decisions by the text of a message.

These tests identify a message by its name or attribute (`event.text`, `summary`, `str(error)`). Neither the sources nor
the oracle of the simulated nights may split a message, search in it, or compare it with a literal.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("capture", "calibration", "devices", "simulators", "config", "coldframe/cli")
EXEMPT = {"capture/storage/old_journals.py"}
"""Derives fields from the sentences of old journals, which have nothing else."""

MESSAGES = {"message", "reason", "summary", "sentence", "title", "verdict"}
ATTRIBUTES = MESSAGES | {"text", "output", "fault"}
"""`text` as a plain name is often a file's content or a setting, so it counts only as an attribute."""

SEARCHES = {
    "startswith",
    "endswith",
    "find",
    "rfind",
    "index",
    "rindex",
    "count",
    "removeprefix",
    "removesuffix",
    "partition",
    "rpartition",
    "split",
    "rsplit",
}
PATTERNS = {"match", "fullmatch", "search", "findall", "finditer"}


def sources() -> list[Path]:
    found = [path for folder in ("capture", "devices", "coldframe/cli") for path in (ROOT / folder).rglob("*.py")]
    exempt = {ROOT / path for path in EXEMPT}
    return sorted({*found, ROOT / "tests/nights/oracle.py"} - exempt)


def is_message(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr=name):
            return name in ATTRIBUTES
        case ast.Name(id=name):
            return name in MESSAGES
        case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id="error" | "failure" | "exception" | "problem")]):
            return True
        case ast.Call(func=ast.Attribute(attr="lower" | "strip" | "casefold", value=inner)):
            return is_message(inner)
        case ast.Call(func=ast.Name(id="printable"), args=[inner]):
            return is_message(inner)
    return False


def is_text(node: ast.expr) -> bool:
    """Return whether an expression is a text written in the code: a literal, or a constant by its name."""
    match node:
        case ast.Constant(value=str(value)):
            return value != ""
        case ast.JoinedStr():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
    return False


def decisions(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the places where the text of a message is looked into."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in SEARCHES and is_message(value):
                yield node
            case ast.Call(func=ast.Attribute(attr=name), args=args) if name in PATTERNS and any(map(is_message, args)):
                yield node
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]) if is_message(right) or (
                is_message(left) and isinstance(right, ast.Set | ast.List | ast.Tuple)
            ):
                yield node
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]) if (
                is_message(left) and is_text(right)
            ) or (is_message(right) and is_text(left)):
                yield node


def test_no_code_looks_into_the_text_of_a_message() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in sources()
        for node in decisions(ast.parse(path.read_text("utf-8")))
    }
    assert found == set()


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the strings of a module that are not documentation."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


def test_no_message_refers_to_a_guide_that_is_not_installed() -> None:
    """The package does not contain the folder docs; messages refer to `coldframe explain` instead."""
    modules = [path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py")]
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for path in modules
        for node in texts(ast.parse(path.read_text("utf-8")))
        if re.search(r"\bdocs/|\.md\b", str(node.value))
    }
    assert found == set()


def test_the_exempt_module_needs_its_exemption() -> None:
    for path in EXEMPT:
        assert list(decisions(ast.parse((ROOT / path).read_text("utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        'summary.endswith("the rig is safe")',
        'event.text.endswith("; trying again")',
        'reason.startswith("by request")',
        "event.reason == NIGHT_WAS_ENDED",
        'step.planned.title.partition(" ")[0]',
        '"did not" in event.summary',
        'str(error).startswith("no")',
        're.match("cool to", step.title)',
        "_COOL.fullmatch(step.title)",
        'told.text.lower() == "paused"',
        'word.reason in {"by request", "no time"}',
    ],
)
def test_the_check_finds_it(code: str) -> None:
    assert len(list(decisions(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "event.skipped_by is SkippedBy.USER",
        "reason != told",
        'reason == ""',
        "len(event.text) > 500",
        "title or 'step'",
    ],
)
def test_the_check_leaves_alone_what_decides_nothing(code: str) -> None:
    assert list(decisions(ast.parse(code))) == []
