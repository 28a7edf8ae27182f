"""Where the camera saturates, as far as test frames show it. Pure."""

from collections.abc import Sequence

from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.target import FlatTarget

NOISELESS = 0.01
"""Part of the signal that its variance cannot fall below (both in ADU) unless the pixels are saturated.

The variance of shot noise is the signal divided by the gain (J. Janesick, "Photon Transfer", SPIE Press 2007, chapter
5), and no camera's converter step is worth 100 electrons: a full well of 100,000 in 12 bits makes 24.
"""

STILL_RISING = 1.05
"""A level that another test exceeds by this factor is not the one at which the camera saturates."""

HIDDEN_PART = 0.99
"""A frame that is cut off below this part of the given full scale shows a lower one."""

LEAST_CLIPPED = 0.02
"""Below this part of the usable range no level is taken for a saturation."""


def observed_full_scale_adu(target: FlatTarget, tests: Sequence[FlatTest]) -> float:
    """Return the level at which the tests saturate, where that lies below the given full scale.

    Three things tell it: a histogram that is cut off, a level without the shot noise that belongs to it, and a level
    that stays although the exposure grows.
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
    """Tell whether the test's histogram shows where the camera saturates below the full scale that is given."""
    return test.saturation_adu < HIDDEN_PART * target.full_scale_adu


def levels_without_shot_noise_adu(target: FlatTarget, tests: Sequence[FlatTest]) -> list[float]:
    """Return the levels that lack the shot noise that belongs to them, as those of saturated frames do.

    None where they differ, or where another test reached more: there are cameras whose frames never have shot noise,
    simulated ones and those that smooth or stack by themselves.
    """
    tops = [test for test in tests if test.noise_adu**2 < NOISELESS * (test.level_adu - target.bias_adu)]
    lowest_adu = min((test.level_adu - target.bias_adu for test in tops), default=0.0)
    if any(test.level_adu - target.bias_adu > STILL_RISING * lowest_adu for test in tests):
        return []
    return [min(test.level_adu, test.saturation_adu) for test in tops]
