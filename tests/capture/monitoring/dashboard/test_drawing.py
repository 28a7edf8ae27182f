"""The small drawings have the correct size and contents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from coldframe.capture.monitoring.dashboard.drawing import (
    ASCII,
    GOOD,
    UNICODE,
    Canvas,
    fit,
    gauge,
    histogram,
    shrink,
    sparkline,
)


@given(st.text(max_size=60), st.integers(0, 50))
def test_fitted_text_fits(text: str, width: int) -> None:
    assert cell_len(fit(text, width, UNICODE)) <= width or cell_len(text) <= width


def test_text_is_cut_between_words() -> None:
    assert fit("the cover is stuck", 15, UNICODE) == "the cover is…"
    assert fit("the cover is stuck", 18, UNICODE) == "the cover is stuck"
    assert fit("Incomprehensibilities", 8, ASCII) == "Incom..."


@given(st.floats(0, 1e5), st.floats(100, 3e4), st.floats(1, 3e4), st.integers(8, 60))
def test_gauge_marks_a_level_inside_the_band_only_if_it_is_inside(
    level: float, low: float, width_adu: float, width: int
) -> None:
    high = low + width_adu
    line = gauge(level, low, high, width, UNICODE).plain
    assert len(line) == width
    position = next(index for index, sign in enumerate(line) if sign in "◆▸")
    band = [index for index, sign in enumerate(line) if sign == UNICODE.band]
    if low <= level <= high and band:
        assert min(band) - 1 <= position <= max(band) + 1
    assert (line[position] == "▸") == (level > 2 * high)


def test_sparkline_spans_its_range_and_keeps_gaps() -> None:
    assert sparkline([0.0, None, 5.0, 10.0, 99.0], 0, 10, UNICODE) == "▁ ▅██"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (40, 6), (128, 3), (200, 8)])
def test_histogram_has_its_peak_where_the_counts_are(width: int, height: int) -> None:
    counts = np.zeros(128, dtype=np.int64)
    counts[96] = 1000
    lines = histogram(counts, width, height, UNICODE)
    assert [len(line) for line in lines] == [width] * height
    assert lines[0].index("█") == pytest.approx(0.75 * width, abs=1)


def test_empty_histogram_is_blank() -> None:
    assert histogram(np.zeros(128, dtype=np.int64), 10, 2, UNICODE) == [" " * 10] * 2


@given(st.integers(1, 64), st.integers(1, 96), st.integers(1, 120), st.integers(2, 80))
def test_shrunk_picture_fits_and_keeps_its_brightness(rows: int, columns: int, width: int, height: int) -> None:
    pixels = np.full((rows, columns), 77, dtype=np.uint8)
    small = shrink(pixels, width, height)
    assert small.shape[0] % 2 == 0
    assert small.shape[0] <= max(height, 2)
    assert small.shape[1] <= width
    assert np.all(small == 77)


def test_curve_runs_from_corner_to_corner() -> None:
    canvas = Canvas(4, 4, ASCII)
    canvas.line_to(0, 0)
    canvas.line_to(1, 1)
    canvas.reference_dot(0, 1)
    lines = [line.plain for line in canvas.lines(GOOD)]
    assert (lines[0][0], lines[0][-1], lines[-1][0], lines[-1][-1]) == (".", "*", "*", " ")
    assert all("*" in line for line in lines)
