"""The fault matrix and the threat table name modules and tests that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("capture", "calibration", "devices", "config", "simulators")
CODE = {path.with_suffix("").as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*")}
TESTS = {path.with_suffix("").as_posix() for path in (ROOT / "tests").rglob("*")}

SPAN = re.compile(r"`([^`]+)`")


def rows(page: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a page's tables."""
    for line in (ROOT / "docs" / page).read_text("utf-8").splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def missing(cell: str, known: set[str]) -> list[str]:
    """Return the names in a cell that are no path, nor the end of one."""
    return [name for name in SPAN.findall(cell) if not any(path.endswith("/" + name.rstrip("/")) for path in known)]


def test_every_fault_has_code_and_a_test() -> None:
    faults = [row for row in rows("faults.md") if row[0].isdigit()]
    assert sorted(int(row[0]) for row in faults) == list(range(1, 58))
    assert [name for row in faults for name in missing(row[4], CODE)] == []
    assert [name for row in faults for name in missing(row[5], TESTS)] == []
    assert [row[0] for row in faults if not SPAN.findall(row[5])] == []


def test_every_threat_has_a_test() -> None:
    threats = [row for row in rows("security.md") if len(row) == 3][1:]
    assert len(threats) > 15
    assert [name for row in threats for name in missing(row[2], TESTS)] == []
    assert [row[0] for row in threats if not SPAN.findall(row[2])] == []


@pytest.mark.parametrize(("cell", "wanted"), [("`capture/nowhere`, `night/night`", ["capture/nowhere"]), ("-", [])])
def test_a_missing_name_is_found(cell: str, wanted: list[str]) -> None:
    assert missing(cell, CODE) == wanted
