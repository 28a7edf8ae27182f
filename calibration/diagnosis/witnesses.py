"""The witnesses of a bisection: measurements of the artifacts that one combination of masters leaves in the lights.

Even if lights were calibrated without a dark or without a flat, they are examined for the patterns of these masters:
the hot pixels and the glow of each dark, and the pixel responses and the shadows of a flat. In this way, the same
artifacts are measured for all combinations.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import hypot, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.bisection import CAP, Terms, Witness
from coldframe.calibration.diagnosis.estimating.dust import LEAST_GAIN, Change
from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit
from coldframe.calibration.diagnosis.estimating.lines import LinePattern
from coldframe.calibration.diagnosis.estimating.measuring import MOST_TILES, LightMeasures
from coldframe.calibration.diagnosis.estimating.smooth_maps import LEAST_GLOW as FAINTEST_GLOW
from coldframe.calibration.diagnosis.estimating.thermometer import FEWEST, find_residual
from coldframe.calibration.diagnosis.estimating.thinned_masters import HotPixels, find_hot
from coldframe.calibration.diagnosis.examination import Examination, frames_of
from coldframe.calibration.diagnosis.judging.dark_current import GLOW_SIGMA, LEAST_GLOW, LEAST_SLOPE
from coldframe.calibration.diagnosis.judging.dark_current import SIGNIFICANT as HOT_SIGMA
from coldframe.calibration.diagnosis.judging.levels import OTHER_RESPONSE, UNSEEN_STARS
from coldframe.calibration.diagnosis.judging.noise import (
    ADVISED_FRAMES,
    COMMON_SIGMA,
    INDEPENDENT,
    LEAST_ALTERNATING,
    LEAST_COMMON,
)
from coldframe.calibration.kernels import diagnosis as kernels
from coldframe.calibration.masters.reading import MasterPlanes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

NOISE_OF_MASTERS = 0.01
"""Variance added by the masters that counts as one standard error, as a fraction of the variance of the stacked
lights."""

SLIGHT = 0.5
"""Largest relative change in the depth of all shadows that may be due to a pedestal."""

_SMALLEST_TILE = 8
_SHARED_TILES = 4.0
"""Factor applied to variances: structures in the sky extend over several tiles, so the errors of neighbouring tiles are
not independent."""


@dataclass(frozen=True, slots=True, eq=False)
class DarkReference:
    """The patterns of a dark that show in lights from which its signal is not completely subtracted.

    Attributes
    ----------
    hot
        Hot pixels of the dark.
    tiles_adu
        Medians of the tiles of the dark: float64, shape (tile rows, tile columns).
    """

    hot: HotPixels
    tiles_adu: F64


def dark_reference(dark: MasterPlanes, period: int) -> DarkReference:
    """Return the patterns of a master dark."""
    return DarkReference(find_hot(dark, period), tile_medians(dark.mean, period))


def tile_medians(plane: F32, period: int) -> F64:
    """Return the medians of square tiles, computed from a quarter of the pixels, all of the same colour.

    Parameters
    ----------
    plane
        The plane to divide into tiles: float32, shape (height, width).
    period
        Distance between pixels of the same colour: 1 or 2.
    """
    sampled = plane[::2, period - 1 :: 2]
    side = max(_SMALLEST_TILE, -(-max(sampled.shape) // MOST_TILES))
    rows, columns = sampled.shape[0] // side, sampled.shape[1] // side
    tiles = sampled[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.median(tiles, axis=(1, 3)).astype(np.float64)


class RemainingDarks:
    """Measures the remaining patterns of all darks in the lights of one combination, while these lights are examined.

    Parameters
    ----------
    references
        The patterns of all darks.
    subtracted
        Index of the dark that is subtracted in the combination; None if no dark is subtracted.
    response
        Plane by which the lights were divided: float32, shape (height, width).
    period
        Distance between pixels of the same colour.
    """

    def __init__(self, references: Sequence[DarkReference], subtracted: int | None, response: F32, period: int) -> None:
        self._references = references
        self._subtracted = subtracted
        self._response = response
        self._period = period
        self._hot: list[list[F32]] = [[] for _ in references]
        self._tiles: list[F64] = []

    def watched(self, signals: Iterable[F32]) -> Iterator[F32]:
        """Yield calibrated lights after measuring the remaining patterns in each."""
        for signal in signals:
            for reference, seen in zip(self._references, self._hot, strict=True):
                excess = np.empty(reference.hot.excess_adu.size, np.float32)
                kernels.excess_at(signal, reference.hot.places, self._period, excess)
                seen.append(np.asarray(excess * self._response[tuple(reference.hot.places)], np.float32))
            self._tiles.append(tile_medians(signal, self._period))
            yield signal

    def hot(self) -> float | None:
        """Return the squared significance of remaining hot pixels, averaged over the darks that have enough of them.

        The result is None if no dark has enough hot pixels.
        """
        terms = []
        for number, (reference, seen) in enumerate(zip(self._references, self._hot, strict=True)):
            if reference.hot.excess_adu.size < FEWEST:
                continue
            # The lights do not contain the noise of a dark that was not subtracted.
            own = reference.hot if number == self._subtracted else replace(reference.hot, error_adu=0.0)
            found = find_residual([_only_hot(each) for each in seen], own)
            if found is not None:
                terms.append(_square(_with_least(found.slope, LEAST_SLOPE / HOT_SIGMA)))
        return float(np.mean(terms)) if terms else None

    def glow(self, noise_adu: float) -> float | None:
        """Return the squared significance of remaining glow, averaged over the darks that have glow.

        The result is None if no dark has glow.
        """
        levels = np.mean(self._tiles, axis=0)
        found = [_remaining(levels, reference.tiles_adu, noise_adu) for reference in self._references]
        terms = [_square(_with_least(each, LEAST_GLOW / GLOW_SIGMA)) for each in found if each is not None]
        return float(np.mean(terms)) if terms else None


def _only_hot(hot_adu: F32) -> LightMeasures:
    """Return measurements in which everything except the hot pixels is empty."""
    maps, lines = np.zeros((0, 0), np.float32), np.zeros(0)
    return LightMeasures(maps, lines, lines, lines, lines, lines, lines, hot_adu, 0.0, maps)


def _remaining(levels: F64, of_dark: F64, noise_adu: float) -> Estimate | None:
    """Return the fraction of a dark's glow that remains in the levels of the tiles; None if the dark has no glow.

    Parameters
    ----------
    levels, of_dark
        Levels of the tiles in the mean of the lights and in the dark, ADU: float64, shape (tile rows, tile columns).
    noise_adu
        Noise of a pixel in one light.
    """
    rows, columns = levels.shape
    y, x = np.meshgrid(np.linspace(-0.5, 0.5, rows), np.linspace(-0.5, 0.5, columns), indexing="ij")
    smooth = np.stack([each.ravel() for each in (np.ones_like(x), x, y, x * x, x * y, y * y)], axis=1)
    template = of_dark.ravel() - of_dark.mean()
    beyond = template - smooth[:, :3] @ np.linalg.lstsq(smooth[:, :3], template, rcond=None)[0]
    if beyond.std() < FAINTEST_GLOW * noise_adu:
        return None
    weights = np.ones(levels.size)
    square = template.reshape(levels.shape)
    mirrored = [
        float(robust_fit(np.column_stack([smooth, template, each.ravel()]), levels.ravel(), weights)[0][-1])
        for each in (square[::-1], square[:, ::-1], square[::-1, ::-1])
    ]
    fit, covariance = robust_fit(np.column_stack([smooth, template]), levels.ravel(), weights)
    # Nebulae resemble the glow to the same extent as they resemble its mirror images.
    imitated = float(np.mean(np.square(mirrored)))
    return Estimate(float(fit[-1]), float(np.sqrt(covariance[-1, -1] * _SHARED_TILES + imitated)))


def terms_of(examined: Examination, darks: RemainingDarks) -> Terms:
    """Return the results of the witnesses for the lights of one combination.

    Parameters
    ----------
    examined
        The examination of the lights. If the lights were not divided by a flat, `examined.masters.flat` is a flat whose
        pattern the examination looks for in the lights.
    darks
        The remaining patterns of the darks in the same lights.
    """
    found = {
        **_pedestals(examined),
        Witness.HOT: darks.hot(),
        Witness.GLOW: darks.glow(examined.noise_adu),
        Witness.ROWS: _common(examined, examined.rows),
        Witness.COLUMNS: _common(examined, examined.columns),
        Witness.ODD_EVEN: max(_alternating(examined, each) for each in (examined.rows, examined.columns)),
        Witness.DUST: None if examined.masters.flat is None else _of_dust(examined),
        Witness.MASTERS: _noise_of_masters(examined),
    }
    return {witness: term for witness, term in found.items() if term is not None}


def _square(estimate: Estimate) -> float:
    """Return the squared significance, limited to `CAP`."""
    return min(estimate.significance**2, CAP)


def _with_least(estimate: Estimate, error: float) -> Estimate:
    """Return an estimate with an additional error, so that artifacts too small to matter are not significant."""
    return Estimate(estimate.value, hypot(estimate.error, error))


def _pedestals(examined: Examination) -> dict[Witness, float | None]:
    found = examined.pedestals
    if found is None:
        return {}
    sky_adu = abs(found.sky_adu)
    response, noise = found.by_response_adu, found.by_noise_adu
    terms: dict[Witness, float | None] = {Witness.NOISE: _square(_with_least(noise, UNSEEN_STARS * sky_adu))}
    if isfinite(response.error):
        pedestal = Estimate(response.value - OTHER_RESPONSE.value * found.sky_adu, response.error)
        terms[Witness.RESPONSE] = _square(_with_least(pedestal, OTHER_RESPONSE.error * sky_adu))
        terms[Witness.GRADIENT] = max(_square(found.across_adu), _square(found.down_adu))
    return terms


def _common(examined: Examination, lines: LinePattern) -> float | None:
    """Return the squared significance of banding common to all lights; None for a single light."""
    common = lines.common_adu2
    if not isfinite(common.error):
        return None
    least = (LEAST_COMMON * examined.noise_adu) ** 2 / COMMON_SIGMA
    return _square(_with_least(Estimate(max(common.value, 0.0), common.error), least))


def _alternating(examined: Examination, lines: LinePattern) -> float:
    return _square(_with_least(lines.alternating_adu, LEAST_ALTERNATING * examined.noise_adu / COMMON_SIGMA))


def _of_dust(examined: Examination) -> float:
    """Return how significantly the shadows of the lights differ from those of the flat: the improvement in chi-square.

    A change in all shadows counts only to the extent that it exceeds what chance explains. A pedestal makes all shadows
    slightly weaker or stronger, so a slight change in their strength is ignored if pedestals are measured.
    """
    dust = examined.dust
    is_slight = dust.change is Change.WEAKER and abs(dust.scale - 1) < SLIGHT
    by_pedestal = is_slight and examined.pedestals is not None
    gain = 0.0 if by_pedestal or dust.change is Change.NONE else dust.gain
    singles = sum(each.significance**2 for each in (*dust.new, *dust.gone))
    return min(max(gain - LEAST_GAIN / 2, 0.0) + singles, CAP)


def _noise_of_masters(examined: Examination) -> float | None:
    """Return the squared significance of the noise of masters made from few frames.

    The result is None if a master does not state its noise.
    """
    masters = examined.masters
    fractions = ((masters.dark, examined.dark_fraction), (masters.flat, examined.flat_fraction))
    if any(each is not None and not each.uncertainty.any() for each in (masters.dark, masters.bias, masters.flat)):
        return None
    lights = min(examined.lights, INDEPENDENT)
    added = lights * sum(fraction for master, fraction in fractions if master is not None and _has_few_frames(master))
    return min((added / NOISE_OF_MASTERS) ** 2, CAP) if isfinite(added) else None


def _has_few_frames(master: MasterPlanes) -> bool:
    """Return whether a master has fewer frames than are usually enough; an unknown number counts as too few."""
    frames = frames_of(master)
    return frames is None or frames < ADVISED_FRAMES


def significance(term: float) -> float:
    """Return the significance of a term in standard errors."""
    return sqrt(term)
