"""The layout of the repository, on which packaging, type checkers and readers rely."""

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("capture", "calibration", "devices", "simulators", "config")
OWN_FOLDERS = ("coldframe/api", "coldframe/cli", "coldframe/operations")
"""Folders that are not links."""

PACKAGES = sorted(
    door.parent for folder in (*FOLDERS, *OWN_FOLDERS, "benchmarks") for door in (ROOT / folder).rglob("__init__.py")
)

MOST_MODULES = 16
COMMAND_LINE = ROOT / "coldframe" / "cli"
"""May have more modules: one for each command."""

LONGEST_MODULE_LINES = 450
LONGER_MODULES: dict[str, str] = {}
"""Modules that may be longer, each with the reason."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_package_links_to_the_folder(folder: str) -> None:
    link = ROOT / "coldframe" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..") / folder


@pytest.mark.parametrize("folder", [*FOLDERS, "benchmarks"])
def test_every_folder_of_modules_is_a_package(folder: str) -> None:
    folders = {module.parent for module in (ROOT / folder).rglob("*.py")}
    assert {each for each in folders if not (each / "__init__.py").is_file()} == set()


@pytest.mark.parametrize("package", PACKAGES, ids=name)
def test_a_package_begins_with_three_to_eight_lines_about_it(package: Path) -> None:
    """They say what is in it, where to start reading, and what it must not know."""
    module = ast.parse((package / "__init__.py").read_text("utf-8"))
    assert 3 <= len((ast.get_docstring(module) or "").splitlines()) <= 8
    # Besides the docstring, a package contains only names for other packages.
    assert all(isinstance(statement, ast.ImportFrom | ast.Assign) for statement in module.body[1:])


@pytest.mark.parametrize("package", [each for each in PACKAGES if each != COMMAND_LINE], ids=name)
def test_a_package_has_few_modules(package: Path) -> None:
    assert len([module for module in package.glob("*.py") if module.name != "__init__.py"]) <= MOST_MODULES


def test_modules_are_short() -> None:
    lines = {name(module): module.read_text("utf-8").count("\n") for each in PACKAGES for module in each.glob("*.py")}
    assert {module for module, count in lines.items() if count > LONGEST_MODULE_LINES} == set(LONGER_MODULES)


def test_the_wheel_contains_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        f"from setuptools.build_meta import build_wheel; print(build_wheel({str(tmp_path)!r}))",
    ]
    # Build from a copy, because files that a build leaves behind would be packaged by the next one.
    tree = shutil.copytree(
        ROOT, tmp_path / "tree", symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "demo-night")
    )
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {each.split("/")[0] for each in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"coldframe"}
    for needed in (
        "capture/night/night.py",
        "config/rigs/small.toml",
        "config/nights/small.toml",
        "config/coldframe.service",
        "config/coldframe-alarm@.service",
        "config/coldframe-listen.service",
        "config/coldframe-serve.service",
        "capture/monitoring/report/page.html.jinja",
        "capture/monitoring/report/chart.css",
        "capture/monitoring/web/page.html.jinja",
        "capture/monitoring/web/page.css",
        "capture/monitoring/web/page.js",
        "cli/diagnosing/page.html.jinja",
        "cli/bisecting/page.html.jinja",
        "py.typed",
    ):
        assert f"coldframe/{needed}" in names
