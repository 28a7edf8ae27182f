"""How a night stands still when it is asked to pause: before an exposure, with the rig as it is but for the lamp."""

import asyncio
from collections.abc import Awaitable, Callable

from coldframe.capture.events.kinds import PanelChanged
from coldframe.capture.session.context import NightContext
from coldframe.devices.flat_panel import FlatPanel, PanelState
from coldframe.devices.manual_panel import ManualPanel

LOOK_S = 1.0
"""Between two looks whether to go on."""

LAMP_S = 300.0
"""A lamp burns on for so long; then it is put out, and lit again before the night goes on."""

Do = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


async def until_resumed(context: NightContext, do: Do, exposure_s: float = 0.0) -> None:
    """Wait while the night is paused. The cooler goes on, and so does the time that is left of the night.

    Parameters
    ----------
    context
        The night.
    do
        Gives an order to the panel, as often as the caller wants it tried.
    exposure_s
        Of the next exposure: it must still end before the deadline.

    Raises
    ------
    StepFailedError
        The time was up meanwhile, or the panel did not obey.
    """
    steering, panel = context.steering, context.rig.panel
    waited_s = 0.0
    was: PanelState | None = None
    while steering.is_paused:
        context.require_time(exposure_s)
        if was is None and waited_s >= LAMP_S and panel is not None and is_ours(panel) and panel.state().lit:
            was = panel.state()
            await do(panel.light_off)
            _tell(context, panel.state())
        steering.count_wait(LOOK_S)
        await asyncio.sleep(LOOK_S)
        waited_s += LOOK_S
    if was is not None and panel is not None:
        await _light_again(context, panel, was, do)


def is_ours(panel: FlatPanel) -> bool:
    """Tell whether a panel's light is switched by us, and not by hand."""
    return panel.has_light and not isinstance(panel, ManualPanel)


async def _light_again(context: NightContext, panel: FlatPanel, was: PanelState, do: Do) -> None:
    settings = context.settings.panel
    await do(lambda: panel.light_on(was.brightness))
    _tell(context, panel.state())
    if settings is not None:
        await asyncio.sleep(settings.settle_s)


def _tell(context: NightContext, state: PanelState) -> None:
    context.publish(PanelChanged(context.clock.now(), state.lit, state.brightness, state.cover))
