"""The entry point of the package: the examination of one master, including the noise that the master adds to lights."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate
from coldframe.calibration.diagnosis.estimating.thinned_masters import HotPixels, error_of, find_hot
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.darks import (
    Expected,
    frame_noise_adu,
    hot_findings,
    level_findings,
    light_findings,
)
from coldframe.calibration.diagnosis.masters.flats import LARGEST_RELATIVE, flat_findings
from coldframe.calibration.diagnosis.masters.lines import line_findings
from coldframe.calibration.diagnosis.masters.master_finding import master_finding, percent
from coldframe.calibration.diagnosis.masters.series import measure_series, series_findings
from coldframe.calibration.diagnosis.masters.structure import (
    response_ratio,
    smoothness_findings,
)
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.lights.caveats import flat_level_adu
from coldframe.calibration.masters.reading import MasterPlanes, typical_variance
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.config.frames import FrameKind

F32 = NDArray[np.float32]
Frames = Iterable[NDArray[np.uint16]]

GOOD_NOISE = 0.01
LARGEST_NOISE = 0.025
"""Relative increases in the noise of a light up to which the noise of a master is called good and acceptable. The
second corresponds to an increase of 5 % in the variance."""

LARGEST_WITHOUT_SKY = 0.1
"""Like `LARGEST_NOISE`, for a light without sky, which has only read noise; the sky at least doubles the noise."""

USUAL_SKY_ADU = 1000.0
"""Level of the sky that is assumed for the noise of a flat if no lights are given."""

_SMALLEST_SIDE = 64
_KEPT_FRAMES = 6
_STEP = 3


@dataclass(frozen=True, slots=True)
class LightsAtHand:
    """The lights that are to be calibrated with a master.

    Attributes
    ----------
    exposure_s
        Exposure of a light.
    noise_adu
        Noise of a pixel in one light, ADU.
    sky_adu
        Level of the sky above the dark, ADU.
    lacking
        Fraction of pixels that are hot in the median of dithered lights but not in the dark; None if unknown.
    """

    exposure_s: float
    noise_adu: float
    sky_adu: float
    lacking: float | None = None


def look_at_master(
    planes: MasterPlanes,
    *,
    frames: Frames | None = None,
    are_combined: bool = False,
    previous: MasterPlanes | None = None,
    bias: MasterPlanes | None = None,
    flat: MasterPlanes | None = None,
    expected: Expected | None = None,
) -> list[Finding]:
    """Examine a master, and return the findings, the most harmful first.

    Parameters
    ----------
    planes
        The master. Masters whose header does not state their kind yield no findings.
    frames
        Raw flats of the same set, in the order in which they were shot; None if they are not available. They are not
        used for other kinds of masters.
    are_combined
        True if the master contains these frames.
    previous
        The newest earlier master with the same settings; None if there is none.
    bias
        For flats, the dark flat or bias that was subtracted; for darks, the bias. None if it is not available.
    flat
        For darks, a flat from the same camera, with which light can be distinguished from dark current; None if there
        is none.
    expected
        Known properties of the camera; None if there is no record.
    """
    setup = _setup_of(planes)
    if setup is None:
        return []
    if setup.kind is FrameKind.FLAT:
        found = list(_of_flat(planes, setup, frames, previous=previous, bias=bias, are_combined=are_combined))
    else:
        known = _known(planes, expected)
        found = list(_of_dark(planes, setup, known, previous=previous, bias=bias, flat=flat))
        found.extend(_hot(find_hot(planes, _period(setup)), planes.mean.size, setup, None))
    found.extend(_noise(planes, setup, None))
    return sorted(found, key=attrgetter("harm"), reverse=True)


def look_at_pixels(
    planes: MasterPlanes, *, bias: MasterPlanes | None = None, flat: MasterPlanes | None = None
) -> list[Finding]:
    """Examine all pixels of a master, leaving its hot pixels and its noise to `look_with_lights`.

    Parameters
    ----------
    planes, bias, flat
        As for `look_at_master`. Of the bias, only the mean is used.
    """
    setup = _setup_of(planes)
    if setup is None:
        return []
    if setup.kind is FrameKind.FLAT:
        return list(_of_flat(planes, setup, None, previous=None, bias=bias, are_combined=False))
    return list(_of_dark(planes, setup, _known(planes, None), previous=None, bias=bias, flat=flat))


def look_with_lights(master: MasterPlanes, hot: HotPixels, pixels: int, lights: LightsAtHand) -> list[Finding]:
    """Examine how the noise and the hot pixels of a master affect lights.

    Parameters
    ----------
    master
        The master, which may be thinned out.
    hot
        Hot pixels of the master; they are used for darks only.
    pixels
        Number of pixels of the whole master.
    lights
        The lights.
    """
    setup = _setup_of(master)
    if setup is None:
        return []
    return [*_hot(hot, pixels, setup, lights.lacking), *_noise(master, setup, lights)]


def _setup_of(planes: MasterPlanes) -> FrameSetup | None:
    """Return the setup of a master; None if its kind is unknown, or if it is too small."""
    height, width = planes.mean.shape
    setup = setup_of({**planes.header, "NAXIS1": width, "NAXIS2": height})
    return None if setup.kind is None or min(height, width) < _SMALLEST_SIDE else setup


def _known(planes: MasterPlanes, expected: Expected | None) -> Expected:
    """Return the known properties of the camera, completed from the header."""
    known = expected or Expected()
    gain = planes.header.get("EGAIN")
    if known.e_per_adu is None and isinstance(gain, int | float) and gain > 0:
        return Expected(known.dark_current_e_per_s, float(gain))
    return known


def _mosaic(setup: FrameSetup) -> str | None:
    """Return the Bayer array of an unbinned master; None for mono, binned masters and other filter arrays."""
    return setup.mosaic if setup.mosaic in BAYER_PATTERNS and setup.readout.binning == 1 else None


def _period(setup: FrameSetup) -> int:
    return 1 if _mosaic(setup) is None else 2


def _has_pixel_structure(setup: FrameSetup) -> bool:
    """Return whether neighbours of the same colour are known: for mono and Bayer sensors, but not for X-Trans."""
    return setup.mosaic is None or setup.mosaic in BAYER_PATTERNS


# ---- flats ----


def _of_flat(
    flat: MasterPlanes,
    setup: FrameSetup,
    frames: Frames | None,
    *,
    previous: MasterPlanes | None,
    bias: MasterPlanes | None,
    are_combined: bool,
) -> Iterator[Finding]:
    mosaic = _mosaic(setup)
    if bias is not None and bias.mean.shape != flat.mean.shape:
        bias = None
    yield from flat_findings(flat, mosaic, bias)
    if not 0 < float(flat.mean[::_STEP, ::_STEP].mean()) < LARGEST_RELATIVE:
        return
    ratio = None
    if frames is not None:
        pedestal = np.zeros_like(flat.mean) if bias is None else bias.mean
        kept = _FirstFrames(frames)
        series = measure_series(flat, kept, pedestal)
        if series is not None:
            yield from series_findings(series)
        if bias is not None and _has_pixel_structure(setup):
            period = 1 if mosaic is None else 2
            ratio = response_ratio(flat, kept.first, pedestal, period, are_combined=are_combined)
    if _has_pixel_structure(setup):
        yield from smoothness_findings(flat, ratio, 1 if mosaic is None else 2)
        yield from line_findings(flat, previous, mosaic)
    if previous is not None:
        yield from _changes(flat, setup, previous)


class _FirstFrames:
    """Frames that are read once; the first few of them are kept for a second look.

    Attributes
    ----------
    first
        The frames that were kept.
    """

    def __init__(self, frames: Frames) -> None:
        self.first: list[NDArray[np.uint16]] = []
        self._frames = frames

    def __iter__(self) -> Iterator[NDArray[np.uint16]]:
        for frame in self._frames:
            if len(self.first) < _KEPT_FRAMES:
                self.first.append(frame)
            yield frame


# ---- darks and biases ----


def _of_dark(
    dark: MasterPlanes,
    setup: FrameSetup,
    expected: Expected,
    *,
    previous: MasterPlanes | None,
    bias: MasterPlanes | None,
    flat: MasterPlanes | None,
) -> Iterator[Finding]:
    if setup.kind is FrameKind.BIAS:
        yield from level_findings(dark, setup, None)
        if previous is not None:
            yield from _changes(dark, setup, previous)
        return
    period = _period(setup)
    if bias is not None and bias.mean.shape != dark.mean.shape:
        bias = None
    yield from level_findings(dark, setup, bias)
    if _has_pixel_structure(setup):
        yield from light_findings(dark, setup, period, bias=bias, flat=flat, expected=expected)
        if previous is not None:
            yield from _changes(dark, setup, previous)


def _changes(master: MasterPlanes, setup: FrameSetup, previous: MasterPlanes) -> Iterator[Finding]:
    """Yield the differences from an earlier master of the same kind."""
    from coldframe.calibration.diagnosis.masters import changes  # noqa: PLC0415 - most masters have no predecessor

    if setup.kind is FrameKind.FLAT:
        return changes.flat_changes(master, previous)
    if setup.kind is FrameKind.BIAS:
        return changes.level_change(master, previous, "bias")
    return changes.dark_changes(master, previous, _period(setup))


def _hot(hot: HotPixels, pixels: int, setup: FrameSetup, lacking: float | None) -> Iterator[Finding]:
    if setup.kind in {FrameKind.DARK, FrameKind.DARK_FLAT} and _has_pixel_structure(setup):
        yield from hot_findings(hot, pixels, setup, lacking)


# ---- noise ----


def _noise(master: MasterPlanes, setup: FrameSetup, lights: LightsAtHand | None) -> Iterator[Finding]:
    """Yield a finding about the noise that a master adds to a light.

    Variances add: a master with noise m increases the noise of a light from s to sqrt(s^2 + m^2). A flat with relative
    noise u adds noise of S u at a sky level S; the photon noise of this sky is sqrt(S / g) for g electrons per ADU.
    """
    if not master.uncertainty.any() or setup.kind is FrameKind.DARK_FLAT:
        return
    noise = error_of(master)
    of_light, which = _light_noise(master, setup, lights)
    if of_light <= 0:
        return
    added_adu = noise
    if setup.kind is FrameKind.FLAT:
        added_adu = noise * (USUAL_SKY_ADU if lights is None else lights.sky_adu)
    added = float(np.sqrt(1 + (added_adu / of_light) ** 2)) - 1
    is_without_sky = lights is None and setup.kind is not FrameKind.FLAT
    largest = LARGEST_WITHOUT_SKY if is_without_sky else LARGEST_NOISE
    good = GOOD_NOISE * largest / LARGEST_NOISE
    word = "good" if added < good else "acceptable" if added < largest else "too large"
    size = percent(noise) if setup.kind is FrameKind.FLAT else f"{noise:.2g} ADU"
    frames = master.header.get("STACKCNT", master.header.get("NCOMBINE"))
    needed = ""
    if isinstance(frames, int) and added >= largest:
        more = int(np.ceil(frames * ((1 + added) ** 2 - 1) / ((1 + largest) ** 2 - 1)))
        needed = f"Combine at least {max(more, frames + 1)} frames instead of {frames}."
    yield master_finding(
        f"{word}: the noise of the master, {size}, adds {percent(added)} to the noise of {which}",
        Estimate(added, 0.0),
        "of the noise",
        least=largest,
        evidence=f"the median of UNCERT is {size}" + (f", from {frames} frames" if frames is not None else ""),
        fix=needed,
    )


def _light_noise(master: MasterPlanes, setup: FrameSetup, lights: LightsAtHand | None) -> tuple[float, str]:
    """Return the noise of a pixel in a light, ADU, and a description of the light; 0 if unknown."""
    if lights is not None:
        return lights.noise_adu, f"a {lights.exposure_s:g} s light"
    if setup.kind is not FrameKind.FLAT:
        exposure = "" if not setup.exposure_s else f" {setup.exposure_s:g} s"
        return frame_noise_adu(master), f"a{exposure} light without sky, less with sky"
    level = flat_level_adu(master.header)
    variance = float(typical_variance(master))
    if level is None or level <= 0 or variance <= 0:
        return 0.0, ""
    # The noise at the level of the sky follows from the photon noise of the flats themselves.
    return float(np.sqrt(variance * level * USUAL_SKY_ADU)), f"a light with a sky of {USUAL_SKY_ADU:,.0f} ADU"
