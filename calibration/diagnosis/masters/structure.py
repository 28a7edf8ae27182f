"""The response of individual pixels in a master flat; it becomes weaker if the flat is smoothed.

The residual h of a pixel is its deviation from the plane through its block of 4 x 4 pixels of the same colour, relative
to the mean of the block. It contains the response of the pixel and its noise, but neither vignetting nor large shadows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.master_finding import master_finding, percent
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
"""Fraction of the pixels' response that a flat shows, below which the flat counts as smoothed; faultless flats show
1.000 +- 0.003."""

LEAST_CORRELATION = 0.08
"""Correlation between neighbouring pixels above which a flat counts as smoothed. A Gaussian filter that retains 80 % of
the response causes a correlation of 0.12; shared readout and charge diffusion cause at most about 0.05."""

LEAST_NOISE = 0.7
"""Variance of the pixels, relative to the noise variance that the master states, below which a flat counts as smoothed.
"""

SIGNIFICANT = 5.0

FEWEST_BLOCKS = 500

_GROUPS = 24
_LIT = 0.05
_LARGEST_VARIANCE = 3.0
_FREEDOM = 13 / 16
"""Fraction of the variance of white noise that remains after a plane is fitted to 16 pixels (3 parameters)."""

_NEIGHBOURS = -7 / 48
"""Covariance between neighbours that fitting a plane to white noise causes, relative to the variance of the noise."""

_PLACES = np.arange(BIN, dtype=np.float32) - np.float32(1.5)
_SQUARES = np.float32(20)
"""Sum of the squared positions along one axis over the 16 pixels of a block."""


def block_residuals(plane: Pixels, period: int) -> tuple[F32, F32]:
    """Return the residuals of the pixels, and the levels of their blocks, from evenly spaced rows of blocks.

    Parameters
    ----------
    plane
        Levels after subtraction of the pedestal, shape (height, width).
    period
        Distance between pixels of the same colour: 1 or 2.

    Returns
    -------
    residuals, levels
        The residuals and the levels: float32, shapes (period ** 2, blocks, 4, 4) and (period ** 2, blocks).
    """
    return residuals_of(cut_blocks(plane, period))


def residuals_of(blocks: F32) -> tuple[F32, F32]:
    """Return the residuals of the pixels of blocks, and the levels of the blocks; see `block_residuals`."""
    levels = blocks.mean(axis=(2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = blocks / levels[:, :, None, None] - 1
    down = np.tensordot(relative.sum(axis=3), _PLACES, axes=1) / _SQUARES
    across = np.tensordot(relative.sum(axis=2), _PLACES, axes=1) / _SQUARES
    relative -= down[:, :, None, None] * _PLACES[:, None] + across[:, :, None, None] * _PLACES
    return relative, levels


def cut_blocks(plane: Pixels, period: int) -> F32:
    """Return blocks of pixels from evenly spaced rows; float32, shape (period ** 2, blocks, 4, 4)."""
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
    """The statistics of the residuals of a master flat.

    Attributes
    ----------
    scatter
        Relative standard deviation of the pixels, including the noise of the master.
    noise
        Relative standard deviation of the noise of a pixel, from UNCERT; 0 if unknown.
    correlation
        Correlation between horizontal neighbours or between vertical neighbours, whichever is smaller.
    """

    scatter: float
    noise: float
    correlation: Estimate

    @property
    def to_noise(self) -> float:
        """Variance of the pixels, including noise, divided by the variance of the noise; infinite if it is unknown."""
        return (self.scatter / self.noise) ** 2 if self.noise else float("inf")


def find_response(flat: MasterPlanes, period: int) -> PixelResponse | None:
    """Return the statistics of the residuals of a master flat; None if it has too few pixels."""
    residuals, levels = block_residuals(flat.mean, period)
    kept = _ordinary(residuals, levels)
    if np.count_nonzero(kept) < FEWEST_BLOCKS:
        return None
    h = residuals[:, kept]
    variance = float(np.square(h).mean()) / _FREEDOM
    noise = np.square(cut_blocks(flat.uncertainty, period))[:, kept].mean(axis=(2, 3)) / np.square(levels[:, kept])
    if period == 1:
        pairs = (h[..., :-1] * h[..., 1:], h[..., :-1, :] * h[..., 1:, :])
        expected = _NEIGHBOURS
    else:
        pairs = (h[0] * h[1], h[0] * h[2])
        expected = 0.0
    scale = max(variance, 1e-20)
    correlation = min(float(each.mean()) / scale - expected for each in pairs)
    return PixelResponse(
        float(np.sqrt(variance)), float(np.sqrt(noise.mean())), Estimate(correlation, pairs[0].size ** -0.5)
    )


def _ordinary(residuals: F32, levels: F32) -> NDArray[np.bool_]:
    """Return a mask of blocks without dead pixels, edges of shadows or unlit pixels; bool, shape (blocks,)."""
    variances = np.square(residuals).mean(axis=(2, 3))
    lit = levels > _LIT * np.median(levels)
    limit = _LARGEST_VARIANCE * float(np.median(variances[lit])) if lit.any() else 0.0
    return np.asarray((lit & (variances <= limit)).all(axis=0))


def response_ratio(
    flat: MasterPlanes, frames: Iterable[Pixels], pedestal: F32, period: int, *, are_combined: bool
) -> Estimate | None:
    """Return the fraction of the pixels' response in individual flats that the master shows; None with too few frames.

    The covariance of a frame with the master, divided by the covariance of two frames, is 1 if the master is a mean of
    frames: the noise of different frames is independent, so only the response remains.

    Parameters
    ----------
    flat
        The master flat.
    frames
        Raw flats of the same set, shape (height, width); at most `MOST_FRAMES` are used.
    pedestal
        Level of the flats without light, ADU: float32, same shape.
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
        h = block_residuals(frame - pedestal, period)[0][:, kept]
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
    """Return the means over groups of neighbouring blocks; their scatter yields the error of the overall mean."""
    size = values.shape[1] // _GROUPS
    grouped = values[:, : size * _GROUPS].reshape(values.shape[0], _GROUPS, -1)
    return np.asarray(grouped.mean(axis=(0, 2), dtype=np.float64))


