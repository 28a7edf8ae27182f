"""What all tests share: stock programs are asked for by marker, and their absence is said loudly."""

import shutil

import pytest

NO_INDI = "indiserver is not installed (Debian package indi-bin): nothing was tried against real INDI servers"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("indiserver") is None:
        for item in items:
            if item.get_closest_marker("indi"):
                item.add_marker(pytest.mark.skip(NO_INDI))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_INDI in str(report.longrepr)]
    if skipped:
        terminalreporter.write_sep("!", f"{len(skipped)} SKIPPED: {NO_INDI}", red=True, bold=True)
