"""Pure functions that derive a camera record from a night's measured sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt

import numpy as np

from coldframe.calibration.camera.photon_transfer import (
    LEAST_NOISE_STEPS,
    Measured,
    TileNoise,
    bright_signal_adu,
    dark_current_e_per_s,
    electrons_per_adu,
    ladder_error,
    nonlinearity,
    read_noise_adu,
    saturation_adu,
)
from coldframe.calibration.camera.record import CameraRecord, CurvePoint, DarkCurrent, Figure, LinearityPoint
from coldframe.config.frames import FrameKind, ReadoutSettings

POINTS_PER_SET = 4
"""Number of points that each set adds to the photon transfer curve, from the faintest to the brightest tiles."""

REFERENCE_EXPOSURE_RATIO = 0.5
"""Longest exposure of the reference set for a dark current, as a fraction of the dark's exposure."""

SAME_TEMPERATURE_C = 1.0

LEAST_CERTAIN_SIGMA = 2.0
"""Smallest significance of a dark current that is recorded, in standard errors."""


@dataclass(frozen=True, slots=True, eq=False)
class StudiedSet:
    """Frames shot with the same settings, sampled for photon transfer.

    Attributes
    ----------
    light
        Properties that identify the illumination, such as filter and brightness; None for dark frames.
    sensor_c
        Mean sensor temperature, degrees Celsius; None if unknown.
    """

    camera: str
    readout: ReadoutSettings
    kind: FrameKind
    exposure_s: float
    sensor_c: float | None
    light: tuple[str | None, int | None] | None
    noise: TileNoise


def study(sets: Sequence[StudiedSet], measured_at: datetime, known: Measured | None = None) -> CameraRecord | None:
    """Return the figures that can be derived from the sets, or None if there are too few frames.

    Parameters
    ----------
    sets
        Sets of one camera, frame size and readout setting. If a set has only one frame, only its level is used.
    measured_at
        Time of the measurement, for the record.
    known
        Gain in electrons per ADU from earlier nights, used if the sets do not determine it.
    """
    darks = [each for each in sets if each.light is None]
    repeated = [each for each in darks if each.noise.frames > 1]
    if not repeated:
        return None
    shortest = min(repeated, key=lambda each: each.exposure_s)
    saturation = _saturation(sets, darks)
    bias_adu = float(np.median(shortest.noise.level_adu))
    measured = _gain(sets, repeated, saturation.value - bias_adu if saturation else np.inf)
    e_per_adu = measured or known
    if e_per_adu is None:
        return None
    try:
        noise_adu = read_noise_adu(shortest.noise)
    except ValueError:  # damaged frames
        return None
    limit_adu = LEAST_NOISE_STEPS * shortest.noise.step_adu
    hidden = noise_adu.value < limit_adu
    first = sets[0]
    return CameraRecord(
        camera=first.camera,
        gain=first.readout.gain,
        offset=first.readout.offset,
        binning=first.readout.binning,
        readout_mode=first.readout.readout_mode,
        measured_at=measured_at,
        e_per_adu=Figure.of(measured) if measured else None,
        read_noise_e=None if hidden else _read_noise(noise_adu, e_per_adu),
        read_noise_below_e=limit_adu * e_per_adu.value if hidden else None,
        bias_adu=bias_adu,
        saturation_adu=Figure.of(saturation) if saturation else None,
        curve=tuple(_curve(sets, darks)),
        linearity=tuple(_linearity(sets, darks, saturation.value - bias_adu)) if saturation else (),
        dark_current=tuple(_dark_currents(darks, e_per_adu)),
    )


def _lit(sets: Sequence[StudiedSet]) -> list[StudiedSet]:
    return [each for each in sets if each.light is not None]


def _dark_of(flat: StudiedSet, darks: Sequence[StudiedSet]) -> StudiedSet:
    """Return the dark frames that are nearest to the flat in exposure and temperature."""
    warmth = flat.sensor_c or 0.0
    return min(darks, key=lambda dark: (abs(dark.exposure_s - flat.exposure_s), abs((dark.sensor_c or 0.0) - warmth)))


def _gain(sets: Sequence[StudiedSet], darks: Sequence[StudiedSet], saturation_signal_adu: float) -> Measured | None:
    pairs = [(flat.noise, _dark_of(flat, darks).noise) for flat in _lit(sets) if flat.noise.frames > 1]
    if not pairs:
        return None
    try:
        return electrons_per_adu(pairs, saturation_signal_adu)
    except ValueError:
        return None


def _read_noise(noise_adu: Measured, e_per_adu: Measured) -> Figure | None:
    value = noise_adu.value * e_per_adu.value
    if value <= 0:
        return None
    relative = np.hypot(noise_adu.error / noise_adu.value, e_per_adu.error / e_per_adu.value)
    return Figure(value=value, error=float(value * relative))


