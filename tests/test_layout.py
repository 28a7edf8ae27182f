"""The layout that packaging, type checkers and people rely on."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("capture", "calibration", "devices", "simulators", "config")


@pytest.mark.parametrize("name", FOLDERS)
def test_the_package_links_to_the_folder(name: str) -> None:
    link = ROOT / "coldframe" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    assert (ROOT / name / "__init__.py").is_file()


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        f"from setuptools.build_meta import build_wheel; print(build_wheel({str(tmp_path)!r}))",
    ]
    # Built from a copy: what a build leaves behind would find its way into the next wheel.
    tree = shutil.copytree(
        ROOT, tmp_path / "tree", symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "demo-night")
    )
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"coldframe"}
    for needed in (
        "capture/night/night.py",
        "config/rigs/small.toml",
        "config/nights/small.toml",
        "config/coldframe.service",
        "config/coldframe-alarm@.service",
        "config/coldframe-listen.service",
        "capture/monitoring/report/page.html.jinja",
        "py.typed",
    ):
        assert f"coldframe/{needed}" in names