def _frames(master: MasterPlanes) -> float:
    frames = master.header.get("STACKCNT", master.header.get("NCOMBINE", 1))
    return float(frames) if isinstance(frames, int | float) else 1.0


def smoothness_findings(flat: MasterPlanes, ratio: Estimate | None, period: int) -> Iterator[Finding]:
    """Yield a finding if a flat was smoothed; otherwise, one that states the scatter of the pixels' response.

    Parameters
    ----------
    flat
        The master flat.
    ratio
        The result of `response_ratio`; None without individual frames.
    period
        Distance between pixels of the same colour: 1 or 2.
    """
    response = find_response(flat, period)
    if response is None:
        return
    genuine = float(np.sqrt(max(response.scatter**2 - response.noise**2, 0.0)))
    seen = f"the response of its pixels varies by {percent(genuine)}, their noise is {percent(response.noise)}"
    fix = "Combine the raw flats again, without a filter, blur or interpolation, or shoot a new set of flats."
    cause = "the master flat was smoothed, so it does not correct the response of individual pixels"
    if ratio is not None:
        seen = f"it shows {ratio.value:.3f} +- {ratio.error:.3f} of the response of individual flats; {seen}"
        missing = Estimate(1 - ratio.value, ratio.error)
        if ratio.value < LEAST_RATIO and missing.significance > SIGNIFICANT:
            yield master_finding(cause, missing, "of the response", least=1 - LEAST_RATIO, evidence=seen, fix=fix)
            return
    elif response.correlation.value > max(LEAST_CORRELATION, SIGNIFICANT * response.correlation.error):
        evidence = (
            f"neighbouring pixels have a correlation of {response.correlation.value:.2f}, although the response and "
            f"the noise of neighbours are independent in most sensors; {seen}; a comparison with individual flats of "
            "the set would settle the question"
        )
        yield master_finding(
            cause, response.correlation, "correlation", least=LEAST_CORRELATION, evidence=evidence, fix=fix
        )
        return
    elif response.to_noise < LEAST_NOISE:
        lacking = Estimate(1 - response.to_noise, 0.02)
        evidence = f"its pixels vary less than the noise stated by UNCERT: {seen}"
        yield master_finding(cause, lacking, "of the noise", least=1 - LEAST_NOISE, evidence=evidence, fix=fix)
        return
    limit = (
        ""
        if ratio is not None
        else "; without individual flats, a loss of less than 15 % of the response is not visible"
    )
    yield master_finding(
        f"the flat shows the response of its pixels, which varies by {percent(genuine)}",
        Estimate(genuine, 0.0),
        "relative",
        least=None,
        evidence=f"{seen}{limit}",
    )
