"""The error of a missing package names a command that installs it."""

import importlib.util
import sys
import tomllib
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from coldframe import errors
from coldframe.devices.indi.link import IndiLink
from coldframe.errors import NEEDED_FOR, MissingPackageError, install_command

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))


def test_the_command_names_the_python_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/my python/bin/python")
    assert install_command("rawpy") == "'/opt/my python/bin/python' -m pip install rawpy"


def test_an_environment_without_pip_gets_a_command_of_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        return None if name == "pip" else importlib.util.find_spec(name)

    monkeypatch.setattr(errors, "find_spec", find_spec)
    assert install_command("lz4") == f"uv pip install --python {sys.executable} lz4"


def test_every_optional_package_has_a_message() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    named = [requirement.partition(">")[0] for extra in extras for requirement in extra]
    assert set(NEEDED_FOR) == {*named, "pyindi-client"}


def test_pip_can_install_every_dependency_without_a_compiler() -> None:
    """pyindi-client requires dbus-python, which has no compiled packages."""
    assert not any("pyindi" in requirement for requirement in PROJECT["project"]["dependencies"])
    assert any("pyindi-client" in requirement for requirement in PROJECT["dependency-groups"]["indi"])


async def test_a_missing_indi_library_is_reported_before_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyIndi", None)
    with pytest.raises(MissingPackageError, match=r"-m pip install --no-deps pyindi-client$"):
        async with IndiLink("127.0.0.1", 1):
            pass
