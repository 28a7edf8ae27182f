"""The telescope and the camera of a simulated night: what they do to the light, and what they add to it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from tests.calibration.diagnosis.sky import F32, fractal, plane, smooth_length, stream

FLICKER_DUTY = 0.5
"""Fraction of the frames in which a flickering pixel is in its high state."""


@dataclass(frozen=True)
class Mote:
    """A grain of dust, whose shadow is a ring: the defocused pupil of a telescope with a central obstruction.

    Attributes
    ----------
    y, x
        Centre of the shadow, pixels.
    diameter_px
        Outer diameter.
    depth
        Fraction of the light that it takes away.
    obstruction
        Inner diameter divided by the outer one.
    on_filter
        True for dust on the filter, False for dust on the window of the sensor.
    """

    y: float
    x: float
    diameter_px: float
    depth: float
    obstruction: float
    on_filter: bool

    def moved(self, dy: float, dx: float) -> "Mote":
        """Return the mote at another place."""
        return replace(self, y=self.y + dy, x=self.x + dx)

    def turned(self, deg: float, size: tuple[int, int]) -> "Mote":
        """Return the mote turned about the middle of the field."""
        y, x = turned((self.y, self.x), deg, size)
        return replace(self, y=y, x=x)

    def grown(self, scale: float) -> "Mote":
        """Return the mote with a larger and weaker shadow that takes away as much light."""
        return replace(self, diameter_px=self.diameter_px * scale, depth=self.depth / scale**2)


def turned(place: tuple[float, float], deg: float, size: tuple[int, int]) -> tuple[float, float]:
    """Return a place, (y, x), turned about the middle of the field."""
    middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    y, x = place[0] - middle_y, place[1] - middle_x
    along, across = cos(radians(deg)), sin(radians(deg))
    return middle_y + y * along + x * across, middle_x + x * along - y * across


def drawn_motes(
    random: np.random.Generator, number: int, size: tuple[int, int], *, on_filter: bool, obstruction: float
) -> list[Mote]:
    """Return motes at random places, some of them partly outside the field."""
    diameters = (35.0, 80.0) if on_filter else (15.0, 35.0)
    margin = 100
    return [
        Mote(
            random.uniform(-margin, size[0] + margin),
            random.uniform(-margin, size[1] + margin),
            random.uniform(*diameters),
            10 ** random.uniform(-2, -0.82),
            obstruction,
            on_filter,
        )
        for _ in range(number)
    ]


def shadows(motes: Iterable[Mote], size: tuple[int, int]) -> F32:
    """Return the fraction of the light that passes the dust."""
    passed = np.ones(size, np.float32)
    for mote in motes:
        radius, edge = mote.diameter_px / 2, 1 + 0.04 * mote.diameter_px
        reach = radius + edge
        top, left = max(0, ceil(mote.y - reach)), max(0, ceil(mote.x - reach))
        part = passed[top : max(0, ceil(mote.y + reach)), left : max(0, ceil(mote.x + reach))]
        if not part.size:
            continue
        y = np.arange(top, top + part.shape[0], dtype=np.float32)[:, None] - np.float32(mote.y)
        x = np.arange(left, left + part.shape[1], dtype=np.float32) - np.float32(mote.x)
        distance = np.sqrt(y**2 + x**2)
        ring: F32 = np.clip((radius - distance) / np.float32(edge) + np.float32(0.5), 0, 1)
        if mote.obstruction > 0:
            ring -= np.clip((radius * mote.obstruction - distance) / np.float32(edge) + np.float32(0.5), 0, 1)
        part *= 1 - np.float32(mote.depth) * ring
    return passed


@dataclass(frozen=True)
class Vignette:
    """The fall of the light towards the corners.

    Attributes
    ----------
    loss
        Fraction of the light that is missing in a corner, if the light is centred.
    y, x
        The brightest place, pixels.
    """

    loss: float
    y: float
    x: float

    def passed(self, size: tuple[int, int]) -> F32:
        """Return the fraction of the light that arrives."""
        corner = (size[0] ** 2 + size[1] ** 2) / 4
        rows = np.square(np.arange(size[0], dtype=np.float32) - np.float32(self.y))[:, None]
        square = (rows + np.square(np.arange(size[1], dtype=np.float32) - np.float32(self.x))) / np.float32(corner)
        # Like the fourth power of the cosine of an angle, and a little steeper in the corners.
        passed: F32 = 1 - np.float32(0.8 * self.loss) * square - np.float32(0.2 * self.loss) * np.square(square)
        return np.maximum(passed, 0.02, out=passed)


def bowl(size: tuple[int, int]) -> F32:
    """Return a bowl with a mean near 0 that falls by 1 from the middle to the corners."""
    rows, columns = (np.linspace(-1, 1, length, dtype=np.float32) for length in size)
    shape: F32 = np.add.outer(rows * rows, columns * columns)
    shape *= np.float32(-0.5)
    shape += np.float32(1 / 3)
    return shape


def uneven(size: tuple[int, int], fraction: float, angle_deg: float, form: str) -> F32:
    """Return a factor with a mean of 1: a plane or a bowl of this size, peak to valley."""
    if form == "bowl":
        return 1 + np.float32(fraction) * bowl(size)
    column, row = plane(size, angle_deg)
    return 1 + np.float32(fraction) * (column + row)


@dataclass(frozen=True)
class Hot:
    """Hot pixels, and ordinary ones that flicker.

    Attributes
    ----------
    place
        Flat indices of the pixels.
    current_e
        Dark current in a light, electrons.
    flicker_e
        Further charge in the high state of a flickering pixel, electrons; 0 for steady pixels.
    steepness
        Factor by which a pixel's exponent of temperature differs from that of ordinary pixels.
    """

    place: NDArray[np.intp]
    current_e: F32
    flicker_e: F32
    steepness: F32


def drawn_hot(random: np.random.Generator, pixels: int, fraction: float, flickering: float) -> Hot:
    """Return hot pixels with a long tail, from 30 electrons: half as many pixels have twice as many electrons."""
    number = round(pixels * fraction)
    place = random.choice(pixels, number, replace=False, shuffle=False).astype(np.intp)
    current = np.minimum(30 * (1 - random.random(number)) ** -1.1, 60_000).astype(np.float32)
    flickers = random.random(number) < flickering
    flicker = np.where(flickers, random.uniform(20, 200, number) + 0.3 * current, 0).astype(np.float32)
    return Hot(place, current, flicker, (1 + 0.04 * random.standard_normal(number)).astype(np.float32))


@dataclass(frozen=True)
class Sensor:
    """The fixed properties of each pixel; planes are float32 of the sensor's size.

    Attributes
    ----------
    bias_adu
        Level without light and dark current.
    current_e
        Dark current of ordinary pixels in a light, electrons.
    glow_e
        Glow of the amplifier in a light, electrons.
    hot
        Hot and flickering pixels.
    response
        Response to the colour of the sky, about 1.
    flat_response
        Response to the colour of the flats, about 1.
    """

    bias_adu: F32
    current_e: F32
    glow_e: F32
    hot: Hot
    response: F32
    flat_response: F32


def bias_plane(seed: int, size: tuple[int, int], level_adu: float, pixel_adu: float, line_adu: float) -> F32:
    """Return a bias with a slow slope along the readout, fixed lines and fixed differences between pixels."""
    random = stream(seed, "bias")
    bias = random.standard_normal(size, dtype=np.float32)
    bias *= np.float32(pixel_adu)
    bias += random.standard_normal((size[0], 1), dtype=np.float32) * np.float32(line_adu / 2)
    bias += random.standard_normal((1, size[1]), dtype=np.float32) * np.float32(line_adu)
    bias += np.linspace(0, random.uniform(-1.5, 1.5), size[0], dtype=np.float32)[:, None]
    bias += np.float32(level_adu)
    return bias


def glow_plane(random: np.random.Generator, size: tuple[int, int], peak: float) -> F32:
    """Return the glow of an amplifier at an edge or in a corner, with a peak at the edge."""
    height, width = size
    y = np.float32(random.choice([0.0, 1.0, random.uniform(0.2, 0.8)]))
    x = np.float32(random.choice([0.0, 1.0]))
    rows = (np.linspace(0, 1, height, dtype=np.float32) - y) * np.float32(height / width)
    columns = np.linspace(0, 1, width, dtype=np.float32) - x
    distance: F32 = np.hypot(rows[:, None], columns)
    starburst = np.float32(0.7) * np.exp(-distance / np.float32(random.uniform(0.05, 0.12)))
    glow: F32 = np.float32(peak) * (starburst + np.float32(0.3) * np.exp(-distance / np.float32(0.35)))
    return glow


def pixel_responses(seed: int, size: tuple[int, int], scatter: float, correlation: float) -> tuple[F32, F32]:
    """Return each pixel's response to the sky's and to the flat's colours, with their correlation."""
    one = stream(seed, "response").standard_normal(size, dtype=np.float32)
    if correlation >= 1:
        same = 1 + np.float32(scatter) * one
        return same, same
    other = stream(seed, "response of flats").standard_normal(size, dtype=np.float32)
    other *= np.float32(scatter * (1 - correlation**2) ** 0.5)
    other += np.float32(scatter * correlation) * one
    other += 1
    one *= np.float32(scatter)
    one += 1
    return one, other


def current_plane(random: np.random.Generator, size: tuple[int, int], mean_e: float) -> F32:
    """Return the dark current of ordinary pixels: uneven from pixel to pixel, and warmer towards one side."""
    scatter = random.standard_normal(size, dtype=np.float32)
    scatter *= np.float32(0.3)
    np.exp(scatter, out=scatter)
    column, row = plane(size, random.uniform(0, 360))
    scatter *= np.float32(mean_e / 1.046) * (1 + np.float32(0.1) * (column + row))
    return scatter


def spots(random: np.random.Generator, size: tuple[int, int]) -> F32:
    """Return the opacity of a few spots of dew, at most 1."""
    cloud = fractal(random, (smooth_length(size[0]), smooth_length(size[1])), 3.0, 25.0)[: size[0], : size[1]]
    cloud -= np.quantile(cloud[::7, ::7], 0.93)
    np.maximum(cloud, 0, out=cloud)
    cloud /= max(float(np.quantile(cloud[::7, ::7], 0.999)), 1e-6)
    return np.minimum(cloud, 1, out=cloud)
