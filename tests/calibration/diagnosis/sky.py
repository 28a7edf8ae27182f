"""What the telescope sees in a simulated night: background, nebulae, stars, trails and thin cloud, in ADU."""

from dataclasses import dataclass
from math import ceil, cos, floor, hypot, radians, sin
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

FWHM_PER_SIGMA = 2.3548

_FAINT = ((0.85, 1.0), (0.15, 2.1))
_BRIGHT = ((0.82, 1.0), (0.15, 2.1), (0.03, 5.0))
"""Point spread functions as sums of round Gaussians: weights, and widths in units of the core's width."""

_FAINT_REACH, _BRIGHT_REACH = 2.6, 7.0
"""Half the width of a star's stamp, in units of its FWHM."""


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return random numbers of one component, which do not depend on what other components draw."""
    words = [crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, *words])))


class Pointing(NamedTuple):
    """Where a light looks: the pixel (y, x) of the sensor sees the pixel (y + dy, x + dx) of the sky.

    After a meridian flip, the pixel (height - 1 - y, width - 1 - x) of the sensor sees it.
    """

    dy: float
    dx: float
    flipped: bool


def fractal(random: np.random.Generator, shape: tuple[int, int], slope: float, fwhm_px: float) -> F32:
    """Return a Gaussian random field of unit variance with the power spectrum k^-slope, blurred by the seeing."""
    spectrum = np.fft.rfft2(random.standard_normal(shape, dtype=np.float32))
    rows = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    columns = np.fft.rfftfreq(shape[1]).astype(np.float32)
    square = rows**2 + columns**2
    square[0, 0] = 1
    blur = 2 * (np.pi * fwhm_px / FWHM_PER_SIGMA) ** 2
    weight = square ** np.float32(-slope / 4) * np.exp(np.float32(-blur) * square)
    weight[0, 0] = 0
    field: F32 = np.fft.irfft2(spectrum * weight, shape).astype(np.float32, copy=False)
    field /= field.std()
    return field


def smooth_length(length: int) -> int:
    """Return the next length whose Fourier transform is quick: a product of 2, 3 and 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def nebula(
    random: np.random.Generator,
    shape: tuple[int, int],
    *,
    fill: float,
    bright_adu: float,
    filaments: float,
    fwhm_px: float,
) -> F32:
    """Return clouds that fill a part of the sky, 0 elsewhere, with or without filaments.

    Parameters
    ----------
    random
        Source of random numbers.
    shape
        Rows and columns.
    fill
        Fraction of the sky that is not empty.
    bright_adu
        Brightness that a twentieth of the nebula exceeds.
    filaments
        Part of the light that is in filaments, 0 to 1.
    fwhm_px
        Width of a star.
    """
    field = fractal(random, shape, 3.4, fwhm_px)
    sample = np.sort(field[::7, ::7], axis=None)
    edge = sample[min(int((1 - fill) * sample.size), sample.size - 1)]
    field -= edge
    np.maximum(field, 0, out=field)
    if filaments > 0:
        ridges = np.abs(fractal(random, shape, 3.0, fwhm_px))
        ridges *= np.float32(-2.2)
        np.exp(ridges, out=ridges)
        ridges *= np.float32(2 * filaments)
        ridges += np.float32(1 - filaments)
        field *= ridges
    bright = np.quantile(field[::7, ::7], 1 - fill / 20)
    field *= np.float32(bright_adu / max(float(bright), 1e-6))
    return field


def seen(canvas: F32, margin: int, size: tuple[int, int], pointing: Pointing) -> F32:
    """Return the part of a canvas that a light sees; `margin` pixels lie on each side of the undithered field."""
    height, width = size
    top, left = floor(pointing.dy), floor(pointing.dx)
    down, right = np.float32(pointing.dy - top), np.float32(pointing.dx - left)
    top, left = top + margin, left + margin
    part = canvas[top : top + height + 1, left : left + width + 1]
    rows = part[:-1] * (1 - down)
    rows += part[1:] * down
    view = rows[:, :-1] * (1 - right)
    view += rows[:, 1:] * right
    return view[::-1, ::-1] if pointing.flipped else view


def plane(size: tuple[int, int], angle_deg: float) -> tuple[F32, F32]:
    """Return the column and the row whose sum is a plane from -0.5 to 0.5, rising towards the angle."""
    towards_x, towards_y = cos(radians(angle_deg)), sin(radians(angle_deg))
    norm = abs(towards_x) + abs(towards_y)
    column = np.linspace(-0.5, 0.5, size[0], dtype=np.float32) * np.float32(towards_y / norm)
    row = np.linspace(-0.5, 0.5, size[1], dtype=np.float32) * np.float32(towards_x / norm)
    return column[:, None], row[None, :]


def background(size: tuple[int, int], level_adu: float, gradient: float, angle_deg: float) -> F32:
    """Return a sky with a gradient, given as a fraction of its level from end to end, that bends a little."""
    column, row = plane(size, angle_deg)
    column += column * column * np.float32(0.6)
    row += row * row * np.float32(0.6)
    scene: F32 = column + row
    scene *= np.float32(gradient)
    scene += 1
    scene *= np.float32(level_adu)
    return scene


