"""Ask the user to switch a manual panel on or off, and detect from pixels when the user has done so."""

import asyncio

from coldframe.calibration.measuring.statistics import FrameStatistics, measure
from coldframe.capture.events.values import Severity, Topic
from coldframe.capture.recovery.retrying import with_retries
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind
from coldframe.devices.manual_panel import ManualPanel

TEST_S = 1.0
"""Length of the test exposure that is compared with the camera's shortest exposure. It reveals even a lamp so dim that
each flat takes a minute.
"""

LEAST_RISE_ADU = 10.0
"""Smallest rise in level that counts as light. Bias drift and one second of dark current cause a smaller rise."""

PAUSE_S = 10.0
"""Time between two checks."""


def shows_light(shortest: FrameStatistics, longer: FrameStatistics) -> bool:
    """Return whether light falls on the sensor, judging by a frame with the shortest exposure and a longer frame."""
    rise_adu = longer.level_adu - shortest.level_adu
    is_blinded = longer.saturated_fraction > 0.5  # noqa: PLR2004 - then the level cannot rise
    return is_blinded or rise_adu > max(shortest.noise_adu, LEAST_RISE_ADU)


async def wait_for_user(context: NightContext, panel: ManualPanel, *, lit: bool) -> None:
    """Wait until the user has switched the lamp on (`lit`) or off.

    Raises
    ------
    StepFailedError
        If the user did not switch the lamp in time.
    DeviceError
        If the camera failed.
    """
    settings = context.settings.panel
    assert settings is not None
    wanted, waited_s = "on" if lit else "off", settings.manual_deadline_s
    try:
        async with asyncio.timeout(waited_s):
            panel.seen_lit = await _is_lit(context)
            if panel.seen_lit is not lit:
                request = f"please switch {panel.name} {wanted}; waiting for at most {waited_s / 60:.0f} min"
                context.notice(Severity.WARNING, request, topic=Topic.LAMP_BY_HAND)
            while panel.seen_lit is not lit:
                context.events.beat()
                await asyncio.sleep(PAUSE_S)
                panel.seen_lit = await _is_lit(context)
    except TimeoutError:
        raise StepFailedError(f"{panel.name} was not switched {wanted} within {waited_s:g} s") from None


async def _is_lit(context: NightContext) -> bool:
    """Return whether the lamp is on. The test frames are not saved: during a long wait, they would fill the disk."""
    camera = context.rig.camera
    shortest_s = camera.features.exposure_s.minimum
    statistics = []
    for exposure_s in (shortest_s, max(TEST_S, 10 * shortest_s)):
        frame = await with_retries(context, lambda: camera.expose(FrameKind.FLAT, exposure_s))  # noqa: B023 - awaited here
        statistics.append((await in_thread(measure, frame.pixels)).statistics)
    return shows_light(*statistics)
