"""Looks that find the frames of a set on disk that differ from the others, and faults of the whole set."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.looks.frame_looks import (
    LEAST_LEVEL,
    Fault,
    Reference,
    are_comparable,
    not_read_out,
    other_dark_level,
    other_format,
    other_noise,
    pattern_significance,
    saturated_dark,
    saturated_flat,
    shape_bounds_adu,
    torn_bias,
    uneven_light,
)
from coldframe.calibration.looks.sampling import SampledFrame, row_pairs, sample
from coldframe.calibration.looks.set_verdict import COMMON, Look, SeenFrame, SetFrame, SetVerdict, median_reference
from coldframe.calibration.measuring.frame_shape import SmoothPattern, is_large_enough, smooth_pattern
from coldframe.calibration.measuring.statistics import (
    CONVERTER_TOPS_ADU,
    FULL_SCALE_ADU,
    SIGMA_PER_MAD,
    FrameStatistics,
)
from coldframe.calibration.threads import THREAD_NAME, thread_count
from coldframe.config.frames import FrameKind

LARGEST_ZEROS = 0.001
"""Largest fraction of pixels at 0 that is not reported; Gaussian noise causes about this fraction if the offset is only
three sigma."""

FLAT_SATURATION = 0.001
"""Largest fraction of saturated central pixels in a good flat."""

USELESS_SATURATION = 0.01
"""Flats are useless if all of them have more than this fraction of saturated central pixels."""

LARGEST_LIGHT_RATIO = 2.0
"""Largest factor by which the signal of a flat may differ from the median signal of the set, in either direction."""

SIMILAR_LIGHT = 0.1
"""If the bias is unknown, only flats whose level differs from that of the set by at most this fraction are compared
region by region."""

LIGHT_RANGE = (0.05, 0.70)
"""Levels of good flats, as fractions of the usable range; flats of a night are exposed to reach 0.40.

