"""The guide has a row for each setting, with the text of the models."""

from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from coldframe.config.allowed import allowed
from coldframe.config.section import Section
from coldframe.config.tables.cooling import CoolingSettings
from coldframe.config.tables.flats import FilterFlatSettings, FlatSettings
from coldframe.config.tables.mqtt import MqttSettings
from coldframe.config.tables.mqtt_panel import MqttPanelSettings
from coldframe.config.tables.night import HookSettings, SiteSettings, StorageSettings, VerifySettings, WatchSettings
from coldframe.config.tables.notify import NotifySettings
from coldframe.config.tables.rig import (
    AuxiliarySettings,
    CameraSettings,
    CoverSettings,
    PanelSettings,
    ServerSettings,
    WheelSettings,
)
from coldframe.config.tables.sets import FrameSet, LightsSettings

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("configuration*.md"))
SECTIONS = (
    ServerSettings,
    CameraSettings,
    PanelSettings,
    MqttPanelSettings,
    CoverSettings,
    WheelSettings,
    CoolingSettings,
    FlatSettings,
    FilterFlatSettings,
    StorageSettings,
    SiteSettings,
    LightsSettings,
    AuxiliarySettings,
    HookSettings,
    WatchSettings,
    VerifySettings,
    MqttSettings,
    NotifySettings,
    FrameSet,
)


def rows(section: type[Section]) -> list[str]:
    made = []
    for name, field in section.model_fields.items():
        shown = list(field.default) if isinstance(field.default, tuple) else field.default
        shown = str(shown).lower() if isinstance(shown, bool) else shown
        default = f"`{shown}`" if field.default not in (None, PydanticUndefined) else ""
        required = "**required**" if field.is_required() else default
        made.append(f"| `{name}` | {field.description} | {allowed(field)} | {required} |")
    return made


@pytest.mark.parametrize("section", SECTIONS)
def test_the_guide_has_each_setting(section: type[Section]) -> None:
    lines = [line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    assert [row for row in rows(section) if row not in lines] == []
