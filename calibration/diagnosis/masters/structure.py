"""The response of single pixels in a master flat, which smoothing weakens, and lines across it.

The residual h of a pixel is its deviation from the plane through its block of 4 x 4 pixels of the same colour, relative
to the mean of the block. It contains the response of the pixel and its noise, but neither vignetting nor large shadows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimates import Estimate, spread
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.master_finding import master_finding, percent
from coldframe.calibration.diagnosis.smoothing import smoothed
from coldframe.calibration.diagnosis.stars import widened
from coldframe.calibration.kernels.block_sums import BIN, PIXELS
from coldframe.calibration.masters.reading import MasterPlanes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Pixels = NDArray[np.uint16] | F32

MOST_PIXELS = 2_000_000
"""Approximate number of pixels to examine; more would not improve the result noticeably."""

MOST_FRAMES = 16
"""Largest number of frames to compare with the master."""

LEAST_RATIO = 0.97
"""Smallest fraction of the pixels' response that a flat shows without having been smoothed; clean: 1.000 +- 0.003."""

LEAST_CORRELATION = 0.08
"""Correlation of neighbouring pixels from which a flat counts as smoothed. A Gaussian that retains 80 % of the response
causes 0.12; shared readout of neighbours and charge that spreads cause up to about 0.05."""

LEAST_NOISE = 0.7
"""Variance of the pixels relative to that of the noise of their mean, below which a flat was smoothed."""

SIGNIFICANT = 5.0

FEWEST_BLOCKS = 500

LEAST_BAND = 2e-4
"""Relative amplitude of bands from which they matter: 0.02 %."""

LEAST_PEAK = 14.0
"""Power that all parts of the rows share, relative to that of noise, from which it counts as bands; noise exceeds it
once in 3,000 flats."""

LEAST_COHERENCE = 0.4
"""Smallest fraction of the power of bands that all parts of the rows share; 1 without noise and dust."""

LEAST_ALTERNATION = 5e-5
"""Smallest relative difference between odd and even lines to report."""

_GROUPS = 24
_LIT = 0.05
_LARGEST_VARIANCE = 3.0
_FREEDOM = 13 / 16
"""Fraction of the variance of white noise that remains after a plane is fitted to 16 pixels (3 parameters)."""

_NEIGHBOURS = -7 / 48
"""Covariance that this fit causes between neighbours in white noise, relative to the variance."""

_PARTS = 8
"""Number of parts of each row; flicker is the same in all of them, whereas dust is not."""

_FEWEST_LINES = 64
_FEWEST_PART_PIXELS = 8
_DEGREE = 8
_LOWEST = 8
"""Smallest number of periods along the columns; smooth changes with fewer are removed."""

_NEARBY = 40
_SURFACE = 6
"""Degree of the smooth surface that is fitted to a flat, along each axis."""

_MOST_FITTED = 8_000
_DUST_SIGMA = 4.0

_PLACES = np.arange(BIN, dtype=np.float32) - np.float32(1.5)
_SQUARES = np.float32(20)
"""Sum of the squared places over the 16 pixels of a block."""


# ---- the response of pixels ----