Few sensors are linear above these levels. Below them, noise and the error of the bias are relatively large.
"""

LARGEST_ODD_LINES = 0.05
"""Largest fixed relative difference between odd and even lines; the two greens of a Bayer array differ by up to 3 %."""

HIGHEST_OFFSET = 0.2
"""Highest level of frames without light, as a fraction of the range; offsets are usually below 0.1."""

FEWEST_FOR_PATTERNS = 4
"""Minimum number of darks needed to find one whose pattern differs from that of the others."""

FEWEST_FOR_DRIFT = 6
"""Minimum number of frames needed to compare the two halves of a set."""

COOLED_DARK_SPREAD_C = 1.0
"""Largest temperature difference in a set of cooled darks; it changes the dark current by an eighth."""

SPREAD_C = 2.0
"""Largest temperature difference in any other set of frames without light."""


def look_at_set(frames: Sequence[SetFrame], bias_adu: float | None = None) -> SetVerdict:
    """Measure the frames of a set, and compare each of them with the others.

    Parameters
    ----------
    frames
        Frames of one set, in any order.
    bias_adu
        Bias level of the flats; None if it is unknown, or if the frames are without light.
    """
    verdict = SetVerdict()
    seen = _measured(frames, verdict)
    if seen and seen[0].setup.kind is FrameKind.FLAT:
        _look_at_flats(seen, bias_adu, verdict)
    elif seen:
        _look_at_darks(seen, verdict)
    return verdict


def _measured(frames: Sequence[SetFrame], verdict: SetVerdict) -> list[SeenFrame]:
    """Return the frames that could be measured, and record why the others could not be measured."""
    pairs = row_pairs(len(frames))
    bounds_adu = _common_bounds(frames, pairs)
    seen: list[SeenFrame] = []

    def measured(frame: SetFrame) -> SampledFrame | FrameFileError | None:
        try:
            return sample(frame.image, frame.setup, pairs, bounds_adu, frame.raw)
        except FrameFileError as error:
            return error

    # These threads wait for the threads of `parallel_map`, and therefore must not belong to the same pool.
    with ThreadPoolExecutor(thread_count(), THREAD_NAME) as pool:
        for frame, sampled in zip(frames, pool.map(measured, frames), strict=True):
            if isinstance(sampled, FrameFileError):
                verdict.faults.append(sampled)
            elif sampled is not None:
                seen.append(SeenFrame(frame.image.path, frame.setup, sampled.measured, sampled.zero_fraction))
    if without := len(frames) - len(seen) - len(verdict.faults):
        verdict.notices.append(
            f"{without} of {len(frames)} frames are not judged: they are too small, or their values are not numbers "
            "from 0 to 65,535 ADU"
        )
    return seen


def _common_bounds(frames: Sequence[SetFrame], pairs: int) -> tuple[float, float] | None:
    """Return the clipping bounds for frames without light, from the median level of three frames; None for flats."""
    if not frames or frames[0].setup.kind is FrameKind.FLAT:
        return None
    statistics = []
    for frame in (frames[0], frames[len(frames) // 2], frames[-1]):
        with suppress(FrameFileError):  # the frame is reported when all frames are measured
            if (sampled := sample(frame.image, frame.setup, pairs)) is not None:
                statistics.append(sampled.measured.statistics)
    if not statistics:
        return None
    return shape_bounds_adu(sorted(statistics, key=lambda each: each.level_adu)[len(statistics) // 2])


# ---- flats ----


def _look_at_flats(seen: list[SeenFrame], bias_adu: float | None, verdict: SetVerdict) -> None:
    verdict.all_saturated = all(_is_useless(each.measured.statistics) for each in seen)
    seen = verdict.passing(seen, _not_read_out, compares=False)
    seen = verdict.passing(seen, _saturated_flat, compares=False)
    usual_adu = float(np.median([each.measured.statistics.level_adu for each in seen])) - (bias_adu or 0.0)
    if usual_adu > np.median([each.measured.statistics.noise_adu for each in seen]):
        seen = verdict.passing(seen, lambda each: _other_light(each, usual_adu, bias_adu), compares=True)
    reference = median_reference(seen, bias_adu or 0.0)
    seen = verdict.passing(seen, lambda each: other_format(each.measured, reference), compares=True)
    seen = verdict.passing(seen, lambda each: _uneven_light(each, reference, bias_adu), compares=True)
    seen = verdict.passing(seen, _repetition_look(seen), compares=False)
    light = _light_level([each.measured.statistics for each in seen], bias_adu)
    lines = _fixed_lines(reference, seen[0].setup.mosaic, bias_adu or 0.0)
    verdict.notices += filter(None, (light, lines))


def _is_useless(statistics: FrameStatistics) -> bool:
    """Return whether a flat is saturated. A flat in which all pixels have the same value below full scale is empty."""
    is_empty = statistics.minimum_adu == statistics.maximum_adu < FULL_SCALE_ADU
    return statistics.saturated_fraction > USELESS_SATURATION and not is_empty


def _saturated_flat(each: SeenFrame) -> Fault | None:
    return saturated_flat(each.measured.statistics, FLAT_SATURATION)


def _other_light(each: SeenFrame, usual_adu: float, bias_adu: float | None) -> Fault | None:
    light_adu = each.measured.statistics.level_adu - (bias_adu or 0.0)
    if usual_adu / LARGEST_LIGHT_RATIO <= light_adu <= usual_adu * LARGEST_LIGHT_RATIO:
        return None
    return Fault(
        f"the level is {light_adu:.0f} ADU{_above(bias_adu)}, {light_adu / usual_adu:.2g} times that of the set"
    )


def _uneven_light(each: SeenFrame, reference: Reference, bias_adu: float | None) -> Fault | None:
    signals_adu = [one.level_adu - (bias_adu or 0.0) for one in (each.measured.statistics, reference.statistics)]
    if min(signals_adu) <= each.measured.statistics.noise_adu:
        return None  # there is no light to compare
    if bias_adu is None and abs(signals_adu[0] / signals_adu[1] - 1) > SIMILAR_LIGHT:
        return None
    return uneven_light(each.measured, reference, bias_adu or 0.0)


def _light_level(statistics: Sequence[FrameStatistics], bias_adu: float | None) -> str | None:
    """Return a notice if the level of the flats is outside `LIGHT_RANGE`; otherwise None."""
    zero_adu = bias_adu or 0.0
    light_adu = float(np.median([each.brightest_adu for each in statistics])) - zero_adu
    top_adu = min(each.saturation_adu for each in statistics)
    part = light_adu / max(top_adu - zero_adu, 1.0)
    if part > LIGHT_RANGE[1]:
        return (
            f"the flats are at {100 * part:.0f} % of the range ({light_adu + zero_adu:.0f} of {top_adu} ADU), where "
            "few sensors are linear: aim for 30 to 50 %"
        )
    # Unscaled values from an ADC with fewer bits use only a fraction of the 16-bit range.
    highest_adu = max(each.maximum_adu for each in statistics)
    reach_adu = next((top for top in CONVERTER_TOPS_ADU if top >= highest_adu), FULL_SCALE_ADU)
    faint_adu = float(np.median([each.faintest_adu for each in statistics])) - zero_adu
    part = faint_adu / max(min(reach_adu, top_adu) - zero_adu, 1.0)
    if part >= LIGHT_RANGE[0]:
        return None
    return (
        f"the level of the flats is only {faint_adu:.0f} ADU{_above(bias_adu)}, {100 * part:.1f} % of the range: noise "
        "and the error of the bias are large in the master; aim for 30 to 50 %"
    )


def _above(bias_adu: float | None) -> str:
    return "" if bias_adu is None else f" above the bias of {bias_adu:.0f} ADU"


def _fixed_lines(reference: Reference, mosaic: str | None, bias_adu: float) -> str | None:
    """Return a notice if odd and even lines differ too much in the median of all frames; otherwise None."""
    excess = None if reference.lines is None else reference.lines.odd_excess(bias_adu, mosaic)
    if excess is None or abs(excess) <= LARGEST_ODD_LINES:
        return None
    return (
        f"the odd lines of the flats are {100 * abs(excess):.1f} % {'brighter' if excess > 0 else 'darker'} than the "
        "even ones: the readout is interlaced, or the light flickers"
    )


# ---- frames without light ----


def _look_at_darks(seen: list[SeenFrame], verdict: SetVerdict) -> None:
    _compare_temperatures(seen, verdict)
    seen = [each for each in seen if each.path not in verdict.doubts]
    for look in (_saturated_dark, _not_read_out, _clipped_at_zero):
        seen = verdict.passing(seen, look, compares=False)
    is_bias = seen[0].setup.kind is FrameKind.BIAS
    reference = median_reference(seen)
    seen = verdict.passing(seen, lambda each: other_format(each.measured, reference), compares=True)
    if is_bias:
        seen = verdict.passing(seen, lambda each: torn_bias(each.measured, reference), compares=True)
    seen = verdict.passing(seen, lambda each: other_dark_level(each.measured, reference), compares=True)
    seen = verdict.passing(seen, lambda each: other_noise(each.measured, reference), compares=True)
    if not is_bias:
        seen = verdict.passing(seen, _pattern_look(seen, reference), compares=True)
    seen = verdict.passing(seen, _repetition_look(seen), compares=False)
    offset, drift = _high_offset(reference.statistics), _drift(seen, reference.statistics.noise_adu)
    verdict.notices += filter(None, (offset, drift))


def _compare_temperatures(seen: list[SeenFrame], verdict: SetVerdict) -> None:
    known_c = [each.measured.sensor_c for each in seen if each.measured.sensor_c is not None]
    is_cooled_dark = seen[0].setup.kind is not FrameKind.BIAS and seen[0].setup.setpoint_c is not None
    limit_c = COOLED_DARK_SPREAD_C if is_cooled_dark else SPREAD_C
    if not known_c or max(known_c) - min(known_c) <= limit_c:
        return
    usual_c = float(np.median(known_c))
    off = [each for each in seen if _other_temperature(each, usual_c, limit_c)]
    if off and len(off) <= COMMON * len(seen):
        verdict.passing(seen, lambda each: _other_temperature(each, usual_c, limit_c), compares=True)
    else:
        verdict.notices.append(f"the sensor was at {min(known_c):.1f} to {max(known_c):.1f} C")


def _other_temperature(each: SeenFrame, usual_c: float, limit_c: float) -> Fault | None:
    sensor_c = each.measured.sensor_c
    if sensor_c is None or abs(sensor_c - usual_c) <= limit_c:
        return None
    return Fault(f"the sensor was at {sensor_c:.1f} C instead of the set's {usual_c:.1f} C")


def _not_read_out(each: SeenFrame) -> Fault | None:
    return not_read_out(each.measured.statistics)


def _saturated_dark(each: SeenFrame) -> Fault | None:
    return None if _not_read_out(each) else saturated_dark(each.measured.statistics)


def _clipped_at_zero(each: SeenFrame) -> Fault | None:
    if each.zero_fraction <= LARGEST_ZEROS:
        return None
    return Fault(f"{100 * each.zero_fraction:.2g} % of the pixels are 0: the offset is too low for the noise")


def _pattern_look(seen: list[SeenFrame], reference: Reference) -> Look:
    """Return the look that finds darks whose smooth pattern differs significantly from that of the reference."""
    rows, columns = reference.shape.levels_adu.shape
    known_c = [each.measured.sensor_c for each in seen if each.measured.sensor_c is not None]
    usual_c = float(np.median(known_c)) if known_c else None
    # The errors of a pattern from few rows are too uncertain for a limit of seven standard errors.
    patterns = {
        each.path: smooth_pattern(each.measured.shape.levels_adu - reference.shape.levels_adu)
        for each in seen
        if is_large_enough((rows // 4, columns)) and are_comparable(each.measured.sensor_c, usual_c)
    }
    if len(patterns) < FEWEST_FOR_PATTERNS:
        return lambda _: None
    scatter = np.median([pattern.significances for pattern in patterns.values()], axis=0)
    excess = np.maximum(SIGMA_PER_MAD * scatter, 1.0)
    return lambda each: _other_pattern(patterns[each.path], excess, reference) if each.path in patterns else None


def _other_pattern(pattern: SmoothPattern, excess: NDArray[np.float64], reference: Reference) -> Fault | None:
    significance = pattern_significance(pattern, excess, reference.statistics.noise_adu)
    if significance is None:
        return None
    return Fault(
        f"the level differs from {reference.name} by a smooth pattern of {pattern.amplitude_adu:.2g} ADU "
        f"({significance:.0f} standard errors), brightest {pattern.brightest}: is there light on the sensor?",
        is_light=True,
    )


def _high_offset(statistics: FrameStatistics) -> str | None:
    part = statistics.level_adu / statistics.saturation_adu
    if part <= HIGHEST_OFFSET:
        return None
    return (
        f"the level of {statistics.level_adu:.0f} ADU is {100 * part:.0f} % of the range: is there light on the "
        "sensor, or is the offset too high?"
    )


def _drift(seen: Sequence[SeenFrame], noise_adu: float) -> str | None:
    """Return a notice if the median levels of the older and the newer half of the frames differ; otherwise None."""
    if len(seen) < FEWEST_FOR_DRIFT:
        return None
    dated = [(each.setup.taken_at, each) for each in seen if each.setup.taken_at is not None]
    if len(dated) == len(seen):
        seen = [each for _, each in sorted(dated, key=lambda pair: pair[0])]
    half = len(seen) // 2
    older_adu, newer_adu = (
        float(np.median([each.measured.statistics.level_adu for each in part])) for part in (seen[:half], seen[-half:])
    )
    if abs(newer_adu - older_adu) < LEAST_LEVEL * max(noise_adu, 1.0):
        return None
    return f"the level drifts: {older_adu:.0f} ADU in the first half of the frames, {newer_adu:.0f} ADU in the second"


# ---- any frames ----


def _repetition_look(seen: Sequence[SeenFrame]) -> Look:
    """Return the look that finds frames whose pixels are the same as those of an earlier frame."""
    first = {each.measured.digest: each.path for each in reversed(seen)}

    def look(each: SeenFrame) -> Fault | None:
        earlier = first[each.measured.digest]
        if earlier == each.path:
            return None
        return Fault(f"the pixels are those of {earlier}: the camera repeated that frame")

    return look
