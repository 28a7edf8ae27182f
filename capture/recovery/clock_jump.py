"""Detect steps of the system clock during the night. The night keeps its own clock, and frames record the step."""

from dataclasses import replace

from coldframe.capture.clock import clock_text
from coldframe.capture.events.values import Severity
from coldframe.capture.session.context import NightContext
from coldframe.devices.camera import Frame

LEAST_STEP_S = 1.0
"""Smallest step to report.

Steps made by time servers are smaller, and the timestamps of many drivers are too coarse to show them.
"""

KEYWORD = "CFCLOCK"
"""FITS keyword in frames after a step: seconds by which the system clock is ahead of the night's clock."""


def clock_checked(context: NightContext, frame: Frame) -> Frame:
    """Return the frame, with a `KEYWORD` card added if the system clock was stepped after the night began."""
    step_s = context.clock.wall_step_s
    if abs(step_s) < LEAST_STEP_S:
        return frame
    if abs(step_s - context.announced.clock_step_s) >= LEAST_STEP_S:
        context.announced.clock_step_s = step_s
        text = f"this computer's clock was changed by {step_s:+.0f} s: the night keeps its own clock, which now shows "
        text += f"{clock_text(context.clock.now())}, and its frames record the step ({KEYWORD})"
        context.notice(Severity.WARNING, text)
    return replace(frame, header={**frame.header, KEYWORD: round(step_s, 1)})
