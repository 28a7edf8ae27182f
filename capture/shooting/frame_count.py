"""Count the frames of a set, and decide how many frames it needs. This module performs no I/O."""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.masters.flat_pedestal import PROBES
from coldframe.calibration.measuring.amp_glow import measure_glow
from coldframe.calibration.measuring.noise_growth import SampledFrames
from coldframe.capture.pipeline.accepted_frames import AcceptedFrames
from coldframe.capture.planning.noise_target import FrameEstimate, cause_text, estimate_frames
from coldframe.capture.shooting.ambient_darks import has_left_bin
from coldframe.capture.steps import ShootStep
from coldframe.config.frames import FrameKind


class SetSize:
    """Size of a set, adapted to the noise of its growing master.

    Parameters
    ----------
    step
        The set.
    may_grow
        False if the time until a deadline was divided among the planned frames, so that no time is left for more.

    Attributes
    ----------
    aim
        Number of frames that the set should have, according to the measurements so far.
    look_at
        Number of frames after which the noise is checked next.
    most
        Maximum size of the set, in frames.
    """

    def __init__(self, step: ShootStep, *, may_grow: bool) -> None:
        self._kind = step.kind
        self._target = step.noise_target
        self.aim = self.look_at = step.count
        self.most = step.count
        if step.noise_target is not None:
            self.look_at = min(step.noise_target.at_least, step.count)
            self.most = max(step.noise_target.most, step.count) if may_grow else step.count
        self._samples = SampledFrames()

    def add(self, pixels: NDArray[np.uint16]) -> None:
        """Sample the next frame of the master, uint16, shape (height, width)."""
        self._samples.add(pixels)

    def look(self, accepted: int) -> FrameEstimate | None:
        """Estimate the size from the noise so far. Return None without a noise target, or if there are too few frames.

        Afterwards, `aim` equals `look_at`; if no further frame is needed, both equal the number of accepted frames.
        """
        growth = None if self._target is None else self._samples.growth()
        if growth is None or self._target is None:
            self.look_at = self.aim
            return None
        glow = measure_glow(self._samples.mean()) if self._kind is FrameKind.DARK else None
        estimate = estimate_frames(self._target, self._kind, growth, glow)
        self.aim = self.look_at = max(min(estimate.frames, self.most), accepted)
        return estimate

    def cause(self) -> str:
        """Return why the noise does not fall as expected, or an empty string if it does."""
        growth = self._samples.growth()
        return "" if growth is None else cause_text(self._kind, growth)


class FrameCount:
    """The number of frames that a set has, and the number that it still needs.

    Parameters
    ----------
    step
        The set.
    size
        Size of the set.
    accepted
        The frames accepted so far.
    is_tested
        True for dark flats that a bias might replace. The first few frames show whether it does; see `shoot_all`.
    shot_before
        Number of frames of the set in earlier masters. They are included in the counts that users see.
    """

    def __init__(
        self, step: ShootStep, size: SetSize, accepted: AcceptedFrames, *, is_tested: bool = False, shot_before: int = 0
    ) -> None:
        self.size = size
        self._accepted = accepted
        self._probes = min(PROBES, step.count) if is_tested else None
        self._shot_before = shot_before
        self._can_drift = step.kind is FrameKind.DARK and step.setpoint_c is None

    @property
    def accepted(self) -> int:
        """Number of accepted frames in this master."""
        return len(self._accepted)

    @property
    def wanted(self) -> int:
        """Number of accepted frames needed for the next decision or, after the last one, for the whole set."""
        return self.size.look_at if self._probes is None else self._probes

    @property
    def missing(self) -> int:
        """Number of frames to shoot before the next decision."""
        return self.wanted - self.accepted

    @property
    def is_limited_to_probes(self) -> bool:
        """True while only the frames for the comparison with the bias are needed."""
        return self._probes is not None

    @property
    def is_drifting(self) -> bool:
        """True if a sensor without temperature control has left the temperature range of this master."""
        return self._can_drift and has_left_bin(self._accepted.sensors_c, self.missing)

    @property
    def is_complete(self) -> bool:
        """True if the set needs no further frame, according to the measurements so far."""
        return self.missing <= 0 or self.is_drifting

    @property
    def shown(self) -> int:
        """Size of the set as shown to users; before the comparison with the bias, the number of frames to compare."""
        return self._shot_before + (self.wanted if self.wanted < self.size.look_at else self.size.aim)

    @property
    def index(self) -> int:
        """Number of the last accepted frame in the set, counted from 1."""
        return self._shot_before + self.accepted

    def shoot_all(self) -> None:
        """Require all frames of the set, because the comparison has shown that the bias cannot replace them."""
        self._probes = None