def block_residuals(plane: Pixels, period: int) -> tuple[F32, F32]:
    """Return the residuals of the pixels, and the levels of their blocks, from evenly spaced rows of blocks.

    Parameters
    ----------
    plane
        Levels without pedestal, shape (height, width).
    period
        Distance between pixels of the same colour: 1 or 2.

    Returns
    -------
    residuals, levels
        float32, shapes (period ** 2, blocks, 4, 4) and (period ** 2, blocks).
    """
    blocks = _cut(plane, period)
    levels = blocks.mean(axis=(2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = blocks / levels[:, :, None, None] - 1
    down = np.tensordot(relative.sum(axis=3), _PLACES, axes=1) / _SQUARES
    across = np.tensordot(relative.sum(axis=2), _PLACES, axes=1) / _SQUARES
    relative -= down[:, :, None, None] * _PLACES[:, None] + across[:, :, None, None] * _PLACES
    return relative, levels


def _cut(plane: Pixels, period: int) -> F32:
    rows, columns = (size // (BIN * period) for size in plane.shape)
    step = max(1, -(-rows * columns * PIXELS * period**2 // MOST_PIXELS))
    sites = [
        plane[y : rows * BIN * period : period, x : columns * BIN * period : period]
        for y in range(period)
        for x in range(period)
    ]
    cut = [site.reshape(rows, BIN, columns, BIN)[::step].swapaxes(1, 2).reshape(-1, BIN, BIN) for site in sites]
    return np.array(cut, np.float32)


@dataclass(frozen=True, slots=True)
class PixelResponse:
    """The residuals of a master flat.

    Attributes
    ----------
    scatter
        Relative standard deviation of the pixels' response; the noise of the master is subtracted if it is known.
    noise
        Relative standard deviation of the noise of a pixel, from UNCERT; 0 if unknown.
    correlation
        Smaller one of the correlations of horizontal and of vertical neighbours.
    """

    scatter: float
    noise: float
    correlation: Estimate

    @property
    def to_noise(self) -> float:
        """Variance of the pixels, including noise, relative to that of the noise; infinite if the noise is unknown."""
        return (self.scatter / self.noise) ** 2 if self.noise else float("inf")


def find_response(flat: MasterPlanes, period: int) -> PixelResponse | None:
    """Return the residuals of a master flat; None if it has too few pixels."""
    residuals, levels = block_residuals(flat.mean, period)
    kept = _ordinary(residuals, levels)
    if np.count_nonzero(kept) < FEWEST_BLOCKS:
        return None
    h = residuals[:, kept]
    variance = float(np.square(h).mean()) / _FREEDOM
    noise = _cut(np.square(flat.uncertainty), period)[:, kept].mean(axis=(2, 3)) / np.square(levels[:, kept])
    if period == 1:
        pairs = (h[..., :-1] * h[..., 1:], h[..., :-1, :] * h[..., 1:, :])
        expected = _NEIGHBOURS
    else:
        pairs = (h[0] * h[1], h[0] * h[2])
        expected = 0.0
    scale = max(variance, 1e-20)
    correlation = min(float(each.mean()) / scale - expected for each in pairs)
    return PixelResponse(
        float(np.sqrt(variance)), float(np.sqrt(noise.mean())), Estimate(correlation, pairs[0].size**-0.5)
    )


def _ordinary(residuals: F32, levels: F32) -> NDArray[np.bool_]:
    """Return the blocks without dead pixels, edges of shadows and unlit pixels; bool, shape (blocks,)."""
    variances = np.square(residuals).mean(axis=(2, 3))
    lit = levels > _LIT * np.median(levels)
    limit = _LARGEST_VARIANCE * float(np.median(variances[lit])) if lit.any() else 0.0
    return np.asarray((lit & (variances <= limit)).all(axis=0))


def response_ratio(
    flat: MasterPlanes, frames: Iterable[Pixels], pedestal: F32 | float, period: int, *, are_combined: bool
) -> Estimate | None:
    """Return the fraction of the pixels' response in single flats that the master shows; None with too few frames.

    The covariance of a frame with the master, divided by the covariance of two frames, is 1 for a mean of frames: the
    noise of different frames is independent, so that only the response remains.

    Parameters
    ----------
    flat
        The master flat.
    frames
        Raw flats of the same set, shape (height, width); at most `MOST_FRAMES` are used.
    pedestal
        Level of the flats without light, ADU: a master or a number.
    period
        Distance between pixels of the same colour: 1 or 2.
    are_combined
        True if the master contains these frames, so that it shares their noise.
    """
    residuals, levels = block_residuals(flat.mean, period)
    kept = _ordinary(residuals, levels)
    if np.count_nonzero(kept) < FEWEST_BLOCKS:
        return None
    master = residuals[:, kept]
    total, squares, products, count = np.zeros_like(master), np.zeros(_GROUPS), np.zeros(_GROUPS), 0
    for frame in islice(frames, MOST_FRAMES):
        h = block_residuals(np.asarray(frame - np.float32(pedestal) if np.isscalar(pedestal) else frame - pedestal, np.float32), period)[0][:, kept]
        total += h
        squares += _group_means(np.square(h))
        products += _group_means(h * master)
        count += 1
    if count < 2:  # noqa: PLR2004 - a pair of frames
        return None
    common = (_group_means(np.square(total)) - squares) / (count * (count - 1))
    shared = products / count
    if are_combined:
        shared -= (squares / count - common) / max(float(_frames(flat)), 1.0)
    if common.mean() <= 0:
        return None
    ratio = float(shared.mean() / common.mean())
    error = float(np.std(shared - ratio * common) / np.sqrt(_GROUPS - 1) / common.mean())
    return Estimate(ratio, error)


def _group_means(values: F32) -> F64:
    """Return the means over groups of neighbouring blocks, whose scatter gives the error of the mean."""
    size = values.shape[1] // _GROUPS
    grouped = values[:, : size * _GROUPS].reshape(values.shape[0], _GROUPS, -1)
    return np.asarray(grouped.mean(axis=(0, 2), dtype=np.float64))


def _frames(master: MasterPlanes) -> float:
    frames = master.header.get("STACKCNT", master.header.get("NCOMBINE", 1))
    return float(frames) if isinstance(frames, int | float) else 1.0


def smoothness_findings(
    flat: MasterPlanes, ratio: Estimate | None, period: int
) -> Iterator[Finding]:
    """Yield whether a flat was smoothed, and the scatter of the pixels' response.

    Parameters
    ----------
    flat
        The master flat.
    ratio
        The result of `response_ratio`; None without single frames.
    period
        Distance between pixels of the same colour: 1 or 2.
    """
    response = find_response(flat, period)
    if response is None:
        return
    genuine = float(np.sqrt(max(response.scatter**2 - response.noise**2, 0.0)))
    seen = f"the response of its pixels scatters by {percent(genuine)}, their noise is {percent(response.noise)}"
    fix = "Combine the raw flats again, without a filter, blur or interpolation, or shoot a new set of flats."
    cause = "the master flat was smoothed, so it does not correct the response of single pixels"
    if ratio is not None:
        seen = f"it shows {ratio.value:.3f} +- {ratio.error:.3f} of the response of single flats; {seen}"
        missing = Estimate(1 - ratio.value, ratio.error)
        if ratio.value < LEAST_RATIO and missing.significance > SIGNIFICANT:
            yield master_finding(cause, missing, "of the response", least=1 - LEAST_RATIO, evidence=seen, fix=fix)
            return
    elif response.correlation.value > max(LEAST_CORRELATION, SIGNIFICANT * response.correlation.error):
        evidence = (
            f"neighbouring pixels are correlated by {response.correlation.value:.2f}, although the response and the "
            f"noise of neighbours are independent in most sensors; {seen}; single flats of the set would decide"
        )
        yield master_finding(
            cause, response.correlation, "correlation", least=LEAST_CORRELATION, evidence=evidence, fix=fix
        )
        return
    elif response.to_noise < LEAST_NOISE:
        lacking = Estimate(1 - response.to_noise, 0.02)
        evidence = f"its pixels scatter less than the noise that its UNCERT states: {seen}"
        yield master_finding(cause, lacking, "of the noise", least=1 - LEAST_NOISE, evidence=evidence, fix=fix)
        return
    limit = "" if ratio is not None else "; without single flats, a loss of less than 15 % of the response is not visible"
    yield master_finding(
        f"the flat shows the response of its pixels, which scatters by {percent(genuine)}",
        Estimate(genuine, 0.0),
        "relative",
        least=None,
        evidence=f"{seen}{limit}",
    )


# ---- lines ----


@dataclass(frozen=True, slots=True)
class Lines:
    """Regular lines of a flat.

    Attributes
    ----------
    amplitude
        Relative amplitude of the strongest band, half of peak to valley.
    period_px
        Its period.
    peak
        Power that all parts of the rows share, relative to the power of noise; 1 on average for noise.
    alternation
        Relative difference between the first, third, ... and the other lines; None if a colour filter array hides it.
    """

    amplitude: Estimate
    period_px: float
    peak: float
    alternation: Estimate | None

    @property
    def are_bands(self) -> bool:
        """Whether the band is significant."""
        return self.peak > LEAST_PEAK

    @property
    def alternate(self) -> bool:
        """Whether the difference between odd and even lines is significant."""
        return (
            self.alternation is not None
            and abs(self.alternation.value) > LEAST_ALTERNATION
            and self.alternation.significance > SIGNIFICANT
        )


def find_lines(plane: F32, mosaic: str | None) -> Lines | None:
    """Return the regular lines across the rows of a flat; None if it is too small. Transpose it for its columns.

    Parameters
    ----------
    plane
        Relative response, shape (height, width).
    mosaic
        Bayer array, of which only the green pixels are used; None for mono.
    """
    step = 1
    if mosaic is not None:
        plane, step = _greens(plane, mosaic), 2
    if plane.shape[0] < _FEWEST_LINES or plane.shape[1] < _PARTS * _FEWEST_PART_PIXELS:
        return None
    profiles = _profiles(plane)
    count = profiles.shape[1]
    alternating = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    differences = 2 * (profiles * alternating).mean(axis=1)
    alternation = Estimate(float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(_PARTS)))
    weights = np.hanning(count)
    spectra = np.fft.rfft((profiles - differences[:, None] / 2 * alternating) * weights, axis=1)[:, _LOWEST:-1]
    total, own = np.square(np.abs(spectra.sum(axis=0))), np.square(np.abs(spectra)).sum(axis=0)
    noise = _surroundings(own / _PARTS)
    # For noise, the power of the sum is the sum of the powers, on average.
    excess = (total - own) / _PARTS / noise
    # Dust that is left changes few parts.
    excess[total - own < LEAST_COHERENCE * (_PARTS - 1) * own] = 0
    place = int(np.argmax(excess))
    scale = 2 / float(weights.sum())
    amplitude = float(np.sqrt(max(total[place] - own[place], 0.0) / (_PARTS * (_PARTS - 1))))
    error = float(np.sqrt(noise[place] / (2 * _PARTS)))
    return Lines(
        Estimate(scale * amplitude, scale * error),
        step * count / (place + _LOWEST),
        float(excess[place]) + 1,
        alternation if mosaic is None else None,
    )


def _greens(plane: F32, mosaic: str) -> F32:
    """Return the means of the two green pixels of each 2 x 2 cell; float32, shape (height // 2, width // 2)."""
    height, width = (size // 2 * 2 for size in plane.shape)
    first, second = mosaic.index("G", 0, 2), mosaic.index("G", 2) - 2
    greens = plane[0:height:2, first:width:2] + plane[1:height:2, second:width:2]
    return np.asarray(greens / np.float32(2), np.float32)


def _profiles(plane: F32) -> F64:
    """Return the level of each row in each part without dust and smooth changes; shape (parts, rows)."""
    rows, width = plane.shape[0], plane.shape[1] // _PARTS
    residuals, known = _without_dust(plane)
    shape = (rows, _PARTS, width)
    known = known[:, : width * _PARTS].reshape(shape)
    counts = known.sum(axis=2)
    sums = np.where(known, residuals[:, : width * _PARTS].reshape(shape), np.float32(0)).sum(axis=2, dtype=np.float64)
    levels = sums / np.maximum(counts, 1)
    design = np.polynomial.legendre.legvander(np.linspace(-1, 1, rows), _DEGREE)
    found = np.empty((_PARTS, rows))
    for part in range(_PARTS):
        root = np.sqrt(counts[:, part])
        fit = np.linalg.lstsq(design * root[:, None], levels[:, part] * root, rcond=None)[0]
        smooth_free = np.where(root > 0, levels[:, part] - design @ fit, 0)
        limit = _DUST_SIGMA * spread(smooth_free)
        found[part] = np.clip(smooth_free, -limit, limit)
    return np.asarray(found - found.mean(axis=1, keepdims=True))


def _without_dust(plane: F32) -> tuple[F32, NDArray[np.bool_]]:
    """Return the relative residuals from a smooth surface, and the pixels outside shadows of dust; same shape."""
    rows, columns = (size // BIN for size in plane.shape)
    bins = plane[: rows * BIN, : columns * BIN].reshape(rows, BIN, columns, BIN).mean(axis=(1, 3))
    # Degrees that would follow bands are left to the spectrum.
    down, across = (np.polynomial.legendre.legvander(np.linspace(-1, 1, size), _SURFACE) for size in (rows, columns))
    known = bins > _LIT * float(np.median(bins))
    amounts = np.zeros((_SURFACE + 1, _SURFACE + 1))
    step = max(1, -(-bins.size // _MOST_FITTED)) | 1
    for _ in range(3):
        chosen = np.nonzero(known.ravel())[0][::step]
        if chosen.size < 2 * amounts.size:
            break
        y, x = np.divmod(chosen, columns)
        design = (down[y][:, :, None] * across[x][:, None, :]).reshape(chosen.size, -1)
        solved = np.linalg.solve(design.T @ design, design.T @ bins.ravel()[chosen].astype(np.float64))
        amounts = solved.reshape(amounts.shape)
        relief = (bins / np.maximum(down @ amounts @ across.T, 1e-3) - 1).astype(np.float32)
        # Bands must not count as dust.
        relief -= np.median(relief, axis=1, keepdims=True)
        fine = smoothed(relief, np.ones(bins.shape, np.bool_), 1.0)
        limit = _DUST_SIGMA * spread(fine[known].astype(np.float64))
        known = (bins > _LIT * float(np.median(bins))) & ~widened(np.abs(fine) > limit, 2)
    whole = [
        np.polynomial.legendre.legvander((np.arange(size) - (used * BIN - 1) / 2) / (used * BIN - BIN) * 2, _SURFACE)
        for size, used in zip(plane.shape, (rows, columns), strict=True)
    ]
    surface = np.maximum(whole[0] @ amounts @ whole[1].T, 1e-3)
    outside = np.zeros(plane.shape, np.bool_)
    outside[: rows * BIN, : columns * BIN] = np.repeat(np.repeat(known, BIN, axis=0), BIN, axis=1)
    return (plane / surface - 1).astype(np.float32), outside


def _surroundings(powers: F64) -> F64:
    """Return the median of the powers near each frequency."""
    reach = min(_NEARBY, (powers.size - 1) // 2)
    padded = np.pad(powers, reach, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.maximum(np.median(windows, axis=1), 1e-30)


def line_findings(flat: MasterPlanes, previous: MasterPlanes | None, mosaic: str | None) -> Iterator[Finding]:
    """Yield regular lines across the rows and columns of a flat.

    Parameters
    ----------
    flat
        The master flat.
    previous
        An earlier flat of the same setting, which shows whether the sensor is the cause; None if there is none.
    mosaic
        Bayer array; None for mono.
    """
    turned = None if mosaic is None else mosaic[0] + mosaic[2] + mosaic[1] + mosaic[3]
    cases: Sequence[tuple[str, F32, F32 | None, str | None]] = (
        ("rows", flat.mean, None if previous is None else previous.mean, mosaic),
        ("columns", flat.mean.T, None if previous is None else previous.mean.T, turned),
    )
    for name, plane, earlier, pattern in cases:
        lines = find_lines(plane, pattern)
        if lines is None:
            continue
        before = None if earlier is None else find_lines(earlier, pattern)
        if lines.are_bands:
            yield _bands(name, lines, before)
        if lines.alternate:
            yield _alternation(name, lines, before)


_DIMMER = "Shoot the flats with a longer exposure and a dimmer panel, and with mains or battery power that does not flicker."


def _bands(name: str, lines: Lines, before: Lines | None) -> Finding:
    same = before is not None and before.are_bands and abs(before.period_px / lines.period_px - 1) < 0.02  # noqa: PLR2004
    flicker = name == "rows" and not same
    cause = (
        f"the flat has bands along its rows with a period of {lines.period_px:.4g} rows: the panel flickers under the "
        "rolling shutter"
        if flicker
        else f"the {name} of the flat have a fixed pattern with a period of {lines.period_px:.4g} px, probably of the readout"
    )
    evidence = f"all parts of the {name} share them with {lines.peak:.0f} times the power of noise (which reaches 14)"
    if same:
        evidence += "; the previous flat has the same pattern"
    return master_finding(
        f"{cause}, amplitude {percent(lines.amplitude.value)}",
        lines.amplitude,
        "relative",
        least=LEAST_BAND if flicker else None,
        evidence=evidence,
        fix=_DIMMER if flicker else "",
    )


def _alternation(name: str, lines: Lines, before: Lines | None) -> Finding:
    assert lines.alternation is not None
    difference = lines.alternation
    same = before is not None and before.alternation is not None and (
        abs(difference.value - before.alternation.value)
        < max(SIGNIFICANT * float(np.hypot(difference.error, before.alternation.error)), 0.2 * abs(difference.value))
    )
    known = (
        "the previous flat has the same difference, so it is a property of the sensor"
        if same
        else "a sensor that reads odd and even lines differently looks alike: a flat of another exposure decides"
    )
    return master_finding(
        f"odd and even {name} of the flat differ by {percent(abs(difference.value))}: flicker of the panel or a property of the sensor",
        Estimate(abs(difference.value), difference.error),
        "relative",
        least=LEAST_BAND if name == "rows" and not same else None,
        evidence=f"the difference has {difference.significance:.0f} standard errors; {known}",
        fix="" if same else _DIMMER,
    )
