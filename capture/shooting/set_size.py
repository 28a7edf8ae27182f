"""How many frames the set under way shall have, from its first frame to its last. Pure."""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.amp_glow import measure_glow
from coldframe.calibration.measuring.noise_growth import SampledFrames
from coldframe.capture.planning.noise_target import FrameEstimate, cause_text, estimate_frames
from coldframe.capture.steps import ShootStep
from coldframe.config.frames import FrameKind


class SetSize:
    """Follows the noise of a growing master.

    Parameters
    ----------
    step
        The set.
    may_grow
        False where a deadline was shared out among the planned frames.

    Attributes
    ----------
    aim
        Frames that the set is to have, as far as is known by now.
    look_at
        Frames to shoot before the next look at the noise.
    """

    def __init__(self, step: ShootStep, *, may_grow: bool) -> None:
        self._kind = step.kind
        self._target = step.noise_target
        self.aim = self.look_at = step.count
        self.most = step.count
        if step.noise_target is not None:
            self.look_at = min(step.noise_target.at_least, step.count)
            self.most = max(step.noise_target.most, step.count) if may_grow else step.count
        self._samples = SampledFrames(self.most)

    def add(self, pixels: NDArray[np.uint16]) -> None:
        """Take in the next frame: uint16, shape (height, width), as it is folded into the master."""
        self._samples.add(pixels)

    def look(self, accepted: int) -> FrameEstimate | None:
        """Look at the noise of the frames so far and decide anew; None where there is nothing to decide by.

        `aim` and `look_at` are the same number afterwards, and that of the frames so far once these are enough.
        """
        growth = None if self._target is None else self._samples.growth()
        if growth is None or self._target is None:
            self.look_at = self.aim
            return None
        glow = measure_glow(self._samples.mean()) if self._kind is FrameKind.DARK else None
        view = estimate_frames(self._target, self._kind, growth, glow)
        self.aim = self.look_at = max(min(view.frames, self.most), accepted)
        return view

    def cause(self) -> str:
        """Say why the noise does not fall as it should; empty where it does."""
        growth = self._samples.growth()
        return "" if growth is None else cause_text(self._kind, growth)
