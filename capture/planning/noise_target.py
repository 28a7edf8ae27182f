"""Decide whether a set has enough frames, from the measured noise of its master. This module performs no I/O."""

from dataclasses import dataclass
from math import ceil, sqrt

from coldframe.calibration.measuring.amp_glow import AmpGlow
from coldframe.calibration.measuring.noise_growth import Cause, NoiseGrowth
from coldframe.capture.steps import NoiseTarget
from coldframe.config.counts import WITH_GLOW, NoiseGoal
from coldframe.config.frames import FrameKind

LEAST_GLOW = 1.0
"""Amplitude, relative to one frame's noise, above which glow matters; weaker glow adds little to the read noise."""

LEEWAY = 1.03
"""Largest ratio of the estimated frame count to the number of frames in a set at which the set counts as complete.

The measured noise is accurate to within 1 %. The estimated frame count depends on the square of the noise, so it is
accurate only to within 2 %.
"""

_DARK_CAUSES = {
    Cause.PATTERN: "light or glow appears or disappears",
    Cause.LEVEL: "the level drifts by {drift:+.1f} ADU between the halves: the offset or uniform light changes",
}
_FLAT_CAUSES = {Cause.PATTERN: "the illumination changes across the frame"}


@dataclass(frozen=True, slots=True)
class FrameEstimate:
    """Frame count that a set needs, estimated from its frames so far.

    Attributes
    ----------
    frames
        Total number of frames needed.
    summary
        The measured noise, for the user.
    reason
        The summary and, if the set needs more frames than expected, the reason.
    is_met
        True if the frames so far are enough to reach the target.
    """

    frames: int
    summary: str
    reason: str
    is_met: bool


def estimate_frames(
    target: NoiseTarget, kind: FrameKind, growth: NoiseGrowth, glow: AmpGlow | None = None
) -> FrameEstimate:
    """Return how many frames a set needs to reach its noise target.

    Parameters
    ----------
    target
        Noise target of the set.
    kind
        Kind of the set's frames.
    growth
        Noise of the master so far.
    glow
        Amplifier glow of the master, for darks; None if it was not measured. Significant glow raises the default bounds
        of the frame count.
    """
    ratio = _noise_ratio(target.goal, kind, growth)
    glows = glow is not None and glow.significant and glow.amplitude_adu > LEAST_GLOW * growth.frame_noise_adu
    glows = glows and kind is FrameKind.DARK and target.has_default_dark_bounds
    least, most = WITH_GLOW if glows else (target.at_least, target.at_most)
    needed = growth.frames * (ratio / target.goal.largest_ratio) ** 2
    frames = min(max(ceil(needed / LEEWAY), least), most)
    added = 100 * (sqrt(1 + ratio**2) - 1)
    summary = (
        f"after {growth.frames} frames, the master adds {added:.2g} % to the noise of a light (target {target.goal})"
    )
    reasons = ([str(glow)] if glows else []) + ([cause_text(kind, growth)] if growth.cause else [])
    return FrameEstimate(frames, summary, "; ".join([summary, *reasons]), is_met=needed <= LEEWAY * growth.frames)


def _noise_ratio(goal: NoiseGoal, kind: FrameKind, growth: NoiseGrowth) -> float:
    """Return the noise that the master adds to a light, relative to the light's own noise.

    A master dark or bias is subtracted from the light. The light is divided by a master flat, so the relative noise of
    the flat is multiplied by the signal of the light. Without a measured light, the worst case is assumed: for darks, a
    light with no more noise than a dark, and for flats, a light as bright as the flat. See docs/enough.md.
    """
    light = goal.light
    if light is not None and kind in (FrameKind.BIAS, FrameKind.DARK):
        return growth.master_noise_adu / light.noise_adu
    if light is not None and light.signal_adu is not None and kind is FrameKind.FLAT:
        return growth.master_noise_adu / growth.level_adu * light.signal_to_noise
    return growth.master_noise_adu / growth.frame_noise_adu if growth.frame_noise_adu > 0 else 0.0


def cause_text(kind: FrameKind, growth: NoiseGrowth) -> str:
    """Return why the noise of a master falls too slowly, or an empty string if it falls as expected."""
    if growth.cause is None:
        return ""
    texts = _FLAT_CAUSES if kind is FrameKind.FLAT else _DARK_CAUSES
    text = texts.get(growth.cause, str(growth.cause)).format(drift=growth.drift_adu)
    return f"the master has {growth.excess:.1f} times the noise of one from {growth.frames} independent frames: {text}"
