"""The arithmetic of calibrating lights: applied to planes in memory, and independent of files."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.kernels import lights
from coldframe.calibration.masters.bands import gathered_rows
from coldframe.calibration.masters.reading import BandedMaster, MasterPlanes, sampled_master
from coldframe.calibration.measuring.amp_glow import DarkSignal, scaling_doubt
from coldframe.calibration.measuring.medians import median
from coldframe.errors import ColdframeError

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

_STEP = 3
"""Step between the rows and columns that are sampled for a level; an odd step covers every colour of a filter array."""

HARMLESS_NOISE = 0.2
"""Fraction of a light's noise below which a glow error is tolerated; it then increases a pixel's noise by at most 2
%."""


COLOUR_PERIOD = 2
"""Distance between pixels of the same colour in a 2x2 filter array; it can be used for monochrome sensors as well."""

_LIMIT_SIGMA = 10.0
_SAMPLED_PIXELS = 10_000


class MismatchError(ColdframeError):
    """The masters do not match the light or each other; the message states the difference."""


class GlowError(MismatchError):
    """The amplifier glow of a dark might not grow in proportion to the exposure, so the dark is not scaled."""


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """The planes for lights with the same recipe; float32, shape (height, width), unless stated otherwise.

    Attributes
    ----------
    subtracted
        ADU: the master dark, the master bias, or the bias plus the scaled dark current.
    dark_variance
        ADU^2: variance of `subtracted`, plus the variance of a single dark frame with the light's exposure.
    response
        Master flat, never 0; all ones if no flat is used.
    response_variance
        Relative variance of `response`.
    masked
        bool: pixels without signal in the flat; None if no flat is used or the flat has no mask.
    caveats
        Messages about errors that the masters might leave in every light.
    rows
        Rows that the two variances cover, in ascending order; None for all rows.
    sampled
        Every third row and column of the whole `dark_variance`; None if `dark_variance` itself covers all rows.
    """

    subtracted: F32
    dark_variance: F32
    response: F32
    response_variance: F32
    masked: NDArray[np.bool_] | None
    caveats: tuple[str, ...] = ()
    rows: NDArray[np.intp] | None = None
    sampled: F32 | None = None

    def band(self, rows: slice | NDArray[np.intp]) -> "Correction":
        """Return the planes for the given rows; if the variances cover only some rows, these must be the given rows."""
        is_all = self.rows is None
        assert self.rows is None or np.array_equal(np.arange(len(self.subtracted))[rows], self.rows)
        return Correction(
            self.subtracted[rows],
            self.dark_variance[rows] if is_all else self.dark_variance,
            self.response[rows],
            self.response_variance[rows] if is_all else self.response_variance,
            None if self.masked is None else self.masked[rows],
        )

    @property
    def sampled_variance(self) -> F32:
        """Every third row and column of the variance of the dark."""
        return self.dark_variance[::_STEP, ::_STEP] if self.sampled is None else self.sampled

    def without_variances(self) -> "Correction":
        """Return the planes without the variances, which take half the memory; only the uncertainty requires them."""
        nothing = np.zeros((0, 0), np.float32)
        return replace(self, dark_variance=nothing, response_variance=nothing, sampled=None)


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedLight:
    """A calibrated light.

    Attributes
    ----------
    signal
        float32, shape (height, width), ADU; it scatters around zero where no light reached the sensor, so some values
        are negative.
    uncertainty
        float32, same shape: standard error of `signal`.
    """

    signal: F32
    uncertainty: F32


def correction(dark: "Subtraction", flat: BandedMaster | None) -> Correction:
    """Combine the dark to subtract with the flat to divide by.

    Raises
    ------
    MismatchError
        If the flat has a different shape, or if its mean is not about 1.
    """
    shape = dark.subtracted.shape
    if flat is None:
        ones, zeros = np.ones(shape, np.float32), np.zeros(dark.variance.shape, np.float32)
        return Correction(dark.subtracted, dark.variance, ones, zeros, None, (), dark.rows, dark.sampled)
    if flat.mean.shape != shape:
        raise MismatchError(f"the master flat has the shape {flat.mean.shape}, but the dark has {shape}")
    check_relative(flat)
    # In most flats, all values are positive. Such a flat is itself the response, so no memory is needed for another
    # plane.
    response = flat.mean if flat.mean.min() > 0 else np.where(flat.mean > 0, flat.mean, np.float32(1))

    def relative_variance(band: slice) -> F32:
        return np.asarray(np.square(flat.band(band).uncertainty / response[band]))

    variance = gathered_rows(shape, relative_variance, dark.rows)
    return Correction(dark.subtracted, dark.variance, response, variance, flat.masked, (), dark.rows, dark.sampled)


def check_relative(flat: BandedMaster) -> None:
    """Raise `MismatchError` if the mean of a master flat is not about 1."""
    level = float(flat.mean.mean(dtype=np.float64))
    if not 0.5 < level < 2:  # noqa: PLR2004 - generous: masks and mosaics shift the mean of coldframe's flats far less
        raise MismatchError(f"the master flat's mean is {level:.4g}: it must be about 1, as in flats from coldframe")


@dataclass(frozen=True, slots=True, eq=False)
class Subtraction:
    """The dark that is subtracted from a light.

    Attributes
    ----------
    subtracted
        ADU, float32, shape (height, width).
    variance
        ADU^2, same shape: variance of `subtracted`, plus the variance of a single dark frame.
    caveats
        Messages about errors that the subtraction might leave.
    rows, sampled
        See `Correction`.
    """

    subtracted: F32
    variance: F32
    caveats: tuple[str, ...] = ()
    rows: NDArray[np.intp] | None = None
    sampled: F32 | None = None

    def with_variance_of(self, rows: NDArray[np.intp]) -> "Subtraction":
        """Return this subtraction with its variance limited to the given rows."""
        return replace(self, variance=self.variance[rows], rows=rows, sampled=self.variance[::_STEP, ::_STEP].copy())

    @property
    def level_adu(self) -> float:
        """Median of `subtracted`: the bias level plus the dark current of ordinary pixels."""
        return float(median(self.subtracted[::_STEP, ::_STEP]))


def dark_subtraction(dark: BandedMaster, rows: NDArray[np.intp] | None = None) -> Subtraction:
    """Return the subtraction of a master dark with the light's exposure, or of a bias if dark current is negligible.

    The readout noise of the light is derived for each pixel from the scatter of the master's frames, so that it is also
    correct for hot and flickering pixels. The variance is limited to `rows`; None stands for all rows.
    """
    variance = gathered_rows(dark.mean.shape, lambda band: _variance(dark.band(band)), rows)
    if rows is None:
        return Subtraction(dark.mean, variance)
    return Subtraction(dark.mean, variance, rows=rows, sampled=_variance(sampled_master(dark, _STEP)))


def _variance(dark: MasterPlanes) -> F32:
    return np.asarray(dark.uncertainty**2 + dark.frame_variance)


def with_bias(dark: MasterPlanes, bias: MasterPlanes) -> MasterPlanes:
    """Return a master dark that contains its bias: the dark itself, or the sum of a bias-subtracted dark and a bias."""
    if not setup_of(dark.header).bias_subtracted:
        return dark
    own = bias.header.get("DATASUM")
    is_own = bool(own) and own == dark.header.get("CFSUBSUM")
    return with_own_bias(dark, bias) if is_own else with_other_bias(dark, bias)


def with_own_bias(dark: MasterPlanes, bias: MasterPlanes) -> MasterPlanes:
    """Return a bias-subtracted master dark with the same bias added back, so that the error of the bias cancels."""
    own = _own_variance(dark, bias)
    return replace(
        dark, mean=dark.mean + bias.mean, uncertainty=np.sqrt(own), frame_variance=_frame_variance(dark, own)
    )


def with_other_bias(dark: MasterPlanes, bias: MasterPlanes) -> MasterPlanes:
    """Return a bias-subtracted master dark with a different bias added, including the errors of both biases.

    The uncertainty of the bias that was subtracted is unknown; it is assumed to equal the uncertainty of the given
    bias.
    """
    own = _own_variance(dark, bias)
    return replace(
        dark,
        mean=dark.mean + bias.mean,
        uncertainty=np.hypot(dark.uncertainty, bias.uncertainty),
        frame_variance=_frame_variance(dark, own),
    )


def _own_variance(dark: MasterPlanes, bias: MasterPlanes) -> F32:
    """Return the variance of a master dark before its bias was subtracted."""
    _check_shapes(dark, bias)
    own: F32 = np.maximum(dark.uncertainty**2 - bias.uncertainty**2, 0)
    return own


def _frame_variance(dark: MasterPlanes, own: F32) -> F32:
    variance = dark.uncertainty**2
    fraction: F32 = np.divide(own, variance, out=np.ones_like(own), where=variance > 0)
    return dark.frame_variance * fraction


def _check_shapes(dark: MasterPlanes, bias: MasterPlanes) -> None:
    if bias.mean.shape != dark.mean.shape:
        raise MismatchError(f"the master bias has the shape {bias.mean.shape}, but the dark has {dark.mean.shape}")


def scaled_subtraction(
    bias: MasterPlanes,
    dark: MasterPlanes,
    scale: float,
    witness: MasterPlanes | None = None,
    *,
    despite_glow: bool = False,
) -> Subtraction:
    """Return the subtraction of bias + scale (dark - bias), for a light with `scale` times the exposure of the dark.

    Unlike dark current, amplifier glow does not always grow in proportion to the exposure, so too little or too much
    could be subtracted after scaling. A dark with glow is scaled if the witness shows that the glow does grow in
    proportion to the exposure, or if the possible error is below `HARMLESS_NOISE` of the noise of a light.

    Parameters
    ----------
    bias, dark
        Masters; the dark includes its bias.
    scale
        Exposure of the light divided by the exposure of the dark.
    witness
        A dark with a different exposure but otherwise the same setup, which shows whether glow grows with the exposure.
    despite_glow
        True to scale the dark regardless of its glow.

    Raises
    ------
    GlowError
        If scaling the glow could leave an error that is too large.
    MismatchError
        If the shapes of the masters differ.
    """
    doubt = scaling_doubt(_current(dark, bias), scale, None if witness is None else _current(witness, bias))
    own, other = np.float32(scale), np.float32(1 - scale)
    current_variance = np.maximum(dark.frame_variance - bias.frame_variance, 0)
    readout_variance = bias.frame_variance + own * current_variance
    caveats: tuple[str, ...] = ()
    if doubt is not None:
        noise_adu = float(np.sqrt(np.median(readout_variance)))
        noise = f"the noise of a light is at least {noise_adu:.3g} ADU" if noise_adu else "the noise is unknown"
        text = f"{doubt.reason}; scaling may leave an error of {doubt.error_adu:.2g} ADU there ({noise})"
        if not despite_glow and doubt.error_adu >= HARMLESS_NOISE * noise_adu:
            raise GlowError(f"{text}: {doubt.advice}")
        caveats = (f"dark: {text}",)
    return Subtraction(
        own * dark.mean + other * bias.mean,
        (own * dark.uncertainty) ** 2 + (other * bias.uncertainty) ** 2 + readout_variance,
        caveats,
    )


def _current(dark: MasterPlanes, bias: MasterPlanes) -> DarkSignal:
    _check_shapes(dark, bias)
    return DarkSignal(dark.mean - bias.mean, setup_of(dark.header).exposure_s)


def calibrate(
    pixels: NDArray[np.uint16] | F32,
    planes: Correction,
    e_per_adu: float | None,
    period: int = COLOUR_PERIOD,
    uncertainty: F32 | None = None,
) -> CalibratedLight:
    """Calibrate one light.

    Parameters
    ----------
    pixels
        uint16, or float32 after subtraction of the overscan, shape (height, width).
    planes
        The planes of the light's recipe.
    e_per_adu
        Electrons per ADU, for the photon noise; None to omit photon noise from the uncertainty.
    period
        Distance between pixels of the same colour; the level of the sky, which determines the photon noise, is averaged
        over neighbours of the same colour.
    uncertainty
        float32, same shape: the array for the uncertainty; None to use a new array.

    Raises
    ------
    MismatchError
        If the shape of the masters differs from that of the light.
    """
    check_shape(pixels.shape, planes)
    errors = np.empty(pixels.shape, np.float32) if uncertainty is None else uncertainty
    light = CalibratedLight(np.empty(pixels.shape, np.float32), errors)
    adu_per_e = 0.0 if e_per_adu is None else 1 / e_per_adu
    lights.calibrate_pixels(
        pixels.reshape(-1),
        (planes.subtracted if e_per_adu is None else _local_level(pixels, planes, adu_per_e, period)).reshape(-1),
        planes.subtracted.reshape(-1),
        planes.response.reshape(-1),
        planes.dark_variance.reshape(-1),
        planes.response_variance.reshape(-1),
        adu_per_e,
        light.signal.reshape(-1),
        light.uncertainty.reshape(-1),
    )
    return light


def _local_level(pixels: NDArray[np.uint16] | F32, planes: Correction, adu_per_e: float, period: int) -> F32:
    """Return the mean level around each pixel, ADU above the dark, after limiting extreme levels (stars, defects)."""
    every = max(1, pixels.size // _SAMPLED_PIXELS) | 1
    sampled = pixels.reshape(-1)[::every] - planes.subtracted.reshape(-1)[::every]
    level = float(np.nan_to_num(np.nanmedian(sampled)))
    variance = float(np.median(planes.dark_variance.reshape(-1)[::every])) + adu_per_e * max(level, 0.0)
    reach = _LIMIT_SIGMA * variance**0.5
    local = np.empty(pixels.shape, np.float32)
    lights.average_locally(pixels, planes.subtracted, period, level - reach, level + reach, local)
    return local


def check_shape(shape: tuple[int, ...], planes: Correction) -> None:
    """Raise `MismatchError` if the shape of the masters differs from that of the light."""
    if shape != planes.subtracted.shape:
        raise MismatchError(f"the light has the shape {shape}, but its masters have {planes.subtracted.shape}")
