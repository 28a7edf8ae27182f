"""A wall clock that is set while the night runs: the night goes on by its own clock, and frames say so."""

from dataclasses import replace

from coldframe.capture.clock import clock_text
from coldframe.capture.events.kinds import Severity
from coldframe.capture.session.context import NightContext
from coldframe.devices.camera import Frame

LEAST_STEP_S = 1.0
"""Smaller ones are time servers at their work, and smaller than many a driver's dates."""

KEYWORD = "CFCLOCK"
"""Header card of a frame that is dated by another clock: seconds by which the machine's was set forward before."""


def clock_checked(context: NightContext, frame: Frame) -> Frame:
    """Return a frame, with a card that tells of it where the wall clock has been set since the night began."""
    step_s = context.clock.wall_step_s
    if abs(step_s) < LEAST_STEP_S:
        return frame
    if abs(step_s - context.announced.clock_step_s) >= LEAST_STEP_S:
        context.announced.clock_step_s = step_s
        text = f"this machine's clock was set by {step_s:+.0f} s: the night goes on by the clock of its start, "
        text += f"{clock_text(context.clock.now())} now, and its frames tell so ({KEYWORD})"
        context.notice(Severity.WARNING, text)
    return replace(frame, header={**frame.header, KEYWORD: round(step_s, 1)})
