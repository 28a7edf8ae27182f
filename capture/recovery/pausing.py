"""Pause a night on request, between two exposures. During a pause, the rig stays as it is, except for the lamp."""

import asyncio

from coldframe.capture.events.kinds import PanelChanged
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.session.context import NightContext
from coldframe.devices.flat_panel import FlatPanel, PanelState
from coldframe.devices.manual_panel import ManualPanel

CHECK_PERIOD_S = 1.0

LAMP_S = 300.0
"""Time for which the lamp stays lit during a pause. Afterwards, it stays off until the night is resumed."""


async def until_resumed(context: NightContext, exposure_s: float = 0.0) -> bool:
    """Wait while the night is paused. The cooler keeps working, and the deadline does not move.

    Parameters
    ----------
    context
        The night.
    exposure_s
        Length of the next exposure, which must end before the deadline.

    Returns
    -------
    bool
        True if the night was paused. In that case, the sensor's temperature may have drifted from the setpoint.

    Raises
    ------
    StepFailedError
        If no time is left for the exposure, or a command to the panel failed.
    """
    steering, panel = context.steering, context.rig.panel
    waited_s = 0.0
    before: PanelState | None = None
    while steering.is_paused:
        context.require_time(exposure_s)
        if before is None and waited_s >= LAMP_S and panel is not None and _is_switchable(panel) and panel.state().lit:
            before = panel.state()
            await with_retries(context, panel.light_off)
            _publish_panel(context)
        steering.count_pause(CHECK_PERIOD_S)
        await asyncio.sleep(CHECK_PERIOD_S)
        waited_s += CHECK_PERIOD_S
    if before is not None and panel is not None:
        await _light_again(context, panel, before.brightness)
    return waited_s > 0


def _is_switchable(panel: FlatPanel) -> bool:
    """Return True if coldframe, and not the user, switches the panel's lamp."""
    return panel.has_light and not isinstance(panel, ManualPanel)


async def _light_again(context: NightContext, panel: FlatPanel, brightness: int | None) -> None:
    settings = context.settings.panel
    await with_retries(context, lambda: panel.light_on(brightness))
    _publish_panel(context)
    if settings is not None:
        await asyncio.sleep(settings.settle_s)


def _publish_panel(context: NightContext) -> None:
    if (state := context.rig.panel_state()) is not None:
        context.publish(PanelChanged(context.clock.now(), state.lit, state.brightness, state.cover))