@dataclass(frozen=True)
class Stars:
    """Stars with a power law of fluxes.

    Attributes
    ----------
    y, x
        Places in the sky, pixels.
    flux_adu
        Flux in a light.
    """

    y: F32
    x: F32
    flux_adu: F32

    @classmethod
    def drawn(
        cls, random: np.random.Generator, number: int, size: tuple[int, int], margin: int, faintest_adu: float
    ) -> "Stars":
        """Return stars all over the canvas; `number` of them lie in an undithered field on average."""
        height, width = size[0] + 2 * margin, size[1] + 2 * margin
        drawn = round(number * height * width / (size[0] * size[1]))
        flux = faintest_adu * np.minimum(random.random(drawn, dtype=np.float32) + 1e-5, 1) ** np.float32(-1.0)
        y = random.random(drawn, dtype=np.float32) * height - margin
        x = random.random(drawn, dtype=np.float32) * width - margin
        order = np.argsort(flux)
        return cls(y[order], x[order], np.minimum(flux, 3e6)[order])

    def add_to(self, scene: F32, pointing: Pointing, fwhm_px: float, transparency: float | F32) -> None:
        """Add the stars to a scene, dimmed by the transparency of the air (a number or a plane)."""
        y, x = self.y - np.float32(pointing.dy), self.x - np.float32(pointing.dx)
        if pointing.flipped:
            y, x = scene.shape[0] - 1 - y, scene.shape[1] - 1 - x
        bright = self.flux_adu > 300 * self.flux_adu[0] if self.flux_adu.size else np.zeros(0, bool)
        drawn = np.zeros_like(scene) if isinstance(transparency, np.ndarray) else scene
        factor = 1.0 if isinstance(transparency, np.ndarray) else transparency
        for chosen, form, reach in ((~bright, _FAINT, _FAINT_REACH), (bright, _BRIGHT, _BRIGHT_REACH)):
            flux = self.flux_adu[chosen] * np.float32(factor)
            _add_stamps(drawn, y[chosen], x[chosen], flux, fwhm_px=fwhm_px, form=form, reach=ceil(reach * fwhm_px))
        if isinstance(transparency, np.ndarray):
            scene += drawn * transparency


def _add_stamps(
    scene: F32, y: F32, x: F32, flux: F32, *, fwhm_px: float, form: tuple[tuple[float, float], ...], reach: int
) -> None:
    height, width = scene.shape
    near = (y > -reach) & (y < height - 1 + reach) & (x > -reach) & (x < width - 1 + reach)
    y, x, flux = y[near], x[near], flux[near]
    if not y.size:
        return
    top, left = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    up, across = steps - (y - top)[:, None], steps - (x - left)[:, None]
    stamps = np.zeros((y.size, steps.size, steps.size), np.float32)
    for weight, widths in form:
        sigma = np.float32(fwhm_px / FWHM_PER_SIGMA * widths)
        rows, columns = np.exp(-((up / sigma) ** 2) / 2), np.exp(-((across / sigma) ** 2) / 2)
        rows *= (flux * np.float32(weight / (2 * np.pi * sigma**2)))[:, None]
        stamps += rows[:, :, None] * columns[:, None, :]
    for stamp, row, column in zip(stamps, (top - reach).tolist(), (left - reach).tolist(), strict=True):
        first, before = max(row, 0), max(column, 0)
        last, after = min(row + steps.size, height), min(column + steps.size, width)
        scene[first:last, before:after] += stamp[first - row : last - row, before - column : after - column]


def add_trail(random: np.random.Generator, scene: F32, fwhm_px: float) -> None:
    """Add the trail of a satellite through a random place, with a brightness that varies slowly."""
    height, width = scene.shape
    angle = random.uniform(0, np.pi)
    through_y, through_x = random.uniform(0.1, 0.9) * height, random.uniform(0.1, 0.9) * width
    y = (np.arange(height, dtype=np.float32) - np.float32(through_y))[:, None]
    x = np.arange(width, dtype=np.float32) - np.float32(through_x)
    across = x * np.float32(sin(angle)) - y * np.float32(cos(angle))
    near = np.nonzero(np.abs(across) < 4 * fwhm_px)
    along = x[near[1]] * np.float32(cos(angle)) + y[near[0], 0] * np.float32(sin(angle))
    length = hypot(height, width)
    peak = 10 ** random.uniform(1.5, 3.2) * (1 + 0.5 * np.sin(along / length * random.uniform(1, 12)))
    scene[near] += peak * np.exp(-((across[near] / (0.55 * fwhm_px)) ** 2))


def thin_cloud(random: np.random.Generator, size: tuple[int, int]) -> F32:
    """Return the opacity of a thin cloud, 0 to about 0.3."""
    field = fractal(random, (smooth_length(size[0]), smooth_length(size[1])), 3.8, 20.0)[: size[0], : size[1]]
    return np.float32(random.uniform(0.08, 0.2)) * (1 + np.float32(0.25) * np.clip(field, -2, 2))
