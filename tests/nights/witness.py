"""The truth about each frame of a simulated night, regardless of the drivers' reports."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.simulators.optics import Telescope
from coldframe.simulators.sensor import Exposure


@dataclass(frozen=True)
class Truth:
    """The true conditions of a frame.

    Attributes
    ----------
    shot
        The exposure, with the gain that the camera actually had.
    kind
        The kind of frame that was requested.
    began_s, sensor_c
        Start of the exposure, and the sensor's true temperatures at its start and end.
    unwanted_adu
        Light in a frame that should have no light, as a mean over a clear sensor in ADU.
    """

    shot: Exposure
    kind: FrameKind
    began_s: float
    sensor_c: tuple[float, float]
    unwanted_adu: float


class WitnessedTelescope(Telescope):
    """A telescope that records the truth about each frame, by the digest of the frame's pixels."""

    def __init__(self, rig: SimulatedRig, started_s: float) -> None:
        super().__init__(rig, started_s)
        self.truths: dict[bytes, Truth] = {}
        self._begun: dict[int, tuple[FrameKind, float]] = {}

    def begin(self, kind: FrameKind, exposure_s: float, now_s: float, **settings: Any) -> Exposure:
        shot = super().begin(kind, exposure_s, now_s, **settings)
        self._begun[shot.number] = kind, now_s
        return shot

    def render(self, shot: Exposure) -> NDArray[np.uint16]:
        pixels = super().render(shot)
        gain = self.rig.sensor.gain
        true = replace(shot, gain=gain.default) if self.rig.faults.gain_ignored and gain else shot
        kind, began_s = self._begun.pop(shot.number)
        leak_e_per_s = shot.leak.e_per_s if shot.leak else 0.0
        light_e = (shot.light_e_per_s + leak_e_per_s) * shot.exposure_s * shot.binning**2
        self.truths[pixel_digest(pixels)] = Truth(
            true,
            kind,
            began_s,
            (shot.sensor_c, self.sensor_c(asyncio.get_running_loop().time())),
            light_e / self.sensor.e_per_adu(true.gain) * self.rig.sensor.file_scale,
        )
        return pixels
