"""Tests against other programs. If a program is missing, its tests are skipped, and the summary reports this."""

import os
import shutil
import subprocess
import sys

import pytest

from coldframe.calibration.library.library import Library
from tests.outside.observatory import Observatory

NO_SIRIL = "siril-cli is not installed (Debian package siril): nothing was compared with Siril"
NO_CCDPROC = (
    "CCDPROC_PYTHON names no Python that has ccdproc (python3 -m venv DIR; DIR/bin/pip install ccdproc;"
    " CCDPROC_PYTHON=DIR/bin/python): nothing was compared with ccdproc"
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in (NO_SIRIL, NO_CCDPROC):
        skipped = [each for each in terminalreporter.stats.get("skipped", []) if reason in str(each.longrepr)]
        if skipped:
            terminalreporter.write_sep("!", f"{len(skipped)} SKIPPED: {reason}", red=True, bold=True)


@pytest.fixture(scope="session")
def siril() -> str:
    program = shutil.which("siril-cli")
    if program is None:
        pytest.skip(NO_SIRIL)
    return program


@pytest.fixture(scope="session")
def ccdproc_python() -> str:
    python = os.environ.get("CCDPROC_PYTHON", sys.executable)
    if shutil.which(python) is None or subprocess.run([python, "-c", "import ccdproc"], check=False).returncode:
        pytest.skip(NO_CCDPROC)
    return python


@pytest.fixture(scope="session", params=["small", "cooled-osc"])
def observatory(request: pytest.FixtureRequest) -> Observatory:
    return Observatory(request.param)


@pytest.fixture(scope="session")
def library(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp(observatory.rig)
    library = Library(folder / "library")
    for master in observatory.masters(folder / "masters"):
        library.file(master)
    return library