def _ladders(sets: Sequence[StudiedSet]) -> Iterator[tuple[StudiedSet, list[StudiedSet]]]:
    """Yield, for each illumination, the set with the most frames, and the other sets."""
    for light in dict.fromkeys(each.light for each in _lit(sets)):
        under = [each for each in sets if each.light == light]
        reference = max(under, key=lambda each: each.noise.frames)
        others = [each for each in under if each is not reference]
        if others:
            yield reference, others


def _saturation(sets: Sequence[StudiedSet], darks: Sequence[StudiedSet]) -> Measured | None:
    """Return the saturation level from the longest exposure under the first illumination that reaches saturation."""
    for reference, others in _ladders(sets):
        brightest = max(others, key=lambda each: each.exposure_s)
        dark = _dark_of(reference, darks).noise
        level = saturation_adu(brightest.noise, reference.noise, dark, brightest.exposure_s / reference.exposure_s)
        if level is not None:
            return level
    return None


def _linearity(
    sets: Sequence[StudiedSet], darks: Sequence[StudiedSet], saturation_signal_adu: float
) -> Iterator[LinearityPoint]:
    for reference, others in _ladders(sets):
        dark = _dark_of(reference, darks).noise
        rungs = sorted(others, key=lambda each: each.exposure_s)
        # The light may have drifted between the reference and the other sets, so the other sets are tried on their own
        # first.
        for steps in (rungs, [reference, *rungs]):
            signals = [bright_signal_adu(each.noise, reference.noise, dark) for each in steps]
            deviations = nonlinearity([each.exposure_s for each in steps], signals, saturation_signal_adu)
            counting = np.isfinite(deviations)
            if counting.any():
                break
        error = _ladder_error([step for step, counts in zip(steps, counting, strict=True) if counts], dark)
        for signal, deviation in zip(signals, deviations.tolist(), strict=True):
            if np.isfinite(deviation) and signal > 0:
                yield LinearityPoint(signal_adu=signal, deviation=deviation, error=error)


def _ladder_error(rungs: Sequence[StudiedSet], dark: TileNoise) -> float:
    """Return the relative error of the signals at several exposures, from sets of two frames each; 0 if unknown."""
    dark_adu = float(np.median(dark.level_adu))
    levels_adu = [each.noise.frame_levels_adu for each in rungs if len(each.noise.frame_levels_adu) == 2]  # noqa: PLR2004 - up and down
    if len(levels_adu) < 2:  # noqa: PLR2004 - a difference remains after removal of the drift
        return 0.0
    return ladder_error([(up - dark_adu, down - dark_adu) for up, down in levels_adu])


def _curve(sets: Sequence[StudiedSet], darks: Sequence[StudiedSet]) -> Iterator[CurvePoint]:
    for flat in _lit(sets):
        if flat.noise.frames < 2:  # noqa: PLR2004 - a variance needs two frames
            continue
        signal = (flat.noise.level_adu - _dark_of(flat, darks).noise.level_adu).ravel()
        variance = flat.noise.variance_adu2.ravel()
        order = np.argsort(signal)
        for part in np.array_split(order, POINTS_PER_SET):
            at, spread = float(np.median(signal[part])), float(np.median(variance[part]))
            if at > 0 and spread > 0:
                yield CurvePoint(signal_adu=at, noise_adu=sqrt(spread))


def _dark_currents(darks: Sequence[StudiedSet], e_per_adu: Measured) -> Iterator[DarkCurrent]:
    for dark in darks:
        if dark.kind is not FrameKind.DARK or dark.sensor_c is None:
            continue
        shorter = [each for each in darks if _is_reference_for(each, dark)]
        if not shorter:
            continue
        # The longest reference is used, because offsets that occur only in a camera's shortest exposures then cancel.
        zero = max(shorter, key=lambda each: each.exposure_s)
        longer_by_s = dark.exposure_s - zero.exposure_s
        current = dark_current_e_per_s(dark.noise, zero.noise, longer_by_s, e_per_adu)
        if current.value > LEAST_CERTAIN_SIGMA * current.error:
            yield DarkCurrent(
                sensor_c=dark.sensor_c, exposure_s=dark.exposure_s, e_per_s=current.value, error=current.error
            )


def _is_reference_for(shorter: StudiedSet, dark: StudiedSet) -> bool:
    """Return whether the shorter set can be the reference for the dark current of a dark."""
    if shorter.exposure_s > REFERENCE_EXPOSURE_RATIO * dark.exposure_s:
        return False
    if shorter.sensor_c is None or dark.sensor_c is None:
        return False
    return abs(shorter.sensor_c - dark.sensor_c) <= SAME_TEMPERATURE_C
