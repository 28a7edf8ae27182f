"""Set the filter, the cover and the lamp for a step of the night."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from coldframe.capture.events.kinds import FilterChanged, PanelChanged
from coldframe.capture.events.values import Severity
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.rig.manual_light import wait_for_user
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.devices.errors import DeviceError
from coldframe.devices.flat_panel import FlatPanel, lit
from coldframe.devices.manual_panel import ManualPanel


def publish_panel(context: NightContext) -> None:
    """Publish the state of the panel and of the cover, if the rig has either."""
    state = context.rig.panel_state()
    if state is not None:
        context.publish(PanelChanged(context.clock.now(), state.lit, state.brightness, state.cover))


async def select_filter(context: NightContext, name: str | None) -> None:
    """Turn the wheel to the named filter and wait for it to settle. Do nothing without a wheel or a name.

    Raises
    ------
    StepFailedError, DeviceError
        If the wheel does not have the filter or did not reach it.
    """
    wheel, settings = context.rig.wheel, context.settings.wheel
    if wheel is None or settings is None or name is None or wheel.current == name:
        return
    await with_retries(context, lambda: wheel.select(name))
    context.retries.breakers.worked(wheel.name)
    context.publish(FilterChanged(context.clock.now(), name))
    await asyncio.sleep(settings.settle_s)


async def select_filter_if_possible(context: NightContext, name: str) -> None:
    """Select a filter for frames that hardly depend on it. A failure is announced, not raised."""
    wheel = context.rig.wheel
    if wheel is None or context.retries.breakers.is_open(wheel.name):
        return
    try:
        await select_filter(context, name)
    except (StepFailedError, DeviceError) as error:
        context.retries.breakers.stayed_away(wheel.name)
        context.notice(Severity.WARNING, f"{error}; continuing, as frames without light hardly depend on the filter")


async def darken(context: NightContext) -> None:
    """Switch off the lamp and all auxiliaries that emit light, and close the cover.

    A panel that was lost after it was darkened counts as dark.

    Raises
    ------
    DeviceError
        If a command to the panel failed.
    StepFailedError
        If the panel was lost and might be lit, or the user did not switch off a manual panel.
    """
    for auxiliary in context.rig.auxiliaries:
        await with_retries(context, auxiliary.switch_off)
    rig = context.rig
    before = rig.panel_state()
    for device in (rig.panel, rig.cover):
        if device is not None and not context.can_do_without(device.name):
            await _darken(context, device)
    after = rig.panel_state()
    if before is None or after is None:
        return
    context.lamp.is_dark = True
    if after != before:
        publish_panel(context)
    if before.lit and context.settings.panel is not None:
        await asyncio.sleep(context.settings.panel.settle_s)


async def _darken(context: NightContext, device: FlatPanel) -> None:
    """Switch off the lamp of a device, and close the device's cover if this is the cover of the telescope."""
    if isinstance(device, ManualPanel):
        await wait_for_user(context, device, lit=False)
    try:
        await with_retries(context, device.light_off)
        if device is context.rig.covering:
            await with_retries(context, device.close_cover)
    except (StepFailedError, DeviceError):
        if not context.can_do_without(device.name):
            raise
    else:
        context.retries.breakers.worked(device.name)


async def open_to_sky(context: NightContext) -> None:
    """Switch the lamp off and open the cover. A cover moved by hand is not checked, because the pixels show its state.

    Raises
    ------
    StepFailedError
        If a command to the panel failed.
    """
    panel, covering = context.rig.panel, context.rig.covering
    await _stop_counting_as_dark(context)
    if panel is not None:
        await with_retries(context, panel.light_off)
    if covering is not None:
        await with_retries(context, covering.open_cover)
    publish_panel(context)


@asynccontextmanager
async def flat_light(context: NightContext, panel: FlatPanel, brightness: int | None) -> AsyncIterator[None]:
    """Keep the flat panel lit while the block runs, with the cover as configured for flats.

    Raises
    ------
    StepFailedError, DeviceError
        If a command to the panel failed.
    """
    settings = context.settings.panel
    assert settings is not None
    await _stop_counting_as_dark(context)
    if (covering := context.rig.covering) is not None:
        is_closed = context.settings.cover_for_flats == "closed"
        await with_retries(context, covering.close_cover if is_closed else covering.open_cover)
    if isinstance(panel, ManualPanel):
        await wait_for_user(context, panel, lit=True)
    try:
        async with lit(panel, brightness, partial(with_retries, context)):
            context.retries.breakers.worked(panel.name)
            publish_panel(context)
            await asyncio.sleep(settings.settle_s)
            yield
    finally:
        publish_panel(context)


async def set_brightness(context: NightContext, panel: FlatPanel, brightness: int) -> None:
    """Change the brightness of a lit panel and wait for the brightness to settle.

    Raises
    ------
    StepFailedError, DeviceError
        If a command to the panel failed.
    """
    settings = context.settings.panel
    assert settings is not None
    await with_retries(context, lambda: panel.light_on(brightness))
    publish_panel(context)
    await asyncio.sleep(settings.settle_s)


async def _stop_counting_as_dark(context: NightContext) -> None:
    """Wait until the panel and the cover are ready, then stop counting them as dark.

    A lost device gets no command, so it stays dark.
    """
    for device in (context.rig.panel, context.rig.cover):
        if device is not None:
            await with_retries(context, device.ensure_ready)
    context.lamp.is_dark = False
