"""The names of the public Python API: when they are imported, and their documentation."""

import inspect
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import coldframe

ROOT = Path(__file__).parents[2]
NAMES = sorted(set(coldframe.__all__) - {"__version__"})
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(coldframe, name))]
TYPES = [name for name in NAMES if inspect.isclass(getattr(coldframe, name))]


def sections(documentation: str) -> dict[str, str]:
    """Return the sections of a docstring in the style of NumPy, by their headings."""
    parts = re.split(r"^(\w+)\n-+\n", inspect.cleandoc(documentation), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_importing_coldframe_imports_no_other_library() -> None:
    heavy = {"numpy", "numba", "llvmlite", "astropy", "pydantic", "asyncio", "typer", "rich"}
    program = f"import sys, coldframe; dir(coldframe); print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"


def test_the_lazy_names_are_the_public_names() -> None:
    assert {name for names in coldframe._MODULES.values() for name in names} == set(coldframe.__all__)
    assert set(coldframe.__all__) <= set(dir(coldframe))
    with pytest.raises(AttributeError, match="no attribute 'combined'"):
        coldframe.combined  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_it(name: str) -> None:
    assert f":: coldframe.{name}\n" in (ROOT / "docs" / "api.md").read_text("utf-8")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_documents_all_arguments_and_has_an_example(name: str) -> None:
    function = getattr(coldframe, name)
    found = sections(function.__doc__)
    assert {"Parameters", "Returns", "Raises", "Examples"} <= set(found)
    documented = {
        each
        for line in re.findall(r"^(\w[\w, ]*?)(?: : .*)?$", found["Parameters"], re.MULTILINE)
        for each in line.split(", ")
    }
    assert set(inspect.signature(function).parameters) == documented
    assert f"coldframe.{name}(" in found["Examples"]


@pytest.mark.parametrize("name", TYPES)
def test_a_type_documents_its_attributes_and_methods(name: str) -> None:
    kind = getattr(coldframe, name)
    assert kind.__doc__
    found = sections(kind.__doc__)
    if is_dataclass(kind):
        documented = {
            each
            for line in re.findall(r"^(\w[\w, ]*) : ", found["Attributes"], re.MULTILINE)
            for each in line.split(", ")
        }
        assert {field.name for field in fields(kind) if not field.name.startswith("_")} == documented
    methods = [each for each in vars(kind).values() if inspect.isfunction(each) and not each.__name__.startswith("_")]
    for method in methods:
        assert "Returns" in sections(method.__doc__ or ""), method
