"""Regular lines in a master flat: banding due to a flickering panel, and differences between odd and even lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, spread
from coldframe.calibration.diagnosis.estimating.smoothing import smoothed
from coldframe.calibration.diagnosis.estimating.stars import widened
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.master_finding import master_finding, percent
from coldframe.calibration.kernels.block_sums import BIN
from coldframe.calibration.masters.reading import MasterPlanes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SIGNIFICANT = 5.0

LEAST_BAND = 2e-4
"""Relative amplitude above which bands matter: 0.02 %."""

LEAST_PEAK = 14.0
"""Power common to all parts of the rows, relative to that of noise, above which it counts as banding; noise exceeds
this limit once in 3,000 flats."""

LEAST_COHERENCE = 0.4
"""Smallest fraction of the power of banding that is common to all parts of the rows; 1 without noise and dust."""

LEAST_ALTERNATION = 5e-5
"""Smallest relative difference between odd and even lines that is reported."""

_LIT = 0.05
_PARTS = 8
"""Number of parts of each row; flicker is the same in all of them, whereas dust is not."""

_FEWEST_LINES = 64
_FEWEST_PART_PIXELS = 8
_DEGREE = 8
_LOWEST = 8
"""Smallest number of periods of banding in the height of the frame; smoother variations are removed."""

_NEARBY = 40
_SURFACE = 6
_BAND = 64 * BIN
"""Number of rows that are processed at once; `_SURFACE` is the degree, along each axis, of the smooth surface that is
fitted to a flat."""

_MOST_FITTED = 8_000
_DUST_SIGMA = 4.0


@dataclass(frozen=True, slots=True)
class Lines:
    """Regular lines in a flat.

    Attributes
    ----------
    amplitude
        Relative amplitude of the strongest banding: half of the difference between peak and valley.
    period_px
        Period of this banding.
    peak
        Power common to all parts of the rows, relative to the power of noise; 1 on average for noise.
    alternation
        Relative difference between the odd lines (first, third, ...) and the even lines; None if a colour filter array
        hides it.
    """

    amplitude: Estimate
    period_px: float
    peak: float
    alternation: Estimate | None

    @property
    def are_bands(self) -> bool:
        """True if the banding is significant."""
        return self.peak > LEAST_PEAK

    @property
    def alternate(self) -> bool:
        """True if the difference between odd and even lines is significant."""
        return (
            self.alternation is not None
            and abs(self.alternation.value) > LEAST_ALTERNATION
            and self.alternation.significance > SIGNIFICANT
        )


def find_lines(plane: F32, mosaic: str | None) -> Lines | None:
    """Return the regular lines among the rows of a flat; None if it is too small. Transpose the flat for columns.

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
    # Remaining dust affects only a few parts.
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
    """Return the level of each row in each part, excluding dust and smooth variations; shape (parts, rows)."""
    rows, width = plane.shape[0], plane.shape[1] // _PARTS
    counts, sums = np.zeros((rows, _PARTS), np.int64), np.zeros((rows, _PARTS))
    for band, residuals, known in _without_dust(plane[:, : width * _PARTS]):
        shape = (residuals.shape[0], _PARTS, width)
        known_parts = known.reshape(shape)
        counts[band] = known_parts.sum(axis=2)
        sums[band] = np.where(known_parts, residuals.reshape(shape), np.float32(0)).sum(axis=2, dtype=np.float64)
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


def _without_dust(plane: F32) -> Iterator[tuple[slice, F32, NDArray[np.bool_]]]:
    """Yield strips of rows, their relative residuals from a smooth surface, and masks of pixels without shadows."""
    rows, columns = (size // BIN for size in plane.shape)
    bins = plane[: rows * BIN, : columns * BIN].reshape(rows, BIN, columns, BIN).mean(axis=(1, 3))
    # The degree is too low to follow banding, which is left to the spectrum.
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
        # Banding must not be mistaken for dust.
        relief -= np.median(relief, axis=1, keepdims=True)
        fine = smoothed(relief, np.ones(bins.shape, np.bool_), 1.0)
        limit = _DUST_SIGMA * spread(fine[known].astype(np.float64))
        known = (bins > _LIT * float(np.median(bins))) & ~widened(np.abs(fine) > limit, 2)
    whole = [
        np.polynomial.legendre.legvander((np.arange(size) - (used * BIN - 1) / 2) / (used * BIN - BIN) * 2, _SURFACE)
        for size, used in zip(plane.shape, (rows, columns), strict=True)
    ]
    outside = np.zeros((-(-plane.shape[0] // BIN), plane.shape[1]), np.bool_)
    outside[:rows, : columns * BIN] = np.repeat(known, BIN, axis=1)
    for first in range(0, plane.shape[0], _BAND):
        band = slice(first, min(first + _BAND, plane.shape[0]))
        surface = np.maximum((whole[0][band] @ amounts @ whole[1].T).astype(np.float32), np.float32(1e-3))
        known_band = np.repeat(outside[first // BIN : -(-band.stop // BIN)], BIN, axis=0)
        yield band, (plane[band] / surface - 1).astype(np.float32), known_band[: band.stop - first]


def _surroundings(powers: F64) -> F64:
    """Return the median of the powers near each frequency."""
    reach = min(_NEARBY, (powers.size - 1) // 2)
    padded = np.pad(powers, reach, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.maximum(np.median(windows, axis=1), 1e-30)


def line_findings(flat: MasterPlanes, previous: MasterPlanes | None, mosaic: str | None) -> Iterator[Finding]:
    """Yield findings about regular lines among the rows and columns of a flat.

    Parameters
    ----------
    flat
        The master flat.
    previous
        An earlier flat with the same settings, which shows whether the sensor is the cause; None if there is none.
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


_DIMMER = "Shoot the flats again with a longer exposure and a dimmer panel."


def _bands(name: str, lines: Lines, before: Lines | None) -> Finding:
    same = before is not None and before.are_bands and abs(before.period_px / lines.period_px - 1) < 0.02  # noqa: PLR2004
    flicker = name == "rows" and not same
    cause = (
        f"the flat has bands along its rows with a period of {lines.period_px:.4g} rows, probably due to a flickering "
        "panel and a rolling shutter"
        if flicker
        else f"the {name} of the flat have a fixed pattern with a period of {lines.period_px:.4g} px, probably due to "
        "the readout"
    )
    evidence = (
        f"the pattern is the same in all parts of the {name}, with {lines.peak:.0f} times the power of noise (noise "
        "alone reaches 14)"
    )
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
    same = (
        before is not None
        and before.alternation is not None
        and (
            abs(difference.value - before.alternation.value)
            < max(
                SIGNIFICANT * float(np.hypot(difference.error, before.alternation.error)), 0.2 * abs(difference.value)
            )
        )
    )
    known = (
        "the previous flat has the same difference, so it is a property of the sensor"
        if same
        else "a sensor that reads odd and even lines differently has the same effect: compare with another exposure"
    )
    return master_finding(
        f"odd and even {name} of the flat differ by {percent(abs(difference.value))}: "
        + ("flicker of the panel, or a property of the sensor" if name == "rows" else "a property of the sensor"),
        Estimate(abs(difference.value), difference.error),
        "relative",
        least=LEAST_BAND if name == "rows" and not same else None,
        evidence=f"the difference has {difference.significance:.0f} standard errors; {known}",
        fix="" if same else _DIMMER,
    )
