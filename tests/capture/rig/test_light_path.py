"""Each step sets the filter, cover and lamp that it needs, and a dark panel may be disconnected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import FilterChanged, PanelChanged
from coldframe.capture.rig.light_path import (
    darken,
    flat_light,
    open_to_sky,
    select_filter,
    select_filter_if_possible,
    set_brightness,
)
from coldframe.capture.session.context import StepFailedError
from coldframe.config.tables.rig import CoverSettings
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError
from coldframe.devices.flat_panel import CoverState, PanelState
from coldframe.devices.rig import Rig
from tests.capture.scene import scene, small_night
from tests.nights.test_troubled_nights import Wrapped

pytestmark = pytest.mark.looptime


class Lost(Wrapped):
    """A panel that can be lost."""

    is_lost = False

    async def ensure_ready(self) -> None:
        self._require_presence()

    async def light_off(self) -> None:
        self._require_presence()
        await self.inner.light_off()

    def _require_presence(self) -> None:
        if self.is_lost:
            raise DeviceLostError(self.inner.name, "is away")


class Coverless(Wrapped):
    """A panel without a cover."""

    has_cover = False

    def state(self) -> PanelState:
        inner: PanelState = self.inner.state()
        return replace(inner, cover=None)


class DustCap(Wrapped):
    """A cover without a lamp."""

    name = "Dust Cap"
    has_light = False

    def state(self) -> PanelState:
        inner: PanelState = self.inner.state()
        return replace(inner, lit=False, brightness=None)

    async def light_off(self) -> None: ...


class StuckWheel(Wrapped):
    """A wheel that never reaches a filter."""

    tries = 0

    async def select(self, name: str) -> None:
        self.tries += 1
        raise DeviceTimeoutError(self.inner.name, f"did not reach {name}")


class Heater:
    """An auxiliary that shines."""

    name = "Heater"
    is_on = True
    is_ready = True

    async def ensure_ready(self) -> None: ...

    async def connect(self) -> None: ...

    async def restore(self) -> None:
        self.is_on = True

    async def switch_off(self) -> None:
        self.is_on = False


async def test_darkness_is_a_lamp_that_is_off_a_closed_cover_and_auxiliaries_that_are_off(tmp_path: Path) -> None:
    heater = Heater()
    seen = await scene(tmp_path, meddle=lambda rig: replace(rig, auxiliaries=(heater,)))
    await seen.panel.light_on(50)
    await seen.panel.open_cover()
    await darken(seen.context)
    assert (seen.panel.state().lit, seen.panel.state().cover) == (False, CoverState.CLOSED)
    assert not heater.is_on
    assert seen.context.lamp.is_dark
    (change,) = seen.of(PanelChanged)
    assert not change.lit


async def test_a_rig_that_is_dark_already_is_not_announced_again(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    await seen.panel.close_cover()
    await darken(seen.context)
    assert seen.of(PanelChanged) == []


async def test_a_dark_panel_may_go_away_but_one_that_may_be_lit_may_not(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=lambda rig: replace(rig, panel=Lost(rig.panel)))
    panel: Any = seen.panel
    seen.context.retries.begin_set([seen.context.rig.camera.name])
    await darken(seen.context)
    panel.is_lost = True
    await darken(seen.context)
    panel.is_lost = False
    async with flat_light(seen.context, panel, 100):
        assert not seen.context.lamp.is_dark
    panel.is_lost = True
    with pytest.raises(StepFailedError, match="is away"):
        await darken(seen.context)


@pytest.mark.parametrize(("where", "cover"), [("closed", CoverState.CLOSED), ("open", CoverState.OPEN)])
async def test_the_panel_is_lit_for_flats_with_the_cover_as_configured(
    tmp_path: Path, where: str, cover: CoverState
) -> None:
    seen = await scene(tmp_path, small_night(panel={"cover_for_flats": where}))
    async with flat_light(seen.context, seen.panel, 80):
        assert seen.panel.state() == replace(seen.panel.state(), lit=True, brightness=80, cover=cover)
        await set_brightness(seen.context, seen.panel, 90)
        assert seen.panel.state().brightness == 90
    assert not seen.panel.state().lit
    assert [change.lit for change in seen.of(PanelChanged)] == [True, True, False]


def with_dust_cap(rig: Rig) -> Rig:
    """Return the rig with its panel's cover as a separate device, and a panel without a cover."""
    return replace(rig, panel=Coverless(rig.panel), cover=DustCap(rig.panel))


async def test_a_separate_cover_is_closed_for_darks_and_open_for_flats(tmp_path: Path) -> None:
    settings = small_night().model_copy(update={"cover": CoverSettings(device="Dust Cap")})
    seen = await scene(tmp_path, settings, with_dust_cap)
    cap: Any = seen.context.rig.cover
    await cap.open_cover()
    await darken(seen.context)
    assert cap.state().cover is CoverState.CLOSED
    assert seen.of(PanelChanged)[-1].cover is CoverState.CLOSED
    async with flat_light(seen.context, seen.panel, 80):
        assert cap.state().cover is CoverState.OPEN
        assert (seen.of(PanelChanged)[-1].lit, seen.of(PanelChanged)[-1].cover) == (True, CoverState.OPEN)


async def test_a_cover_without_a_panel_is_closed_for_darks_and_open_to_the_sky(tmp_path: Path) -> None:
    settings = small_night().model_copy(update={"cover": CoverSettings(device="Dust Cap"), "panel": None})
    seen = await scene(tmp_path, settings, lambda rig: replace(with_dust_cap(rig), panel=None))
    cap: Any = seen.context.rig.cover
    await darken(seen.context)
    assert (cap.state().cover, seen.context.lamp.is_dark) == (CoverState.CLOSED, True)
    await open_to_sky(seen.context)
    assert (cap.state().cover, seen.context.lamp.is_dark) == (CoverState.OPEN, False)


async def test_the_sky_is_seen_through_an_open_cover_with_the_lamp_off(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    await seen.panel.light_on(50)
    await open_to_sky(seen.context)
    assert (seen.panel.state().lit, seen.panel.state().cover) == (False, CoverState.OPEN)


async def test_a_filter_is_selected_once(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    for name in ("Ha", "Ha", None):
        await select_filter(seen.context, name)
    assert [change.filter for change in seen.of(FilterChanged)] == ["Ha"]


async def test_a_wheel_that_matters_little_is_left_alone_once_it_is_stuck(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=lambda rig: replace(rig, wheel=StuckWheel(rig.wheel)))
    await select_filter_if_possible(seen.context, "Ha")
    wheel: Any = seen.context.rig.wheel
    tries = wheel.tries
    assert any("continuing, as frames without light hardly depend on the filter" in text for text in seen.notices)
    await select_filter_if_possible(seen.context, "L")
    assert wheel.tries == tries
