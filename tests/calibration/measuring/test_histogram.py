import numpy as np
import pytest

from coldframe.calibration.measuring.statistics import measure


@pytest.mark.parametrize(("level_adu", "noise_adu", "bin_adu"), [(500, 3.0, 1), (2, 0.5, 1), (64_000, 60.0, 8)])
def test_the_histogram_of_a_narrow_distribution_is_zoomed(level_adu: int, noise_adu: float, bin_adu: int) -> None:
    rng = np.random.default_rng(3)
    pixels = np.clip(rng.normal(level_adu, noise_adu, (100, 120)), 0, 65_535).astype(np.uint16)
    pixels[0, :3] = 60_000  # hot pixels do not widen the range
    shown = measure(pixels).histogram()
    assert shown.bin_adu == bin_adu
    assert shown.first_adu + 128 * bin_adu <= 65_536
    assert shown.counts.sum() >= 0.998 * pixels.size
    edges = shown.first_adu + bin_adu * np.arange(129)
    np.testing.assert_array_equal(shown.counts, np.histogram(pixels, np.append(edges[:-1], edges[-1] - 0.5))[0])


def test_a_flat_is_shown_on_the_full_range() -> None:
    pixels = np.random.default_rng(4).normal(26_000, 1_500, (100, 120)).astype(np.uint16)
    shown = measure(pixels).histogram()
    assert (shown.first_adu, shown.bin_adu) == (0, 512)
    np.testing.assert_array_equal(shown.counts, np.histogram(pixels, 128, (0, 65536))[0])
