"""Dust that casts soft, ring-shaped shadows on the sensor behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mote:
    """The out-of-focus shadow of a mote, in the shape of the telescope's pupil.

    Attributes
    ----------
    row, column
        Position of the centre, in pixels.
    diameter_px
        Outer diameter, which grows with the mote's distance from the sensor.
    depth
        Relative loss of light in the ring.
    hole
        Ratio of the diameter of the bright centre (the image of the secondary mirror) to the outer diameter.
    """

    row: float
    column: float
    diameter_px: float
    depth: float
    hole: float

    def shade(self, response: NDArray[np.float32]) -> None:
        """Multiply `response`, float32 of shape (height, width), by the shadow."""
        reach = int(self.diameter_px)
        top, left = max(int(self.row) - reach, 0), max(int(self.column) - reach, 0)
        patch = response[top : int(self.row) + reach + 1, left : int(self.column) + reach + 1]
        rows = np.arange(top, top + patch.shape[0], dtype=np.float32)[:, None] - self.row
        columns = np.arange(left, left + patch.shape[1], dtype=np.float32)[None, :] - self.column
        distance = np.hypot(rows, columns) * np.float32(2 / self.diameter_px)
        ring = _soft_disc(distance) - np.float32(0.8) * _soft_disc(distance / np.float32(self.hole))
        patch *= 1 - np.float32(self.depth) * ring


def _soft_disc(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 inside a disc and 0 outside, with an edge about a twelfth of the radius wide."""
    return np.asarray(0.5 * (1 - np.tanh((distance - 1) / np.float32(0.08))), np.float32)


def turned_about(middle: tuple[float, float], place: tuple[float, float], angle_deg: float) -> tuple[float, float]:
    """Return a position (row, column) rotated about the centre, clockwise as displayed with the first row on top."""
    rows, columns = place[0] - middle[0], place[1] - middle[1]
    sine, cosine = np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))
    return float(middle[0] + cosine * rows + sine * columns), float(middle[1] - sine * rows + cosine * columns)


def scatter_motes(
    random: np.random.Generator, count: int, shape: tuple[int, int], diameter: tuple[float, float]
) -> list[Mote]:
    """Return `count` motes in a frame of `shape`, with diameters in a range given as fractions of the height."""
    height, width = shape
    return [
        Mote(
            row=random.uniform(0, height),
            column=random.uniform(0, width),
            diameter_px=max(4.0, height * random.uniform(*diameter)),
            depth=random.uniform(0.015, 0.09),
            hole=random.uniform(0.3, 0.42),
        )
        for _ in range(count)
    ]
