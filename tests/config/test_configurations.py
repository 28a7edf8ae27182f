"""The example configurations in docs/configurations load, and each is listed in the guide."""

import tomllib
from pathlib import Path

import pytest

from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "configurations").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_with_each_setting_that_it_contains(path: Path) -> None:
    settings = load_settings(path)
    written = tomllib.loads(path.read_text("utf-8"))
    assert settings.model_fields_set == set(written)
    assert {each.kind for each in settings.sets} == set(FrameKind) - {FrameKind.LIGHT}


def test_the_examples_are_of_different_rigs() -> None:
    rigs = [load_settings(path) for path in EXAMPLES]
    seen = {(rig.wheel is not None, rig.camera.setpoint_c is not None, rig.panel and rig.panel.kind) for rig in rigs}
    assert seen == {(True, True, "indi"), (False, True, "indi"), (False, False, "manual")}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_guide_links_to_each_example(path: Path) -> None:
    assert f"(configurations/{path.name})" in (DOCS / "configuration.md").read_text("utf-8")
