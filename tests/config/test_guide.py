"""The guide has a row for each setting, with the text of the models."""

from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from coldframe.config.allowed import allowed
from coldframe.config.reference import Table, tables

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("configuration*.md"))


def rows(table: Table) -> list[str]:
    made = []
    for name, field in table.section.model_fields.items():
        shown = list(field.default) if isinstance(field.default, tuple) else field.default
        shown = str(shown).lower() if isinstance(shown, bool) else shown
        default = f"`{shown}`" if field.default not in (None, PydanticUndefined) else ""
        required = "**required**" if field.is_required() else default
        made.append(f"| `{name}` | {field.description} | {allowed(field)} | {required} |")
    return made


@pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.path)
def test_the_guide_has_each_setting(table: Table) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert f"`{table.header}`" in text
    assert [row for row in rows(table) if row not in text.splitlines()] == []
