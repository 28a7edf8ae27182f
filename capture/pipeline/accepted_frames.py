"""Collect the frames from which a master is built."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean

import numpy as np

from coldframe.capture.pipeline.judged_frame import JudgedFrame
from coldframe.devices.camera import Frame


@dataclass(frozen=True, slots=True)
class AcceptedFrame:
    """A frame that is used in a master, without its pixels.

    Attributes
    ----------
    path
        Path of the frame's file.
    exposure_s
        Requested exposure, seconds.
    sensor_c
        Temperature of the sensor, degrees Celsius; None if unknown.
    started_at
        Start of the exposure, UTC.
    level_adu
        Level of the central region, ADU.
    digest
        Digest that identifies the pixels.
    """

    path: Path
    exposure_s: float
    sensor_c: float | None
    started_at: datetime
    level_adu: float
    digest: bytes


@dataclass(slots=True)
class AcceptedFrames:
    """The frames that are used in one master.

    Attributes
    ----------
    frames
        The frames in the order in which they were accepted.
    first
        The first frame as the camera delivered it, but without its pixels. The master gets the header of this frame.
    """

    frames: list[AcceptedFrame] = field(default_factory=list)
    first: Frame | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, judged: JudgedFrame, path: Path) -> None:
        """Add a good frame that has been saved to disk."""
        frame, level_adu = judged.frame, judged.measurement.statistics.level_adu
        self.frames.append(
            AcceptedFrame(path, frame.exposure_s, frame.sensor_c, frame.started_at, level_adu, judged.digest)
        )
        if self.first is None:
            self.first = replace(frame, pixels=np.empty((0, 0), np.uint16), raw=None)

    @property
    def paths(self) -> list[Path]:
        """Paths of the frames."""
        return [each.path for each in self.frames]

    @property
    def exposures_s(self) -> list[float]:
        """Exposures of the frames, seconds."""
        return [each.exposure_s for each in self.frames]

    @property
    def levels_adu(self) -> list[float]:
        """Levels of the frames, ADU."""
        return [each.level_adu for each in self.frames]

    @property
    def sensors_c(self) -> list[float]:
        """Known sensor temperatures of the frames, degrees Celsius."""
        return [each.sensor_c for each in self.frames if each.sensor_c is not None]

    @property
    def mean_sensor_c(self) -> float | None:
        """Mean sensor temperature, degrees Celsius; None if unknown."""
        return fmean(sensors_c) if (sensors_c := self.sensors_c) else None

    @property
    def sensor_range_c(self) -> tuple[float, float] | None:
        """Lowest and highest sensor temperature, degrees Celsius; None if unknown."""
        return (min(sensors_c), max(sensors_c)) if (sensors_c := self.sensors_c) else None
