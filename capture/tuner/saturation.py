"""Find the level at which the camera saturates, from test frames. This module performs no I/O."""

from collections.abc import Sequence

from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.target import FlatTarget

NOISELESS = 0.01
"""Smallest ratio of variance (ADU squared) to signal (ADU) for pixels that are not saturated.

The variance of shot noise is the signal divided by the gain (J. Janesick, "Photon Transfer", SPIE Press 2007, chapter
5). No camera has 100 electrons per ADU: even a full well of 100,000 electrons in 12 bits gives only 24.
"""

STILL_RISING = 1.05
"""If one signal exceeds another by more than this factor, the camera does not saturate at the lower signal."""

HIDDEN_PART = 0.99
"""A histogram that is cut off below this fraction of the given full scale shows that the true full scale is lower."""

LEAST_CLIPPED = 0.02
"""Levels below this fraction of the usable range never count as saturation."""


def observed_full_scale_adu(target: FlatTarget, tests: Sequence[FlatTest]) -> float:
    """Return the level at which the camera saturates, or the given full scale if no test saturates below it.

    Saturation has three signs: a histogram that is cut off, a level without shot noise, and a level that does not rise
    with the exposure.
    """
    clips = levels_without_shot_noise_adu(target, tests) + [test.saturation_adu for test in tests]
    for test in tests:
        for longer in tests:
            if longer.brightness == test.brightness and longer.exposure_s >= 1.5 * test.exposure_s:
                signal_adu = longer.level_adu - target.bias_adu
                stays = abs(longer.level_adu - test.level_adu) < 0.01 * signal_adu
                if stays and signal_adu > 0.05 * target.range_adu:
                    clips.append(max(longer.level_adu, test.level_adu))
    least_adu = target.bias_adu + LEAST_CLIPPED * target.range_adu
    return min([target.full_scale_adu, *(level for level in clips if level > least_adu)])


def is_histogram_cut_off(test: FlatTest, target: FlatTarget) -> bool:
    """Return whether the histogram is cut off below the given full scale, at the level where the camera saturates."""
    return test.saturation_adu < HIDDEN_PART * target.full_scale_adu


def levels_without_shot_noise_adu(target: FlatTarget, tests: Sequence[FlatTest]) -> list[float]:
    """Return the levels of tests that have no shot noise because pixels are saturated.

    The result is empty if these levels differ or another test has a higher level, because the frames of some cameras
    never have shot noise. Examples are simulated cameras and cameras that smooth or stack internally.
    """
    tops = [test for test in tests if test.noise_adu**2 < NOISELESS * (test.level_adu - target.bias_adu)]
    lowest_adu = min((test.level_adu - target.bias_adu for test in tops), default=0.0)
    if any(test.level_adu - target.bias_adu > STILL_RISING * lowest_adu for test in tests):
        return []
    return [min(test.level_adu, test.saturation_adu) for test in tops]
